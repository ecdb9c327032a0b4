package backup_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/backup"
	"github.com/prismq/thequeue/internal/clock"
	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store/sqlite"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// rig is a SQLite file with a queue on it, and the directory of its backups.
type rig struct {
	*testing.T
	*backup.Directory
	database string
	queue    *queue.Queue
	stop     func() // closes the store
}

func newRig(t *testing.T) *rig {
	t.Helper()
	path := filepath.Join(t.TempDir(), "queue.db")
	st, err := sqlite.Open(t.Context(), path, sqlite.Options{Migrate: true, Serve: true})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t, database: path, queue: queue.New(st, queue.Options{}), Directory: &backup.Directory{Path: path + ".backups", Engine: st.Backups(), Now: clock.Wall}}
	r.stop = sync.OnceFunc(func() {
		if err := st.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

func (r *rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) enqueue(n int) {
	r.Helper()
	for range n {
		_, _, err := r.queue.Enqueue(r.Context(), task.Spec{Type: "mail", Payload: `{"to":"ada@example.org"}`}, 5)
		r.ok(err)
	}
}

func (r *rig) create(o backup.Options) task.Backup {
	r.Helper()
	b, err := r.Create(r.Context(), o)
	r.ok(err)
	return b
}

// count is how many tasks are in a database file.
func (r *rig) count(path string) int64 {
	r.Helper()
	st, err := sqlite.Open(r.Context(), path, sqlite.Options{})
	r.ok(err)
	stats, err := st.Stats(r.Context(), time.Now())
	r.ok(err)
	r.ok(st.Close())
	return stats.TotalTasks
}

// files are the names in a directory.
func (r *rig) files(dir string) (names []string) {
	r.Helper()
	entries, err := os.ReadDir(dir)
	r.ok(err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
