package db_test

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/ncruces/go-sqlite3/driver"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/store/sqlite"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// row is one row of a view by the names of the generated Go; they are the same for both engines.
type row = map[string]any

// rows reads what a generated query has returned.
func rows[T any](t *testing.T) func([]T, error) []row {
	return func(rs []T, err error) []row {
		t.Helper()
		b, jsonErr := json.Marshal(rs)
		var out []row
		if err != nil || jsonErr != nil || json.Unmarshal(b, &out) != nil {
			t.Fatal(err, jsonErr)
		}
		return out
	}
}

func TestTheViewsOfSQLite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	st, err := sqlite.Open(t.Context(), path, sqlite.Options{Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	last := fillViews(t, st)
	db, err := driver.Open("file:" + filepath.ToSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	q, ctx := sqlitedb.New(db), t.Context()
	checkViews(t, last, map[string][]row{
		"status":      rows[sqlitedb.VQueueStatusSummary](t)(q.ListStatusSummary(ctx)),
		"type":        rows[sqlitedb.VQueueTypeSummary](t)(q.ListTypeSummary(ctx)),
		"worker":      rows[sqlitedb.VWorkerStatus](t)(q.ListWorkerStatus(ctx)),
		"performance": rows[sqlitedb.VTaskPerformance](t)(q.ListTaskPerformance(ctx)),
		"failures":    rows[sqlitedb.VRecentFailure](t)(q.ListRecentFailures(ctx)),
	})
}

func TestTheViewsOfPostgreSQL(t *testing.T) {
	t.Parallel()
	url := testdb.PostgresURL(t)
	st, err := postgres.Open(t.Context(), url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	last := fillViews(t, st)
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	db := stdlib.OpenDB(*cfg)
	t.Cleanup(func() { db.Close() })
	q, ctx := postgresdb.New(db), t.Context()
	checkViews(t, last, map[string][]row{
		"status":      rows[postgresdb.VQueueStatusSummary](t)(q.ListStatusSummary(ctx)),
		"type":        rows[postgresdb.VQueueTypeSummary](t)(q.ListTypeSummary(ctx)),
		"worker":      rows[postgresdb.VWorkerStatus](t)(q.ListWorkerStatus(ctx)),
		"performance": rows[postgresdb.VTaskPerformance](t)(q.ListTaskPerformance(ctx)),
		"failures":    rows[postgresdb.VRecentFailure](t)(q.ListRecentFailures(ctx)),
	})
}

// fillViews leaves one completed, one processing and one queued task, and 101 failed ones; it returns the last of these.
func fillViews(t *testing.T, st store.Store) task.Task {
	t.Helper()
	q := queue.New(st, queue.Options{})
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	claimed := func(kind string) task.Lease {
		_, _, err := q.Enqueue(t.Context(), task.Spec{Type: kind}, 5)
		ok(err)
		leases, err := q.Claim(t.Context(), task.Claim{WorkerID: "w"})
		ok(err)
		return leases[0]
	}
	l := claimed("done")
	_, err := q.Complete(t.Context(), l.ID, l.LeaseToken, nil)
	ok(err)
	claimed("runs")
	var last task.Task
	for range 101 {
		l := claimed("bad")
		last, err = q.Fail(t.Context(), l.ID, l.LeaseToken, task.Failure{Message: "no luck", NoRetry: true})
		ok(err)
	}
	_, _, err = q.Enqueue(t.Context(), task.Spec{Type: "waits"}, 5)
	ok(err)
	return last
}

func checkViews(t *testing.T, last task.Task, v map[string][]row) {
	t.Helper()
	for _, c := range []struct {
		view  string
		n     int // rows
		at    int
		field string
		want  any
	}{
		{"status", 4, 0, "Status", "completed"}, {"status", 4, 1, "Status", "failed"}, {"status", 4, 1, "TaskCount", 101.0},
		{"status", 4, 1, "AvgAttempts", 1.0}, {"status", 4, 3, "AvgAttempts", 0.0},
		{"type", 4, 0, "Type", "bad"}, {"type", 4, 0, "TaskCount", 101.0}, {"type", 4, 0, "AvgPriority", 100.0},
		{"worker", 1, 0, "WorkerID", "w"}, {"worker", 1, 0, "ActiveTasks", 1.0}, {"worker", 1, 0, "Capabilities", row{}},
		{"performance", 2, 0, "Type", "bad"}, {"performance", 2, 0, "TaskCount", 101.0}, {"performance", 2, 1, "Status", "completed"},
		{"failures", 100, 0, "ID", float64(last.ID)}, {"failures", 100, 99, "ErrorMessage", "no luck"}, {"failures", 100, 0, "Attempts", 1.0},
	} {
		if got := v[c.view]; len(got) != c.n {
			t.Errorf("%s: %d rows, want %d", c.view, len(got), c.n)
		} else if got := got[c.at][c.field]; !equalJSON(got, c.want) {
			t.Errorf("%s, row %d, %s: %v, want %v", c.view, c.at, c.field, got, c.want)
		}
	}
	for _, c := range []struct{ view, field string }{{"status", "OldestTask"}, {"status", "NewestTask"}, {"worker", "HeartbeatUTC"}, {"failures", "FinishedAtUTC"}} {
		text, _ := v[c.view][0][c.field].(string)
		if at, err := time.Parse(time.RFC3339Nano, text); err != nil || at.Sub(last.CreatedAtUTC).Abs() > time.Minute {
			t.Errorf("%s, %s: %q, want a time about %v", c.view, c.field, text, last.CreatedAtUTC)
		}
	}
	if s, ok := v["performance"][0]["AvgProcessingSeconds"].(float64); !ok || s <= 0 || s > 60 {
		t.Errorf("mean processing time %v", v["performance"][0])
	}
	if s, ok := v["worker"][0]["SecondsSinceHeartbeat"].(float64); !ok || s < -1 || s > 60 {
		t.Errorf("age of the heartbeat %v", v["worker"][0])
	}
}

func equalJSON(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}
