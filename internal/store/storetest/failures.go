package storetest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/prismq/thequeue/internal/task"
)

var failureBehaviours = []behaviour{
	{"AddUpWhatIsCounted", addsFailures},
	{"AreListedByReasonLastSeenFirst", listsFailures},
	{"AreForgotten", forgetsFailures},
	{"ArePurgedByAgeAndNumber", purgesFailures},
	{"CountTheTasksThatAreFailed", countsFailed},
	{"AreFoundByTheFingerprintOfTheirTasks", findsFailed},
	{"AreFoundInPiecesOfSeveralReasons", findsFailedInPieces},
	{"AreRequeuedByAnOperation", requeuesFailures},
}

// group returns n failures of a type for a reason, seen from and until a second.
func group(message, taskType string, id int64, from, until float64, n int64) task.FailureGroup {
	return task.FailureGroup{
		Fingerprint: task.Fingerprint(message), Type: taskType, Pattern: task.Pattern(message), SampleMessage: message, SampleTaskID: id, FirstSeenUTC: at(from), LastSeenUTC: at(until), Count: n,
	}
}

func (r *rig) addFailures(gs ...task.FailureGroup) {
	r.Helper()
	r.ok(r.st.AddFailures(r.Context(), gs))
}

// failures lists groups in the order of their keys.
func (r *rig) failures(taskType string, max int) []task.FailureGroup {
	r.Helper()
	gs, err := r.st.ListFailures(r.Context(), taskType, max)
	r.ok(err)
	return byKey(gs)
}

func byKey(gs []task.FailureGroup) []task.FailureGroup {
	return slices.SortedFunc(slices.Values(gs), func(a, b task.FailureGroup) int {
		return cmp.Or(cmp.Compare(a.Fingerprint, b.Fingerprint), cmp.Compare(a.Type, b.Type))
	})
}

func addsFailures(r *rig) {
	first := group("no user 1", "mail", 1, 10, 20, 2)
	r.addFailures(first, group("out of paper", "mail", 9, 1, 1, 1))
	kept := func() task.FailureGroup {
		gs, err := r.st.GetFailure(r.Context(), first.Fingerprint)
		r.ok(err)
		return gs[0]
	}
	r.equal("new", first, kept())
	sum := first
	for _, more := range []task.FailureGroup{group("no user 2", "mail", 2, 15, 30, 3), group("no user 3", "mail", 3, 5, 12, 4), group("no user 4", "mail", 4, 30, 30, 1)} {
		r.addFailures(more)
		sum.Add(more)
		r.equal("sum", sum, kept())
	}
	r.equal("sum", task.FailureGroup{
		Fingerprint: first.Fingerprint, Type: "mail", Pattern: "no user <n>", SampleMessage: "no user 4", SampleTaskID: 4, FirstSeenUTC: at(5), LastSeenUTC: at(30), Count: 10,
	}, sum)
	_, err := r.st.GetFailure(r.Context(), task.Fingerprint("another"))
	r.wants(task.ErrNotFound, err)
}

func listsFailures(r *rig) {
	r.equal("none", 0, len(r.failures("", 10)))
	a1, a2 := group("a", "mail", 1, 1, 1, 1), group("a", "sms", 2, 9, 9, 2)
	b, c := group("b", "mail", 3, 5, 5, 3), group("c", "", 4, 7, 7, 4)
	r.addFailures(b, a2, c, a1)
	r.equal("all", byKey([]task.FailureGroup{a1, a2, b, c}), r.failures("", 10))
	r.equal("the last two", byKey([]task.FailureGroup{a1, a2, c}), r.failures("", 2))
	r.equal("of a type", byKey([]task.FailureGroup{a1, a2, b}), r.failures("mail", 10))
	r.equal("the last of a type", []task.FailureGroup{b}, r.failures("mail", 1))
	r.equal("of no type", 0, len(r.failures("fax", 10)))
	var order []string
	for _, f := range task.FailuresOf(r.failures("", 10)) {
		order = append(order, fmt.Sprint(f.Pattern, f.Types, f.Count, f.Sample.TaskID))
	}
	r.equal("together", []string{"a[mail sms] 3 2", "c[] 4 4", "b[mail] 3 3"}, order)
}

