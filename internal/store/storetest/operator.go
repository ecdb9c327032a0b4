package storetest

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/prismq/thequeue/internal/task"
)

var operatorBehaviours = []behaviour{
	{"CancelsAQueuedTask", cancelsQueued},
	{"CancelsAScheduledTask", cancelsScheduled},
	{"CancelsAProcessingTask", cancelsProcessing},
	{"CancelsATaskThatWaitsForItsRetry", cancelsRetrying},
	{"LeavesAnEndedTaskOnCancel", leavesEndedOnCancel},
	{"NeverClaimsACancelledTask", neverClaimsCancelled},
	{"RequeuesWithAllAttemptsAndALogLine", requeuesFailed},
	{"DropsAPassedDeadlineOnRequeueAndKeepsAComingOne", requeueDropsPassedDeadline},
	{"GivesAllAttemptsAgainOnRequeue", requeueGivesAttempts},
	{"DeletesAnEndedTaskWithItsLogAndHistory", deletesEnded},
	{"ReturnsConflictOnDeleteOfALiveTask", conflictOnDeleteOfLive},
}

// cancelled returns what t becomes by a cancel at the instant.
func cancelled(t task.Task, seconds float64) task.Task {
	if t.Status == task.Processing {
		t.AttemptOutcome = ptr(task.AttemptCancelled)
	}
	t.Status, t.Outcome, t.Ready, t.ErrorMessage = task.Failed, ptr(task.Cancelled), false, ptr("Cancelled by user")
	t.LockedBy, t.LeaseUntilUTC, t.ReservedAtUTC = nil, nil, nil
	t.FinishedAtUTC, t.UpdatedAtUTC = ptr(at(seconds)), at(seconds)
	return t
}

func cancelsQueued(r *rig) {
	t := r.insert(task.Spec{})
	r.stored(cancelled(t, 3), r.cancel(t.ID, at(3)))
	r.equal("attempts", 0, len(r.attempts(t.ID)))
}

func cancelsScheduled(r *rig) {
	t := r.insert(task.Spec{RunAfterUTC: &task.Time{Time: at(60)}})
	r.stored(cancelled(t, 3), r.cancel(t.ID, at(3)))
	due, err := r.st.PromoteDue(r.Context(), at(61), 10)
	r.ok(err)
	r.equal("promoted", 0, len(due))
}

func cancelsProcessing(r *rig) {
	t := r.running(task.Spec{})
	r.stored(cancelled(t, 3), r.cancel(t.ID, at(3)))
	r.equal("attempts", []task.Attempt{{
		TaskID: t.ID, Fence: 1, Attempt: 1, WorkerID: "w1", StartedAtUTC: start, FinishedAtUTC: ptr(at(3)),
		Outcome: ptr(task.AttemptCancelled), ErrorMessage: ptr("Cancelled by user"),
	}}, r.attempts(t.ID))
	r.equal("reaped", 0, len(r.reap(at(100))))
}

func cancelsRetrying(r *rig) {
	t := r.fail(r.running(task.Spec{}), retry("first", 60), at(1))
	r.stored(cancelled(t, 3), r.cancel(t.ID, at(3)))
	r.equal("outcome of the attempt", ptr(task.AttemptFailed), r.attempts(t.ID)[0].Outcome)
	r.equal("error of the attempt", ptr("first"), r.attempts(t.ID)[0].ErrorMessage)
}

func leavesEndedOnCancel(r *rig) {
	for _, s := range states {
		if !s.status.Ended() {
			continue
		}
		before := r.record(s.reach(r).ID)
		got, changed, err := r.st.CancelTask(r.Context(), before.Task.ID, at(100))
		r.ok(err)
		r.equal("changed "+s.name, false, changed)
		r.equal("returned "+s.name, before.Task, got)
		r.equal("stored "+s.name, before, r.record(got.ID))
	}
}

func neverClaimsCancelled(r *rig) {
	many := r.insertMany(20, task.Spec{})
	for _, t := range many[:19] {
		r.cancel(t.ID, at(1))
	}
	r.equal("claimed", ids(many[19:]), ids(r.claim(task.Claim{Max: 20})))
	r.equal("claimed again", 0, len(r.claim(task.Claim{Max: 20, Now: at(1000)})))
}

