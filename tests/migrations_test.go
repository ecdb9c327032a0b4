package tests

import (
	"context"
	dbsql "database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/ncruces/go-sqlite3/driver"

	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/store/sqlite"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

func TestMain(m *testing.M) {
	if database := os.Getenv(victimDatabase); database != "" {
		if err := victim(database, os.Getenv(victimKillAt)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	testdb.Main(m)
}

// engine is one kind of database with nothing in it: how to look at it, migrate it and use it.
type engine struct {
	kind   schema.Engine
	dump   string // a query for texts that together are the schema
	db     *dbsql.DB
	schema *schema.Schema
	open   func(context.Context) (store.Store, error)
}

// eachEngine runs check on an empty database of each engine.
func eachEngine(t *testing.T, check func(t *testing.T, e engine)) {
	t.Helper()
	for name, empty := range map[string]func(*testing.T) engine{"sqlite": emptySQLite, "postgres": emptyPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, empty(t))
		})
	}
}

func emptySQLite(t *testing.T) engine {
	t.Helper()
	path := filepath.Join(t.TempDir(), "queue.db")
	return connect(t, engine{kind: schema.SQLite, dump: sqliteSchema, open: func(ctx context.Context) (store.Store, error) {
		return sqlite.Open(ctx, path, sqlite.Options{})
	}}, "sqlite3", "file:"+filepath.ToSlash(path)+"?_pragma=busy_timeout(5000)")
}

func emptyPostgres(t *testing.T) engine {
	t.Helper()
	url := testdb.EmptyPostgresURL(t)
	return connect(t, engine{kind: schema.Postgres, dump: postgresSchema, open: func(ctx context.Context) (store.Store, error) {
		return postgres.Open(ctx, url, postgres.Options{})
	}}, "pgx", url)
}

func connect(t *testing.T, e engine, driver, source string) engine {
	t.Helper()
	var err error
	if e.db, err = dbsql.Open(driver, source); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.db.Close() })
	if e.schema, err = schema.New(e.kind, e.db); err != nil {
		t.Fatal(err)
	}
	return e
}

// sqliteSchema leaves out what SQLite and goose keep for themselves.
const sqliteSchema = `SELECT type || ' ' || name || ' on ' || tbl_name || ': ' || coalesce(sql, '') FROM sqlite_schema
WHERE name NOT LIKE 'sqlite\_%' ESCAPE '\' AND tbl_name NOT LIKE 'goose%' ORDER BY 1`

// postgresSchema leaves out what goose keeps for itself.
const postgresSchema = `
WITH relations AS (
    SELECT c.oid, c.relname, c.relkind, c.reloptions FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE 'goose%')
SELECT format('relation %s %s %s', relname, relkind, reloptions) FROM relations
UNION ALL
SELECT format('column %s.%s %s %s not null %s identity %s default %s', r.relname,
              row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum), a.attname, -- the numbers of columns that were dropped are not used again
              format_type(a.atttypid, a.atttypmod), a.attnotnull,
              a.attidentity, pg_get_expr(d.adbin, d.adrelid))
FROM pg_attribute AS a JOIN relations AS r ON r.oid = a.attrelid LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped
UNION ALL SELECT format('index %s', pg_get_indexdef(oid)) FROM relations WHERE relkind = 'i'
UNION ALL SELECT format('view %s: %s', relname, pg_get_viewdef(oid)) FROM relations WHERE relkind = 'v'
UNION ALL SELECT format('constraint %s on %s: %s', n.conname, r.relname, pg_get_constraintdef(n.oid)) FROM pg_constraint AS n JOIN relations AS r ON r.oid = n.conrelid
UNION ALL SELECT pg_get_triggerdef(g.oid) FROM pg_trigger AS g JOIN relations AS r ON r.oid = g.tgrelid WHERE NOT g.tgisinternal
UNION ALL SELECT pg_get_functiondef(p.oid) FROM pg_proc AS p WHERE p.pronamespace = 'public'::regnamespace
ORDER BY 1`