func forgetsFailures(r *rig) {
	a1, a2, b := group("a", "mail", 1, 1, 1, 1), group("a", "sms", 2, 9, 9, 2), group("b", "mail", 3, 5, 5, 3)
	r.addFailures(a1, a2, b)
	r.ok(r.st.DeleteFailure(r.Context(), a1.Fingerprint))
	r.equal("left", []task.FailureGroup{b}, r.failures("", 10))
	r.wants(task.ErrNotFound, r.st.DeleteFailure(r.Context(), a1.Fingerprint))
	r.addFailures(a1)
	r.equal("again", byKey([]task.FailureGroup{a1, b}), r.failures("", 10))
}

func purgesFailures(r *rig) {
	var all []task.FailureGroup
	for i := range 10 {
		all = append(all, group(fmt.Sprint("reason ", string(rune('a'+i))), "mail", 1, 0, float64(i), 1))
	}
	r.addFailures(all...)
	purge := func(before float64, keep int) {
		r.Helper()
		r.ok(r.st.PurgeFailures(r.Context(), at(before), keep))
	}
	purge(-1, 10)
	r.equal("all", byKey(all), r.failures("", 100))
	purge(2, 10)
	r.equal("seen after two seconds", byKey(all[3:]), r.failures("", 100))
	purge(-1, 4)
	r.equal("four", byKey(all[6:]), r.failures("", 100))
	purge(100, 4)
	r.equal("none", 0, len(r.failures("", 100)))
}

// failedFor brings a task to its end with an error.
func (r *rig) failedFor(message, taskType string) task.Task {
	r.Helper()
	return r.fail(r.running(task.Spec{Type: taskType}), verdict(message, task.Rejected), at(2))
}

func countsFailed(r *rig) {
	for i := range 5 {
		r.failedFor(fmt.Sprint("no user ", i), "mail")
	}
	one := r.failedFor("out of paper", "sms")
	users, paper, none := task.Fingerprint("no user 9"), *one.ErrorFingerprint, task.Fingerprint("no")
	count := func(max int) map[string]int64 {
		r.Helper()
		n, err := r.st.CountFailed(r.Context(), []string{users, paper, none}, max)
		r.ok(err)
		delete(n, none)
		return n
	}
	r.equal("failed", map[string]int64{users: 5, paper: 1}, count(10))
	r.equal("failed, up to 3", map[string]int64{users: 3, paper: 1}, count(3))
	r.requeue(one.ID, at(3))
	r.equal("failed after a requeue", int64(0), count(10)[paper])
	n, err := r.st.CountFailed(r.Context(), []string{}, 10)
	r.ok(err)
	r.equal("of nothing", 0, len(n))
}

