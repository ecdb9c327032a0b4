package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/prismq/thequeue/internal/task"
)

// TestAFileThatIsGoneTakesNothing deletes or replaces files of an open store, which the system lets go on with the old ones.
func TestAFileThatIsGoneTakesNothing(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the files cannot be deleted while they are open")
	}
	for name, c := range map[string]struct {
		file string
		do   func(path string) error
	}{
		"database deleted":  {"queue.db", os.Remove},
		"WAL deleted":       {"queue.db-wal", os.Remove},
		"WAL index deleted": {"queue.db-shm", os.Remove},
		"WAL emptied":       {"queue.db-wal", func(path string) error { return os.Truncate(path, 0) }},
		"WAL cut short":     {"queue.db-wal", func(path string) error { return os.Truncate(path, 5000) }},
		"database replaced": {"queue.db", func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600)) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			st, err := Open(t.Context(), filepath.Join(dir, "queue.db"), Options{Migrate: true})
			if err != nil {
				t.Fatal(err)
			}
			defer st.Close()
			insert(t, st, "")
			if err := errors.Join(st.Ping(t.Context()), c.do(filepath.Join(dir, c.file))); err != nil {
				t.Fatal(err)
			}
			n, err := task.Spec{Type: "test"}.Task(st.Clock().Now(), task.Limits{MaxAttempts: 5, PayloadBytes: 1000})
			if err != nil {
				t.Fatal(err)
			}
			_, _, inserted := st.InsertTask(t.Context(), n)
			_, upkeep := st.NextEvent(t.Context())
			for _, err := range []error{inserted, upkeep, st.Ping(t.Context())} {
				if !errors.Is(err, task.ErrGone) || !strings.Contains(err.Error(), filepath.Join(dir, c.file)) {
					t.Errorf("got %v, want ErrGone with the path", err)
				}
			}
		})
	}
}

// TestAStoreWhoseWALWasCutIsLeftAsItWas takes the end of the last commit away. A checkpoint would copy the rest of it.
func TestAStoreWhoseWALWasCutIsLeftAsItWas(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	st, err := Open(t.Context(), path, Options{Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	insert(t, st, "first")
	st.writer.turn.Lock()
	st.writer.checkpointNow(sqlite3.CHECKPOINT_TRUNCATE)
	st.writer.turn.Unlock()
	insert(t, st, "second")
	info, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Truncate(path+"-wal", info.Size()-100), st.Close()); err != nil {
		t.Fatal(err)
	}
	again := openAt(t, path, Options{})
	var found string
	if err := again.readers.QueryRow("PRAGMA integrity_check").Scan(&found); err != nil || found != "ok" {
		t.Errorf("integrity: %s, %v", found, err)
	}
	if got, err := again.ListTasks(t.Context(), task.Filter{Limit: 10}); err != nil || len(got) != 1 {
		t.Errorf("%d tasks, want the first; %v", len(got), err)
	}
}
