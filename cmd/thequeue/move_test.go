package main

import (
	"os"
	"strings"
	"testing"
)

// moving are the fields that the answers for programs share.
type moving struct {
	From    string
	To      string
	Seconds float64
	Already bool
	Tables  []struct {
		Table string
		Rows  int64
		Hash  string
	}
}

func (m moving) rows(table string) int64 {
	for _, t := range m.Tables {
		if t.Table == table {
			return t.Rows
		}
	}
	return -1
}

func TestAStoreIsMovedOnTheCommandLine(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	from, to := r.path("a.db"), r.path("b.db")
	r.ok("migrate", "up", "--database", from)
	r.ok("enqueue", "mail", "--database", from)

	plan := parse[moving](t, r.ok("move", "--from", "sqlite:"+from, "--to", to, "--dry-run", "-o", "json"))
	if plan.rows("task_queue") != 1 || plan.Seconds <= 0 {
		t.Errorf("planned: %+v", plan)
	}
	if _, err := os.Stat(to); err == nil {
		t.Error("a dry run has made the file")
	}
	if out := r.ok("move", "--from", from, "--to", to, "--dry-run"); !strings.Contains(out, "nothing was changed") {
		t.Errorf("planned: %s", out)
	}

	done := parse[moving](t, r.ok("move", "--from", from, "--to", to, "-o", "json"))
	if done.rows("task_queue") != 1 || done.Already {
		t.Errorf("moved: %+v", done)
	}
	if out := r.ok("move", "--check", "--from", from, "--to", to); !strings.Contains(out, "task_queue") {
		t.Errorf("compared: %s", out)
	}
	if out := r.ok("move", "--from", from, "--to", to); !strings.Contains(out, "before; nothing was done") {
		t.Errorf("moved again: %s", out)
	}
	r.ok("enqueue", "mail", "--database", to)
	if got := r.run("", "move", "--check", "--from", from, "--to", to); got.code != 1 || !strings.Contains(got.err, "differ: lane_counts, task_queue") {
		t.Errorf("compared with a task more: %d %s", got.code, got.err)
	}
	r.fails(4, []string{to, "--undo"}, "enqueue", "mail", "--database", from)
	r.fails(4, []string{to, "--undo"}, "serve", "--addr", "127.0.0.1:0", "--database", from)
	r.ok("list", "--database", from)

	if got := r.run("n\n", "move", "--undo", "--from", from); got.code != 0 || !strings.Contains(got.out, "Nothing was changed") {
		t.Errorf("not undone: %d %s", got.code, got.out)
	}
	if out := r.ok("move", "--undo", "--yes", "--from", from); !strings.Contains(out, "takes changes again") {
		t.Errorf("undone: %s", out)
	}
	r.ok("enqueue", "mail", "--database", from)
	r.fails(3, []string{"a move from here"}, "move", "--undo", "--yes", "--from", from)
}

func TestMovesThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	from, full := r.path("a.db"), r.path("b.db")
	for _, path := range []string{from, full} {
		r.ok("migrate", "up", "--database", path)
		r.ok("enqueue", "mail", "--database", path)
	}
	r.fails(1, []string{"is not empty", "task_queue", "new database"}, "move", "--from", from, "--to", full)
	r.fails(1, []string{"is not empty"}, "move", "--from", from, "--to", full, "--dry-run")
	r.fails(2, []string{"same database"}, "move", "--from", from, "--to", "sqlite:"+from)
	r.fails(2, []string{"--to is missing"}, "move", "--from", from)
	r.fails(2, []string{"leave --to out"}, "move", "--from", from, "--to", full, "--undo", "--yes")
	r.fails(2, []string{"--to must be"}, "move", "--from", from, "--to", "mysql://host/db")
	r.fails(1, []string{"does not exist"}, "move", "--from", r.path("none.db"), "--to", full)
	r.ok("enqueue", "mail", "--database", from) // nothing has been moved
}