func findsFailed(r *rig) {
	all := everyKind(r)
	more := []task.Task{r.failedFor("no user 17", "mail"), r.failedFor("no user 18", "sms"), r.failedFor("out of paper", "sms")}
	keyed := r.fail(r.running(task.Spec{Type: "told", ConcurrencyKey: ptr("tenant-9")}), verdict("no ink", task.Rejected), at(2))
	all, ink := append(append(all, more...), keyed), "failure:"+*keyed.ErrorFingerprint
	users, paper, lost := *more[0].ErrorFingerprint, *more[2].ErrorFingerprint, task.FingerprintOf(task.LeaseExpiredPattern)
	for text, found := range map[string]int{
		"failure:" + users: 2, "failure:" + users + "," + paper: 3, "failure:" + lost: 1, "failure:" + lost + "," + task.FingerprintOf(task.DeadlinePattern): 2, "failure:0123456789abcdef": 0,
		"concurrency_key:tenant-9 " + ink: 1, "-concurrency_key:tenant-9 " + ink: 0,
		"type:sms failure:" + users: 1, "-type:sms failure:" + users + "," + paper: 1, "error:17 failure:" + users: 1, "status:queued failure:" + users: 0, "status:failed failure:" + users: 2,
		fmt.Sprintf("id:%d failure:%s", more[1].ID, users): 1, fmt.Sprintf("id>%d failure:%s,%s", more[0].ID, users, paper): 2, fmt.Sprintf("id<%d failure:%s", more[0].ID, users): 0,
		"outcome:exhausted failure:" + users: 0, "finished:2026-01-31 attempts:1 priority:100 worker:w1 failure:" + paper: 1, "age<1h failure:" + paper: 0, "age>59m failure:" + paper: 1,
	} {
		m, want := r.match(text), []task.Task{}
		for _, t := range all {
			if m.Matches(t, at(3600)) {
				want = append(want, t)
			}
		}
		r.equal("number of "+text, found, len(want))
		r.equal(text, ids(want), r.find(text, 1<<40, 1000))
		slices.Reverse(want)
		r.equal(text+", newest first", want, r.findDown(text, 1000))
	}
}

// findsFailedInPieces has more tasks of each reason than one look reads.
func findsFailedInPieces(r *rig) {
	const tasks = 1300
	r.insertMany(tasks, task.Spec{})
	for range tasks / 100 {
		for _, t := range r.claim(task.Claim{Strategy: task.FIFO, Max: 100}) {
			r.fail(t, verdict([]string{"a", "b", "b", "c"}[t.ID%4], task.Rejected), at(2))
		}
	}
	all := byID(r.list(task.Filter{Limit: 2000}))
	for _, reasons := range [][]string{{"a"}, {"b"}, {"a", "b"}, {"a", "b", "c"}} {
		text, sep := "failure:", ""
		var want []int64
		for _, m := range reasons {
			text, sep = text+sep+task.Fingerprint(m), ","
		}
		for _, t := range all {
			if slices.Contains(reasons, *t.ErrorMessage) {
				want = append(want, t.ID)
			}
		}
		for _, max := range []int{7, 500, 5000} {
			r.equal(fmt.Sprint(reasons), want, r.find(text, 1<<40, max))
		}
		found, next, err := r.st.FindTasks(r.Context(), r.match(text), at(3600), 0, 1<<40, tasks+1)
		r.ok(err)
		r.equal(fmt.Sprint(reasons, ", in one call"), []any{want, int64(1 << 40)}, []any{found, next})
		down := ids(r.findDown(text, 400))
		slices.Reverse(down)
		r.equal(fmt.Sprint(reasons, ", newest first"), want, down)
		upto := all[tasks/2].ID
		r.equal(fmt.Sprint(reasons, ", not above"), slices.DeleteFunc(slices.Clone(want), func(id int64) bool { return id > upto }), r.find(text, upto, 100))
	}
}

func requeuesFailures(r *rig) {
	a, b, other := r.failedFor("no user 17", "mail"), r.failedFor("no user 18", "sms"), r.failedFor("out of paper", "sms")
	o, changed := r.operate(task.ActionRequeue, "failure:"+*a.ErrorFingerprint, nil, 10, at(50))
	r.equal("changed", ids([]task.Task{a, b}), ids(byID(changed)))
	r.equal("counts", []int64{2, 2, 0, 0}, []int64{o.Matched, o.Changed, o.Skipped, o.Failed})
	for _, t := range []task.Task{a, b} {
		got := r.get(t.ID)
		r.consistent(got)
		r.equal("status", task.Queued, got.Status)
	}
	r.equal("other", other, r.get(other.ID))
	r.fail(r.claimOne(task.Claim{Types: []string{"mail"}, Now: at(51)}), retry("no user 17", 60), at(52))
	r.equal("of one that is tried again", (*string)(nil), r.get(a.ID).ErrorFingerprint)
	r.complete(r.claimOne(task.Claim{Types: []string{"sms"}, Now: at(51)}), at(52))
	r.consistent(r.get(b.ID))
}
