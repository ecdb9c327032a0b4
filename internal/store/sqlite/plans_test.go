package sqlite

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"

	"github.com/prismq/thequeue/internal/testdb/generated"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// planAllowed lists the lines of plans that read all of something or sort, by query, and why they may.
var planAllowed = []struct {
	query string
	lines []string
	why   string
}{
	{"CountTasks", []string{"SCAN c"}, "one row for each lane"},
	{"CountTypes", []string{"SCAN l USING COVERING INDEX sqlite_autoindex_lanes_1"}, "the lanes"},
	{"FindTasks", []string{"SCAN v VIRTUAL TABLE INDEX 1:"}, "no tables: the lists of the filter"},
	{"ListMatching", []string{"SCAN v VIRTUAL TABLE INDEX 1:"}, "no tables: the lists of the filter"},
	{"ListRunningOperations", []string{"SCAN operations USING INDEX operations_running"}, "operations under way: as many as operators have started"},
	{"ListBacklog", []string{"SCAN c"}, "one row for each lane"},
	{"CountByStatus", []string{"SCAN i VIRTUAL TABLE INDEX 1:", "USE TEMP B-TREE FOR GROUP BY"}, "the ids asked for, a thousand at most"},
	{"ImportTasks", []string{"SCAN e VIRTUAL TABLE INDEX 1:"}, "no table: the list of what comes in"},
	{"ImportAttempts", []string{"SCAN e VIRTUAL TABLE INDEX 1:"}, "no table: the list of what comes in"},
	{"ImportLogs", []string{"SCAN e VIRTUAL TABLE INDEX 1:"}, "no table: the list of what comes in"},
	{"ListKnownKeys", []string{"SCAN k VIRTUAL TABLE INDEX 1:"}, "no table: the keys asked for"},
	{"CountAhead", []string{"SCAN ahead"}, "so many rows as are counted at most"},
	{"CountKeyAhead", []string{"SCAN ahead"}, "so many rows as are counted at most"},
	{"CountKeyHeld", []string{"SCAN c"}, "so many rows as the limit of a key"},
	{"ListOpeningTypes", []string{"SCAN o", "USE TEMP B-TREE FOR DISTINCT"}, "a thousand keys at most"},
	{"ListHeld", []string{"SCAN task_queue USING INDEX task_queue_lease"}, "tasks in processing: as many as workers are busy"},
	{"ListDraining", []string{"SCAN workers"}, "the workers, while claims wait and after a change"},
	{"CountRows", countedRows, "up to 100,000 rows of each table, when an operator looks after the database"},
	{"ListGuards", []string{"SCAN s"}, "the schema itself, once for a connection that writes"},
	{"ListSchema", []string{"SCAN s"}, "the schema itself, of a backup that is checked"},
	{"ListRecorders", []string{"SCAN s"}, "the schema itself, when a move of the store begins"},
	{"GetMove", []string{"SCAN store_move"}, "one row at most"},
	{"ListLanes", []string{"SCAN l"}, "lanes, when another process has written"},
	{"ListTasksByStatus", []string{"SCAN l", "USE TEMP B-TREE FOR DISTINCT"}, "the lanes, and the types that they have"},
	{"ListTasksByStatus", []string{"SCAN a", "SCAN s", "SCAN e", "SCAN n", "SCAN newest"}, "no tables: what is asked for, the states, and the queue that merges them, one at a time"},
	{"ListTasksByStatus", []string{"SCAN p USING INDEX task_queue_lease"}, "tasks in processing: as many as workers are busy"},
	{"ListRuns", []string{"SCAN q"}, "ends after the offset and the limit, from the end of the primary key"},
	{"ListRunsByStatus", []string{"SCAN l", "USE TEMP B-TREE FOR DISTINCT"}, "the lanes, and the types that they have"},
	{"ListRunsByStatus", []string{"SCAN a", "SCAN s", "SCAN e", "SCAN n", "SCAN newest"}, "as for ListTasksByStatus"},
	{"ListRunsByStatus", []string{"SCAN p USING INDEX task_queue_lease"}, "tasks in processing: as many as workers are busy"},
	{"ListRunsByStatus", []string{"USE TEMP B-TREE FOR ORDER BY"}, "so many ids as the offset and the limit"},
	{"CountCancelled", []string{"SCAN l USING COVERING INDEX sqlite_autoindex_lanes_1", "SCAN k", "SCAN c"}, "the lanes, the types that they have, and so many rows as are counted at most"},
	{"CountUnsuccessful", []string{"SCAN l USING COVERING INDEX sqlite_autoindex_lanes_1", "SCAN k", "SCAN c"}, "the same"},
	{"CountTaskLogs", []string{"SCAN c"}, "so many lines of one task as are counted at most"},
	{"FirstOfLastLogs", []string{"SCAN f", "USE TEMP B-TREE FOR ORDER BY"}, "so many ids as lines are asked for, found by the index"},
	{"ListSchedules", []string{"SCAN schedules"}, "a list of all"},
	{"ListTypes", []string{"SCAN task_types"}, "a list of all, or of one"},
	{"RaiseRules", []string{"SCAN type_rules"}, "one row"},
	{"ListWorkers", []string{"SCAN workers"}, "a list of all"},
	{"NewestTaskAt", []string{"SCAN task_queue"}, "ends at the first row, from the end of the primary key"},
	{"NextLeaseEnd", []string{"SCAN task_queue USING COVERING INDEX task_queue_lease"}, "ends at the first row"},
	{"NextRunAfter", []string{"SCAN task_queue USING COVERING INDEX task_queue_scheduled"}, "ends at the first row"},
	{"OldestQueuedAt", []string{"SCAN c", "SCAN d"}, "one row for each lane"},
	{"ListRecentFailures", []string{"SCAN t USING INDEX task_queue_failed"}, "ends after 100 rows"},
	{"CountFailed", []string{"SCAN f VIRTUAL TABLE INDEX 1:", "SCAN c"}, "no tables: the fingerprints, and so many rows as are counted at most"},
	{"ListFailureGroups", []string{"SCAN s", "USE TEMP B-TREE FOR ORDER BY"}, "ten thousand groups at most"},
	{"PurgeFailureGroups", []string{"SCAN o USING COVERING INDEX failure_groups_seen"}, "so many entries as are kept: ten thousand"},
	{"CountHeld", []string{"SCAN t USING INDEX task_queue_lease", "USE TEMP B-TREE FOR GROUP BY"}, "metrics count the tasks in processing by worker"},
	{"ListHeldBy", []string{"SCAN t USING INDEX task_queue_lease"}, "the tasks in processing, when one worker is looked at"},
	{"DeleteStaleWorkers", []string{"SCAN workers", "SCAN h USING INDEX task_queue_lease"}, "an operator cleans the registry"},
	{"ListWorkerStatus", []string{"SCAN w", "SCAN t USING INDEX task_queue_lease"}, "a view for people: tasks in processing for each worker"},
	{"ListStatusSummary", summary, "a view for people, over all tasks; the service reads the counters"},
	{"CountLogs", []string{"SCAN old"}, "what the branches found, each by the index, when an operator asks"},
	{"ListRecentLogs", []string{"SCAN p"}, "what the branches found, each in the order of the index, up to a limit"},
	{"LastOldLog", []string{"SCAN f", "USE TEMP B-TREE FOR ORDER BY"}, "some hundred lines, found by the index"},
	{"LastRecentLog", []string{"SCAN p", "USE TEMP B-TREE FOR ORDER BY"}, "the same"},
	{"HoldsTask", []string{"SCAN task_queue USING INDEX task_queue_lease"}, "tasks in processing, and only while there is one in quarantine"},
	{"FindOddTasks", []string{"SCAN t"}, fsckReads},
	{"FindStrayTasks", []string{"SCAN t"}, fsckReads},
	{"FindOddAttempts", []string{"SCAN a"}, fsckReads},
	{"FindOddLogs", []string{"SCAN g"}, fsckReads},
	{"FindOddReferences", []string{"SCAN k USING COVERING INDEX schedule_ticks_task", "SCAN u", "SCAN c", "SCAN f"}, fsckReads},
	{"FindOddKeys", []string{"SCAN k USING COVERING INDEX lane_keys_turn", "SCAN q USING COVERING INDEX task_queue_key_ready", "SCAN r"}, fsckReads},
	{"CountLanes", []string{"USE TEMP B-TREE FOR GROUP BY"}, fsckReads + ", a range of ids at a time"},
	{"ListCounters", []string{"SCAN l"}, fsckReads},
	{"SumCounts", []string{"SCAN c", "SCAN s", "SCAN t"}, "one row for each lane, one for each table with ids of its own, and the last task"},
	{"DropOddKeys", []string{"SCAN lane_keys USING INDEX lane_keys_turn"}, fsckReads},
	{"EnterOddKeys", []string{"SCAN q USING COVERING INDEX task_queue_key_ready", "SCAN r", "USE TEMP B-TREE FOR ORDER BY"}, fsckReads},
	{"ListAPIKeys", []string{"SCAN api_keys"}, "as many as administrators have made, when one asks"},
	{"HasAPIKeys", []string{"SCAN api_keys", "SCAN k"}, "one row"},
	{"ListObjects", []string{"SCAN s"}, "the schema itself, when an operator asks"},
	{"ListTypeSummary", summary, "a view for people, over all tasks"},
	{"ListTaskPerformance", summary, "a view for people, over all tasks"},
}

