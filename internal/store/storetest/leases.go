package storetest

import (
	"fmt"
	"time"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

var leaseBehaviours = []behaviour{
	{"StartNotesTheBeginning", startNotesBeginning},
	{"ExtendMovesTheEndAndKeepsProgress", extendMovesEnd},
	{"ExtendKeepsTheProgressThatIsNotGiven", extendKeepsProgress},
	{"ExtendReturnsTheTaskCancelledUnderThisToken", extendReturnsCancelled},
	{"ExtendReturnsLeaseLostWhenTheTaskWasCancelledLater", extendAfterOtherCancel},
	{"StayLiveAfterTheirEndUntilReaped", leaseLivesUntilReaped},
	{"CompleteEndsTheTaskWithItsResult", completeEnds},
	{"FailQueuesTheTaskForItsRetry", failRetries},
	{"FailIsReadyAtOnceWhenTheRetryIsDue", failRetriesAtOnce},
	{"FailRefusesARetryWithoutAnAttemptLeft", failRefusesRetry},
	{"FailEndsTheTaskAsExhaustedOrRejected", failEnds},
	{"ReleaseGivesTheAttemptBack", releaseGivesBack},
	{"ReleaseQueuesForLater", releaseForLater},
	{"CompleteClearsTheErrorOfAnEarlierAttempt", completeClearsError},
	{"ShowTheirTaskToTheHolder", showsHeld},
	{"LastAsLongAsTheirTypeSaysUnlessTheClaimDoes", leasesOfTypes},
	{"LastAsLongAsTheirTypeSaysInQuarantine", leasesInQuarantine},
}

// lease gives a type a rule for its leases; 0: none.
func (r *rig) lease(name string, seconds float64) {
	r.Helper()
	rules := task.TypeRules{LeaseSeconds: &seconds}
	if seconds == 0 {
		rules.LeaseSeconds = nil
	}
	_, err := r.st.PutType(r.Context(), name, rules, start)
	r.ok(err)
}

func leasesOfTypes(r *rig) {
	r.lease("long", 600.25)
	r.lease("short", 1.25)
	for _, s := range task.Strategies {
		for _, lease := range []time.Duration{0, 5 * time.Second} {
			for _, name := range []string{"long", "short", "work"} {
				r.insertMany(2, task.Spec{Type: name})
			}
			got := r.claim(task.Claim{Strategy: s, Max: 6, Lease: lease})
			r.equal("claimed", 6, len(got))
			for _, t := range got {
				want := map[string]float64{"long": 600.25, "short": 1.25, "work": 60}[t.Type]
				if lease > 0 {
					want = 5
				}
				r.equal("end of the lease of "+t.Type, ptr(at(want)), t.LeaseUntilUTC)
				r.equal("stored", t, r.get(t.ID))
				r.complete(t, start)
			}
		}
	}
	r.lease("long", 0)
	r.equal("without the rule", ptr(at(60)), r.running(task.Spec{Type: "long"}).LeaseUntilUTC)
}

func leasesInQuarantine(r *rig) {
	r.insert(task.Spec{})
	for n := range task.QuarantineAfter {
		r.claimOne(task.Claim{WorkerID: fmt.Sprint("w", n), Lease: time.Second, Now: at(float64(2 * n))})
		r.equal("reaped", 1, len(r.reap(at(float64(2*n+1)))))
	}
	r.lease("work", 90)
	t := r.claimOne(task.Claim{WorkerID: "w9", Now: at(10)})
	r.equal("in quarantine", true, t.Quarantined())
	r.equal("end of the lease", ptr(at(100)), t.LeaseUntilUTC)
}

func startNotesBeginning(r *rig) {
	want := r.running(task.Spec{})
	got, err := r.st.StartTask(r.Context(), want.ID, token(want), at(3))
	r.ok(err)
	want.ProcessingStartedUTC, want.UpdatedAtUTC = ptr(at(3)), at(3)
	r.stored(want, got)
	r.equal("start of the attempt", at(3), r.attempts(got.ID)[0].StartedAtUTC)
	r.complete(got, at(4))
	r.equal("start of the ended attempt", at(3), r.attempts(got.ID)[0].StartedAtUTC)
}

func (r *rig) extend(t task.Task, b task.Beat, until, now float64) task.Task {
	r.Helper()
	t, err := r.st.ExtendLease(r.Context(), t.ID, token(t), b, at(until), at(now))
	r.ok(err)
	return t
}

func extendMovesEnd(r *rig) {
	want := r.running(task.Spec{})
	for i, until := range []float64{120, 30, 43200} { // later, sooner, as late as a lease can be
		b := task.Beat{Progress: ptr(50 * i), Message: ptr("schritt ①")}
		want.LeaseUntilUTC, want.UpdatedAtUTC, want.Progress, want.ProgressMessage = ptr(at(until)), at(float64(i)), b.Progress, b.Message
		r.stored(want, r.extend(want, b, until, float64(i)))
	}
	r.equal("reaped at the former end", 0, len(r.reap(at(121))))
	r.equal("reaped at the new end", 1, len(r.reap(at(43200))))
}

func extendKeepsProgress(r *rig) {
	t := r.running(task.Spec{})
	t = r.extend(t, task.Beat{}, 70, 1)
	r.equal("progress", (*int)(nil), t.Progress)
	r.equal("message", (*string)(nil), t.ProgressMessage)
	for _, c := range []struct {
		b       task.Beat
		percent int
		message string
	}{
		{task.Beat{Progress: ptr(0), Message: ptr("a")}, 0, "a"},
		{task.Beat{Progress: ptr(10)}, 10, "a"},
		{task.Beat{Message: ptr("b")}, 10, "b"},
		{task.Beat{Message: ptr("")}, 10, "b"},
		{task.Beat{}, 10, "b"},
		{task.Beat{Progress: ptr(100)}, 100, "b"},
		{task.Beat{Progress: ptr(0)}, 0, "b"},
	} {
		t = r.extend(t, c.b, 70, 1)
		r.equal("progress", &c.percent, t.Progress)
		r.equal("message", &c.message, t.ProgressMessage)
		r.equal("stored", t, r.get(t.ID))
	}
}

func extendReturnsCancelled(r *rig) {
	t := r.running(task.Spec{})
	want := r.cancel(t.ID, at(3))
	for range 2 {
		r.stored(want, r.extend(t, task.Beat{Progress: ptr(50), Message: ptr("on")}, 90, 4))
	}
	before := r.record(t.ID)
	other := token(t)
	other.Secret += "0"
	_, err := r.st.ExtendLease(r.Context(), t.ID, other, task.Beat{}, at(90), at(5))
	r.wants(task.ErrLeaseLost, err)
	r.equal("record", before, r.record(t.ID))
}

// extendAfterOtherCancel ends the lease in another way first: the cancel was not under this token.
func extendAfterOtherCancel(r *rig) {
	ends := map[string]func(t task.Task){
		"release": func(t task.Task) { r.release(t, at(1)) },
		"retry":   func(t task.Task) { r.fail(t, retry("again", 1), at(1)) },
		"reap":    func(task.Task) { r.reap(at(60)) },
		"reclaim": func(t task.Task) {
			r.release(t, at(1))
			r.claimOne(task.Claim{Types: []string{t.Type}, Now: at(2)})
		},
	}
	for name, end := range ends {
		t := r.running(task.Spec{Type: name})
		end(t)
		r.cancel(t.ID, at(70))
		before := r.record(t.ID)
		_, err := r.st.ExtendLease(r.Context(), t.ID, token(t), task.Beat{}, at(100), at(71))
		r.wants(task.ErrLeaseLost, err)
		r.equal(name, before, r.record(t.ID))
	}
}

func leaseLivesUntilReaped(r *rig) {
	t := r.running(task.Spec{})
	r.extend(t, task.Beat{}, 200, 100) // 40 s after its end
	r.equal("reaped", 0, len(r.reap(at(199.999999))))
	r.complete(t, at(1000))
	r.equal("reaped", 0, len(r.reap(at(2000))))
}

// unheld returns t without the fields of a lease.
func unheld(t task.Task, o task.AttemptOutcome, now float64) task.Task {
	t.LockedBy, t.LeaseUntilUTC, t.ReservedAtUTC, t.AttemptOutcome, t.UpdatedAtUTC = nil, nil, nil, &o, at(now)
	return t
}

func completeEnds(r *rig) {
	for _, result := range []*task.JSON{nil, ptr(task.JSON(`{"frames": 1200.0}`))} {
		t := r.running(task.Spec{})
		t = r.extend(t, task.Beat{Progress: ptr(99), Message: ptr("last")}, 60, 1)
		want := unheld(t, task.AttemptSucceeded, 7)
		want.Status, want.Outcome, want.FinishedAtUTC, want.Result = task.Completed, ptr(task.Succeeded), ptr(at(7)), result
		got, err := r.st.CompleteTask(r.Context(), t.ID, token(t), result, at(7))
		r.ok(err)
		r.stored(want, got)
	}
}

func failRetries(r *rig) {
	t := r.running(task.Spec{})
	want := unheld(t, task.AttemptFailed, 7)
	want.Status, want.RunAfterUTC, want.Ready, want.ErrorMessage, want.ProcessingStartedUTC = task.Queued, at(9.5), false, ptr("no route"), nil
	r.stored(want, r.fail(t, retry("no route", 9.5), at(7)))
	r.equal("claimed", 0, len(r.claim(task.Claim{Now: at(9)})))
}

func failRetriesAtOnce(r *rig) {
	for _, when := range []float64{7, 6, -1000} {
		t := r.running(task.Spec{})
		want := unheld(t, task.AttemptFailed, 7)
		want.Status, want.RunAfterUTC, want.Ready, want.ErrorMessage, want.ProcessingStartedUTC = task.Queued, at(when), true, ptr("no"), nil
		r.stored(want, r.fail(t, retry("no", when), at(7)))
		r.complete(r.claimOne(task.Claim{Now: at(7)}), at(8))
	}
}

func failEnds(r *rig) {
	for outcome, attempt := range map[task.Outcome]task.AttemptOutcome{task.Exhausted: task.AttemptFailed, task.Rejected: task.AttemptRejected} {
		t := r.running(task.Spec{MaxAttempts: ptr(9)}) // the verdict counts, not the attempts that are left
		want := unheld(t, attempt, 7)
		want.Status, want.Outcome, want.FinishedAtUTC, want.ErrorMessage = task.Failed, &outcome, ptr(at(7)), ptr("no type x")
		want.ErrorFingerprint = ptr(task.Fingerprint("no type x"))
		r.stored(want, r.fail(t, verdict("no type x", outcome), at(7)))
	}
}

func releaseGivesBack(r *rig) {
	t := r.running(task.Spec{MaxAttempts: ptr(1)})
	for n := int64(1); n <= 5; n++ {
		r.equal("attempts", 1, t.Attempts)
		r.equal("fence", n, t.Fence)
		want := unheld(t, task.AttemptReleased, 7)
		want.Status, want.RunAfterUTC, want.Ready, want.Attempts, want.ProcessingStartedUTC = task.Queued, at(7), true, 0, nil
		r.stored(want, r.release(t, at(7)))
		t = r.claimOne(task.Claim{Now: at(8)})
	}
}

func releaseForLater(r *rig) {
	t := r.running(task.Spec{})
	got, err := r.st.ReleaseTask(r.Context(), t.ID, token(t), at(60), at(7))
	r.ok(err)
	r.equal("ready", false, got.Ready)
	r.equal("run after", at(60), got.RunAfterUTC)
	r.equal("claimed", 0, len(r.claim(task.Claim{Now: at(59)})))
}

func completeClearsError(r *rig) {
	t := r.running(task.Spec{})
	r.fail(t, store.Verdict{Message: "first", RetryAt: ptr(start)}, start)
	t = r.complete(r.claimOne(task.Claim{}), at(1))
	r.equal("error", (*string)(nil), t.ErrorMessage)
	r.equal("error of the first attempt", ptr("first"), r.attempts(t.ID)[0].ErrorMessage)
}

// failRefusesRetry: a task that is queued without an attempt left could never be claimed again.
func failRefusesRetry(r *rig) {
	want := r.running(task.Spec{MaxAttempts: ptr(1)})
	if _, err := r.st.FailTask(r.Context(), want.ID, token(want), store.Verdict{Message: "again", RetryAt: ptr(at(1))}, at(1)); err == nil {
		r.Error("a retry beyond the last attempt was taken")
	}
	r.equal("task", want, r.get(want.ID))
}

func showsHeld(r *rig) {
	for _, t := range []task.Task{r.insert(task.Spec{Type: "waits"}), r.running(task.Spec{Type: "runs"}), r.complete(r.running(task.Spec{Type: "done"}), at(1))} {
		got, err := r.st.HeldTask(r.Context(), t.ID)
		r.ok(err)
		r.equal(t.Type, t, got)
	}
	_, err := r.st.HeldTask(r.Context(), 999)
	r.wants(task.ErrNotFound, err)
}
