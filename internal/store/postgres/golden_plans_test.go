package postgres_test

import (
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/testdb/generated"
)

// goldenVersion is the version of PostgreSQL whose plans the golden files hold.
const goldenVersion = 15

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// planAllowed lists what may read all of an index or a table of which there are many rows, by query and line, and why.
var planAllowed = []struct{ query, line, why string }{
	{"CopyOperations", "Index Scan using operations_pkey on operations", "a move of the store copies all of them"},
	{"CountLongTables", "Index Only Scan using task_queue_pkey on task_queue", "a dry run of a move counts the rows"},
	{"CountLongTables", "Index Only Scan using task_attempts_pkey on task_attempts", "the same"},
	{"CountLongTables", "Index Only Scan using task_logs_pkey on task_logs", "the same"},
	{"CountLongTables", "Index Only Scan using schedule_ticks_task on schedule_ticks", "the same"},
	{"CountLongTables", "Index Only Scan using task_unique_keys_task_id_key on task_unique_keys", "the same"},
	{"CountLongTables", "Index Only Scan using http_answers_expiring on http_answers", "the same"},
	{"ListRunningOperations", "Index Scan using operations_running on operations", "operations under way: as many as operators have started"},
	{"ListHeld", "Index Scan using task_queue_lease on task_queue", "tasks in processing: as many as workers are busy"},
	{"ListLanesWithWork", "Index Only Scan using task_queue_ready on task_queue", "the first entry; the next lane is found by a condition"},
	{"NewestTaskAt", "Index Scan Backward using task_queue_pkey on task_queue", "ends at the first row"},
	{"NextDeadline", "Index Only Scan using task_queue_deadline on task_queue", "ends at the first row"},
	{"NextLeaseEnd", "Index Only Scan using task_queue_lease on task_queue", "ends at the first row"},
	{"NextRunAfter", "Index Only Scan using task_queue_scheduled on task_queue", "ends at the first row"},
	{"ListLanesWithWork", "Index Only Scan using task_queue_quarantine on task_queue", "ends at the first row"},
	{"CountReady", "Index Only Scan using task_queue_quarantine on task_queue", "ends at the first row"},
	{"ListQuarantined", "Index Scan using task_queue_quarantine on task_queue", "has live tasks in quarantine alone"},
	{"ListPoisoned", "Index Scan Backward using task_queue_quarantine on task_queue", "live tasks in quarantine alone, the first ones"},
	{"HoldsTask", "Index Scan using task_queue_lease on task_queue", "tasks in processing, and only while there is one in quarantine"},
	{"ListRecentFailures", "Index Scan Backward using task_queue_failed_at on task_queue", "ends after 100 rows"},
	{"ListHeldBy", "Index Scan using task_queue_lease on task_queue", "the tasks in processing, when one worker is looked at"},
	{"DeleteStaleWorkers", "Index Scan using task_queue_lease on task_queue", "an operator cleans the registry"},
	{"ListWorkerStatus", "Index Scan using task_queue_lease on task_queue", "a view for people: tasks in processing for each worker"},
	{"ListStatusSummary", "Seq Scan on task_queue", "a view for people, over all tasks; the service reads the counters"},
	{"ListTypeSummary", "Seq Scan on task_queue", "a view for people, over all tasks"},
	{"ListTaskPerformance", "Seq Scan on task_queue", "a view for people, over all tasks"},
}

// elsewhere are queries that run on connections of their own, whose plans depend on what is asked for, so that TestPlans looks at each of them, and what has
// no plan.
var elsewhere = []string{
	"ListTasks", "ListTasksByStatus", "ListTasksByType", "OldestQueuedAt", "Listen", "ListRuns", "ListRunsByStatus", "ListRunsByType", "CountCancelled", "CountUnsuccessful",
	// All that is stored is read by these, for fsck.
	"FindOddTasks", "FindStrayTasks", "FindOddAttempts", "FindOddLogs", "FindOddReferences", "FindOddKeys", "CountLanes", "ListCounters", "SumCounts", "LastRepair", "DropOddKeys", "EnterOddKeys",
}

