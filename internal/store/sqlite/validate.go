package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/ncruces/go-sqlite3/driver"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/clock"
	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// Validate looks whether a service can use the file, and whether it is safe there. It lists everything, works beside a server, and leaves the file as it is.
func Validate(ctx context.Context, path string) (c store.Checks) {
	registerGuard()
	path, err := filepath.Abs(path)
	if err != nil {
		c.Fail("file", "name the file by a path that exists", "%s: %s", path, err)
		return c
	}
	checkPlace(&c, filepath.Dir(path))
	if !checkFile(&c, path) {
		return c
	}
	checkServer(&c, path)
	if err := (&Store{path: path}).checkOwn(ctx); err != nil {
		c.Fail("schema", "name another file", "%s", err)
		return c
	}
	db, err := driver.Open(dsn(path, url.Values{"_timefmt": {"unixepoch_micro"}, "_txlock": {"immediate"}, "mode": {"rw"}}))
	if err == nil {
		defer db.Close() // it has written nothing that could be lost
		db.SetMaxOpenConns(1)
		err = db.PingContext(ctx)
	}
	if err != nil {
		c.Fail("connection", "see what the error says; where the file is damaged, put a backup in its place", "%s", classify(ctx, err))
		return c
	}
	c.OK("connection", "%s is open", path)
	checkPragmas(ctx, &c, db)
	checkWAL(&c, path)
	if checkSchema(ctx, &c, path, db) {
		checkPlans(ctx, &c, db)
		if checkMoved(ctx, &c, db) {
			checkRoundTrip(ctx, &c, db)
		}
	}
	return c
}

// The disk is nearly full with less than this free; with less than the first hardly anything more can be enqueued.
const (
	diskFails = 16 << 20
	diskWarns = 512 << 20
)

// checkPlace looks at the directory and its disk.
func checkPlace(c *store.Checks, dir string) {
	if info, err := os.Stat(dir); err != nil {
		c.Fail("directory", "make it, or name another", "%s", err)
		return
	} else if !info.IsDir() {
		c.Fail("directory", "name a file in a directory", "%s is no directory", dir)
		return
	}
	checkDirectory(c, dir)
	if kind, known, err := fileSystem(dir); err != nil {
		c.Warn("disk.kind", "", "the kind of the file system cannot be found out: %s", err)
	} else if remote(kind) {
		c.Fail("disk.kind", "put the file on a disk of this machine, or use PostgreSQL", "%s is on %s: locks and the memory shared by processes do not work over a network, so tasks may be lost or run twice", dir, kind)
	} else if loss := volatile(kind); loss != "" {
		c.Warn("disk.kind", "put the file on a disk that stays", "%s is on %s: what is there is lost %s", dir, kind, loss)
	} else if shared(kind) {
		c.Warn("disk.kind", "make sure that it is a disk of this machine", "%s is on %s, which may be a network", dir, kind)
	} else if known {
		c.OK("disk.kind", "%s", kind)
	} else {
		c.Skip("disk.kind", "this system does not tell: see that it is a disk of this machine")
	}
	switch free, all, err := diskSpace(dir); {
	case err != nil:
		c.Warn("disk.free", "", "the room on the disk cannot be found out: %s", err)
	case free < diskFails:
		c.Fail("disk.free", "make room", "%d MiB are free of %d", free>>20, all>>20)
	case free < diskWarns || float64(free) < 0.05*float64(all):
		c.Warn("disk.free", "make room, or have ended tasks deleted (retention)", "%d MiB are free of %d", free>>20, all>>20)
	default:
		c.OK("disk.free", "%d MiB of %d", free>>20, all>>20)
	}
}