// fsckReads is why a query may read all of something.
const fsckReads = "fsck looks at all that is stored, when an operator asks"

// countedRows is one table after the other, each up to a limit.
var countedRows = []string{
	"SCAN api_keys", "SCAN audit_log", "SCAN failure_groups USING COVERING INDEX failure_groups_seen",
	"SCAN http_answers USING COVERING INDEX http_answers_expiring", "SCAN key_rates USING COVERING INDEX key_rates_full",
	"SCAN lane_counts", "SCAN lane_keys USING COVERING INDEX lane_keys_turn", "SCAN lanes",
	"SCAN operations USING COVERING INDEX sqlite_autoindex_operations_1", "SCAN schedule_ticks USING COVERING INDEX schedule_ticks_task",
	"SCAN schedules", "SCAN task_attempts", "SCAN task_logs USING COVERING INDEX task_logs_recent",
	"SCAN task_rollups USING COVERING INDEX task_rollups_at", "SCAN task_types", "SCAN task_unique_keys", "SCAN type_rules",
	"SCAN workers",
	"SCAN (subquery-1)", "SCAN (subquery-4)", "SCAN (subquery-7)", "SCAN (subquery-10)", "SCAN (subquery-13)", "SCAN (subquery-16)",
	"SCAN (subquery-19)", "SCAN (subquery-22)", "SCAN (subquery-25)", "SCAN (subquery-28)", "SCAN (subquery-31)", "SCAN (subquery-34)",
	"SCAN (subquery-37)", "SCAN (subquery-40)", "SCAN (subquery-43)", "SCAN (subquery-46)", "SCAN (subquery-49)", "SCAN (subquery-52)",
}

