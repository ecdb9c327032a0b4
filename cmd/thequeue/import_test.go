package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/prismq/thequeue/internal/app"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// olderQueue makes a database of the older queue, and runs statements on it.
func (r *rig) olderQueue(statements ...string) string {
	r.t.Helper()
	path := r.path("old.db")
	c, err := sqlite3.Open(path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	var scripts []string
	for _, name := range []string{"schema.sql", "tasks.sql"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "internal", "store", "sqlite", "oldqueue", "testdata", name))
		if err != nil {
			r.t.Fatal(err)
		}
		scripts = append(scripts, string(text))
	}
	for _, s := range append(scripts, statements...) {
		if err := c.Exec(s); err != nil {
			r.t.Fatalf("%v\n%s", err, s)
		}
	}
	return path
}

// importTable is what docs/importing.md shows.
const importTable = `OLD STATUS   TASKS  BECOME                                                           KNOWN  UNREADABLE
queued       3      1 failed (exhausted), 2 queued                                   0      0
leased       1      1 queued                                                         0      0
processing   1      1 failed (exhausted)                                             0      0
completed    2      2 completed                                                      0      0
failed       4      2 failed (cancelled), 1 failed (exhausted), 1 failed (rejected)  0      0
dead_letter  1      1 failed (exhausted)                                             0      0
`

func TestImportSaysWhatBecomesOfTheOlderQueue(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(*testing.T, *rig) string{
		"sqlite":   func(_ *testing.T, r *rig) string { return r.path("queue.db") },
		"postgres": func(t *testing.T, _ *rig) string { return testdb.PostgresURL(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			old, db := r.olderQueue(), database(t, r)
			dry := r.ok("import", old, "--database", db, "--dry-run")
			if !strings.HasPrefix(dry, importTable) || !strings.HasSuffix(dry, "\ndry run: nothing was changed; 12 of 12 tasks would be imported, with 24 lines of their logs, and 2 workers\n") {
				t.Errorf("got %s", dry)
			}
			const done = "12 of 12 tasks are imported, under their own ids, with 24 lines of their logs, and 2 workers; the counts by status agree\n"
			if out := r.ok("import", old, "--database", db); !strings.HasPrefix(out, importTable+"1 tasks: times of an end before its start were taken as the start\n") || !strings.HasSuffix(out, done) {
				t.Errorf("got %s", out)
			}
			page, err := os.ReadFile(filepath.Join("..", "..", "docs", "importing.md"))
			if err != nil || !strings.Contains(string(page), importTable+done) {
				t.Errorf("docs/importing.md shows something else; %v", err)
			}
			if out := r.ok("import", old, "--database", db); !strings.HasSuffix(out, "\nnothing to import: all of the 12 tasks that can be read are here already\n") {
				t.Errorf("got %s", out)
			}
			if got := parse[app.ImportReport](t, r.ok("import", old, "--database", db, "-o", "json")); got.Known != 12 || got.Stored[task.Queued] != 0 || len(got.Rejected) != 0 {
				t.Errorf("got %+v", got)
			}
			if got := parse[task.Task](t, r.ok("get", "9", "--database", db, "-o", "json")); *got.Outcome != task.Rejected || *got.ErrorMessage != "ValueError: never" {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestImportRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	old, db := r.olderQueue("UPDATE task_queue SET priority = 0, locked_by = char(27) || '[31m' WHERE id IN (1, 2)"), r.path("queue.db")
	got := r.fails(2, []string{"rows of the older queue cannot be read: 2: nothing is imported; `--rejects FILE` keeps them aside"}, "import", old, "--database", db)
	if !strings.Contains(got.out, "\ncannot be read: task_queue 1: priority: must lie between 1 and 1000, but is 0\n") {
		t.Errorf("got %s", got.out)
	}
	r.fails(2, []string{"--dry-run writes nothing"}, "import", old, "--database", db, "--dry-run", "--rejects", r.path("r.jsonl"))
	r.fails(2, []string{"is there already"}, "import", old, "--database", db, "--rejects", old)
	r.fails(1, []string{"none.db: no such file"}, "import", r.path("none.db"), "--database", db)
	r.fails(1, []string{"is not a database of the older queue"}, "import", r.write("text", "hello"), "--database", db)
	r.fails(1, []string{"name another database, into which `thequeue import` brings"}, "import", old, "--database", old, "--rejects", r.path("s.jsonl"))
	if _, err := os.Stat(db); !os.IsNotExist(err) {
		t.Errorf("the database was made; %v", err)
	}
	if out := r.ok("import", old, "--database", db, "--rejects", r.path("r.jsonl")); !strings.HasSuffix(out, "\n2 rows that cannot be read are in "+r.path("r.jsonl")+"\n") {
		t.Errorf("got %s", out)
	}
}
