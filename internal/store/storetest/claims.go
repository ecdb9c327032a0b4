package storetest

import (
	"time"

	"github.com/prismq/thequeue/internal/task"
)

var claimBehaviours = []behaviour{
	{"MoveATaskToProcessing", claimMovesToProcessing},
	{"AreEmptyWhenNothingIsReady", claimIsEmpty},
	{"TakeAtMostMax", claimTakesAtMostMax},
	{"CountTheAttemptAndRaiseTheFence", claimCounts},
	{"NeverComeBeforeRunAfter", claimNotBeforeRunAfter},
	{"NeverComeAtOrAfterTheDeadline", claimNotAfterDeadline},
	{"LeaveTasksThatBecameDueAfterTheirInstant", claimLeavesLaterTasks},
	{"LookPastTasksWhoseDeadlineHasCome", claimLooksPastDeadlines},
	{"ClearWhatTheAttemptBeforeReported", claimClearsReport},
	{"TakeOnlyTheTypesAskedFor", claimFiltersTypes},
}

func claimMovesToProcessing(r *rig) {
	spec := full()
	spec.RunAfterUTC, spec.Compatibility = nil, "{}"
	want := r.insert(spec)
	got := r.claimOne(task.Claim{WorkerID: "wörker 1", Now: at(2), Lease: 90 * time.Second, Secret: "s3cret"})
	want.Status, want.Ready, want.Attempts, want.Fence = task.Processing, false, 1, 1
	want.LockedBy, want.LeaseSecret, want.LeaseUntilUTC = ptr("wörker 1"), ptr("s3cret"), ptr(at(92))
	want.ReservedAtUTC, want.ProcessingStartedUTC, want.UpdatedAtUTC, want.LastWorkerID = ptr(at(2)), ptr(at(2)), at(2), ptr("wörker 1")
	r.stored(want, got)
	r.consistent(got)
	r.equal("attempts", []task.Attempt{{TaskID: got.ID, Fence: 1, Attempt: 1, WorkerID: "wörker 1", StartedAtUTC: at(2)}}, r.attempts(got.ID))
}

func claimIsEmpty(r *rig) {
	for _, s := range task.Strategies {
		r.equal("claimed", 0, len(r.claim(task.Claim{Strategy: s, Max: 10})))
	}
	r.running(task.Spec{})
	r.insert(task.Spec{RunAfterUTC: &task.Time{Time: at(60)}})
	for _, s := range task.Strategies {
		r.equal("claimed", 0, len(r.claim(task.Claim{Strategy: s, Max: 10})))
	}
}

func claimTakesAtMostMax(r *rig) {
	for _, s := range task.Strategies {
		r.insertMany(130, task.Spec{})
		for _, want := range [][2]int{{1, 1}, {100, 100}, {7, 7}, {100, 22}, {100, 0}} {
			got := r.claim(task.Claim{Strategy: s, Max: want[0]})
			r.equal(string(s), want[1], len(got))
			for _, t := range got {
				r.equal("secret", got[0].LeaseSecret, t.LeaseSecret)
				r.equal("stored", t, r.get(t.ID))
			}
		}
	}
}

func claimCounts(r *rig) {
	t := r.insert(task.Spec{MaxAttempts: ptr(4)})
	for n := 1; n <= 4; n++ {
		got := r.claimOne(task.Claim{})
		r.equal("attempts", n, got.Attempts)
		r.equal("fence", int64(n), got.Fence)
		if n < 4 {
			r.fail(got, retry("again", 0), start)
		}
	}
	r.equal("history", 4, len(r.attempts(t.ID)))
}

func claimNotBeforeRunAfter(r *rig) {
	t := r.insert(task.Spec{RunAfterUTC: &task.Time{Time: at(10)}})
	for _, seconds := range []float64{0, 9, 9.999999} {
		due, err := r.st.PromoteDue(r.Context(), at(seconds), 10)
		r.ok(err)
		r.equal("promoted", 0, len(due))
		for _, s := range task.Strategies {
			r.equal("claimed", 0, len(r.claim(task.Claim{Strategy: s, Now: at(seconds)})))
		}
	}
	_, err := r.st.PromoteDue(r.Context(), at(10), 10)
	r.ok(err)
	r.equal("claimed", t.ID, r.claimOne(task.Claim{Now: at(10)}).ID)
}

