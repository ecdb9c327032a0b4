package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/db/postgressets"
	"github.com/prismq/thequeue/internal/clock"
	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// oldestServer is the first version of PostgreSQL that has all that the queries use.
const oldestServer = 13

// Validate looks whether a service can use the database, and whether what it acknowledges is safe there. It lists everything, works beside servers, and leaves the
// database as it is.
func Validate(ctx context.Context, url string) (c store.Checks) {
	cfg, err := configure(url)
	if err != nil {
		c.Fail("config.database", "write it as a URL like postgres://user:password@host:5432/name", "%s", err)
		return c
	}
	db := connect(lookups(cfg), 1)
	defer db.Close() // nothing was written
	conn, err := db.Conn(ctx)
	if err != nil {
		c.Fail("connection", "see that the server runs, and that the URL is right", "%s", classify(ctx, "connect", err))
		return c
	}
	defer conn.Close()
	c.OK("connection", "%s:%d, database %s, as %s", cfg.Host, cfg.Port, cfg.Database, cfg.User)
	q := postgresdb.New(conn)
	checkSettings(ctx, &c, q)
	checkDatabase(ctx, &c, q)
	checkClock(ctx, &c, q)
	if checkSchema(ctx, &c, cfg, q) {
		checkPlans(ctx, &c, conn)
		if checkMoved(ctx, &c, q) {
			checkRoundTrip(ctx, &c, conn)
		}
	}
	c.Skip("disk", "the disk of a PostgreSQL server is seen by that machine alone")
	return c
}

// checkSettings looks at what decides over the safety of what is acknowledged, as it is for our own sessions.
func checkSettings(ctx context.Context, c *store.Checks, q *postgresdb.Queries) {
	rows, err := q.ListSettings(ctx)
	if err != nil {
		c.Fail("settings", "see what the error says", "%s", classify(ctx, "read settings", err))
		return
	}
	is := make(map[string]string, len(rows))
	for _, r := range rows {
		is[r.Name] = r.Setting
	}
	if number, err := strconv.Atoi(is["server_version_num"]); err != nil || number/10000 < oldestServer {
		c.Fail("settings.server_version", fmt.Sprintf("use PostgreSQL %d or newer", oldestServer), "is %s", is["server_version"])
	} else {
		c.OK("settings.server_version", "%s", is["server_version"])
	}
	want := func(name string, ok bool, fail bool, remedy, why string) {
		switch {
		case ok:
			c.OK("settings."+name, "%s", is[name])
		case fail:
			c.Fail("settings."+name, remedy, "is %s: %s", is[name], why)
		default:
			c.Warn("settings."+name, remedy, "is %s: %s", is[name], why)
		}
	}
	want("server_encoding", is["server_encoding"] == "UTF8", true, "make a database with ENCODING 'UTF8' TEMPLATE template0", "not every text can be stored")
	want("client_encoding", is["client_encoding"] == "UTF8", true, "take client_encoding out of the URL", "texts would be changed on their way")
	want("fsync", is["fsync"] == "on", true, "fsync = on, in postgresql.conf", "acknowledged tasks are lost, and the database may be, when the machine of the server ends")
	want("full_page_writes", is["full_page_writes"] == "on", true, "full_page_writes = on, in postgresql.conf", "the database may be damaged when the machine of the server ends")
	want("synchronous_commit", is["synchronous_commit"] != "off", true, "ALTER ROLE … SET synchronous_commit = on", "acknowledged tasks may be lost when the server ends")
	want("autovacuum", is["autovacuum"] == "on", false, "autovacuum = on, in postgresql.conf", "claims become slower with what has ended")
	want("track_counts", is["track_counts"] == "on", false, "track_counts = on, in postgresql.conf", "autovacuum does not know what to do without it")
	want("transaction_read_only", is["transaction_read_only"] == "off", true, "name the primary server, or ALTER ROLE … SET default_transaction_read_only = off", "nothing can be stored")
	want("TimeZone", is["TimeZone"] != "", true, "", "there is none") // times travel as instants, whatever it is
	for _, name := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		want(name, is[name] != "0", false, "take "+name+" out of the URL", "a session that hangs keeps others waiting without end")
	}
	checkConnections(ctx, c, q, is["max_connections"])
}

// connectionsOfOne is how many connections one server takes, as docs/database.md says.
const connectionsOfOne = defaultConns + setsAtOnce + listConns + 2

func checkConnections(ctx context.Context, c *store.Checks, q *postgresdb.Queries, most string) {
	d, err := q.DescribeDatabase(ctx)
	if err != nil {
		c.Fail("connections", "see what the error says", "%s", classify(ctx, "look at the database", err))
		return
	}
	if n, err := strconv.ParseInt(most, 10, 64); err == nil && d.Connections+connectionsOfOne > n {
		c.Warn("connections", "raise max_connections, or put a pooler of sessions before the server", "%d of %s are in use, and each server of the queue takes up to %d", d.Connections, most, connectionsOfOne)
		return
	}
	c.OK("connections", "%d of %s are in use", d.Connections, most)
}

