package storetest

import (
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

var stateBehaviours = []behaviour{
	{"AllowOnlyTheListedChanges", allowOnlyListedChanges},
	{"AreClaimedOnlyWhenReady", claimsOnlyReady},
	{"ForgetTheirEndOnRequeueAndKeepTheirHistory", requeueFromEveryEnd},
}

func verdict(message string, o task.Outcome) store.Verdict {
	return store.Verdict{Message: message, Outcome: o}
}

func retry(message string, after float64) store.Verdict {
	return store.Verdict{Message: message, RetryAt: ptr(at(after))}
}

// state brings a new task into one of the states that a task can be in.
type state struct {
	name   string
	status task.Status
	end    *task.Outcome
	reach  func(r *rig) task.Task
}

// states lists every state. Types are their names, so that a claim can choose.
var states = []state{
	{"ready", task.Queued, nil, func(r *rig) task.Task { return r.insert(task.Spec{Type: "ready"}) }},
	{"scheduled", task.Queued, nil, func(r *rig) task.Task {
		return r.insert(task.Spec{Type: "scheduled", RunAfterUTC: &task.Time{Time: at(3600)}})
	}},
	{"retrying", task.Queued, nil, func(r *rig) task.Task {
		return r.fail(r.running(task.Spec{Type: "retrying"}), retry("try again", 3600), at(1))
	}},
	{"released", task.Queued, nil, func(r *rig) task.Task { return r.release(r.running(task.Spec{Type: "released"}), at(1)) }},
	{"reaped", task.Queued, nil, func(r *rig) task.Task { return r.reaped(task.Spec{Type: "reaped"}) }},
	{"processing", task.Processing, nil, func(r *rig) task.Task { return r.running(task.Spec{Type: "processing"}) }},
	{"completed", task.Completed, ptr(task.Succeeded), func(r *rig) task.Task {
		return r.complete(r.running(task.Spec{Type: "completed"}), at(1))
	}},
	{"cancelled", task.Failed, ptr(task.Cancelled), func(r *rig) task.Task {
		return r.cancel(r.insert(task.Spec{Type: "cancelled"}).ID, at(1))
	}},
	{"cancelled while processing", task.Failed, ptr(task.Cancelled), func(r *rig) task.Task {
		return r.cancel(r.running(task.Spec{Type: "cancelled while processing"}).ID, at(1))
	}},
	{"exhausted", task.Failed, ptr(task.Exhausted), func(r *rig) task.Task {
		return r.fail(r.running(task.Spec{Type: "exhausted"}), verdict("no more", task.Exhausted), at(1))
	}},
	{"rejected", task.Failed, ptr(task.Rejected), func(r *rig) task.Task {
		return r.fail(r.running(task.Spec{Type: "rejected"}), verdict("never", task.Rejected), at(1))
	}},
	{"lost", task.Failed, ptr(task.Exhausted), func(r *rig) task.Task { return r.reaped(task.Spec{Type: "lost", MaxAttempts: ptr(1)}) }},
	{"expired", task.Failed, ptr(task.Expired), func(r *rig) task.Task {
		t := r.insert(task.Spec{Type: "expired", DeadlineUTC: &task.Time{Time: at(5)}})
		_, err := r.st.ExpireTasks(r.Context(), at(5), 10)
		r.ok(err)
		return r.get(t.ID)
	}},
}

// consistent reports unless the fields of t agree with its status (I9).
func (r *rig) consistent(t task.Task) {
	r.Helper()
	held, ended := t.Status == task.Processing, t.Status.Ended()
	r.equal("held", []bool{held, held, held}, []bool{t.LockedBy != nil, t.LeaseUntilUTC != nil, t.ReservedAtUTC != nil})
	r.equal("ended", []bool{ended, ended}, []bool{t.FinishedAtUTC != nil, t.Outcome != nil})
	if t.Ready && t.Status != task.Queued {
		r.Errorf("task %d is ready and %s", t.ID, t.Status)
	}
	if t.Status == task.Queued && t.ProcessingStartedUTC != nil {
		r.Errorf("task %d is queued and started at %v", t.ID, t.ProcessingStartedUTC)
	}
	if failed := t.Status == task.Failed && *t.Outcome != task.Cancelled; failed != (t.ErrorFingerprint != nil) || failed && *t.ErrorFingerprint != task.Fingerprint(*t.ErrorMessage) {
		r.Errorf("task %d is %s with the fingerprint %v of %v", t.ID, t.Status, t.ErrorFingerprint, t.ErrorMessage)
	}
	if t.Attempts < 0 || t.Attempts > t.MaxAttempts {
		r.Errorf("task %d has %d attempts of %d", t.ID, t.Attempts, t.MaxAttempts)
	}
}

func allowOnlyListedChanges(r *rig) {
	for _, s := range states {
		refused := func(name string, act func(id int64) error) {
			t := s.reach(r)
			r.equal(s.name, s.status, t.Status)
			r.equal(s.name, s.end, t.Outcome)
			r.consistent(t)
			before := r.record(t.ID)
			if err := act(t.ID); err != nil {
				r.wants(task.ErrConflict, err)
				r.equal(s.name+" after "+name, before, r.record(t.ID))
			} else if got := r.get(t.ID); got.Status != s.status && !s.status.CanBecome(got.Status) {
				r.Errorf("%s became %s by %s", s.name, got.Status, name)
			} else {
				r.consistent(got)
			}
		}
		refused("cancel", func(id int64) error {
			_, changed, err := r.st.CancelTask(r.Context(), id, at(100))
			r.equal(s.name+" changed by cancel", !s.status.Ended(), changed)
			return err
		})
		refused("requeue", func(id int64) error {
			_, err := r.st.RequeueTask(r.Context(), id, at(100))
			r.equal(s.name+" requeued", s.status == task.Failed, err == nil)
			return err
		})
	}
}

func claimsOnlyReady(r *rig) {
	ready := map[string]bool{"ready": true, "released": true, "reaped": true}
	for _, s := range states {
		t := s.reach(r)
		before := r.record(t.ID)
		got := r.claim(task.Claim{Types: []string{s.name}, Now: at(200)})
		r.equal("claimed from "+s.name, ready[s.name], len(got) == 1)
		r.equal("ready "+s.name, ready[s.name], t.Ready)
		if len(got) == 0 {
			r.equal(s.name, before, r.record(t.ID))
		}
	}
}

func requeueFromEveryEnd(r *rig) {
	for _, s := range states {
		if s.status != task.Failed {
			continue
		}
		t := s.reach(r)
		before := r.record(t.ID)
		got := r.requeue(t.ID, at(100))
		want := before.Task
		want.Status, want.Outcome, want.Attempts, want.Ready = task.Queued, nil, 0, true
		want.RunAfterUTC, want.UpdatedAtUTC, want.DeadlineUTC = at(100), at(100), nil
		want.ErrorMessage, want.ErrorFingerprint, want.FinishedAtUTC, want.ProcessingStartedUTC = nil, nil, nil, nil
		r.stored(want, got)
		r.consistent(got)
		r.equal("history of "+s.name, before.Attempts, r.attempts(t.ID))
		held := r.claimOne(task.Claim{Types: []string{s.name}, Now: at(101)})
		r.equal("attempts", 1, held.Attempts)
		r.equal("fence", before.Task.Fence+1, held.Fence)
		r.complete(held, at(102))
		r.equal("attempts in the history", len(before.Attempts)+1, len(r.attempts(t.ID)))
	}
}
