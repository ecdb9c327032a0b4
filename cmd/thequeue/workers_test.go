package main

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/prismq/thequeue/internal/app"
	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

func TestWorkersAreListedDrainedAndResumed(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, r *rig, where []string) {
		q := func(args ...string) []string { return append(args, where...) }
		if out := r.ok(q("workers", "list", "-o", "json")...); out != "[]\n" {
			t.Errorf("got %q", out)
		}
		registered(t, where, "w/1 a")
		if out := r.ok(q("workers", "drain", "w/1 a")...); out != "w/1 a: takes nothing new\n" {
			t.Errorf("got %q", out)
		}
		if list := parse[[]task.Worker](t, r.ok(q("workers", "list", "-o", "json")...)); len(list) != 1 || !list[0].Drain {
			t.Errorf("got %+v", list)
		}
		if out := r.ok(q("workers", "list")...); !strings.HasPrefix(out, "WORKER  STATE     TASKS  DONE/MIN  FAILED/MIN  HEARD") || !strings.Contains(out, "\nw/1 a   draining  0      0         0           ") {
			t.Errorf("got %s", out)
		}
		if out := r.ok(q("workers", "get", "w/1 a")...); !strings.Contains(out, "state         draining\n") {
			t.Errorf("got %s", out)
		}
		r.fails(3, []string{"worker none not found"}, q("workers", "get", "none")...)
		if out := r.ok(q("workers", "reclaim", "w/1 a")...); out != "w/1 a: 0 tasks taken back\n" {
			t.Errorf("got %q", out)
		}
		r.fails(3, []string{"worker none not found"}, q("workers", "reclaim", "none")...)
		if c := parse[task.Cleaned](t, r.ok(q("workers", "cleanup", "-o", "json")...)); len(c.Deleted) != 0 || len(c.Kept) != 0 {
			t.Errorf("got %+v", c)
		}
		r.fails(2, []string{"--older-than soon"}, q("workers", "cleanup", "--older-than", "soon")...)
		if got := parse[task.Worker](t, r.ok(q("workers", "resume", "w/1 a", "-o", "json")...)); got.Drain {
			t.Errorf("got %+v", got)
		}
		r.fails(3, []string{"worker none not found"}, q("workers", "drain", "none")...)
	})
}

// registered enters a worker into the registry of a server or a database.
func registered(t *testing.T, where []string, id string) {
	t.Helper()
	var err error
	if where[0] == "--server" {
		var c *client.Client
		if c, err = client.New(where[1], client.Options{}); err == nil {
			_, err = c.WorkerHeartbeat(t.Context(), id, nil, nil)
			c.Close()
		}
	} else {
		var st store.Store
		if st, err = app.OpenStore(t.Context(), where[1], false, slog.New(slog.DiscardHandler)); err == nil {
			_, err = queue.New(st, queue.Options{}).WorkerHeartbeat(t.Context(), id, nil, nil)
			err = errors.Join(err, st.Close())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}