func checkDatabase(ctx context.Context, c *store.Checks, q *postgresdb.Queries) {
	switch d, err := q.DescribeDatabase(ctx); {
	case err != nil:
		c.Fail("database", "see what the error says", "%s", classify(ctx, "look at the database", err))
	case d.Standby:
		c.Fail("database", "name the primary server", "this is a standby: nothing can be stored")
	default:
		c.OK("database", "%d MiB", d.Bytes>>20)
	}
}

// clockWarns is how far the clock of this machine may be from that of the server before it is worth a word: the service goes by the server's.
const clockWarns = time.Minute

func checkClock(ctx context.Context, c *store.Checks, q *postgresdb.Queries) {
	d := databaseClock{base: clock.NewSystem(time.Time{})}
	if err := d.measure(ctx, q); err != nil {
		c.Fail("clock", "see what the error says", "%s", classify(ctx, "read the clock", err))
		return
	}
	if off := time.Duration(d.offset.Load()) * time.Microsecond; off.Abs() > clockWarns {
		c.Warn("clock", "set the clocks of both machines", "the clock of the server is %s from that of this machine; the queue goes by the server's", off.Round(time.Millisecond))
	} else {
		c.OK("clock", "the server is %s from this machine; the queue goes by the server's clock", off.Round(time.Millisecond))
	}
}

// checkSchema looks at the version and the parts of the schema, and reports whether it is the one that this binary uses.
func checkSchema(ctx context.Context, c *store.Checks, cfg *pgx.ConnConfig, q *postgresdb.Queries) bool {
	objects, err := q.ListObjects(ctx)
	if err != nil {
		c.Fail("schema", "see what the error says", "%s", classify(ctx, "look at the schema", err))
		return false
	}
	if !slices.Contains(objects, "table goose_db_version") {
		c.Fail("schema", "thequeue migrate up; or name another database, if this is one of another program", "no migration was ever applied")
		return false
	}
	s, done, err := openSchema(ctx, cfg)
	if err != nil {
		c.Fail("schema", "see what the error says", "%s", classify(ctx, "look at the schema", err))
		return false
	}
	err = errors.Join(s.Check(ctx), done())
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
		c.Fail("schema."+strings.ReplaceAll(m, " ", "."), "make it as the migrations do, switch it on, or restore a backup", "the %s is missing, not valid or switched off", m)
	}
	if len(missing) == 0 {
		c.OK("schema.objects", "all tables, indexes, views, triggers and functions are there")
	}
	return true
}

// checkPlans looks whether the statements of which each task needs one find their rows by an index, in a session as those of the service.
func checkPlans(ctx context.Context, c *store.Checks, conn *sql.Conn) {
	now := time.Time{}
	ids, most, texts, times, bools, leases := []int64{1}, []int64{1}, []string{""}, []time.Time{now}, []bool{true}, []float64{60}
	hot := []struct {
		name string
		run  func(*postgressets.Queries)
	}{
		{"claim.priority", func(q *postgressets.Queries) {
			q.ClaimInOrder(ctx, postgressets.ClaimInOrderParams{Now: now, Lanes: ids, Most: most, Max: 1, Secrets: texts, Workers: texts, Leases: leases})
		}},
		{"claim.oldest", func(q *postgressets.Queries) {
			q.ClaimOldest(ctx, postgressets.ClaimOldestParams{Now: now, Lanes: ids, Width: 10, Max: 1, Secrets: texts, Workers: texts, Leases: leases})
		}},
		{"claim.newest", func(q *postgressets.Queries) {
			q.ClaimNewest(ctx, postgressets.ClaimNewestParams{Now: now, Lanes: ids, Width: 10, Max: 1, Secrets: texts, Workers: texts, Leases: leases})
		}},
		{"work", func(q *postgressets.Queries) { q.ListLanesWithWork(ctx, now) }},
		{"end", func(q *postgressets.Queries) {
			q.EndAttempts(ctx, postgressets.EndAttemptsParams{Ids: ids, Fences: ids, Secrets: texts, Nows: times, Statuses: texts, Outcomes: texts, AttemptOutcomes: texts,
				RunAfters: texts, Readies: bools, Results: texts, ErrorMessages: texts, ErrorFingerprints: texts})
		}},
	}
	bad := 0
	for _, h := range hot {
		var e explainer
		_, err := raw(conn, func(p *pgx.Conn) (struct{}, error) {
			e.conn = p
			h.run(postgressets.New(&e))
			return struct{}{}, nil
		})
		for _, line := range e.lines {
			if strings.Contains(line, "Seq Scan on task_queue") {
				err = errors.Join(err, errors.New("reads the whole table task_queue"))
			}
		}
		if err = errors.Join(err, e.err); err != nil {
			bad++
			c.Fail("plan."+h.name, "see which index is missing", "%s", err)
		}
	}
	if bad == 0 {
		c.OK("plans", "%d hot statements find their rows by an index", len(hot))
	}
}

