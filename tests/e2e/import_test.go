package e2e

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// olderQueue makes a database of the older queue, with tasks for a handler that every server has.
func (m *machine) olderQueue() string {
	m.t.Helper()
	db, err := sql.Open("sqlite3", "file:"+m.path("old.db"))
	if err != nil {
		m.t.Fatal(err)
	}
	defer db.Close()
	for _, name := range []string{"schema.sql", "tasks.sql"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "internal", "store", "sqlite", "oldqueue", "testdata", name))
		if err != nil {
			m.t.Fatal(err)
		}
		if _, err := db.Exec(string(text)); err != nil {
			m.t.Fatal(err)
		}
	}
	if _, err := db.Exec("UPDATE task_queue SET type = 'echo'"); err != nil {
		m.t.Fatal(err)
	}
	return m.path("old.db")
}

func TestAServerRunsWhatIsImportedUnderIt(t *testing.T) {
	t.Parallel()
	onEachEngine(t, func(t *testing.T, database string) {
		m := newMachine(t)
		s := m.serve(database)
		if out := m.ok("enqueue", "sleep", "--payload", `{"seconds":0}`, "--server", s.url); !strings.HasPrefix(out, "1: ") {
			t.Fatal(out)
		}
		if out := m.ok("import", m.olderQueue(), "--database", database); !strings.Contains(out, "12 of 12 tasks are imported, under new ids") {
			t.Error(out)
		}
		// The two that are due, beside two that had completed and the one of this queue.
		s.until("the imported tasks have run", func() bool {
			return strings.Contains(m.ok("stats", "-o", "json", "--server", s.url), `"queued_tasks":1,"processing_tasks":0,"completed_tasks":5,"failed_tasks":7`)
		})
	})
}
