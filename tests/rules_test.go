package tests

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/ncruces/go-sqlite3"

	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/testdb"
)

// console is a migrated database of one engine as an operator with a SQL tool sees it: plain statements, the triggers on.
type console struct {
	kind schema.Engine
	db   *dbsql.DB
}

// eachConsole runs check on a migrated database of each engine with the tasks of ruleRows in it.
func eachConsole(t *testing.T, check func(t *testing.T, c console)) {
	t.Helper()
	for name, open := range map[string]func(*testing.T) console{"sqlite": sqliteConsole, "postgres": postgresConsole} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := open(t)
			for _, statement := range ruleRows {
				if _, err := c.db.ExecContext(t.Context(), c.text(statement)); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
			check(t, c)
		})
	}
}

func sqliteConsole(t *testing.T) console {
	t.Helper()
	source := "file:" + filepath.ToSlash(filepath.Join(t.TempDir(), "queue.db")) + "?_pragma=busy_timeout(5000)&_pragma=foreign_keys(on)"
	e := connect(t, engine{kind: schema.SQLite}, "sqlite3", source)
	e.mustUp(t)
	return console{e.kind, e.db}
}

func postgresConsole(t *testing.T) console {
	t.Helper()
	e := connect(t, engine{kind: schema.Postgres}, "pgx", testdb.PostgresURL(t))
	return console{e.kind, e.db}
}

// text writes the instants T0 to T9, ten seconds apart, as the engine keeps them.
func (c console) text(statement string) string {
	for n := range 10 {
		at := fmt.Sprintf("'2026-01-31 08:00:%d0Z'", n)
		if n > 5 {
			at = fmt.Sprintf("'2026-01-31 08:01:%d0Z'", n-6)
		}
		if c.kind == schema.SQLite {
			at = fmt.Sprint(1769846400000000 + n*10_000_000)
		}
		statement = strings.ReplaceAll(statement, fmt.Sprintf(":T%d", n), at)
	}
	return statement
}

// The tasks of the rules, all of them in lane 1: each status, and what waits for its time beside what is ready.
const (
	ready     = "1"
	scheduled = "2" // with one attempt behind it
	held      = "3" // by worker w1 with the secret s3, attempt 1 of 5
	completed = "4"
	failed    = "5" // exhausted, attempt 1 of 1
	last      = "6" // held by worker w1 with the secret s6, attempt 1 of 1
)

var ruleRows = []string{
	`INSERT INTO lanes (type, compatibility, priority) VALUES ('mail', '{}', 100), ('mail', '{}', 5), ('other', '{}', 100), ('mail', '{"gpu":true}', 100)`, // 1 to 4,
	`INSERT INTO task_queue (id, lane_id, type, priority, payload, compatibility, status, outcome, attempts, max_attempts, run_after_utc, ready, fence,
		lease_secret, locked_by, last_worker_id, lease_until_utc, reserved_at_utc, processing_started_utc, attempt_outcome, finished_at_utc, error_message,
		created_at_utc, updated_at_utc) VALUES
	(1, 1, 'mail', 100, '{}', '{}', 'queued',     NULL,        0, 5, :T0, TRUE,  0, NULL, NULL, NULL, NULL, NULL, NULL, NULL,        NULL, NULL,   :T0, :T0),
	(2, 1, 'mail', 100, '{}', '{}', 'queued',     NULL,        1, 5, :T9, FALSE, 1, 's2', NULL, 'w1', NULL, NULL, NULL, 'failed',    NULL, 'boom', :T0, :T2),
	(3, 1, 'mail', 100, '{}', '{}', 'processing', NULL,        1, 5, :T0, FALSE, 1, 's3', 'w1', 'w1', :T7,  :T1,  :T2,  NULL,        NULL, NULL,   :T0, :T2),
	(4, 1, 'mail', 100, '{}', '{}', 'completed',  'succeeded', 1, 5, :T0, FALSE, 1, 's4', NULL, 'w1', NULL, NULL, :T2,  'succeeded', :T3,  NULL,   :T0, :T3),
	(5, 1, 'mail', 100, '{}', '{}', 'failed',     'exhausted', 1, 1, :T0, FALSE, 1, 's5', NULL, 'w1', NULL, NULL, :T2,  'failed',    :T3,  'boom', :T0, :T3),
	(6, 1, 'mail', 100, '{}', '{}', 'processing', NULL,        1, 1, :T0, FALSE, 1, 's6', 'w1', 'w0', :T7,  :T1,  NULL, NULL,        NULL, NULL,   :T0, :T1)`,
	`INSERT INTO task_attempts (task_id, fence, attempt, worker_id, started_at_utc, finished_at_utc, outcome, error_message) VALUES (5, 1, 1, 'w1', :T2, :T3, 'failed', 'boom')`,
	`INSERT INTO task_logs (log_id, task_id, at_utc, level, message, fence) VALUES (7, 5, :T2, 'info', 'half way', 1)`,
}

