package dbcopy_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3/driver"

	"github.com/prismq/thequeue/internal/dbcopy"
	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/store/sqlite"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// everything makes a SQLite store with rows in every table, those of the newest fixture of migrations, and returns its path.
func everything(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "migrations", "testdata", "sqlite", "*.sql"))
	if err != nil || len(files) == 0 {
		t.Fatal("no fixtures", err)
	}
	text, err := os.ReadFile(files[len(files)-1])
	if err != nil {
		t.Fatal(err)
	}
	path := emptyFile(t)
	exec(t, path, string(text), "DELETE FROM store_move", "DELETE FROM move_changes")
	return path
}

// emptyFile makes a SQLite store with no rows.
func emptyFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "queue.db")
	s, done, err := sqlite.OpenSchema(t.Context(), path, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Up(t.Context()), done()); err != nil {
		t.Fatal(err)
	}
	return path
}

// raw opens a file as any tool would.
func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := driver.Open("file:" + filepath.ToSlash(path) + "?_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func exec(t *testing.T, path string, statements ...string) {
	t.Helper()
	db := raw(t, path)
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func mustMove(t *testing.T, from, to string) dbcopy.Result {
	t.Helper()
	r, err := dbcopy.Move(t.Context(), from, to, dbcopy.Options{})
	if err != nil {
		t.Fatalf("move: %v", err)
	}
	return r
}

// mustBeSame compares two stores, and demands rows in every table.
func mustBeSame(t *testing.T, from, to string) []dbcopy.Difference {
	t.Helper()
	list, err := dbcopy.Check(t.Context(), from, to, dbcopy.Options{})
	if err != nil {
		t.Fatalf("check: %v", err)
	}
	for _, d := range list {
		if !d.Same() {
			t.Errorf("%s: %d rows %s, and %d rows %s", d.Table, d.From.Rows, d.From.Hash(), d.To.Rows, d.To.Hash())
		}
	}
	return list
}

func TestEveryTableGoesThereAndBack(t *testing.T) {
	t.Parallel()
	from, there, back := everything(t), testdb.EmptyPostgresURL(t), filepath.Join(t.TempDir(), "back.db")
	moved := mustMove(t, from, there)
	for _, d := range mustBeSame(t, from, there) {
		if d.From.Rows == 0 {
			t.Errorf("the fixture has no rows in %s", d.Table)
		}
		if got := moved.Tables[d.Table]; got != d.To {
			t.Errorf("%s: the move says %d rows %s", d.Table, got.Rows, got.Hash())
		}
	}
	mustMove(t, there, back)
	mustBeSame(t, from, back)
	if problems := integrity(t, back); problems != "" {
		t.Error(problems)
	}
}

// integrity returns what SQLite finds wrong with a file.
func integrity(t *testing.T, path string) (problems string) {
	t.Helper()
	db := raw(t, path)
	var check string
	if err := db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&check); err != nil || check != "ok" {
		problems = check
	}
	rows, err := db.QueryContext(t.Context(), "PRAGMA foreign_key_check")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if rows.Next() {
		problems += " a row refers to another that is not there"
	}
	return problems
}

