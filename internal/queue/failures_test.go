package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

func (r rig) failures(taskType string) []task.FailureStatus {
	r.Helper()
	fs, err := r.Failures(r.Context(), taskType, 100)
	r.ok(err)
	return fs
}

// failing lets an attempt of the next task fail.
func (r rig) failing(message string, noRetry bool) {
	r.Helper()
	l := r.claimOne()
	_, err := r.Fail(r.Context(), l.ID, l.LeaseToken, task.Failure{Message: message, NoRetry: noRetry})
	r.ok(err)
}

// What goes wrong is counted by its reason: attempts that fail for now or for good, that are lost, and tasks that are too late; not what an operator cancels.
func TestFailuresAreCountedByTheirReason(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		r.enqueue(task.Spec{MaxAttempts: ptr(3)})
		r.failing("no user 17", false)
		r.upkeep(time.Minute)
		r.failing("no user 18", true)
		r.clock.advance(time.Second)
		r.enqueue(task.Spec{Type: "other"})
		r.failing("no user 19", true)
		for range 2 {
			r.enqueue(task.Spec{MaxAttempts: ptr(1)})
		}
		r.claim(task.Claim{WorkerID: "worker 1"})
		r.claim(task.Claim{WorkerID: "worker 2"})
		r.upkeep(2 * time.Minute)
		late := r.clock.Now().Add(time.Second)
		r.enqueue(task.Spec{DeadlineUTC: &task.Time{Time: late}})
		r.upkeep(time.Second)
		_, _, err := r.Cancel(r.Context(), r.enqueue(task.Spec{}).ID)
		r.ok(err)
		var got []string
		for _, f := range r.failures("") {
			got = append(got, fmt.Sprintf("%s: %d, %d failed now, of %v", f.Pattern, f.Count, f.FailedTasks, f.Types))
		}
		want := []string{
			"Deadline passed before the task could run: 1, 1 failed now, of [test]", "Lease expired: worker <worker> did not report in time: 2, 2 failed now, of [test]",
			"no user <n>: 3, 2 failed now, of [other test]",
		}
		if !slices.Equal(got, want) {
			r.Errorf("got %q", got)
		}
		users := r.failures("other")
		if len(users) != 1 || users[0].Sample.ErrorMessage != "no user 19" || !users[0].FirstSeenUTC.Equal(start) || !users[0].LastSeenUTC.Equal(start.Add(61*time.Second)) {
			r.Errorf("got %+v", users)
		}
		one, err := r.Failure(r.Context(), users[0].FailureID)
		if r.ok(err); one.Count != 3 || one.AtLeast {
			r.Errorf("got %+v", one)
		}
	})
}

// Nodes add up, and a group that is dismissed begins again.
func TestFailuresOfAllNodesAddUpUntilTheyAreDismissed(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		other := rig{T: r.T, Queue: queue.New(r.st, queue.Options{Clock: r.clock}), clock: r.clock, st: r.st}
		for i, node := range []rig{r, other, r} {
			r.enqueue(task.Spec{})
			node.failing(fmt.Sprint("no user ", i), true)
			r.clock.advance(time.Second)
		}
		r.ok(other.StoreMeasures(r.Context()))
		f := r.failures("")[0]
		if f.Count != 3 || f.FailedTasks != 3 || f.Sample.ErrorMessage != "no user 2" {
			r.Errorf("got %+v", f)
		}
		r.ok(r.DismissFailure(r.Context(), f.FailureID))
		if err := r.DismissFailure(r.Context(), f.FailureID); !errors.Is(err, task.ErrNotFound) {
			r.Errorf("dismissed twice: %v", err)
		}
		if _, err := r.RequeueFailure(r.Context(), f.FailureID, ""); !errors.Is(err, task.ErrNotFound) {
			r.Errorf("requeued: %v", err)
		}
		if fs := r.failures(""); len(fs) != 0 {
			r.Errorf("got %+v", fs)
		}
		r.enqueue(task.Spec{})
		r.failing("no user 3", true)
		if f := r.failures("")[0]; f.Count != 1 || f.FailedTasks != 4 {
			r.Errorf("got %+v", f)
		}
	})
}