// checkGolden explains every other query as a session of the store plans it for all arguments, and compares the plans with the golden file. What reads
// all rows of a table or an index that grows with tasks or requests is refused but for planAllowed.
func checkGolden(t *testing.T, st *postgres.Store, file string) {
	t.Helper()
	conn, err := st.DB().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "SET max_parallel_workers_per_gather = 0"); err != nil { // as on a machine with nothing to spare
		t.Fatal(err)
	}
	queries := allQueries(t)
	var golden strings.Builder
	for _, name := range slices.Sorted(maps.Keys(queries)) {
		plan := genericPlan(t, conn, queries[name])
		fmt.Fprintf(&golden, "== %s\n%s", name, plan)
		for _, line := range readsAll(plan) {
			if !slices.ContainsFunc(planAllowed, func(a struct{ query, line, why string }) bool { return a.query == name && a.line == line }) {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
	for _, a := range planAllowed {
		if !slices.Contains(readsAll(genericPlan(t, conn, queries[a.query])), a.line) {
			t.Errorf("no plan of %s has %q any more", a.query, a.line)
		}
	}
	for query, want := range map[string]string{
		"SELECT id FROM task_queue WHERE locked_by = $1":                                              "Seq Scan on task_queue",
		"SELECT id FROM task_queue WHERE status = 'completed' AND locked_by = $1 ORDER BY id LIMIT 1": "Index Scan using task_queue_completed on task_queue",
	} {
		if got := readsAll(genericPlan(t, conn, query)); !slices.Equal(got, []string{want}) {
			t.Errorf("in the plan of %q these were found: %q, want %q\n%s", query, got, want, genericPlan(t, conn, query))
		}
	}
	var version int
	if err := conn.QueryRowContext(t.Context(), "SELECT current_setting('server_version_num')::int / 10000").Scan(&version); err != nil {
		t.Fatal(err)
	}
	if version != goldenVersion { // they choose otherwise here and there; what is read whole has been looked at above
		if t.Logf("plans are compared with those of PostgreSQL %d, this is %d", goldenVersion, version); os.Getenv("CI") == "true" {
			t.Error("the plans of this version must be looked at and written with -update")
		}
		return
	}
	path := filepath.Join("testdata", file)
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(path, []byte(golden.String()), 0o644)); err != nil {
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

// genericPlan returns the plan of a query that holds for all arguments.
func genericPlan(t *testing.T, conn *sql.Conn, query string) string {
	t.Helper()
	exec := func(statement string) {
		t.Helper()
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%v\n%s", err, statement)
		}
	}
	exec("PREPARE looked_at AS " + query)
	defer exec("DEALLOCATE looked_at")
	var n int
	if err := conn.QueryRowContext(t.Context(), "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'looked_at'").Scan(&n); err != nil {
		t.Fatal(err)
	}
	arguments := ""
	if n > 0 {
		arguments = "(NULL" + strings.Repeat(", NULL", n-1) + ")"
	}
	rows, err := conn.QueryContext(t.Context(), "EXPLAIN (COSTS OFF) EXECUTE looked_at"+arguments)
	if err != nil {
		t.Fatalf("%v\n%s", err, query)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(line + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}

var reads = regexp.MustCompile(`((?:Seq|Index|Index Only|Bitmap Heap) Scan (?:Backward )?(?:using \w+ )?on (?:task_queue|task_attempts|task_logs|task_unique_keys|http_answers|schedule_ticks|operations)\b)`)

// readsAll returns what a plan reads without a condition on the index.
func readsAll(plan string) (found []string) {
	lines := strings.Split(plan, "\n")
	for i, line := range lines {
		m := reads.FindString(line)
		if m == "" || strings.Contains(lines[i+1], "Index Cond:") || strings.Contains(lines[i+1], "Recheck Cond:") {
			continue
		}
		found = append(found, m)
	}
	return found
}

// allQueries returns the generated queries of this engine by name, but for elsewhere and for those of the server's own tables, whose plans depend on
// the server. Those that are generated twice are the same but for the form of arrays, and the ones that run are of postgressets.
func allQueries(t *testing.T) map[string]string {
	t.Helper()
	out := generated.Queries(t, "postgresdb")
	maps.Copy(out, generated.Queries(t, "postgressets"))
	maps.DeleteFunc(out, func(name, text string) bool {
		return slices.Contains(elsewhere, name) || strings.Contains(text, "pg_catalog.pg_")
	})
	return out
}
