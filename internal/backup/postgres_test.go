package backup_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/prismq/thequeue/internal/backup"
	"github.com/prismq/thequeue/internal/clock"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// pgTasks counts the tasks of a database.
func pgTasks(t *testing.T, url string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM task_queue").Scan(&n); err != nil {
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

	pgExec(t, empty, "CREATE PUBLICATION all_of_it FOR ALL TABLES")
	dir.Engine = postgres.NewBackups(empty)
	if _, err := dir.Create(t.Context(), backup.Options{Name: "more"}); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Verify(t.Context(), "more", 0, nil); !errors.Is(err, task.ErrUnusable) || !strings.Contains(err.Error(), "PUBLICATION") {
		t.Errorf("what this program does not make: %v", err)
	}
}