// summary is how a view over all tasks is read.
var summary = []string{"SCAN t", "USE TEMP B-TREE FOR GROUP BY", "SCAN v", "USE TEMP B-TREE FOR ORDER BY"}

// planted are queries that must be found, and what is wrong with them.
var planted = map[string][]string{
	"SELECT * FROM task_queue WHERE type = ?1 LIMIT 1":                         {"SCAN task_queue"},
	"SELECT count(*) FROM task_queue WHERE status = 'completed'":               {"SCAN task_queue USING COVERING INDEX task_queue_completed"},
	"DELETE FROM task_attempts WHERE worker_id = ?1":                           {"SCAN task_attempts"},
	"UPDATE task_logs SET level = 'info' WHERE message = ?1":                   {"SCAN task_logs"},
	"SELECT id FROM task_queue WHERE id < ?1 ORDER BY updated_at_utc":          {"USE TEMP B-TREE FOR ORDER BY"},
	"SELECT * FROM workers AS w JOIN task_queue AS t ON t.locked_by = w.types": {"SCAN w", "SEARCH t USING AUTOMATIC COVERING INDEX (locked_by=?)"},
}

// TestPlans explains every query on a million tasks, before and after ANALYZE, and compares the plans with the golden file. What reads all rows of
// a table or an index, or sorts, is refused but for planAllowed: a plan is not right because it was written down.
func TestPlans(t *testing.T) {
	t.Parallel()
	c := crowded(t)
	for query, want := range planted {
		if got := problems("planted", plan(t, c, query)); !slices.Equal(got, want) {
			t.Errorf("in the plan of %q these were found: %q, want %q", query, got, want)
		}
	}
	queries := generated.Queries(t, "sqlitedb")
	names := slices.Sorted(maps.Keys(queries))
	before := plansOf(t, c, queries)
	analyze(t, c)
	after := plansOf(t, c, queries)
	var golden strings.Builder
	for _, name := range names {
		fmt.Fprintf(&golden, "== %s\n%s", name, before[name])
		if after[name] != before[name] {
			fmt.Fprintf(&golden, "== %s after ANALYZE\n%s", name, after[name])
		}
		for _, p := range append(problems(name, strings.Split(before[name], "\n")), problems(name, strings.Split(after[name], "\n"))...) {
			t.Errorf("%s: %s", name, p)
		}
	}
	for _, a := range planAllowed {
		for _, line := range a.lines {
			if !strings.Contains(before[a.query]+after[a.query], line+"\n") {
				t.Errorf("no plan of %s has %q any more", a.query, line)
			}
		}
	}
	path := filepath.Join("testdata", "plans.golden")
	if *update {
		if err := os.WriteFile(path, []byte(golden.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), golden.String()); diff != "" {
		t.Errorf("%s differs (-want +got); run with -update when this is meant:\n%s", path, diff)
	}
}

// problems returns the lines of a plan that read all of something, or sort, and are not allowed.
func problems(query string, lines []string) (found []string) {
	for _, line := range lines {
		line = strings.TrimSpace(line)
		reads := strings.HasPrefix(line, "SCAN ") && line != "SCAN CONSTANT ROW"
		if !reads && !strings.HasPrefix(line, "USE TEMP B-TREE") && !strings.Contains(line, "AUTOMATIC") {
			continue
		}
		allowed := false
		for _, a := range planAllowed {
			allowed = allowed || a.query == query && slices.Contains(a.lines, line)
		}
		if !allowed {
			found = append(found, line)
		}
	}
	return found
}

// crowd fills a database as a queue looks after a while: a million tasks, of which most have ended and few are in processing, and a type that only 20 of
// them have. The triggers are off meanwhile.
const crowd = `
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 39)
INSERT INTO lanes (id, type, compatibility, priority) SELECT i + 1, 'type' || (i / 4), '{}', 100 * (i % 4 + 1) FROM n;
INSERT INTO lanes (id, type, compatibility, priority) VALUES (41, 'rare', '{}', 100);

WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000),
t AS (SELECT i, CASE i % 50000 WHEN 7 THEN 41 ELSE i * 7 % 40 + 1 END AS lane,
             CASE WHEN i % 10000 = 3 THEN 'processing' WHEN i % 100 < 60 THEN 'completed' WHEN i % 100 < 70 THEN 'failed' ELSE 'queued' END AS status FROM n)
INSERT INTO task_queue (id, lane_id, type, priority, payload, compatibility, status, outcome, attempts, max_attempts, run_after_utc, deadline_utc, ready, fence,
                        lease_secret, locked_by, last_worker_id, lease_until_utc, reserved_at_utc, finished_at_utc, idempotency_key, created_at_utc, updated_at_utc)
SELECT i, lane, CASE lane WHEN 41 THEN 'rare' ELSE 'type' || ((lane - 1) / 4) END, CASE lane WHEN 41 THEN 100 ELSE 100 * ((lane - 1) % 4 + 1) END, '{}', '{}', status,
       CASE status WHEN 'completed' THEN 'succeeded' WHEN 'failed' THEN CASE WHEN i % 100 = 69 THEN 'cancelled' ELSE 'exhausted' END END, status <> 'queued', 5, i, CASE WHEN i % 100 > 97 THEN i END,
       i % 100 BETWEEN 70 AND 94, status <> 'queued', CASE WHEN status <> 'queued' THEN 's' END, CASE status WHEN 'processing' THEN 'w' || (i % 8) END,
       CASE WHEN status <> 'queued' THEN 'w' || (i % 8) END, CASE status WHEN 'processing' THEN i END, CASE status WHEN 'processing' THEN i END,
       CASE WHEN status IN ('completed', 'failed') THEN i END, CASE WHEN i % 20 = 0 THEN 'k' || i END, i, i
FROM t;

INSERT INTO task_attempts (task_id, fence, attempt, worker_id, started_at_utc, finished_at_utc, outcome)
SELECT id, 1, 1, last_worker_id, id, id, 'failed' FROM task_queue WHERE status = 'failed';
INSERT INTO task_logs (log_id, fence, task_id, at_utc, level, message) SELECT id, 0, id, id, 'info', 'm' FROM task_queue WHERE status = 'failed';
INSERT INTO lane_counts (lane_id, slot, ready, scheduled, processing, completed, failed)
SELECT lane_id, 0, sum(ready), sum(status = 'queued' AND NOT ready), sum(status = 'processing'), sum(status = 'completed'), sum(status = 'failed')
FROM task_queue GROUP BY lane_id;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 7)
INSERT INTO workers (worker_id, capabilities, registered_at_utc, heartbeat_utc) SELECT 'w' || i, '{}', 0, 0 FROM n;

INSERT INTO task_unique_keys (type, unique_key, task_id) SELECT type, 'u' || id, id FROM task_queue WHERE id % 10 = 0;
INSERT INTO http_answers (request_key, fingerprint, owner, status_code, media_type, body, created_at_utc, held_until_utc, expires_at_utc)
SELECT 'r' || id, 'f', 'o', 201, 'application/json', '{}', id, id, id FROM task_queue WHERE id % 10 = 0;
INSERT INTO operations (action, filter, status, confirm_hash, expires_at_utc, created_at_utc, updated_at_utc, finished_at_utc)
SELECT 'cancel', '{}', CASE WHEN id % 1000 = 0 THEN 'proposed' ELSE 'completed' END, 'h' || id, id, id, id, CASE WHEN id % 1000 <> 0 THEN id END FROM task_queue WHERE id % 100 = 0;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
INSERT INTO schedules (name, cron, timezone, task, misfire, max_misfires, overlap, jitter_seconds, paused, next_tick_utc, version, created_at_utc, updated_at_utc)
SELECT 's' || i, '* * * * *', 'UTC', '{}', 'once', 1, 'allow', 0.0, 0, i, 1, 0, 0 FROM n;
INSERT INTO schedule_ticks (schedule, tick_utc, task_id, live) SELECT 's' || (id % 1000), id, id, status IN ('queued', 'processing') FROM task_queue WHERE id % 10 = 1;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9)
INSERT INTO task_types (type, paused, max_concurrency, updated_at_utc) SELECT 'type' || i, i = 9, CASE i WHEN 8 THEN 10 END, 0 FROM n;`

const million = 1_000_000

// crowdSize is the number of tasks that the test stores. The race detector makes SQLite twenty times as slow, so there it is less. Before ANALYZE a plan does not
// depend on it, as SQLite then takes every table to have about a million rows; after it, analyze makes the statistics those of a million.
func crowdSize() int {
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return million / 80
	}
	return million
}