// checkFile reports whether there is a file to open.
func checkFile(c *store.Checks, path string) bool {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.Fail("file", "thequeue migrate up --database "+path, "%s does not exist", path)
		return false
	case err != nil:
		c.Fail("file", "see what the error says", "%s", err)
		return false
	case !info.Mode().IsRegular():
		c.Fail("file", "name a file", "%s is not a regular file", path)
		return false
	case info.Size() == 0:
		c.Fail("file", "thequeue migrate up --database "+path, "%s is empty", path)
		return false
	}
	c.OK("file", "%s has %d bytes", path, info.Size())
	return checkPermissions(c, path)
}

// checkServer tells whether a server has the file.
func checkServer(c *store.Checks, path string) {
	switch is, err := served(path); {
	case err != nil:
		c.Warn("server", "", "whether a server has the file cannot be found out: %s", err)
	case is:
		c.OK("server", "%s", havingFile(path))
	default:
		c.OK("server", "no server has the file")
	}
}

// havingFile says who has the file.
func havingFile(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	switch h := holder(path); h.command {
	case "":
		return "a server has the file"
	case byServe:
		return fmt.Sprintf("a server has the file (process %d)", h.pid)
	default:
		return fmt.Sprintf("thequeue %s has the file (process %d)", h.command, h.pid)
	}
}

// served reports whether a server, or a migration, has the file. It looks at the lock by having it shared for a moment.
func served(path string) (bool, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if _, err := os.Stat(path + lockSuffix); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return false, err
	}
	l := flock.New(path+lockSuffix, flock.SetFlag(os.O_RDONLY))
	free, err := l.TryRLock()
	if err != nil {
		return false, err
	}
	return !free, l.Close()
}

// checkPragmas reads the settings of a new connection back.
func checkPragmas(ctx context.Context, c *store.Checks, db *sql.DB) {
	for _, p := range pragmas {
		got := ""
		if err := db.QueryRowContext(ctx, "PRAGMA "+p.name).Scan(&got); err != nil {
			c.Fail("pragma."+p.name, "see what the error says", "%s", classify(ctx, err))
		} else if !strings.EqualFold(got, p.want) {
			c.Fail("pragma."+p.name, "use a disk of this machine, and no other build of SQLite", "is %q, must be %q: this file or file system does not allow what durability needs", got, p.want)
		} else {
			c.OK("pragma."+p.name, "%s", p.set)
		}
	}
}

// walWarns is a length that the WAL has only when somebody reads for long, or the writer cannot copy it into the file.
const walWarns = 256 << 20

func checkWAL(c *store.Checks, path string) {
	if info, err := os.Stat(path + "-wal"); err == nil && info.Size() > walWarns {
		c.Warn("wal", "end what reads the file for so long", "%s-wal has %d MiB: a reader that does not end keeps it from being emptied", path, info.Size()>>20)
	} else if err == nil {
		c.OK("wal", "%d KiB", info.Size()>>10)
	}
}

// checkSchema looks at the version and the parts of the schema, and reports whether it is the one that this binary uses.
func checkSchema(ctx context.Context, c *store.Checks, path string, db *sql.DB) bool {
	rows, err := sqlitedb.New(db).ListObjects(ctx)
	objects := make([]string, len(rows))
	for i, r := range rows {
		objects[i] = fmt.Sprint(r) // sqlc does not know that it is text
	}
	if err != nil {
		c.Fail("schema", "see what the error says", "%s", classify(ctx, err))
		return false
	}
	if !slices.Contains(objects, "table goose_db_version") {
		c.Fail("schema", "thequeue migrate up", "no migration was ever applied")
		return false
	}
	s, own, err := (&Store{path: path}).openSchema(ctx) // whose times are those of goose
	if err != nil {
		c.Fail("schema", "see what the error says", "%s", err)
		return false
	}
	err = errors.Join(s.Check(ctx), own.Close())
	return checkObjects(c, s, err, objects)
}