func claimNotAfterDeadline(r *rig) {
	for _, s := range task.Strategies {
		t := r.insert(task.Spec{DeadlineUTC: &task.Time{Time: at(10)}})
		for _, seconds := range []float64{10, 10.000001, 1e6} {
			r.equal("claimed", 0, len(r.claim(task.Claim{Strategy: s, Max: 10, Now: at(seconds)})))
		}
		r.equal("claimed", t.ID, r.claimOne(task.Claim{Strategy: s, Now: at(9.999999)}).ID)
	}
}

// claimLooksPastDeadlines puts the one task that can be claimed where every strategy looks last: its lane is unlikely, and in its
// own lane it has dead tasks on both sides.
func claimLooksPastDeadlines(r *rig) {
	dead := &task.Time{Time: at(10)}
	for _, s := range task.Strategies {
		var batch []task.Task
		for i := range 301 {
			spec := task.Spec{Priority: ptr(1), DeadlineUTC: dead}
			if i%3 == 0 {
				spec.Priority = ptr(1000)
			}
			if i == 150 {
				spec.DeadlineUTC = nil
			}
			batch = append(batch, r.make(spec, start))
		}
		stored, _, err := r.st.InsertTasks(r.Context(), batch)
		r.ok(err)
		r.equal(string(s), []int64{stored[150].ID}, ids(r.claim(task.Claim{Strategy: s, Max: 3, Now: at(20), Seed: 1})))
		r.equal(string(s)+" again", 0, len(r.claim(task.Claim{Strategy: s, Max: 3, Now: at(20)})))
		_, err = r.st.ExpireTasks(r.Context(), at(20), 1000)
		r.ok(err)
	}
}

func claimClearsReport(r *rig) {
	t := r.running(task.Spec{})
	_, err := r.st.ExtendLease(r.Context(), t.ID, token(t), task.Beat{Progress: ptr(70), Message: ptr("nearly")}, at(60), at(1))
	r.ok(err)
	r.fail(t, retry("first", 2), at(2))
	got := r.claimOne(task.Claim{Now: at(2), WorkerID: "w2"})
	if got.Progress != nil || got.ProgressMessage != nil || got.AttemptOutcome != nil {
		r.Errorf("the second attempt begins with progress %v, %v and outcome %v", got.Progress, got.ProgressMessage, got.AttemptOutcome)
	}
	r.equal("error of the attempt before", ptr("first"), got.ErrorMessage)
}

func claimFiltersTypes(r *rig) {
	for _, kind := range []string{"a", "b", "A", "a ", "ab"} {
		t := r.make(task.Spec{Type: kind}, start)
		t.Type = kind
		_, _, err := r.st.InsertTask(r.Context(), t)
		r.ok(err)
	}
	for _, c := range []struct{ types, want []string }{
		{[]string{"none"}, nil},
		{[]string{}, nil},
		{[]string{"a"}, []string{"a"}},
		{[]string{"b", "A"}, []string{"b", "A"}},
		{nil, []string{"a ", "ab"}},
	} {
		var got []string
		for _, t := range r.claim(task.Claim{Types: c.types, Max: 10}) {
			got = append(got, t.Type)
		}
		r.equal("types", c.want, got)
	}
}

// claimLeavesLaterTasks: a claim that read the clock before a task was promoted, and runs after that, would start it before its time.
func claimLeavesLaterTasks(r *rig) {
	t := r.insert(task.Spec{RunAfterUTC: &task.Time{Time: at(10)}})
	r.promote(at(10))
	for _, s := range task.Strategies {
		r.equal(string(s), 0, len(r.claim(task.Claim{Strategy: s, Now: at(9.999999)})))
	}
	r.equal("at its time", t.ID, r.claimOne(task.Claim{Now: at(10)}).ID)
}
