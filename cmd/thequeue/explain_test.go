package main

import (
	"strings"
	"testing"

	"github.com/prismq/thequeue/internal/task"
)

func TestWhyATaskDoesNotRunIsTold(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, r *rig, where []string) {
		q := func(args ...string) []string { return append(args, where...) }
		r.ok(q("enqueue", "mail", "--compatibility", `{"gpu":true}`)...)
		r.ok(q("types", "pause", "mail")...)
		if out := r.ok(q("explain", "1")...); !strings.HasPrefix(out, "task 1 is queued\ntype_paused  Its type mail is paused") || !strings.Contains(out, "\nno_worker ") {
			t.Errorf("got %s", out)
		}
		if e := parse[task.Explanation](t, r.ok(q("explain", "1", "-o", "json")...)); e.TaskID != 1 || e.Status != task.Queued || len(e.Reasons) != 2 || e.Reasons[1].Code != "no_worker" {
			t.Errorf("got %+v", e)
		}
		if out := r.ok(q("stranded")...); !strings.Contains(out, `mail  {"gpu":true}  100       1      0      No worker was heard`) {
			t.Errorf("got %s", out)
		}
		if l := parse[[]task.Stranded](t, r.ok(q("stranded", "-o", "json")...)); len(l) != 1 || l[0].ReadyTasks != 1 || l[0].Reason.Code != "no_worker" {
			t.Errorf("got %+v", l)
		}
		r.ok(q("cancel", "1")...)
		if out := r.ok(q("explain", "1")...); !strings.HasPrefix(out, "task 1 is failed\ncancelled  It was cancelled at ") {
			t.Errorf("got %s", out)
		}
		if out := r.ok(q("stranded")...); strings.Count(out, "\n") != 1 {
			t.Errorf("got %s", out)
		}
		r.fails(3, []string{"task 9 not found"}, q("explain", "9")...)
	})
}