func checkObjects(c *store.Checks, s *schema.Schema, err error, objects []string) bool {
	switch {
	case errors.Is(err, schema.ErrNewer):
		c.Fail("schema", "use the newer binary", "%s", err)
		return false
	case err != nil:
		c.Fail("schema", "thequeue migrate up", "%s", err)
		return false
	}
	c.OK("schema", "version %d", s.Latest())
	missing := s.Missing(objects)
	for _, m := range missing {
		c.Fail("schema."+strings.ReplaceAll(m, " ", "."), "restore a backup, or make it again as the migrations do", "the %s is missing", m)
	}
	if len(missing) == 0 {
		c.OK("schema.objects", "all tables, indexes, views and triggers are there")
	}
	return true
}

// checkPlans looks whether the statements of which each task needs one find their rows by an index.
func checkPlans(ctx context.Context, c *store.Checks, db *sql.DB) {
	now := time.Time{}
	hot := []struct {
		name string
		run  func(*sqlitedb.Queries)
	}{
		{"get", func(q *sqlitedb.Queries) { q.GetTask(ctx, 1) }},
		{"key", func(q *sqlitedb.Queries) { q.GetTaskByKey(ctx, "") }},
		{"claim.oldest", func(q *sqlitedb.Queries) { q.ListOldestReady(ctx, sqlitedb.ListOldestReadyParams{}) }},
		{"claim.newest", func(q *sqlitedb.Queries) { q.ListNewestReady(ctx, sqlitedb.ListNewestReadyParams{}) }},
		{"claim.key", func(q *sqlitedb.Queries) { q.NextKey(ctx, sqlitedb.NextKeyParams{}) }},
		{"claim", func(q *sqlitedb.Queries) { q.ClaimTask(ctx, sqlitedb.ClaimTaskParams{}) }},
		{"complete", func(q *sqlitedb.Queries) { q.CompleteTask(ctx, sqlitedb.CompleteTaskParams{}) }},
		{"promote", func(q *sqlitedb.Queries) { q.PromoteDue(ctx, sqlitedb.PromoteDueParams{Now: now}) }},
		{"reap", func(q *sqlitedb.Queries) { q.ListExpiredLeases(ctx, sqlitedb.ListExpiredLeasesParams{Now: &now}) }},
		{"expire", func(q *sqlitedb.Queries) { q.ListPastDeadline(ctx, sqlitedb.ListPastDeadlineParams{Now: &now}) }},
		{"list", func(q *sqlitedb.Queries) { q.ListTasks(ctx, sqlitedb.ListTasksParams{}) }},
		{"logs", func(q *sqlitedb.Queries) { q.ListLogs(ctx, sqlitedb.ListLogsParams{}) }},
	}
	bad := 0
	for _, h := range hot {
		e := explainer{db: db}
		h.run(sqlitedb.New(&e))
		for _, line := range e.lines {
			if reads, table := strings.CutPrefix(strings.TrimSpace(line), "SCAN "); table && !strings.Contains(reads, " USING ") && isTable(reads) {
				e.err = errors.Join(e.err, fmt.Errorf("reads a whole table (%s)", strings.TrimSpace(line)))
			}
		}
		if e.err != nil {
			bad++
			c.Fail("plan."+h.name, "see which index is missing, and run ANALYZE", "%s", e.err)
		}
	}
	if bad == 0 {
		c.OK("plans", "%d hot statements find their rows by an index", len(hot))
	}
}

// isTable reports whether a line that reads all of something is about a table of which there are many rows.
func isTable(name string) bool {
	return slices.Contains([]string{"task_queue", "task_attempts", "task_logs", "t", "d", "e", "l"}, name)
}

// explainer has statements explained instead of run.
type explainer struct {
	db    *sql.DB
	lines []string
	err   error
}

var errExplained = errors.New("explained, not run")

func (e *explainer) explain(ctx context.Context, query string, args []any) {
	rows, err := e.db.QueryContext(ctx, "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		e.err = err
		return
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int64
		var line string
		if e.err = rows.Scan(&id, &parent, &unused, &line); e.err != nil {
			return
		}
		e.lines = append(e.lines, line)
	}
	e.err = rows.Err()
}

