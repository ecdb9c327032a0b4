package storetest

import (
	"context"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

var maintenanceBehaviours = []behaviour{
	{"ReapQueuesATaskWithAttemptsLeft", reapQueues},
	{"ReapEndsATaskWithoutAttemptsLeft", reapEnds},
	{"ReapTakesOnlyLeasesWhoseTimeIsOver", reapTakesOnlyExpired},
	{"PromoteMakesDueTasksReady", promotes},
	{"ExpireEndsQueuedTasksAtTheirDeadline", expires},
	{"ExpireLeavesRunningAndEndedTasks", expireLeavesOthers},
	{"ChangeAtMostMaxAndFinishInTheEnd", maintenanceIsLimited},
	{"NextEventIsTheEarliestOfAll", nextEvent},
	{"NextEventIsAnInstantAtWhichSomethingIsDone", nextEventIsUseful},
}

func retryAt(t time.Time) store.Verdict { return store.Verdict{Message: "again", RetryAt: &t} }

// duties are the three methods that do what falls due.
func (r *rig) duties() []func(ctx context.Context, now time.Time, max int) ([]task.Task, error) {
	return []func(ctx context.Context, now time.Time, max int) ([]task.Task, error){r.st.ReapExpiredLeases, r.st.PromoteDue, r.st.ExpireTasks}
}

func (r *rig) wantMessage(t task.Task, part string) {
	r.Helper()
	if t.ErrorMessage == nil || !strings.Contains(*t.ErrorMessage, part) {
		r.Errorf("the message of task %d does not name %q: %v", t.ID, part, t.ErrorMessage)
	}
}

func (r *rig) one(ts []task.Task) task.Task {
	r.Helper()
	if len(ts) != 1 {
		r.Fatalf("%d tasks, want 1", len(ts))
	}
	return ts[0]
}

func reapQueues(r *rig) {
	r.insert(task.Spec{MaxAttempts: ptr(2)})
	t := r.claimOne(task.Claim{WorkerID: "gone-worker"})
	got := r.one(r.reap(at(65)))
	r.wantMessage(got, "gone-worker")
	want := unheld(t, task.AttemptLost, 65)
	want.Lost = 1
	want.Status, want.Ready, want.RunAfterUTC, want.ErrorMessage, want.ProcessingStartedUTC = task.Queued, true, at(65), got.ErrorMessage, nil
	r.stored(want, got)
	r.equal("claimed", 2, r.claimOne(task.Claim{Now: at(65)}).Attempts)
}

func reapEnds(r *rig) {
	r.insert(task.Spec{MaxAttempts: ptr(1)})
	t := r.claimOne(task.Claim{WorkerID: "gone-worker"})
	got := r.one(r.reap(at(65)))
	r.wantMessage(got, "gone-worker")
	want := unheld(t, task.AttemptLost, 65)
	want.Lost = 1
	want.Status, want.Outcome, want.FinishedAtUTC, want.ErrorMessage = task.Failed, ptr(task.Exhausted), ptr(at(65)), got.ErrorMessage
	want.ErrorFingerprint = ptr(task.Fingerprint(*got.ErrorMessage))
	r.stored(want, got)
}

func reapTakesOnlyExpired(r *rig) {
	for _, s := range states {
		s.reach(r)
	}
	short := r.insert(task.Spec{Type: "short"})
	r.claimOne(task.Claim{Types: []string{"short"}, Now: at(60), Lease: time.Second})
	before := r.list(task.Filter{Limit: 100})
	r.equal("reaped", 0, len(r.reap(at(59.999999)))) // all other leases are of 60 s
	r.equal("tasks", before, r.list(task.Filter{Limit: 100}))
	r.equal("reaped at 60 s", "processing", r.one(r.reap(at(60))).Type)
	r.equal("reaped at 60.999999 s", 0, len(r.reap(at(60.999999))))
	r.equal("reaped at 61 s", short.ID, r.one(r.reap(at(61))).ID)
	r.equal("reaped ever", 0, len(r.reap(at(1e8))))
}

func (r *rig) promote(now time.Time) []task.Task {
	r.Helper()
	ts, err := r.st.PromoteDue(r.Context(), now, 1000)
	r.ok(err)
	return byID(ts)
}

func promotes(r *rig) {
	want := r.insert(task.Spec{RunAfterUTC: &task.Time{Time: at(10)}})
	later := r.insert(task.Spec{RunAfterUTC: &task.Time{Time: at(10.000001)}})
	r.insert(task.Spec{})
	r.equal("promoted early", 0, len(r.promote(at(9.999999))))
	want.Ready, want.UpdatedAtUTC = true, at(10)
	r.stored(want, r.one(r.promote(at(10))))
	r.equal("promoted again", 0, len(r.promote(at(10))))
	r.equal("later", later, r.get(later.ID))

	t := r.fail(r.claimOne(task.Claim{Now: at(10), Strategy: task.FIFO}), retry("again", 20), at(11))
	r.equal("promoted by 20 s", ids(byID([]task.Task{later, t})), ids(r.promote(at(20))))
}

func (r *rig) expire(now time.Time) []task.Task {
	r.Helper()
	ts, err := r.st.ExpireTasks(r.Context(), now, 1000)
	r.ok(err)
	return byID(ts)
}

func expires(r *rig) {
	deadline := &task.Time{Time: at(10)}
	ready := r.insert(task.Spec{DeadlineUTC: deadline})
	scheduled := r.insert(task.Spec{DeadlineUTC: deadline, RunAfterUTC: &task.Time{Time: at(9)}})
	r.equal("expired early", 0, len(r.expire(at(9.999999))))
	got := r.expire(at(10))
	r.equal("expired", ids([]task.Task{ready, scheduled}), ids(got))
	for i, want := range []task.Task{ready, scheduled} {
		want.Status, want.Outcome, want.Ready, want.FinishedAtUTC, want.UpdatedAtUTC = task.Failed, ptr(task.Expired), false, ptr(at(10)), at(10)
		want.ErrorMessage, want.ErrorFingerprint = got[i].ErrorMessage, ptr(task.Fingerprint(*got[i].ErrorMessage))
		r.stored(want, got[i])
		r.wantMessage(got[i], "eadline")
	}
	r.equal("promoted", 0, len(r.promote(at(11))))
}

func expireLeavesOthers(r *rig) {
	deadline := &task.Time{Time: at(10)}
	held := r.running(task.Spec{DeadlineUTC: deadline})
	ended := r.cancel(r.insert(task.Spec{DeadlineUTC: deadline}).ID, at(1))
	free := r.insert(task.Spec{})
	r.equal("expired", 0, len(r.expire(at(20))))
	for _, want := range []task.Task{held, ended, free} {
		r.equal("task", want, r.get(want.ID))
	}
	r.complete(held, at(21)) // begun in time
	held = r.running(task.Spec{Type: "b", DeadlineUTC: deadline})
	r.fail(held, retry("again", 30), at(5))
	got := r.one(r.expire(at(20)))
	r.equal("outcome", ptr(task.Expired), got.Outcome)
	r.equal("outcome of the attempt", ptr(task.AttemptFailed), got.AttemptOutcome)
	r.equal("history", ptr("again"), r.attempts(got.ID)[0].ErrorMessage)
}

// due stores 5 tasks for each duty, all due at 100 s; of the leases two are their last.
func (r *rig) due() {
	r.Helper()
	for i := range 5 {
		r.running(task.Spec{Type: "held", MaxAttempts: ptr(1 + i%2)})
	}
	r.insertMany(5, task.Spec{RunAfterUTC: &task.Time{Time: at(50)}})
	r.insertMany(5, task.Spec{DeadlineUTC: &task.Time{Time: at(50)}})
}

func maintenanceIsLimited(r *rig) {
	r.due()
	for _, do := range r.duties() {
		var got []int
		seen := map[int64]bool{}
		for len(got) == 0 || got[len(got)-1] == 2 {
			ts, err := do(r.Context(), at(100), 2)
			r.ok(err)
			got = append(got, len(ts))
			for _, t := range ts {
				seen[t.ID] = true
				r.equal("stored", t, r.get(t.ID))
			}
		}
		r.equal("tasks by call", []int{2, 2, 1}, got)
		r.equal("different tasks", 5, len(seen))
	}
}

func (r *rig) next() *time.Time {
	r.Helper()
	next, err := r.st.NextEvent(r.Context())
	r.ok(err)
	return next
}

func nextEvent(r *rig) {
	never := (*time.Time)(nil)
	r.equal("event of an empty store", never, r.next())
	t := r.insert(task.Spec{})
	r.equal("event of a ready task", never, r.next())
	r.complete(r.claimOne(task.Claim{}), at(1))
	r.equal("event of an ended task", never, r.next())

	t = r.insert(task.Spec{RunAfterUTC: &task.Time{Time: at(500)}})
	r.equal("time of a task", ptr(at(500)), r.next())
	held := r.running(task.Spec{Type: "held", DeadlineUTC: &task.Time{Time: at(2)}})
	r.equal("end of a lease", ptr(at(60)), r.next())
	r.insert(task.Spec{Type: "late", DeadlineUTC: &task.Time{Time: at(30.000001)}})
	r.equal("deadline", ptr(at(30.000001)), r.next())
	r.expire(at(31))
	r.extend(held, task.Beat{}, 600, 32)
	r.equal("after both", ptr(at(500)), r.next())
	r.cancel(t.ID, at(33))
	r.equal("end of the extended lease", ptr(at(600)), r.next())
	r.complete(held, at(34))
	r.equal("event after all", never, r.next())
}

// nextEventIsUseful follows the events to the end: at each of them a duty finds work, and a microsecond earlier none does.
func nextEventIsUseful(r *rig) {
	r.due()
	r.insert(task.Spec{RunAfterUTC: &task.Time{Time: at(7)}, DeadlineUTC: &task.Time{Time: at(8)}})
	all := func(now time.Time) (n int) {
		for _, do := range r.duties() {
			ts, err := do(r.Context(), now, 1000)
			r.ok(err)
			n += len(ts)
		}
		return n
	}
	var events []time.Time
	for next := r.next(); next != nil && len(events) < 10; next = r.next() {
		r.equal("done before the event", 0, all(next.Add(-time.Microsecond)))
		if all(*next) == 0 {
			r.Fatalf("nothing to do at %v", next)
		}
		events = append(events, *next)
	}
	r.equal("events", []time.Time{at(7), at(8), at(50), at(60)}, events)
}
