package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prismq/thequeue/internal/task"
)

func TestTasksAreChangedByAFilter(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, r *rig, where []string) {
		q := func(args ...string) []string { return append(args, where...) }
		var lines strings.Builder
		for i := range 25 {
			fmt.Fprintf(&lines, `{"type":%q,"priority":%d}`+"\n", []string{"mail", "sms"}[i%5/4], 10+i)
		}
		r.ok(q("enqueue", "--file", r.write("many.jsonl", lines.String()))...)

		if list := parse[[]task.Task](t, r.ok(q("list", "-o", "json", "--filter", "type:mail priority<=12")...)); len(list) != 3 || list[0].Priority != 12 || list[2].Priority != 10 {
			t.Errorf("got %v", list)
		}
		if list := parse[[]task.Task](t, r.ok(q("list", "-o", "json", "--filter=-type:mail", "--limit", "2")...)); len(list) != 2 || list[0].ID != 25 || list[1].ID != 20 {
			t.Errorf("got %v", list)
		}

		got := r.run("n\n", q("bulk", "cancel", "--filter", "type:mail")...)
		if got.code != 0 || !strings.HasSuffix(got.out, "and 10 more\nNothing was changed\n") || !strings.HasPrefix(got.out, "ID  TYPE") || got.err != "Cancel 20 tasks? [y/N] " {
			t.Errorf("got %+v", got)
		}
		got = r.run("y\n", q("bulk", "cancel", "--filter", "type:mail priority<=12")...)
		if got.code != 0 || strings.Contains(got.out, "more") || !strings.HasSuffix(got.out, " completed: 3 changed, 0 skipped, 0 failed\n") {
			t.Errorf("got %+v", got)
		}
		if out := r.ok(q("bulk", "requeue", "--filter", "outcome:cancelled", "--dry-run")...); strings.Count(out, "\n") != 5 || !strings.HasSuffix(out, "\n3 tasks would be changed by requeue; nothing was\n") {
			t.Errorf("got %s", out)
		}
		if p := parse[task.Proposal](t, r.ok(q("bulk", "requeue", "--filter", "outcome:cancelled", "-o", "json")...)); p.Matched != 3 || len(p.Sample) != 3 || p.ConfirmToken == "" {
			t.Errorf("got %+v", p)
		}
		if o := parse[task.Operation](t, r.ok(q("bulk", "set-priority", "3", "--filter", "type:sms", "--yes", "-o", "json")...)); o.Status != task.OperationCompleted || o.Changed != 5 || *o.Priority != 3 || o.Filter != "type:sms" {
			t.Errorf("got %+v", o)
		}
		if list := parse[[]task.Task](t, r.ok(q("list", "-o", "json", "--filter", "!type:mail priority:3")...)); len(list) != 5 {
			t.Errorf("got %v", list)
		}
		if out := r.ok(q("bulk", "delete", "--all", "--yes")...); !strings.HasSuffix(out, " completed: 3 changed, 0 skipped, 0 failed\n") {
			t.Errorf("got %s", out)
		}
		if out := r.ok(q("bulk", "requeue", "--filter", "error:timeout", "--yes")...); out != "No task is found that requeue could change\n" {
			t.Errorf("got %q", out)
		}
		if stats := parse[task.Stats](t, r.ok(q("stats", "-o", "json")...)); stats.QueuedTasks != 22 || stats.DeletedTasks != 3 {
			t.Errorf("got %+v", stats)
		}

		r.fails(2, []string{"filter: at character 8: there is no status \"faild\""}, q("bulk", "cancel", "--filter", "status:faild", "--yes")...)
		r.fails(2, []string{"filter: at character 8: there is no status \"faild\""}, q("list", "--filter", "status:faild")...)
		r.fails(2, []string{"filter: finds no task in a status that cancel can change"}, q("bulk", "cancel", "--filter", "status:failed", "--yes")...)
		r.fails(2, []string{"priority: must lie between 1 and 1000"}, q("bulk", "set-priority", "1001", "--all", "--yes")...)
		if got := r.run("", q("bulk", "cancel", "--all")...); got.code != 2 || !strings.HasSuffix(got.err, "[y/N] \nthequeue: nobody answers: add --yes to go on without a question\n") {
			t.Errorf("got %+v", got)
		}
		r.fails(2, []string{"say which tasks with --filter, or --all"}, q("bulk", "delete")...)
		r.fails(2, []string{"--dry-run changes nothing"}, q("bulk", "delete", "--all", "--dry-run", "--yes")...)
	})
}

func TestOperationsAreListedAndCancelled(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, r *rig, where []string) {
		q := func(args ...string) []string { return append(args, where...) }
		if out := r.ok(q("operations", "list")...); !strings.HasPrefix(out, "ID  ACTION") || strings.Count(out, "\n") != 1 {
			t.Errorf("got %q", out)
		}
		r.ok(q("enqueue", "mail")...)
		first := parse[task.Operation](t, r.ok(q("bulk", "set-priority", "7", "--filter", "type:mail", "--yes", "-o", "json")...))
		second := parse[task.Operation](t, r.ok(q("bulk", "cancel", "--filter", "type:mail", "--yes", "-o", "json")...))
		list := parse[[]task.Operation](t, r.ok(q("operations", "list", "-o", "json")...))
		if len(list) != 2 || list[0].ID != second.ID || list[1].ID != first.ID {
			t.Errorf("got %+v", list)
		}
		if list := parse[[]task.Operation](t, r.ok(q("operations", "list", "-o", "json", "--limit", "1")...)); len(list) != 1 || list[0].ID != second.ID {
			t.Errorf("got %+v", list)
		}
		id := fmt.Sprint(first.ID)
		if o := parse[task.Operation](t, r.ok(q("operations", "get", id, "-o", "json")...)); o.Changed != 1 || *o.Priority != 7 {
			t.Errorf("got %+v", o)
		}
		if out := r.ok(q("operations", "get", id)...); !strings.Contains(out, "set_priority") || !strings.Contains(out, "completed") {
			t.Errorf("got %s", out)
		}
		r.fails(4, []string{"peration " + id}, q("operations", "cancel", id)...)
		r.fails(3, []string{"operation 99 not found"}, q("operations", "get", "99")...)
		r.fails(3, []string{"operation 99 not found"}, q("operations", "cancel", "99")...)
		r.fails(2, []string{"--limit must lie between 1 and 1000"}, q("operations", "list", "--limit", "0")...)
	})
}