// What a statement sets to bring a task to a status with all its columns consistent.
const (
	toQueued     = `status = 'queued', ready = TRUE, attempts = 0, run_after_utc = :T4, outcome = NULL, finished_at_utc = NULL, updated_at_utc = :T4, ` + noLease
	toProcessing = `status = 'processing', ready = FALSE, attempts = attempts + 1, fence = fence + 1, outcome = NULL, finished_at_utc = NULL, updated_at_utc = :T4, ` + lease
	toCompleted  = `status = 'completed', ready = FALSE, outcome = 'succeeded', finished_at_utc = :T4, updated_at_utc = :T4, ` + noLease
	toFailed     = `status = 'failed', ready = FALSE, outcome = 'cancelled', finished_at_utc = :T4, updated_at_utc = :T4, ` + noLease
	lease        = `lease_secret = 'new', locked_by = 'w2', last_worker_id = 'w2', lease_until_utc = :T8, reserved_at_utc = :T4, processing_started_utc = :T4`
	noLease      = `locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL`
)

// rule is one statement and whether the schema permits it.
type rule struct {
	name      string
	statement string
	permitted int           // the rows that it changes; 0: the schema refuses it
	on        schema.Engine // empty: both
}

// set returns the statement that sets columns of one task.
func set(id, columns string) string { return "UPDATE task_queue SET " + columns + " WHERE id = " + id }

// refused and permitted return a rule about one task for each of several sets of columns.
func refused(name, id string, columns ...string) []rule   { return rulesOf(name, id, 0, columns) }
func permitted(name, id string, columns ...string) []rule { return rulesOf(name, id, 1, columns) }

func rulesOf(name, id string, rows int, columns []string) []rule {
	var out []rule
	for _, c := range columns {
		out = append(out, rule{name: name, statement: set(id, c), permitted: rows})
	}
	return out
}

// check tries each rule in a transaction that is undone afterwards; the state that a permitted one leaves must be counted right.
func (c console) check(t *testing.T, rules ...[]rule) {
	t.Helper()
	for _, rs := range rules {
		for _, r := range rs {
			if r.on == "" || r.on == c.kind {
				t.Run(r.name, func(t *testing.T) { c.try(t, r) })
			}
		}
	}
}

func (c console) try(t *testing.T, r rule) {
	c.undone(t, func(tx *dbsql.Tx) {
		n, err := exec(t.Context(), tx, c.text(r.statement))
		switch {
		case r.permitted == 0 && (err == nil || !isRefusal(err)):
			t.Errorf("not refused (%d rows changed, error %v): %s", n, err, r.statement)
		case r.permitted > 0 && (err != nil || n != r.permitted):
			t.Errorf("%d rows changed, want %d, error %v: %s", n, r.permitted, err, r.statement)
		case err == nil:
			if kept, counted := counters(t, tx, keptCounters), counters(t, tx, countedTasks); kept != counted {
				t.Errorf("the counters say\n%s\nbut there are\n%s\nafter %s", kept, counted, r.statement)
			}
		}
	})
}

// undone runs do in a transaction and rolls it back.
func (c console) undone(t *testing.T, do func(tx *dbsql.Tx)) {
	t.Helper()
	tx, err := c.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() // what it has left is of no interest
	do(tx)
}

func exec(ctx context.Context, tx *dbsql.Tx, statement string) (int, error) {
	res, err := tx.ExecContext(ctx, statement)
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}

// isRefusal tells a rule of the schema from a statement that means nothing.
func isRefusal(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return strings.HasPrefix(pg.Code, "23") || pg.Code == "22P02" // integrity constraint, text that is no JSON
	}
	return errors.Is(err, sqlite3.CONSTRAINT)
}