func (e *explainer) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	e.explain(ctx, query, args)
	return nil, errExplained
}

func (e *explainer) PrepareContext(context.Context, string) (*sql.Stmt, error) {
	return nil, errExplained
}

func (e *explainer) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	e.explain(ctx, query, args)
	return nil, errExplained
}

// QueryRowContext returns a row that nobody reads.
func (e *explainer) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	e.explain(ctx, query, args)
	return e.db.QueryRowContext(ctx, "PRAGMA user_version")
}

// checkMoved looks whether the store is here, and reports whether it takes changes.
func checkMoved(ctx context.Context, c *store.Checks, db *sql.DB) bool {
	m, err := getMove(ctx, sqlitedb.New(db))
	if err != nil {
		c.Fail("move", "see what the error says", "%s", classify(ctx, err))
		return false
	}
	return c.Moved(m.State, m.Peer)
}

// checkRoundTrip takes a task through its life, in a type of its own and a transaction that is undone. It has the lock of the file for some milliseconds.
func checkRoundTrip(ctx context.Context, c *store.Checks, db *sql.DB) {
	watch := clock.NewSystem(time.Time{})
	began := watch.Now()
	tx, err := db.BeginTx(ctx, nil)
	if err == nil {
		err = errors.Join(roundTrip(ctx, sqlitedb.New(tx), began), tx.Rollback())
	}
	if err != nil {
		c.Fail("round_trip", "see what the error says", "a task could not be enqueued, claimed and completed: %s", classify(ctx, err))
		return
	}
	c.OK("round_trip", "a task was enqueued, claimed and completed in %s, and undone", watch.Now().Sub(began).Round(10*time.Microsecond))
}

func roundTrip(ctx context.Context, q *sqlitedb.Queries, now time.Time) error {
	key := sqlitedb.GetLaneParams{Type: store.ValidateType, Compatibility: "{}", Priority: 1}
	if err := q.InsertLane(ctx, sqlitedb.InsertLaneParams(key)); err != nil {
		return fmt.Errorf("make a lane: %w", err)
	}
	lane, err := q.GetLane(ctx, key)
	if err != nil {
		return fmt.Errorf("read a lane: %w", err)
	}
	err = q.InsertTask(ctx, sqlitedb.InsertTaskParams{LaneID: lane, Type: key.Type, Priority: key.Priority, Payload: "{}", Compatibility: "{}", MaxAttempts: 1, RunAfterUTC: now, Ready: true, Now: now})
	if err != nil {
		return fmt.Errorf("enqueue: %w", err)
	}
	ready, err := q.ListOldestReady(ctx, sqlitedb.ListOldestReadyParams{LaneID: lane, Max: 1})
	if err != nil {
		return fmt.Errorf("find the task: %w", err)
	}
	if len(ready) != 1 {
		return fmt.Errorf("find the task: %d are ready instead of the one", len(ready))
	}
	id := ready[0].ID
	if err := one(q.ClaimTask(ctx, sqlitedb.ClaimTaskParams{Now: now, LeaseSecret: "0", WorkerID: store.ValidateType, LeaseUntil: now.Add(time.Minute), ID: id})); err != nil {
		return fmt.Errorf("claim: %w", err)
	}
	if err := one(q.CompleteTask(ctx, sqlitedb.CompleteTaskParams{Now: now, ID: id, Fence: 1, LeaseSecret: "0"})); err != nil {
		return fmt.Errorf("complete: %w", err)
	}
	t, err := q.GetTask(ctx, id)
	if err != nil {
		return fmt.Errorf("read the task again: %w", err)
	}
	if t.Status != task.Completed {
		return fmt.Errorf("read the task again: it is %s", t.Status)
	}
	return nil
}

// one returns an error unless a statement has changed one row.
func one(n int64, err error) error {
	if err == nil && n != 1 {
		err = fmt.Errorf("%d rows were changed instead of one", n)
	}
	return err
}
