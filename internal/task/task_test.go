package task_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/prismq/thequeue/internal/task"
)

// start is the instant of these tests.
var start = time.Date(2026, 1, 31, 8, 0, 0, 123456000, time.UTC)

func ptr[T any](v T) *T { return &v }

// diff reports the difference of two values to a test or a property.
func diff(t rapid.TB, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestStatusChangesOnlyAsListed(t *testing.T) {
	t.Parallel()
	allowed := map[[2]task.Status]bool{
		{task.Queued, task.Processing}: true, {task.Processing, task.Completed}: true, {task.Processing, task.Queued}: true,
		{task.Processing, task.Failed}: true, {task.Queued, task.Failed}: true, {task.Failed, task.Queued}: true,
	}
	all := append([]task.Status{"", "dead", "Queued"}, task.Statuses...)
	for _, from := range all {
		for _, to := range all {
			if got := from.CanBecome(to); got != allowed[[2]task.Status{from, to}] {
				t.Errorf("%q can become %q: %v", from, to, got)
			}
		}
	}
}

func TestStatusKnowsItself(t *testing.T) {
	t.Parallel()
	for s, want := range map[task.Status][2]bool{
		task.Queued: {true, false}, task.Processing: {true, false}, task.Completed: {true, true}, task.Failed: {true, true}, "": {}, "QUEUED": {}, "leased": {},
	} {
		if got := [2]bool{s.Valid(), s.Ended()}; got != want {
			t.Errorf("%q: valid and ended %v, want %v", s, got, want)
		}
	}
	for l, want := range map[task.Level]bool{task.Debug: true, task.Info: true, task.Warning: true, task.Error: true, "": false, "warn": false, "INFO": false} {
		if got := l.Valid(); got != want {
			t.Errorf("level %q: valid %v", l, got)
		}
	}
}

func TestOwnAttemptIsTheOneThatRunsOrCompleted(t *testing.T) {
	t.Parallel()
	held := task.Task{
		ID: 7, Status: task.Processing, Fence: 3, Attempts: 2, LockedBy: ptr("w"), LastWorkerID: ptr("w"), ReservedAtUTC: &start,
		ProcessingStartedUTC: ptr(start.Add(time.Second)),
	}
	want := task.Attempt{TaskID: 7, Fence: 3, Attempt: 2, WorkerID: "w", StartedAtUTC: start.Add(time.Second)}
	got, ok := held.OwnAttempt()
	diff(t, "running", want, got)
	if !ok {
		t.Error("a running task has no attempt")
	}
	done := held
	done.Status, done.LockedBy, done.FinishedAtUTC, done.AttemptOutcome = task.Completed, nil, ptr(start.Add(time.Minute)), ptr(task.AttemptSucceeded)
	want.FinishedAtUTC, want.Outcome = done.FinishedAtUTC, done.AttemptOutcome
	got, _ = done.OwnAttempt()
	diff(t, "completed", want, got)
	for _, s := range []task.Status{task.Queued, task.Failed} {
		other := held
		other.Status = s
		if a, ok := other.OwnAttempt(); ok {
			t.Errorf("a %s task has the attempt %+v", s, a)
		}
	}
}

func TestCancelledUnderItsLastTokenAlone(t *testing.T) {
	t.Parallel()
	tok := task.Token{Fence: 2, Secret: "s"}
	base := task.Task{Status: task.Failed, Outcome: ptr(task.Cancelled), AttemptOutcome: ptr(task.AttemptCancelled), Fence: 2, LeaseSecret: ptr("s")}
	if !base.CancelledUnder(tok) {
		t.Error("the token of the cancelled attempt is not known")
	}
	for name, spoil := range map[string]func(*task.Task){
		"queued again":           func(t *task.Task) { t.Status, t.Outcome = task.Queued, nil },
		"rejected":               func(t *task.Task) { t.Outcome = ptr(task.Rejected) },
		"cancelled after a loss": func(t *task.Task) { t.AttemptOutcome = ptr(task.AttemptLost) },
		"cancelled unclaimed":    func(t *task.Task) { t.AttemptOutcome, t.LeaseSecret = nil, nil },
		"another fence":          func(t *task.Task) { t.Fence = 3 },
		"another secret":         func(t *task.Task) { t.LeaseSecret = ptr("t") },
	} {
		other := base
		spoil(&other)
		if other.CancelledUnder(tok) {
			t.Errorf("%s: cancelled under the token", name)
		}
	}
}