// Both return one line a lane that has tasks or has had some.
const (
	keptCounters = `SELECT lane_id, sum(ready), sum(scheduled), sum(processing), sum(completed), sum(failed) FROM lane_counts GROUP BY lane_id
		HAVING sum(ready) <> 0 OR sum(scheduled) <> 0 OR sum(processing) <> 0 OR sum(completed) <> 0 OR sum(failed) <> 0 ORDER BY lane_id`
	countedTasks = `SELECT lane_id, count(*) FILTER (WHERE ready), count(*) FILTER (WHERE status = 'queued' AND NOT ready), count(*) FILTER (WHERE status = 'processing'),
		count(*) FILTER (WHERE status = 'completed'), count(*) FILTER (WHERE status = 'failed') FROM task_queue GROUP BY lane_id ORDER BY lane_id`
)

func counters(t *testing.T, tx *dbsql.Tx, query string) string {
	t.Helper()
	return strings.Join(lines(t, tx, query, 6), "\n")
}

// lines returns the rows of a query, the columns between bars; null is a dash.
func lines(t *testing.T, tx *dbsql.Tx, query string, columns int) []string {
	t.Helper()
	rows, err := tx.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := []string{}
	for rows.Next() {
		values, places := make([]dbsql.NullString, columns), make([]any, columns)
		for i := range values {
			places[i] = &values[i]
		}
		if err := rows.Scan(places...); err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, v := range values {
			if !v.Valid {
				v.String = "-"
			}
			texts = append(texts, v.String)
		}
		out = append(out, strings.Join(texts, "|"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTheSchemaRefusesEveryOtherTransition(t *testing.T) {
	t.Parallel()
	allowed := map[string]bool{
		"queued to processing": true, "queued to failed": true, "processing to completed": true, "processing to queued": true, "processing to failed": true, "failed to queued": true,
	}
	statuses := []struct{ name, id, become, stay string }{
		{"queued", ready, toQueued, toQueued},
		{"processing", held, toProcessing, "status = 'processing', lease_until_utc = :T9, progress = 50"},
		{"completed", completed, toCompleted, toCompleted},
		{"failed", failed, toFailed, toFailed},
	}
	var rules []rule
	for _, from := range statuses {
		for _, to := range statuses {
			r := rule{name: from.name + " to " + to.name, statement: set(from.id, to.become)}
			switch {
			case from.name == to.name:
				r = rule{name: from.name + " as it was", statement: set(from.id, from.stay), permitted: 1}
			case allowed[r.name]:
				r.permitted = 1
			case to.name == "processing":
				rules = append(rules, rule{name: r.name + " at the old fence", statement: set(from.id, strings.Replace(to.become, "fence = fence + 1, ", "", 1))})
			default: // by a statement that leaves alone what may stay
				bare := strings.NewReplacer(", "+noLease, "", "attempts = 0, ", "").Replace(to.become)
				rules = append(rules, rule{name: r.name + " and little else", statement: set(from.id, bare)})
			}
			rules = append(rules, r)
		}
		for _, status := range []string{"'leased'", "'dead_letter'", "'Queued'", "''", "NULL"} {
			rules = append(rules, rule{name: from.name + " to an unknown status", statement: set(from.id, "status = "+status)})
		}
	}
	eachConsole(t, func(t *testing.T, c console) { c.check(t, rules) })
}

func TestTheSchemaRaisesTheFenceWithAClaimAlone(t *testing.T) {
	t.Parallel()
	claim := func(fence, attempts string) string {
		return strings.NewReplacer("fence = fence + 1", "fence = "+fence, "attempts = attempts + 1", "attempts = "+attempts).Replace(toProcessing)
	}
	rules := [][]rule{
		permitted("a claim", ready, toProcessing), permitted("a claim", scheduled, toProcessing),
		refused("a claim whose fence does not grow by one", ready, claim("fence", "attempts + 1"), claim("fence + 2", "attempts + 1"), claim("fence - 1", "attempts + 1"), claim("NULL", "attempts + 1")),
		refused("a claim whose fence does not grow by one", scheduled, claim("fence", "attempts + 1"), claim("0", "attempts + 1"), claim("3", "attempts + 1")),
		refused("a claim that is not counted by one", ready, claim("fence + 1", "attempts"), claim("fence + 1", "attempts + 2")),
		refused("a claim that is not counted by one", scheduled, claim("fence + 1", "attempts"), claim("fence + 1", "attempts + 2"), claim("fence + 1", "attempts - 1")),
	}
	for _, id := range []string{ready, scheduled, held, completed, failed} {
		rules = append(rules, refused("a fence by itself", id, "fence = fence + 1", "fence = fence - 1", "fence = NULL"))
	}
	for id, ends := range map[string][]string{ready: {toFailed}, scheduled: {toFailed}, held: {toQueued, toCompleted, toFailed}, failed: {toQueued}} {
		for _, end := range ends {
			rules = append(rules, permitted("a way without a claim", id, end), refused("a fence on a way without a claim", id, end+", fence = fence + 1", end+", fence = fence - 1"))
		}
	}
	eachConsole(t, func(t *testing.T, c console) { c.check(t, rules...) })
}

func TestTheSchemaKeepsALeaseWithItsHolder(t *testing.T) {
	t.Parallel()
	rules := [][]rule{
		permitted("a heartbeat", held, "lease_until_utc = :T9, progress = 50, progress_message = 'half way', updated_at_utc = :T4"),
		permitted("a start", held, "processing_started_utc = :T4"),
		refused("another holder", held, "locked_by = 'w2'", "locked_by = 'w2', last_worker_id = 'w2'", "locked_by = 'w2', fence = fence + 1", "locked_by = NULL"),
		refused("another secret", held, "lease_secret = 'other'", "lease_secret = NULL", "lease_secret = 'other', fence = fence + 1"),
		refused("another claim over the lease", held, toProcessing, "status = 'processing', "+lease),
		refused("another number of attempts", held, "attempts = 2", "attempts = 0"),
	}
	for _, end := range []string{toQueued, toCompleted, toFailed} {
		rules = append(rules, permitted("an end", held, end), refused("an end that changes the secret", held, end+", lease_secret = 'other'", end+", lease_secret = NULL"))
	}
	eachConsole(t, func(t *testing.T, c console) { c.check(t, rules...) })
}

func TestTheSchemaBoundsAttempts(t *testing.T) {
	t.Parallel()
	eachConsole(t, func(t *testing.T, c console) {
		c.check(t,
			permitted("at the bound", ready, "max_attempts = 1", "max_attempts = 100"), permitted("at the bound", scheduled, "max_attempts = 2"),
			permitted("at the bound", completed, "attempts = max_attempts"), permitted("the last attempt fails", last, toFailed),
			permitted("an attempt given back", last, strings.Replace(toQueued, "attempts = 0", "attempts = attempts - 1", 1)),
			refused("no attempt left for another claim", last, strings.Replace(toQueued, "attempts = 0, ", "", 1)), refused("no attempt left for another claim", ready, "attempts = max_attempts"),
			refused("more attempts than allowed", completed, "attempts = max_attempts + 1"), refused("more attempts than allowed", failed, "attempts = 2"),
			refused("fewer attempts than none", ready, "attempts = -1"), refused("fewer attempts than none", completed, "attempts = -1"), refused("no number of attempts", completed, "attempts = NULL"),
			refused("bounds out of bounds", completed, "max_attempts = 0, attempts = 0", "max_attempts = 101", "max_attempts = NULL"),
		)
	})
}

func TestTheSchemaKeepsTheColumnsOfEachStatus(t *testing.T) {
	t.Parallel()
	var rules [][]rule
	for _, part := range []string{"lease_secret = 'new'", "locked_by = 'w2'", "last_worker_id = 'w2'", "lease_until_utc = :T8", "reserved_at_utc = :T4"} {
		column, _, _ := strings.Cut(part, " ")
		rules = append(rules, refused("a claim without "+column, ready, strings.Replace(toProcessing, part, column+" = NULL", 1)))
	}
	for _, id := range []string{ready, completed, failed} {
		rules = append(rules, refused("a trace of a lease without one", id, "locked_by = 'w1'", "lease_until_utc = :T8", "reserved_at_utc = :T4"))
	}
	rules = append(rules,
		permitted("queued: ready or not", ready, "ready = FALSE"), permitted("queued: ready or not", scheduled, "ready = TRUE"),
		refused("queued with an end", ready, "finished_at_utc = :T4", "outcome = 'cancelled'", "outcome = 'succeeded'"), refused("queued", ready, "ready = NULL"),
		refused("held by nobody", held, "locked_by = NULL", "lease_until_utc = NULL", "reserved_at_utc = NULL", "last_worker_id = NULL", "lease_secret = NULL"),
		refused("held with an end", held, "finished_at_utc = :T4", "outcome = 'succeeded'", "outcome = 'cancelled'"), refused("held and ready", held, "ready = TRUE"),
		permitted("ended later", completed, "finished_at_utc = :T4"), permitted("ended later", failed, "finished_at_utc = :T4"),
		refused("completed without an end", completed, "finished_at_utc = NULL", "outcome = NULL"), refused("completed and ready", completed, "ready = TRUE"),
		refused("completed otherwise", completed, "outcome = 'cancelled'", "outcome = 'exhausted'", "outcome = 'rejected'", "outcome = 'expired'", "outcome = ''"),
		permitted("each outcome of a failure", failed, "outcome = 'cancelled'", "outcome = 'exhausted'", "outcome = 'rejected'", "outcome = 'expired'"),
		refused("failed without an end", failed, "finished_at_utc = NULL", "outcome = NULL"), refused("failed and ready", failed, "ready = TRUE"),
		refused("failed otherwise", failed, "outcome = 'succeeded'", "outcome = 'dead_letter'", "outcome = ''"),
		// The ends of a lease leave nothing of it, and come with their own end.
		refused("ended without an end", held, strings.Replace(toCompleted, "finished_at_utc = :T4", "finished_at_utc = NULL", 1), strings.Replace(toFailed, "'cancelled'", "NULL", 1)),
		refused("ended with the lease", held, strings.Replace(toCompleted, "locked_by = NULL, ", "", 1), strings.Replace(toFailed, "lease_until_utc = NULL, ", "", 1), strings.Replace(toQueued, ", reserved_at_utc = NULL", "", 1)),
	)
	eachConsole(t, func(t *testing.T, c console) { c.check(t, rules...) })
}

func TestTheSchemaKeepsTheValuesOfATask(t *testing.T) {
	t.Parallel()
	rules := [][]rule{
		permitted("outcomes of an attempt", failed, "attempt_outcome = 'succeeded'", "attempt_outcome = 'failed'", "attempt_outcome = 'rejected'", "attempt_outcome = 'released'",
			"attempt_outcome = 'lost'", "attempt_outcome = 'cancelled'", "attempt_outcome = NULL"),
		refused("outcomes of an attempt", failed, "attempt_outcome = 'exhausted'", "attempt_outcome = 'FAILED'", "attempt_outcome = ''"),
		permitted("payload", ready, `payload = '{"a": 1}'`), refused("payload", ready, "payload = '[]'", "payload = '1'", "payload = NULL"),
		permitted("timeout", ready, "timeout_seconds = 0.5", "timeout_seconds = NULL"), refused("timeout", ready, "timeout_seconds = 0", "timeout_seconds = -1"),
		permitted("retry policy", ready, `retry_policy = '{"jitter": 0}'`), refused("retry policy", ready, "retry_policy = '[]'"),
		permitted("result", completed, "result = '[1]'", "result = NULL"), refused("result", completed, "result = '{'"),
		permitted("progress", held, "progress = 0", "progress = 100"), refused("progress", held, "progress = -1", "progress = 101"),
		permitted("key", ready, "idempotency_key = 'k'"), refused("key", ready, "idempotency_key = ''"),
		{{name: "one key for two", statement: "UPDATE task_queue SET idempotency_key = 'k'"}},
		refused("times", ready, "run_after_utc = NULL", "updated_at_utc = NULL"),
	}
	for _, column := range []string{"run_after_utc", "updated_at_utc", "deadline_utc", "processing_started_utc"} {
		rules = append(rules, permitted("time", ready, column+" = :T4"), []rule{{name: "time as text", statement: set(ready, column+" = '2026-01-31T08:00:00Z'"), on: schema.SQLite}})
	}
	rules = append(rules, []rule{
		{name: "end as text", statement: set(completed, "finished_at_utc = '2026-01-31T08:00:00Z'"), on: schema.SQLite},
		{name: "lease as text", statement: set(held, "lease_until_utc = '2026-01-31T08:00:00Z'"), on: schema.SQLite},
		{name: "reservation as text", statement: set(held, "reserved_at_utc = '2026-01-31T08:00:00Z'"), on: schema.SQLite},
		{name: "half ready", statement: set(ready, "ready = 2"), on: schema.SQLite},
	})
	eachConsole(t, func(t *testing.T, c console) { c.check(t, rules...) })
}

func TestTheSchemaKeepsTheIdentityOfATask(t *testing.T) {
	t.Parallel()
	var rules [][]rule
	for _, id := range []string{ready, held, completed, failed} {
		rules = append(rules,
			permitted("a move to another lane", id, "lane_id = 2, priority = 5", "lane_id = 3, type = 'other'", `lane_id = 4, compatibility = '{"gpu":true}'`),
			refused("another id", id, "id = 77"), refused("another time of creation", id, "created_at_utc = :T4", "created_at_utc = NULL"),
			refused("a type without its lane", id, "type = 'other'", "type = 'unknown'", "type = NULL"), refused("a priority without its lane", id, "priority = 5", "priority = 7", "priority = NULL"),
			refused("a compatibility without its lane", id, `compatibility = '{"gpu":true}'`, "compatibility = '[]'", "compatibility = NULL"),
			refused("a lane that is not the task's", id, "lane_id = 2", "lane_id = 3", "lane_id = 3, priority = 5", "lane_id = 99", "lane_id = NULL"),
		)
	}
	rules = append(rules, permitted("a move and a claim at once", ready, "lane_id = 2, priority = 5, "+toProcessing), permitted("a move and an end at once", held, "lane_id = 2, priority = 5, "+toCompleted))
	eachConsole(t, func(t *testing.T, c console) { c.check(t, rules...) })
}

func TestTheSchemaKeepsLiveTasks(t *testing.T) {
	t.Parallel()
	var rules []rule
	for _, id := range []string{ready, scheduled, held, last} {
		rules = append(rules, rule{name: "a live task", statement: "DELETE FROM task_queue WHERE id = " + id})
	}
	rules = append(rules, rule{name: "everything", statement: "DELETE FROM task_queue"},
		rule{name: "a completed task", statement: "DELETE FROM task_queue WHERE id = " + completed, permitted: 1}, rule{name: "a failed task", statement: "DELETE FROM task_queue WHERE id = " + failed, permitted: 1},
		rule{name: "ended tasks", statement: "DELETE FROM task_queue WHERE status IN ('completed', 'failed')", permitted: 2})
	eachConsole(t, func(t *testing.T, c console) {
		c.check(t, rules)
		c.undone(t, func(tx *dbsql.Tx) {
			if _, err := exec(t.Context(), tx, "DELETE FROM task_queue WHERE status IN ('completed', 'failed')"); err != nil {
				t.Fatal(err)
			}
			want := []string{"2|0|0"}
			got := lines(t, tx, "SELECT sum(purged), (SELECT count(*) FROM task_attempts), (SELECT count(*) FROM task_logs) FROM lane_counts", 3)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("purged, attempts left, lines left (-want +got):\n%s", d)
			}
		})
	})
}

func TestTheSchemaCountsStatementsOfManyRows(t *testing.T) {
	t.Parallel()
	row := func(id int, lane, status string) string {
		return fmt.Sprintf("(%d, %s, '{}', '{}', 1, 5, :T0, :T0, :T0, %s)", id, lane, status)
	}
	insert := func(rows ...string) string {
		return `INSERT INTO task_queue (id, lane_id, type, priority, payload, compatibility, attempts, max_attempts, run_after_utc, created_at_utc, updated_at_utc, status, ready, fence, outcome,
			lease_secret, locked_by, last_worker_id, lease_until_utc, reserved_at_utc, finished_at_utc) VALUES ` + strings.Join(rows, ", ")
	}
	const (
		mail, urgent, unknown    = "1, 'mail', 100", "2, 'mail', 5", "99, 'mail', 100"
		otherType, otherPriority = "1, 'other', 100", "1, 'mail', 5"
		isReady, isScheduled     = "'queued', TRUE, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL", "'queued', FALSE, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL"
		isHeld                   = "'processing', FALSE, 1, NULL, 's', 'w', 'w', :T8, :T1, NULL"
		isHeldUnfenced           = "'processing', FALSE, 0, NULL, 's', 'w', 'w', :T8, :T1, NULL"
		isCompleted, isFailed    = "'completed', FALSE, 1, 'succeeded', 's', NULL, 'w', NULL, NULL, :T3", "'failed', FALSE, 1, 'rejected', 's', NULL, 'w', NULL, NULL, :T3"
	)
	eachConsole(t, func(t *testing.T, c console) {
		c.check(t, []rule{
			{name: "insert", statement: insert(row(11, mail, isReady), row(12, urgent, isReady), row(13, urgent, isScheduled), row(14, mail, isHeld), row(15, urgent, isCompleted), row(16, urgent, isFailed), row(17, mail, isFailed)), permitted: 7},
			{name: "insert without a fence", statement: insert(row(11, mail, isHeldUnfenced))},
			{name: "insert into no lane", statement: insert(row(11, unknown, isReady))},
			{name: "insert with the type of another lane", statement: insert(row(11, mail, isReady), row(12, otherType, isReady))},
			{name: "insert with the priority of another lane", statement: insert(row(11, otherPriority, isReady), row(12, mail, isReady))},
			{name: "insert one id twice", statement: insert(row(1, mail, isReady))},
			{name: "promote", statement: "UPDATE task_queue SET ready = TRUE WHERE status = 'queued'", permitted: 2},
			{name: "put off", statement: "UPDATE task_queue SET ready = FALSE WHERE status = 'queued'", permitted: 2},
			{name: "claim all", statement: "UPDATE task_queue SET " + toProcessing + " WHERE status = 'queued'", permitted: 2},
			{name: "cancel all", statement: "UPDATE task_queue SET " + toFailed + " WHERE status IN ('queued', 'processing')", permitted: 4},
			{name: "complete all", statement: "UPDATE task_queue SET " + toCompleted + " WHERE status = 'processing'", permitted: 2},
			{name: "hand all back", statement: "UPDATE task_queue SET " + toQueued + " WHERE status = 'processing'", permitted: 2},
			{name: "requeue all", statement: "UPDATE task_queue SET " + toQueued + " WHERE status = 'failed'", permitted: 1},
			{name: "move all", statement: "UPDATE task_queue SET lane_id = 2, priority = 5", permitted: 6},
			{name: "one of many may not", statement: "UPDATE task_queue SET " + toQueued},
		})
	})
}

func TestTheSchemaKeepsTheValuesOfTheOtherTables(t *testing.T) {
	t.Parallel()
	entry := func(level string) string {
		return "INSERT INTO task_logs (task_id, log_id, fence, at_utc, level, message) VALUES (1, 7, 0, :T4, " + level + ", 'x')"
	}
	lane := func(of, compatibility, priority string) string {
		return fmt.Sprintf("INSERT INTO lanes (type, compatibility, priority) VALUES (%s, '%s', %s)", of, compatibility, priority)
	}
	worker := func(id, capabilities, types string) string {
		return fmt.Sprintf("INSERT INTO workers (worker_id, capabilities, types, registered_at_utc, heartbeat_utc) VALUES ('%s', '%s', %s, :T4, :T4)", id, capabilities, types)
	}
	long := strings.Repeat("x", 200)
	kind := func(name, columns, values string) string {
		return fmt.Sprintf("INSERT INTO task_types (type, updated_at_utc, %s) VALUES (%s, :T4, %s)", columns, name, values)
	}
	key := func(id, role, types, hash string) string {
		return fmt.Sprintf("INSERT INTO api_keys (key_id, name, role, types, secret_hash, created_at_utc) VALUES ('%s', 'n', '%s', %s, '%s', :T4)", id, role, types, hash)
	}
	hash := strings.Repeat("0", 64)
	var rules []rule
	for _, statement := range []string{
		key("k1", "admin", "NULL", hash), key("k2", "viewer", `'["a*"]'`, hash),
		entry("'debug'"), entry("'info'"), entry("'warning'"), entry("'error'"), lane("'a'", "{}", "1"), lane("'"+long+"'", "{}", "1000"), worker("w", "{}", "NULL"), worker("w", "{}", `'["a"]'`),
		kind("'a'", "paused", "TRUE"), kind("'"+long+"'", "paused", "FALSE"), kind("'a'", "max_concurrency, max_attempts, max_payload_bytes", "1, 1, 2"),
		kind("'a'", "max_concurrency, max_attempts, timeout_seconds, retry_policy, payload_schema", "1000000, 100, 0.5, '{}', '{}'"),
	} {
		rules = append(rules, rule{name: "permitted", statement: statement, permitted: 1})
	}
	for _, statement := range []string{
		key("", "admin", "NULL", hash), key("k1", "boss", "NULL", hash), key("k1", "viewer", "'{}'", hash), key("k1", "admin", `'["a"]'`, hash), key("k1", "admin", "NULL", "tq_secret"),
		entry("'loud'"), entry("'INFO'"), entry("''"), entry("NULL"), strings.Replace(entry("'info'"), "(1,", "(99,", 1),
		lane("''", "{}", "1"), lane("'"+long+"x'", "{}", "1"), lane("NULL", "{}", "1"), lane("'a'", "[]", "1"), lane("'a'", "{}", "0"), lane("'a'", "{}", "1001"), lane("'mail'", "{}", "100"),
		worker("", "{}", "NULL"), worker("w", "[]", "NULL"), worker("w", "{}", "'{}'"),
		"DELETE FROM lanes WHERE id = 1",
		kind("''", "paused", "TRUE"), kind("'"+long+"x'", "paused", "TRUE"), kind("NULL", "paused", "TRUE"), kind("'a'", "paused", "NULL"),
		kind("'a'", "max_concurrency", "0"), kind("'a'", "max_concurrency", "1000001"), kind("'a'", "max_attempts", "0"), kind("'a'", "max_attempts", "101"),
		kind("'a'", "timeout_seconds", "0"), kind("'a'", "max_payload_bytes", "1"), kind("'a'", "retry_policy", "'[]'"), kind("'a'", "payload_schema", "'['"),
		"INSERT INTO type_rules (version) VALUES (7)",
	} {
		rules = append(rules, rule{name: "refused", statement: statement})
	}
	eachConsole(t, func(t *testing.T, c console) { c.check(t, rules) })
}

// An attempt that ends without a success is history, and an operator's requeue is in the log, whoever wrote the statement.
func TestTheSchemaWritesTheHistory(t *testing.T) {
	t.Parallel()
	exhausted := strings.Replace(toFailed, "cancelled", "exhausted", 1)
	ended := func(end, more string) string { return end + ", error_message = 'gone', " + more }
	cases := []struct {
		name, id, columns string
		attempts, log     []string
	}{
		{"Fails", held, ended(toQueued, "attempt_outcome = 'failed'"), []string{"3|1|1|w1|2|4|failed|gone"}, []string{"3|4|warning|Attempt 1 of 5 failed, another follows|-|-"}},
		{"Lost", held, ended(exhausted, "attempt_outcome = 'lost'"), []string{"3|1|1|w1|2|4|lost|gone"}, []string{"3|4|warning|Lost by w1|-|-", "3|4|error|Failed: exhausted|exhausted|-"}},
		{"ReleasedWithoutAnError", held, ended(toQueued, "attempt_outcome = 'released'"), []string{"3|1|1|w1|2|4|released|-"}, []string{"3|4|info|Handed back by w1|-|-"}},
		{"NeverStarted", last, ended(exhausted, "attempt_outcome = 'failed'"), []string{"6|1|1|w1|1|4|failed|gone"}, []string{"6|4|error|Failed: exhausted|exhausted|-"}},
		{"Completed", held, toCompleted + ", attempt_outcome = 'succeeded'", nil, nil},
		{"Heartbeat", held, "status = 'processing', lease_until_utc = :T9", nil, nil},
		{"CancelledWhileQueued", ready, toFailed, nil, []string{"1|4|info|Cancelled|cancelled|-"}},
		{"Claimed", ready, toProcessing, nil, nil},
		{"Requeued", failed, toQueued, nil, []string{"5|4|info|Requeued by an operator|exhausted|1"}},
		{"FailedAsItWas", failed, toFailed, nil, nil},
	}
	eachConsole(t, func(t *testing.T, c console) {
		instants := "CASE %[1]s WHEN :T1 THEN 1 WHEN :T2 THEN 2 WHEN :T4 THEN 4 ELSE -1 END"
		history := fmt.Sprintf("SELECT task_id, fence, attempt, worker_id, "+instants+", "+strings.ReplaceAll(instants, "[1]", "[2]")+", outcome, error_message FROM task_attempts WHERE task_id <> 5 ORDER BY task_id",
			"started_at_utc", "finished_at_utc")
		log := fmt.Sprintf("SELECT task_id, "+instants+", level, message, details ->> 'outcome', details ->> 'attempts' FROM task_logs WHERE message <> 'half way' ORDER BY log_id", "at_utc")
		for _, k := range cases {
			t.Run(k.name, func(t *testing.T) {
				c.undone(t, func(tx *dbsql.Tx) {
					if _, err := exec(t.Context(), tx, c.text(set(k.id, k.columns))); err != nil {
						t.Fatal(err)
					}
					if d := cmp.Diff(append([]string{}, k.attempts...), lines(t, tx, c.text(history), 8)); d != "" {
						t.Errorf("attempts (-want +got):\n%s", d)
					}
					if d := cmp.Diff(append([]string{}, k.log...), lines(t, tx, c.text(log), 6)); d != "" {
						t.Errorf("log (-want +got):\n%s", d)
					}
				})
			})
		}
	})
}
