package storetest

import (
	"fmt"
	"strconv"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

var runBehaviours = []behaviour{
	{"ListAndCountByTheirStatusesAndTypes", runsList},
	{"AreFoundByTheirKeys", runsByKey},
	{"HaveTheEndOfTheirLogs", runsLogs},
}

// runsList spreads three types over every status, and compares each list and each count with what was made, in pages.
func runsList(r *rig) {
	types := []string{"a", "b", "c"}
	for i := range 48 {
		s := task.Spec{Type: types[i%7%3], Priority: ptr(1 + i*i%4), MaxAttempts: ptr(1)}
		switch i % 6 {
		case 0:
			r.insert(s)
		case 1:
			s.RunAfterUTC = &task.Time{Time: at(3600)}
			r.insert(s)
		case 2:
			r.cancel(r.insert(s).ID, start)
		default:
			t := r.insert(s)
			for _, held := range r.claim(task.Claim{Types: []string{s.Type}, Strategy: task.LIFO}) {
				r.equal("claimed", t.ID, held.ID)
				switch i % 6 {
				case 3:
					r.complete(held, start)
				case 4:
					r.fail(held, store.Verdict{Message: "no", Outcome: task.Rejected}, start)
				}
			}
		}
	}
	all := r.list(task.Filter{Limit: 1000})
	for _, status := range append(task.RunStatuses, "") {
		for _, kind := range append(types, "", "none") {
			var want, got []task.Task
			for _, t := range all {
				if (status == "" || t.RunStatus() == status) && (kind == "" || t.Type == kind) {
					want = append(want, t)
				}
			}
			f := task.RunFilter{Status: status, Type: kind, Limit: 5}
			for page := r.runs(f); len(page) > 0; page = r.runs(f) {
				r.equal("full page", min(f.Limit, len(want)-len(got)), len(page))
				got = append(got, page...)
				f.Skip += len(page)
			}
			what := fmt.Sprintf("%s runs of %q", status, kind)
			r.equal(what, ids(want), ids(got))
			n, err := r.st.CountRuns(r.Context(), status, kind)
			r.ok(err)
			r.equal("count of "+what, int64(len(want)), n)
		}
	}
	r.equal("whole tasks", all[:9], r.runs(task.RunFilter{Limit: 9}))
}

func (r *rig) runs(f task.RunFilter) []task.Task {
	r.Helper()
	ts, err := r.st.ListRuns(r.Context(), f)
	r.ok(err)
	return ts
}

func runsByKey(r *rig) {
	want := r.insert(task.Spec{IdempotencyKey: ptr("run ✓ 1")})
	r.insert(task.Spec{})
	got, err := r.st.GetTaskByKey(r.Context(), "run ✓ 1")
	r.ok(err)
	r.equal("task", want, got)
	_, err = r.st.GetTaskByKey(r.Context(), "run ✓ 2")
	r.wants(task.ErrNotFound, err)
}

func runsLogs(r *rig) {
	t := r.running(task.Spec{})
	_, _, err := r.st.TailLogs(r.Context(), t.ID+1, 0, 10)
	r.wants(task.ErrNotFound, err)
	for i := range 20 {
		r.log(t, task.Log{AtUTC: start, Level: task.Debug, Message: strconv.Itoa(i)})
	}
	r.complete(t, start)
	whole, total, err := r.st.TailLogs(r.Context(), t.ID, 0, 100)
	r.ok(err)
	every, err := r.st.ListLogs(r.Context(), task.LogFilter{TaskID: t.ID, Limit: 100})
	r.ok(err)
	r.equal("whole log", every, whole)
	r.equal("lines", 23, len(whole)) // enqueued, claimed and completed are told by the task itself
	r.equal("total", int64(23), total)
	tail, total, err := r.st.TailLogs(r.Context(), t.ID, 0, 5)
	r.ok(err)
	r.equal("tail", whole[17:], tail)
	r.equal("total of which the tail is", int64(21), total)
	after, total, err := r.st.TailLogs(r.Context(), t.ID, whole[19].LogID, 100)
	r.ok(err)
	r.equal("after", whole[20:], after)
	r.equal("total after", int64(3), total)
	r.equal("its end", "Completed by w1", after[len(after)-1].Message)
}