func TestTheTasksOfAFailureAreQueuedAgain(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		for _, message := range []string{"no user 1", "no user 2", "out of paper"} {
			r.enqueue(task.Spec{})
			r.failing(message, true)
		}
		id := task.Fingerprint("no user 3")
		r.failures("")
		p, err := r.ProposeFailure(r.Context(), id)
		if r.ok(err); p.Matched != 2 || p.Action != task.ActionRequeue {
			r.Errorf("got %+v", p)
		}
		o, err := r.RequeueFailure(r.Context(), id, "")
		r.ok(err)
		_, err = r.WorkOperation(r.Context())
		r.ok(err)
		if o = r.operation(o.ID); o.Changed != 2 || o.Status != task.OperationCompleted {
			r.Errorf("got %+v", o)
		}
		f, err := r.Failure(r.Context(), id)
		if r.ok(err); f.FailedTasks != 0 || f.Count != 2 {
			r.Errorf("got %+v", f)
		}
		if _, err := r.RequeueFailure(r.Context(), id, p.ConfirmToken); err != nil {
			r.Errorf("the token of the dry run: %v", err)
		}
	})
}

// More reasons than are kept in memory are counted together.
func TestTooManyReasonsAreCountedAsOne(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		letters := func(n int) string { return strings.Map(func(c rune) rune { return c - '0' + 'a' }, fmt.Sprint(n)) }
		r.enqueueMany(1010, task.Spec{Type: "test"})
		n := 0
		for n < 1010 {
			for _, l := range r.claim(task.Claim{Max: 100}) {
				n++
				_, err := r.Fail(r.Context(), l.ID, l.LeaseToken, task.Failure{Message: "reason " + letters(n), NoRetry: true})
				r.ok(err)
			}
		}
		fs, err := r.Failures(r.Context(), "", 2000)
		r.ok(err)
		i := slices.IndexFunc(fs, func(f task.FailureStatus) bool { return f.Pattern == task.OtherFailuresPattern })
		if len(fs) != 1001 || i < 0 || fs[i].Count != 10 || len(fs[i].Types) != 0 || fs[i].FailedTasks != 0 {
			r.Errorf("%d groups, others %d", len(fs), i)
		}
	})
}

// crowdedOut is a store whose disk is full at first, for failures.
type crowdedOut struct {
	store.Store
	fails int
}

func (c *crowdedOut) AddFailures(ctx context.Context, gs []task.FailureGroup) error {
	if c.fails--; c.fails >= 0 {
		return task.ErrFull
	}
	return c.Store.AddFailures(ctx, gs)
}

func TestFailuresWaitForTheStore(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		q := rig{T: r.T, Queue: queue.New(&crowdedOut{Store: r.st, fails: 2}, queue.Options{Clock: r.clock}), clock: r.clock, st: r.st}
		for range 2 {
			q.enqueue(task.Spec{})
			q.failing("no user 1", true)
			if err := q.StoreMeasures(r.Context()); !errors.Is(err, task.ErrFull) {
				r.Errorf("got %v", err)
			}
		}
		r.ok(q.StoreMeasures(r.Context()))
		r.ok(q.StoreMeasures(r.Context())) // nothing is left
		if fs := r.failures(""); len(fs) != 1 || fs[0].Count != 2 {
			r.Errorf("got %+v", fs)
		}
	})
}

// What is not seen for three months is forgotten.
func TestFailuresGoWhenTheyAreNotSeenForLong(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		for i, message := range []string{"out of paper", "out of ink"} {
			r.enqueue(task.Spec{})
			r.failing(message, true)
			r.ok(r.StoreMeasures(r.Context()))
			if fs := r.failures(""); len(fs) != 1 || fs[0].Pattern != message {
				r.Errorf("at %d: got %+v", i, fs)
			}
			r.clock.advance(91 * 24 * time.Hour)
		}
	})
}