// look returns the schema of the database, one line a thing.
func (e engine) look(t *testing.T) []string {
	t.Helper()
	rows, err := e.db.QueryContext(t.Context(), e.dump)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var thing string
		if err := rows.Scan(&thing); err != nil {
			t.Fatal(err)
		}
		out = append(out, thing)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func (e engine) mustUp(t *testing.T) {
	t.Helper()
	if err := e.schema.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (e engine) mustDownTo(t *testing.T, version int64) {
	t.Helper()
	if err := e.schema.DownTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
}

// fill loads the rows of a fixture.
func (e engine) fill(t *testing.T, fixture string) {
	t.Helper()
	rows, err := os.ReadFile(fixture)
	if err != nil {
		t.Fatal(err)
	}
	for statement := range strings.SplitSeq(string(rows), ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if _, err := e.db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// fixtures returns the files of rows of an engine, in the order of their versions.
func (e engine) fixtures(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "migrations", "testdata", string(e.kind), "*.sql"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures (%v)", err)
	}
	slices.Sort(files)
	return files
}

// versionOf returns the version of the schema for which the rows of a fixture were written.
func versionOf(t *testing.T, fixture string) int64 {
	t.Helper()
	v, err := strconv.ParseInt(strings.TrimSuffix(filepath.Base(fixture), ".sql"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestMigrationsGoDownAndUpAgainToTheSameSchema(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, e engine) {
		empty := e.look(t)
		e.mustUp(t)
		latest := e.look(t)
		if len(latest) < 20 {
			t.Fatalf("the dump sees only %d things", len(latest))
		}
		for _, fixture := range e.fixtures(t) {
			e.mustDownTo(t, versionOf(t, fixture))
			e.fill(t, fixture)
			e.mustDownTo(t, 0)
			if d := cmp.Diff(empty, e.look(t)); d != "" {
				t.Errorf("%s: left over after going down (-empty +got):\n%s", fixture, d)
			}
			e.mustUp(t)
			if d := cmp.Diff(latest, e.look(t)); d != "" {
				t.Errorf("%s: schema after down and up (-first +second):\n%s", fixture, d)
			}
		}
	})
}

func TestEachMigrationGoesDownAndUpByItself(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, e engine) {
		e.mustUp(t)
		latest := e.look(t)
		if newest := schema.Newest(e.kind); newest != e.schema.Latest() {
			t.Errorf("the newest version is %d, want %d", newest, e.schema.Latest())
		}
		for version := e.schema.Latest(); version > 0; version-- {
			before := e.look(t)
			if err := e.schema.Redo(t.Context()); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(before, e.look(t)); d != "" {
				t.Errorf("redo of %d (-before +after):\n%s", version, d)
			}
			e.mustDownTo(t, version-1)
		}
		e.mustUp(t)
		if d := cmp.Diff(latest, e.look(t)); d != "" {
			t.Errorf("schema after going down step by step and up (-first +second):\n%s", d)
		}
	})
}

func TestRowsOfEachVersionSurviveTheWayUp(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, e engine) {
		for _, fixture := range e.fixtures(t) {
			e.mustUp(t)
			e.mustDownTo(t, 0)
			e.mustUp(t)
			e.mustDownTo(t, versionOf(t, fixture))
			e.fill(t, fixture)
			e.mustUp(t)
			more := "" // a line that came later by a clock that is behind
			if versionOf(t, fixture) == 14 {
				more = ", first, by a clock that is behind"
			}
			checkRows(t, e, more)
		}
	})
}

// checkRows reads the rows of a fixture through the store; more is what the log of task 2 has beside.
func checkRows(t *testing.T, e engine, more string) {
	t.Helper()
	st, err := e.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	now := time.Date(2026, 1, 31, 8, 0, 10, 123456000, time.UTC)
	stats, err := st.Stats(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	age := 10.0
	want := task.Stats{TotalTasks: 5, QueuedTasks: 2, ReadyTasks: 1, ScheduledTasks: 1, ProcessingTasks: 1, CompletedTasks: 1, FailedTasks: 1, OldestQueuedAgeSeconds: &age}
	if d := cmp.Diff(want, stats); d != "" {
		t.Errorf("stats (-want +got):\n%s", d)
	}
	tasks, err := st.ListTasks(t.Context(), task.Filter{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range tasks {
		attempts, err := st.ListAttempts(t.Context(), k.ID)
		if err != nil {
			t.Fatal(err)
		}
		logs, err := st.ListLogs(t.Context(), task.LogFilter{TaskID: k.ID, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		lines, whole := "", []string(nil)
		for _, l := range logs {
			if whole = append(whole, fmt.Sprint(l.LogID, string(l.Level), l.Message)); l.Event == nil || *l.Event != task.EventLost && *l.Event != task.EventFailed { // not told before there was migration 15
				lines += ", " + l.Message
			}
		}
		got = append(got, fmt.Sprintf("%d %s %s %s, %d attempts%s", k.ID, k.Type, k.Status, k.Compatibility, len(attempts), lines))
		if d := cmp.Diff(whole, e.viewed(t, k.ID)); d != "" {
			t.Errorf("the log of task %d, and what v_task_log says (-log +view):\n%s", k.ID, d)
		}
	}
	wantTasks := []string{
		"5 mail failed {}, 1 attempts, Enqueued, Claimed by w1", `4 render completed {"gpu":true}, 1 attempts, Enqueued, Claimed by w1, Completed by w1`,
		`3 render processing { "gpu": true }, 1 attempts, Enqueued, Claimed by w1, half way`, "2 mail queued {}, 1 attempts, Enqueued, Claimed by w1" + more, "1 mail queued {}, 0 attempts, Enqueued",
	}
	if d := cmp.Diff(wantTasks, got); d != "" {
		t.Errorf("tasks (-want +got):\n%s", d)
	}
	if _, err := st.CompleteTask(t.Context(), 3, task.Token{Fence: 1, Secret: "0b"}, nil, now); err != nil {
		t.Errorf("the lease of before does not hold: %v", err)
	}
	claimed, err := st.ClaimTasks(t.Context(), task.Claim{WorkerID: "w2", Strategy: task.Priority, Max: 5, Lease: time.Minute, Now: now, Secret: "0e"})
	if err != nil || len(claimed) != 1 || claimed[0].ID != 1 {
		t.Errorf("claimed %d tasks, error %v; want task 1", len(claimed), err)
	}
}

// viewed returns the log of a task as the view has it.
func (e engine) viewed(t *testing.T, id int64) (lines []string) {
	t.Helper()
	rows, err := e.db.QueryContext(t.Context(), fmt.Sprintf("SELECT log_id, level, message FROM v_task_log WHERE task_id = %d ORDER BY log_id", id))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var logID int64
		var level, message string
		if err := rows.Scan(&logID, &level, &message); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprint(logID, level, message))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestMigrateDownOfNothingIsNoError(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, e engine) {
		if err := e.schema.Down(t.Context()); err != nil {
			t.Errorf("down of an empty database: %v", err)
		}
		version, err := e.schema.Version(t.Context())
		if err != nil || version != 0 {
			t.Errorf("version %d, error %v; want 0", version, err)
		}
	})
}
