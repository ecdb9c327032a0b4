package storetest

import (
	"fmt"
	"slices"

	"github.com/prismq/thequeue/internal/task"
)

var matchBehaviours = []behaviour{
	{"FindWhatMatchesSaysOfEachTask", findsWhatMatches},
	{"FindInPiecesAndSayWhereToGoOn", findsInPieces},
	{"FindAcrossGapsInTheIDs", findsAcrossGaps},
}

// filters are conditions of every kind, some of which find nothing.
var filters = []string{
	"", "status:queued", "status:failed,completed", "-status:queued", "type:ready", "type:ready,lost,none", "-type:ready,lost", "outcome:exhausted", "outcome:exhausted,cancelled",
	"-outcome:exhausted", "worker:w1", "worker:w1,w2", "-worker:w1", "worker:none", "key:key-1", "key:key-1,key-2", "key:none", "concurrency_key:tenant-1", "concurrency_key:tenant-1,tenant-2", "-concurrency_key:tenant-1", "concurrency_key:none", "error:more", "error:NO", "error:%", "error:_",
	`error:"cancelled by"`, "error:CANCELLED", "error:Über", "error:über", "-error:more", "-error:NEVER", `error:"\"quoted\""`, "priority<=10", "priority:100", "priority>100", "priority:5-7",
	"attempts:0", "attempts>=1", "attempts<1", "id:3", "id:2-4", "id>5", "id<3", "id>100000", "id:100-200", "created>=2026-01-31", "created:2026-01-31", "created<2026-01-31", "created>2026-01-31T08:00:00.123456Z",
	"created:2026-01-31T08:00:00.123456Z", "finished:2026-01-31", "finished<2026-01-31T08:00:02Z", "finished>2026-02-01", "run_after>2026-01-31T08:30:00Z", "run_after<=2026-01-31", "age>1h", "age<1h",
	"age>30m age<2h", "status:failed outcome:exhausted error:more worker:w1 attempts:1-3", "status:failed -outcome:cancelled -type:lost age>1m priority<=100", "status:queued type:none",
}

// everyKind fills the store with tasks in every state, and some that differ otherwise, and returns them all.
func everyKind(r *rig) []task.Task {
	for _, s := range states {
		s.reach(r)
	}
	for i, p := range []int{1, 5, 7, 1000} {
		r.insertAt(task.Spec{Priority: ptr(p), IdempotencyKey: ptr(fmt.Sprint("key-", i)), ConcurrencyKey: ptr(fmt.Sprint("tenant-", i))}, at(float64(3600*(i-1))))
	}
	for _, message := range []string{`100% "quoted"`, "a_b", "Über alles", ""} {
		r.fail(r.running(task.Spec{Type: "told"}), verdict(message, task.Rejected), at(2))
	}
	r.running(task.Spec{Type: "none yet"})
	r.fail(r.claimAgain(), verdict("NO MORE", task.Exhausted), at(4))
	return byID(r.list(task.Filter{Limit: 1000}))
}

// claimAgain stores a task and claims it as another worker.
func (r *rig) claimAgain() task.Task {
	r.Helper()
	r.insert(task.Spec{Type: "other"})
	return r.claimOne(task.Claim{WorkerID: "w2", Types: []string{"other"}})
}

func (r *rig) match(text string) task.Match {
	r.Helper()
	m, err := task.ParseMatch(text)
	r.ok(err)
	return m
}

// find returns all ids that match, of those up to upto.
func (r *rig) find(text string, upto int64, max int) []int64 {
	r.Helper()
	out, after := []int64{}, int64(0)
	for after < upto {
		ids, next, err := r.st.FindTasks(r.Context(), r.match(text), at(3600), after, upto, max)
		r.ok(err)
		if next <= after || len(ids) > max || len(ids) > 0 && (ids[0] <= after || ids[len(ids)-1] > next) {
			r.Fatalf("%q after %d: found %v, next %d", text, after, ids, next)
		}
		out, after = append(out, ids...), next
	}
	return out
}

// findDown returns all tasks that match.
func (r *rig) findDown(text string, max int) []task.Task {
	r.Helper()
	out, before := []task.Task{}, int64(0)
	for {
		ts, next, err := r.st.ListMatching(r.Context(), r.match(text), at(3600), before, max)
		r.ok(err)
		if out = append(out, ts...); next == 0 {
			return out
		}
		if len(ts) > max || before != 0 && next >= before {
			r.Fatalf("%q before %d: %d tasks, next %d", text, before, len(ts), next)
		}
		before = next
	}
}

func findsWhatMatches(r *rig) {
	all := everyKind(r)
	found := 0
	for _, text := range filters {
		m, want := r.match(text), []task.Task{}
		for _, t := range all {
			if m.Matches(t, at(3600)) {
				want = append(want, t)
			}
		}
		r.equal(text, ids(want), r.find(text, 1<<40, 1000))
		slices.Reverse(want)
		r.equal(text+", newest first", want, r.findDown(text, 1000))
		if len(want) > 0 && len(want) < len(all) {
			found++
		}
	}
	if found < len(filters)*2/3 {
		r.Errorf("only %d of %d filters tell tasks apart", found, len(filters))
	}
}

func findsInPieces(r *rig) {
	all := everyKind(r)
	for _, text := range []string{"", "status:failed", "-type:ready", "status:queued,completed age>1m"} {
		want, down := r.find(text, 1<<40, 1000), r.findDown(text, 1000)
		for _, max := range []int{1, 3, len(want), len(want) + 1} {
			r.equal(text, want, r.find(text, 1<<40, max))
			r.equal(text+", newest first", down, r.findDown(text, max))
		}
		upto := all[len(all)/2].ID
		r.equal(text+", not above", slices.DeleteFunc(slices.Clone(want), func(id int64) bool { return id > upto }), r.find(text, upto, 2))
	}
}

// findsAcrossGaps looks for the first and the last of tasks between which nothing is.
func findsAcrossGaps(r *rig) {
	r.equal("in nothing", []int64{}, r.find("", 1<<40, 10))
	r.equal("in nothing, newest first", []task.Task{}, r.findDown("", 10))
	many := r.insertMany(50, task.Spec{})
	first, last := many[0], many[49]
	for _, t := range many[1:49] {
		r.cancel(t.ID, start)
		r.ok(r.st.DeleteTask(r.Context(), t.ID))
	}
	r.equal("both ends", []int64{first.ID, last.ID}, r.find("", 1<<40, 10))
	r.equal("both ends, newest first", []task.Task{last, first}, r.findDown("", 10))
	r.equal("between", []int64{}, r.find(fmt.Sprintf("id:%d-%d", first.ID+1, last.ID-1), 1<<40, 10))
}