// explainer has statements explained instead of run.
type explainer struct {
	conn  *pgx.Conn
	lines []string
	err   error
}

var errExplained = errors.New("explained, not run")

func (e *explainer) explain(ctx context.Context, query string, args []any) {
	rows, err := e.conn.Query(ctx, "EXPLAIN (COSTS OFF) "+query, args...)
	if err == nil {
		var lines []string
		lines, err = pgx.CollectRows(rows, pgx.RowTo[string])
		e.lines = append(e.lines, lines...)
	}
	e.err = errors.Join(e.err, err)
}

func (e *explainer) Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error) {
	e.explain(ctx, query, args)
	return pgconn.CommandTag{}, errExplained
}

func (e *explainer) Query(ctx context.Context, query string, args ...any) (pgx.Rows, error) {
	e.explain(ctx, query, args)
	return nil, errExplained
}

// CopyFrom is for no statement that is explained.
func (e *explainer) CopyFrom(context.Context, pgx.Identifier, []string, pgx.CopyFromSource) (int64, error) {
	panic("not explained")
}

// QueryRow is for no statement that is explained.
func (e *explainer) QueryRow(context.Context, string, ...any) pgx.Row { panic("not explained") }

// checkMoved looks whether the store is here, and reports whether it takes changes.
func checkMoved(ctx context.Context, c *store.Checks, q *postgresdb.Queries) bool {
	m, err := getMove(ctx, q)
	if err != nil {
		c.Fail("move", "see what the error says", "%s", classify(ctx, "look for a move", err))
		return false
	}
	return c.Moved(m.State, m.Peer)
}

// checkRoundTrip takes a task through its life, in a type of its own and a transaction that is undone: nobody else ever sees it.
func checkRoundTrip(ctx context.Context, c *store.Checks, conn *sql.Conn) {
	watch := clock.NewSystem(time.Time{})
	began := watch.Now()
	tx, err := conn.BeginTx(ctx, nil)
	if err == nil {
		err = errors.Join(roundTrip(ctx, postgresdb.New(tx), conn, began), tx.Rollback())
	}
	if err != nil {
		c.Fail("round_trip", "see what the error says", "a task could not be enqueued, claimed and completed: %s", classify(ctx, "try a task", err))
		return
	}
	c.OK("round_trip", "a task was enqueued, claimed and completed in %s, and undone", watch.Now().Sub(began).Round(10*time.Microsecond))
}

func roundTrip(ctx context.Context, q *postgresdb.Queries, conn *sql.Conn, now time.Time) error {
	key := postgresdb.GetLaneParams{Type: store.ValidateType, Compatibility: "{}", Priority: 1}
	if err := q.InsertLane(ctx, postgresdb.InsertLaneParams(key)); err != nil {
		return fmt.Errorf("make a lane: %w", err)
	}
	lane, err := q.GetLane(ctx, key)
	if err != nil {
		return fmt.Errorf("read a lane: %w", err)
	}
	id, err := q.InsertTask(ctx, postgresdb.InsertTaskParams{LaneID: lane, Type: key.Type, Priority: key.Priority, Payload: "{}", Compatibility: "{}", MaxAttempts: 1, RunAfterUTC: now, Ready: true, Now: now})
	if err != nil {
		return fmt.Errorf("enqueue: %w", err)
	}
	claimed, err := asPgx(conn, func(p *postgressets.Queries) ([]postgressets.Task, error) {
		work, err := p.ListLanesWithWork(ctx, now)
		if err != nil {
			return nil, err
		}
		version := int64(0) // that of the rules stands in one row, all others have 0
		for _, w := range work {
			version = max(version, w.Version)
		}
		return p.ClaimInOrder(ctx, postgressets.ClaimInOrderParams{Now: now, DefaultLease: 60, Lanes: []int64{lane}, Most: []int64{1}, Version: version, Max: 1,
			Secrets: []string{"0"}, Workers: []string{store.ValidateType}, Leases: []float64{60}})
	})
	if err != nil {
		return fmt.Errorf("claim: %w", err)
	}
	if len(claimed) != 1 || claimed[0].ID != id {
		return fmt.Errorf("claim: %d tasks were claimed instead of the one", len(claimed))
	}
	t, err := q.CompleteTask(ctx, postgresdb.CompleteTaskParams{Now: now, ID: id, Fence: 1, LeaseSecret: "0"})
	if err != nil {
		return fmt.Errorf("complete: %w", err)
	}
	if t.Status != task.Completed {
		return fmt.Errorf("complete: the task is %s", t.Status)
	}
	return nil
}
