package main

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/app"
	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

func TestFailuresAreListedRequeuedAndDismissed(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, r *rig, where []string) {
		q := func(args ...string) []string { return append(args, where...) }
		if out := r.ok(q("failures", "list", "-o", "json")...); out != "[]\n" {
			t.Errorf("got %q", out)
		}
		id := task.Fingerprint("no user 17")
		failedBy(t, where, "mail", "no user 17")
		failedBy(t, where, "mail", "no user 4711")
		if list := parse[[]task.FailureStatus](t, r.ok(q("failures", "list", "-o", "json")...)); len(list) != 1 || list[0].FailureID != id || list[0].Count != 2 {
			t.Errorf("got %+v", list)
		}
		if out := r.ok(q("failures", "list", "--type", "mail")...); !strings.HasPrefix(out, "ID                COUNT  FAILED NOW  LAST SEEN") || !strings.Contains(out, "\n"+id+"  2      2           ") || !strings.HasSuffix(out, "  mail   no user <n>\n") {
			t.Errorf("got %s", out)
		}
		if out := r.ok(q("failures", "get", id)...); !strings.Contains(out, "last error  no user 4711\n") || !strings.Contains(out, "failed now  2\n") {
			t.Errorf("got %s", out)
		}
		r.fails(3, []string{"failure 0123456789abcdef not found"}, q("failures", "get", "0123456789abcdef")...)
		r.fails(3, []string{"failure 0123456789abcdef not found"}, q("failures", "requeue", "0123456789abcdef")...)
		r.fails(3, []string{"failure 0123456789abcdef not found"}, q("failures", "dismiss", "0123456789abcdef")...)
		r.fails(2, []string{"--limit"}, q("failures", "list", "--limit", "0")...)
		r.fails(2, []string{"--dry-run changes nothing"}, q("failures", "requeue", id, "--dry-run", "--yes")...)
		if out := r.ok(q("list", "--filter", "failure:"+id)...); strings.Count(out, "\n") != 3 {
			t.Errorf("got %s", out)
		}
		if p := parse[task.Proposal](t, r.ok(q("failures", "requeue", id, "--dry-run", "-o", "json")...)); p.Matched != 2 || p.Filter != "failure:"+id {
			t.Errorf("got %+v", p)
		}
		if out := r.ok(q("failures", "requeue", id, "--yes")...); !strings.Contains(out, "completed: 2 changed, 0 skipped, 0 failed\n") {
			t.Errorf("got %s", out)
		}
		if out := r.ok(q("failures", "dismiss", id)...); out != id+": forgotten until it happens again\n" {
			t.Errorf("got %q", out)
		}
		r.fails(3, []string{"failure " + id + " not found"}, q("failures", "get", id)...)
	})
}

// failedBy puts a task into a server or a database and lets it fail.
func failedBy(t *testing.T, where []string, taskType, message string) {
	t.Helper()
	spec, claim, failure := task.Spec{Type: taskType}, task.Claim{WorkerID: "w", Types: []string{taskType}}, task.Failure{Message: message, NoRetry: true}
	fail := func(leases []task.Lease, err error, fail func(task.Lease) error) error {
		if err == nil && len(leases) != 1 {
			err = errors.New("no task was claimed")
		}
		if err == nil {
			err = fail(leases[0])
		}
		return err
	}
	var err error
	if where[0] == "--server" {
		var c *client.Client
		if c, err = client.New(where[1], client.Options{}); err == nil {
			defer c.Close()
			if _, err = c.Enqueue(t.Context(), spec); err == nil {
				claim.Wait = 10 * time.Second
				leases, claimed := c.Claim(t.Context(), claim)
				err = fail(leases, claimed, func(l task.Lease) error { _, err := c.Fail(t.Context(), l.ID, l.LeaseToken, failure); return err })
			}
		}
	} else {
		var st store.Store
		if st, err = app.OpenStore(t.Context(), where[1], false, slog.New(slog.DiscardHandler)); err == nil {
			q := queue.New(st, queue.Options{})
			if _, _, err = q.Enqueue(t.Context(), spec, queue.MaxAttempts); err == nil {
				leases, claimed := q.Claim(t.Context(), claim)
				err = fail(leases, claimed, func(l task.Lease) error { _, err := q.Fail(t.Context(), l.ID, l.LeaseToken, failure); return err })
			}
			err = errors.Join(err, q.StoreMeasures(t.Context()), st.Close())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}