// analyze gathers statistics. Where fewer tasks are stored than a million, it multiplies them.
func analyze(t *testing.T, c *sqlite3.Conn) {
	t.Helper()
	if err := c.Exec("ANALYZE"); err != nil {
		t.Fatal(err)
	}
	times := million / crowdSize()
	if times == 1 {
		return
	}
	stmt, _, err := c.Prepare("SELECT rowid, stat FROM sqlite_stat1 WHERE tbl IN ('task_queue', 'task_attempts', 'task_logs', 'task_unique_keys', 'http_answers', 'schedule_ticks', 'operations')")
	if err != nil {
		t.Fatal(err)
	}
	var changes strings.Builder
	for stmt.Step() {
		// The number of rows, then for each column of the index how many rows agree in it and those before it.
		numbers := strings.Fields(stmt.ColumnText(1))
		for i, text := range numbers {
			if n, err := strconv.Atoi(text); err == nil && (i == 0 || n > 1) {
				numbers[i] = strconv.Itoa(n * times)
			}
		}
		fmt.Fprintf(&changes, "UPDATE sqlite_stat1 SET stat = '%s' WHERE rowid = %d;\n", strings.Join(numbers, " "), stmt.ColumnInt64(0))
	}
	if err := errors.Join(stmt.Err(), stmt.Close(), c.Exec(changes.String()+"DELETE FROM sqlite_stat4; ANALYZE sqlite_schema")); err != nil {
		t.Fatal(err)
	}
}

