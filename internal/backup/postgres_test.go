package backup_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/jackc/pgx/v5"

	"github.com/prismq/thequeue/internal/backup"
	"github.com/prismq/thequeue/internal/clock"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// pgTasks counts the tasks of a database.
func pgTasks(t *testing.T, url string) int {
	t.Helper()
	return pgCount(t, url, "SELECT count(*) FROM task_queue")
}

func pgCount(t *testing.T, url, query string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func pgExec(t *testing.T, url string, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, s := range statements {
		if _, err := conn.Exec(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// A dump replaces what is in the database, which is kept, but not under a server; one that is damaged, or of something else, replaces nothing.
func TestADumpIsRestored(t *testing.T) {
	t.Parallel()
	url := testdb.PostgresURL(t)
	dir := &backup.Directory{Path: t.TempDir(), Engine: postgres.NewBackups(url), Now: clock.Wall}
	enqueue := func(st *postgres.Store, n int) {
		t.Helper()
		for range n {
			spec, err := task.Spec{Type: "a"}.Task(st.Clock().Now(), task.Limits{MaxAttempts: 5, PayloadBytes: 100})
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := st.InsertTask(t.Context(), spec); err != nil {
				t.Fatal(err)
			}
		}
	}
	st, err := postgres.Open(t.Context(), url, postgres.Options{MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	enqueue(st, 2)
	if _, err := dir.Create(t.Context(), backup.Options{Name: "two", Compress: true}); err != nil {
		t.Fatal(err)
	}
	enqueue(st, 1)
	if _, err := dir.Restore(t.Context(), "two", "", nil); !errors.Is(err, task.ErrConflict) || pgTasks(t, url) != 3 {
		t.Errorf("under a server: %v", err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}

	for name, spoil := range map[string]func(text []byte) []byte{
		"cut":     func(text []byte) []byte { return text[:len(text)/2] },
		"nothing": func(text []byte) []byte { return nil },
		"sql":     func(text []byte) []byte { return []byte("DROP TABLE task_queue;") },
	} {
		text, err := os.ReadFile(filepath.Join(dir.Path, "two.dump"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir.Path, name+".dump"), spoil(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := dir.Verify(t.Context(), name, 0, nil); !errors.Is(err, task.ErrUnusable) {
			t.Errorf("verify %s: %v", name, err)
		}
		if _, err := dir.Restore(t.Context(), name, "", nil); !errors.Is(err, task.ErrUnusable) {
			t.Errorf("restore %s: %v", name, err)
		}
		if err := os.Remove(filepath.Join(dir.Path, name+".dump")); err != nil {
			t.Fatal(err)
		}
	}
	if n := pgTasks(t, url); n != 3 {
		t.Fatalf("%d tasks, want the 3 that were there", n)
	}

	done, err := dir.Restore(t.Context(), "two", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := pgTasks(t, url); n != 2 || done.ReplacedFile == nil || done.SchemaVersion == 0 {
		t.Errorf("%d tasks, want 2: %+v", n, done)
	}
	kept := strings.TrimSuffix(filepath.Base(*done.ReplacedFile), ".dump")
	empty := testdb.EmptyPostgresURL(t)
	if done, err := dir.Restore(t.Context(), kept, empty, nil); err != nil || done.ReplacedFile != nil || pgTasks(t, empty) != 3 {
		t.Errorf("what was replaced: %+v, %v", done, err)
	}
	if st, err = postgres.Open(t.Context(), url, postgres.Options{MaxConns: 4}); err != nil {
		t.Fatal(err)
	}
	enqueue(st, 1) // its ids go on
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}

}

// TestADumpIsRestoredBesideExtensions: what others have made in the database, extensions above all, is left as it is, and is no reason to refuse a backup.
func TestADumpIsRestoredBesideExtensions(t *testing.T) {
	t.Parallel()
	url := testdb.PostgresURL(t)
	dir := &backup.Directory{Path: t.TempDir(), Engine: postgres.NewBackups(url), Now: clock.Wall}
	pgExec(t, url, "CREATE SCHEMA tools", "COMMENT ON SCHEMA tools IS 'of others'", "CREATE TABLE tools.x (n bigserial PRIMARY KEY)", "INSERT INTO tools.x DEFAULT VALUES", "CREATE EXTENSION amcheck SCHEMA tools", "CREATE PUBLICATION all_of_it FOR ALL TABLES", "COMMENT ON PUBLICATION all_of_it IS 'for the other site'",
		"INSERT INTO workers (worker_id, capabilities, registered_at_utc, heartbeat_utc) VALUES ('w', '{}', now(), now())")
	if _, err := dir.Create(t.Context(), backup.Options{Name: "all"}); err != nil {
		t.Fatal(err)
	}
	if b, err := dir.Verify(t.Context(), "all", 0, nil); err != nil || b.VerifiedAtUTC == nil {
		t.Fatalf("verify: %+v, %v", b, err)
	}
	pgExec(t, url, "DELETE FROM workers", "INSERT INTO tools.x DEFAULT VALUES")
	for what, target := range map[string]string{"in its place": url, "in an empty one": testdb.EmptyPostgresURL(t)} {
		done, err := dir.Restore(t.Context(), "all", target, nil)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if !strings.Contains(done.Note, "EXTENSION amcheck") || !strings.Contains(done.Note, "PUBLICATION all_of_it") || strings.Count(done.Note, "SCHEMA tools") != 1 {
			t.Errorf("%s: %q", what, done.Note)
		}
		if n := pgCount(t, target, "SELECT count(*) FROM workers"); n != 1 {
			t.Errorf("%s: %d workers", what, n)
		}
	}
	if n := pgCount(t, url, "SELECT count(*) FROM pg_extension WHERE extname = 'amcheck'"); n != 1 {
		t.Error("the extension is gone")
	}
	if n := pgCount(t, url, "SELECT count(*) FROM tools.x"); n != 2 {
		t.Errorf("%d rows in the table of others, want the 2 that it had", n)
	}
	if left, err := filepath.Glob(filepath.Join(dir.Path, ".restoring-*")); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// TestADumpIsRestoredFromADirectoryThatMayOnlyBeRead keeps what was there where there is room for it.
func TestADumpIsRestoredFromADirectoryThatMayOnlyBeRead(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs a directory in which nobody may make a file")
	}
	const readOnly = "/sys"
	room := t.TempDir()
	t.Setenv("TMPDIR", room)
	url := testdb.PostgresURL(t)
	archive := filepath.Join(t.TempDir(), "a.dump")
	if err := os.WriteFile(archive, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	engine := postgres.NewBackups(url)
	if _, err := engine.Copy(t.Context(), archive, func(int64, int64) error { return nil }); err != nil {
		t.Fatal(err)
	}
	done, err := engine.Restore(t.Context(), "", readOnly, clock.Wall(), func(to *os.File) error {
		text, err := os.ReadFile(archive)
		if err != nil {
			return err
		}
		_, err = to.Write(text)
		return err
	})
	if err != nil || done.ReplacedFile == nil || filepath.Dir(*done.ReplacedFile) != room {
		t.Fatalf("%+v, %v", done, err)
	}
	if left, err := os.ReadDir(room); err != nil || len(left) != 1 || left[0].Name() != filepath.Base(*done.ReplacedFile) {
		t.Errorf("there are %v, %v; want what was replaced alone", left, err)
	}
}

// TestARestoreRemovesWhatKilledOnesHaveLeft, and nothing of one that is under way, also where that has only just begun.
func TestARestoreRemovesWhatKilledOnesHaveLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := clock.Wall().Add(-time.Hour)
	for name, at := range map[string]time.Time{".restoring-killed": old, ".restoring-locked": old, ".restoring-begun": clock.Wall()} {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if name == ".restoring-locked" {
			l := flock.New(filepath.Join(path, "lock"))
			if ok, err := l.TryLock(); err != nil || !ok {
				t.Fatal(ok, err)
			}
			defer l.Close()
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	unreadable := errors.New("the backup cannot be read")
	_, err := postgres.NewBackups("postgres://127.0.0.1:1/none").Restore(t.Context(), "", dir, clock.Wall(), func(*os.File) error { return unreadable })
	if !errors.Is(err, unreadable) {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".restoring-*"))
	if want := []string{filepath.Join(dir, ".restoring-begun"), filepath.Join(dir, ".restoring-locked")}; err != nil || !slices.Equal(left, want) {
		t.Errorf("left are %v, %v; want %v", left, err, want)
	}
}

// TestADumpOfAMoveIsRestored: the move that was under way is not that of what is restored, and nothing is noted for it.
func TestADumpOfAMoveIsRestored(t *testing.T) {
	t.Parallel()
	url := testdb.PostgresURL(t)
	dir := &backup.Directory{Path: t.TempDir(), Engine: postgres.NewBackups(url), Now: clock.Wall}
	pgExec(t, url, "INSERT INTO store_move (move_id, state, peer, since_utc) VALUES ('m', 'leaving', '/srv/new.db', now())", "SELECT move_triggers(true, false)",
		"INSERT INTO move_changes (task_id) VALUES (7)")
	if _, err := dir.Create(t.Context(), backup.Options{Name: "moving"}); err != nil {
		t.Fatal(err)
	}
	pgExec(t, url, "UPDATE store_move SET state = 'left'")
	if _, err := dir.Create(t.Context(), backup.Options{Name: "moved"}); err != nil {
		t.Fatal(err)
	}
	done, err := dir.Restore(t.Context(), "moving", "", nil)
	if err != nil || !strings.Contains(done.Note, "/srv/new.db") {
		t.Fatalf("%+v, %v", done, err)
	}
	for _, none := range []string{"SELECT count(*) FROM store_move", "SELECT count(*) FROM move_changes", "SELECT count(*) FROM pg_trigger WHERE tgname = 'move_record' AND tgenabled <> 'D'"} {
		if n := pgCount(t, url, none); n != 0 {
			t.Errorf("%s: %d", none, n)
		}
	}
	if done, err = dir.Restore(t.Context(), "moved", "", nil); err != nil || !strings.Contains(done.Note, "--undo") {
		t.Errorf("%+v, %v", done, err)
	}
	if _, err := postgres.Open(t.Context(), url, postgres.Options{Serve: true}); !errors.Is(err, task.ErrMoved) {
		t.Errorf("what had been moved is served: %v", err)
	}
}