// TestTheTargetIsAStore uses a store that has been moved: its counters, keys, leases, sequences and triggers are in order.
func TestTheTargetIsAStore(t *testing.T) {
	t.Parallel()
	there := testdb.EmptyPostgresURL(t)
	from := everything(t)
	exec(t, from, "UPDATE sqlite_sequence SET seq = 70 WHERE name = 'task_queue'")
	mustMove(t, from, there)
	st, err := postgres.Open(t.Context(), there, postgres.Options{Serve: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	now := time.Date(2026, 1, 31, 8, 0, 10, 0, time.UTC)
	if _, err := st.CompleteTask(t.Context(), 3, task.Token{Fence: 1, Secret: "0b"}, nil, now); err != nil {
		t.Errorf("a lease of before does not hold: %v", err)
	}
	k, err := task.Spec{Type: "mail", IdempotencyKey: new("key-1")}.Task(now, task.Limits{MaxAttempts: 5, PayloadBytes: 100})
	if err != nil {
		t.Fatal(err)
	}
	if got, created, err := st.InsertTask(t.Context(), k); err != nil || created || got.ID != 1 {
		t.Errorf("a key of before: task %d, created %v, error %v", got.ID, created, err)
	}
	k.IdempotencyKey = nil
	if got, _, err := st.InsertTask(t.Context(), k); err != nil || got.ID <= 70 {
		t.Errorf("the next task has id %d, error %v; want more than 70", got.ID, err)
	}
	stats, err := st.Stats(t.Context(), now)
	if err != nil || stats.TotalTasks != 6 || stats.CompletedTasks != 2 || stats.ProcessingTasks != 0 {
		t.Errorf("stats %+v, error %v: the triggers that count are off", stats, err)
	}
}

func TestTheSourceRefusesServersAndChanges(t *testing.T) {
	t.Parallel()
	file, there, back := everything(t), testdb.EmptyPostgresURL(t), filepath.Join(t.TempDir(), "back.db")
	beside, err := sqlite.Open(t.Context(), file, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { beside.Close() })
	mustMove(t, file, there)
	mustRefuse(t, beside.DeleteTask(t.Context(), 4), "127.0.0.1", "--undo")
	_, err = sqlite.Open(t.Context(), file, sqlite.Options{Serve: true})
	mustRefuse(t, err, "127.0.0.1", "--undo")
	for _, statement := range []string{"UPDATE workers SET drain = 1", "DELETE FROM task_logs", "INSERT INTO key_rates VALUES ('a', 'k', 1, 1)"} {
		if _, err := raw(t, file).ExecContext(t.Context(), statement); err == nil || !strings.Contains(err.Error(), "store_move") {
			t.Errorf("%s: %v", statement, err)
		}
	}
	if got, err := beside.GetTask(t.Context(), 4); err != nil || got.Status != task.Completed {
		t.Errorf("task 4 cannot be read: %v", err)
	}

	st, err := postgres.Open(t.Context(), there, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	mustMove(t, there, back)
	mustRefuse(t, st.DeleteTask(t.Context(), 4), "back.db", "--undo")
	_, err = st.ClaimTasks(t.Context(), task.Claim{WorkerID: "w", Strategy: task.Priority, Max: 1, Lease: time.Minute, Now: time.Now(), Secret: "x"})
	mustRefuse(t, err, "back.db")
	_, err = postgres.Open(t.Context(), there, postgres.Options{Serve: true})
	mustRefuse(t, err, "back.db", "--undo")

	for _, undone := range []string{there, file} {
		if _, err := dbcopy.Undo(t.Context(), undone); err != nil {
			t.Fatalf("undo: %v", err)
		}
	}
	for _, st := range []interface {
		DeleteTask(context.Context, int64) error
	}{st, beside} {
		if err := st.DeleteTask(t.Context(), 4); err != nil {
			t.Errorf("after undo: %v", err)
		}
	}
	if _, err := dbcopy.Undo(t.Context(), file); !errors.Is(err, task.ErrNotFound) {
		t.Errorf("undone twice: %v", err)
	}
}

func mustRefuse(t *testing.T, err error, words ...string) {
	t.Helper()
	if !errors.Is(err, task.ErrMoved) {
		t.Errorf("got %v, want that it has been moved", err)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

func TestOnlyAnEmptyDatabaseIsFilled(t *testing.T) {
	t.Parallel()
	from, to := everything(t), emptyFile(t)
	exec(t, to, "INSERT INTO workers (worker_id, capabilities, registered_at_utc, heartbeat_utc) VALUES ('w', '{}', 1, 1)")
	there := testdb.EmptyPostgresURL(t)
	mustMove(t, from, there)
	for from, to := range map[string]string{there: to, from: there} {
		_, err := dbcopy.Move(t.Context(), from, to, dbcopy.Options{})
		if from == there && !errors.Is(err, dbcopy.ErrNotEmpty) || err != nil && !strings.Contains(err.Error(), "workers") {
			t.Errorf("got %v", err)
		}
	}
	again, err := dbcopy.Move(t.Context(), from, there, dbcopy.Options{})
	if err != nil || !again.Already {
		t.Errorf("the same move again: %+v, %v", again, err)
	}
	other, err := dbcopy.Move(t.Context(), from, filepath.Join(t.TempDir(), "other.db"), dbcopy.Options{})
	if !errors.Is(err, task.ErrMoved) {
		t.Errorf("moved to a second place: %+v, %v", other, err)
	}
}

func TestADryRunChangesNothing(t *testing.T) {
	t.Parallel()
	from, to := everything(t), filepath.Join(t.TempDir(), "new.db")
	there := testdb.EmptyPostgresURL(t)
	for _, to := range []string{to, there} {
		p, err := dbcopy.DryRun(t.Context(), from, to)
		if err != nil || p.Rows["task_queue"] != 5 || p.Rows["audit_log"] != 1 || p.Takes <= 0 {
			t.Errorf("%+v, %v", p, err)
		}
	}
	if _, err := os.Stat(to); !errors.Is(err, os.ErrNotExist) {
		t.Error("the file has been made")
	}
	s, done, err := postgres.OpenSchema(t.Context(), there)
	if err != nil {
		t.Fatal(err)
	}
	if version, err := s.Version(t.Context()); err != nil || version != 0 {
		t.Errorf("the database has version %d, error %v", version, err)
	}
	if err := done(); err != nil {
		t.Error(err)
	}
	exec(t, from, "DELETE FROM task_queue WHERE id = 4") // nothing refuses it
	if _, err := dbcopy.DryRun(t.Context(), from, everything(t)); !errors.Is(err, dbcopy.ErrNotEmpty) {
		t.Errorf("a target with rows: %v", err)
	}
}

func TestADatabaseInUseIsNotFilled(t *testing.T) {
	t.Parallel()
	from, there := everything(t), testdb.PostgresURL(t)
	st, err := postgres.Open(t.Context(), there, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	if _, err := dbcopy.Move(t.Context(), from, there, dbcopy.Options{}); !errors.Is(err, schema.ErrInUse) {
		t.Errorf("got %v", err)
	}
	file := emptyFile(t)
	served, err := sqlite.Open(t.Context(), file, sqlite.Options{Serve: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { served.Close() })
	if _, err := dbcopy.Move(t.Context(), from, file, dbcopy.Options{}); !errors.Is(err, sqlite.ErrServed) {
		t.Errorf("got %v", err)
	}
	mustMove(t, from, testdb.EmptyPostgresURL(t)) // what was refused has left nothing behind
}