// crowded returns a connection, set as those of a store, to a database with crowdSize tasks.
func crowded(t *testing.T) *sqlite3.Conn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "queue.db")
	if err := openAt(t, path, Options{Migrate: true}).Close(); err != nil {
		t.Fatal(err)
	}
	fill, closed := connTo(t, path)
	_, err := fill.Config(sqlite3.DBCONFIG_ENABLE_TRIGGER, false)
	if err := errors.Join(err, fill.Exec("PRAGMA journal_mode = off; PRAGMA synchronous = off; PRAGMA foreign_keys = off; PRAGMA ignore_check_constraints = on"), fill.Exec(strings.Replace(crowd, "1000000", strconv.Itoa(crowdSize()), 1)), closed()); err != nil {
		t.Fatal(err)
	}
	c, _ := connTo(t, path)
	if err := c.Exec("PRAGMA trigger_eqp = on"); err != nil { // show what triggers and foreign keys read as well
		t.Fatal(err)
	}
	return c
}

func connTo(t *testing.T, path string) (c *sqlite3.Conn, closed func() error) {
	t.Helper()
	db, err := driver.Open(dsn(path, url.Values{}), prepareConn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Raw(func(raw any) error { c = raw.(driver.Conn).Raw(); return nil }); err != nil {
		t.Fatal(err)
	}
	return c, func() error { return errors.Join(conn.Close(), db.Close()) }
}

// plansOf returns the plan of each query as text.
func plansOf(t *testing.T, c *sqlite3.Conn, queries map[string]string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for name, query := range queries {
		for _, line := range plan(t, c, query) {
			out[name] += line + "\n"
		}
	}
	return out
}

// plan returns the lines of EXPLAIN QUERY PLAN, indented as they depend on each other.
func plan(t *testing.T, c *sqlite3.Conn, query string) (lines []string) {
	t.Helper()
	stmt, _, err := c.Prepare("EXPLAIN QUERY PLAN " + query)
	if err != nil {
		t.Fatalf("%v\n%s", err, query)
	}
	depth := map[int64]int{}
	for stmt.Step() {
		d := depth[stmt.ColumnInt64(1)]
		depth[stmt.ColumnInt64(0)] = d + 1
		lines = append(lines, strings.Repeat("  ", d)+stmt.ColumnText(3))
	}
	if err := errors.Join(stmt.Err(), stmt.Close()); err != nil {
		t.Fatal(err)
	}
	return lines
}