func requeuesFailed(r *rig) {
	t := r.running(task.Spec{Compatibility: `{}`})
	_, err := r.st.ExtendLease(r.Context(), t.ID, token(t), task.Beat{Progress: ptr(40), Message: ptr("half")}, at(90), at(1))
	r.ok(err)
	t = r.fail(t, verdict("broken", task.Rejected), at(2))
	want := t
	want.Status, want.Outcome, want.Attempts, want.Ready, want.RunAfterUTC, want.UpdatedAtUTC = task.Queued, nil, 0, true, at(5), at(5)
	want.ErrorMessage, want.ErrorFingerprint, want.FinishedAtUTC, want.ProcessingStartedUTC, want.Progress, want.ProgressMessage = nil, nil, nil, nil, nil, nil
	r.stored(want, r.requeue(t.ID, at(5)))
	lines := r.logs(t.ID)
	l := lines[len(lines)-1]
	r.equal("log line", task.Log{
		LogID: l.LogID, TaskID: t.ID, AtUTC: at(5), Level: task.Info, Message: l.Message, Details: l.Details, Fence: 1, Event: ptr(task.EventRequeued),
	}, l)
	if !strings.Contains(strings.ToLower(l.Message), "requeued") {
		r.Errorf("the log says %q", l.Message)
	}
	var details map[string]any
	r.ok(json.Unmarshal([]byte(*l.Details), &details))
	r.equal("details", map[string]any{"event": "requeued", "outcome": "rejected", "attempts": 1.0}, details)
}

func requeueDropsPassedDeadline(r *rig) {
	for seconds, keep := range map[float64]bool{10: false, 20: false, 20.000001: true, 30: true} {
		t := r.insert(task.Spec{DeadlineUTC: &task.Time{Time: at(seconds)}})
		r.cancel(t.ID, at(1))
		got := r.requeue(t.ID, at(20))
		if keep {
			r.equal("deadline", t.DeadlineUTC, got.DeadlineUTC)
		} else if got.DeadlineUTC != nil {
			r.Errorf("the deadline at %v s is kept", seconds)
		}
		r.equal("claimed", t.ID, r.claimOne(task.Claim{Now: at(20)}).ID)
	}
}

func requeueGivesAttempts(r *rig) {
	t := r.running(task.Spec{MaxAttempts: ptr(2)})
	for round := range 3 {
		for n := 1; n <= 2; n++ {
			r.equal("attempt", n, t.Attempts)
			r.equal("fence", int64(2*round+n), t.Fence)
			if n == 1 {
				r.fail(t, retry("again", 0), start)
				t = r.claimOne(task.Claim{})
			}
		}
		r.fail(t, verdict("no more", task.Exhausted), start)
		r.requeue(t.ID, start)
		t = r.claimOne(task.Claim{})
	}
	r.equal("attempts in the history", 7, len(r.attempts(t.ID)))
	round := []task.EventName{task.EventClaimed, task.EventRetry, task.EventClaimed, task.EventFailed, task.EventRequeued}
	r.equal("log lines", slices.Concat([]task.EventName{task.EventEnqueued}, round, round, round, []task.EventName{task.EventClaimed}), r.told(t.ID))
}

func deletesEnded(r *rig) {
	for _, s := range states {
		if !s.status.Ended() {
			continue
		}
		t, other := s.reach(r), r.insert(task.Spec{Type: "other"})
		r.ok(r.st.DeleteTask(r.Context(), t.ID))
		_, err := r.st.GetTask(r.Context(), t.ID)
		r.wants(task.ErrNotFound, err)
		_, err = r.st.ListAttempts(r.Context(), t.ID)
		r.wants(task.ErrNotFound, err)
		_, err = r.st.ListLogs(r.Context(), task.LogFilter{TaskID: t.ID, Limit: 10})
		r.wants(task.ErrNotFound, err)
		r.wants(task.ErrNotFound, r.st.DeleteTask(r.Context(), t.ID))
		r.equal("other task", other, r.get(other.ID))
	}
}

func conflictOnDeleteOfLive(r *rig) {
	for _, s := range states {
		if s.status.Ended() {
			continue
		}
		before := r.record(s.reach(r).ID)
		r.wants(task.ErrConflict, r.st.DeleteTask(r.Context(), before.Task.ID))
		r.equal(s.name, before, r.record(before.Task.ID))
	}
}
