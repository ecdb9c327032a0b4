package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

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
