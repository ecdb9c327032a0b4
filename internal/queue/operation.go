package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// confirmWithin is how long the token of a dry run is good for.
	confirmWithin = 10 * time.Minute
	// sampleTasks is how many tasks a dry run shows.
	sampleTasks = 10
	// maxCounted and maxCounts bound the counting of a dry run: tasks that match, and searches, each of which looks at 500,000 tasks at most.
	maxCounted = 100_000
	maxCounts  = 8
	// stepTasks is how many tasks one step of an operation changes at most.
	stepTasks = 500
	// runnerLease is for how long a process that works on an operation keeps others from it with each step.
	runnerLease = 5 * time.Second
)

// Propose looks what the operation would change, and changes nothing. Error: *task.InvalidError.
func (q *Queue) Propose(ctx context.Context, s task.OperationSpec) (task.Proposal, error) {
	o, m, err := s.Operation()
	if err != nil {
		return task.Proposal{}, err
	}
	now := q.Now()
	p := task.Proposal{Action: o.Action, Filter: o.Filter, Priority: o.Priority, ConfirmToken: q.o.Secret(), ExpiresAtUTC: now.Add(confirmWithin)}
	if p.Matched, p.AtLeast, err = q.count(ctx, m, now); err == nil {
		p.Sample, _, err = q.ListMatching(ctx, m, 0, sampleTasks, maxCounts)
	}
	if err == nil {
		o.ConfirmHash, o.ExpiresAtUTC = task.ConfirmHash(p.ConfirmToken), p.ExpiresAtUTC
		err = q.store.ProposeOperation(ctx, o, now)
	}
	if err != nil {
		return task.Proposal{}, fmt.Errorf("propose an operation: %w", err)
	}
	return p, nil
}

// count counts the tasks that match, as far as that goes in a bounded time; atLeast reports whether it ended early.
func (q *Queue) count(ctx context.Context, m task.Match, now time.Time) (n int64, atLeast bool, err error) {
	after, upto := int64(0), int64(1<<62)
	for range maxCounts {
		ids, next, err := q.store.FindTasks(ctx, m, now, after, upto, maxCounted-int(n))
		if err != nil {
			return 0, false, err
		}
		if n, after = n+int64(len(ids)), next; after == upto {
			return n, false, nil
		}
		if n == maxCounted {
			break
		}
	}
	return n, true, nil
}

// ListMatching returns up to max tasks that match, newest first, with ids below before, 0 for all. It ends early after some searches, each of which looks at
// 500,000 tasks at most. Every task from next on has been looked at; 0: there is no more.
func (q *Queue) ListMatching(ctx context.Context, m task.Match, before int64, max, searches int) (out []task.Task, next int64, err error) {
	out, next = []task.Task{}, before
	for now := q.Now(); searches > 0; searches-- {
		var ts []task.Task
		if ts, next, err = q.store.ListMatching(ctx, m, now, next, max-len(out)); err != nil {
			return nil, 0, err
		}
		if out = append(out, ts...); next == 0 || len(out) == max {
			break
		}
	}
	return out, next, nil
}

// StartOperation begins the operation for which a dry run of the same spec gave the token. It goes on in the background, in whatever process runs the
// queue. Errors: *task.InvalidError, task.ErrConflict when the token will not do.
func (q *Queue) StartOperation(ctx context.Context, s task.OperationSpec, token string) (task.Operation, error) {
	o, _, err := s.Operation()
	if err != nil {
		return task.Operation{}, err
	}
	o.ConfirmHash = task.ConfirmHash(token)
	if o, err = q.store.StartOperation(ctx, o, q.Now()); errors.Is(err, task.ErrConflict) {
		return o, fmt.Errorf("%w: the confirm token is that of another request, was used, or is older than ten minutes: send dry_run: true for a new one", task.ErrConflict)
	} else if err != nil {
		return o, fmt.Errorf("start an operation: %w", err)
	}
	q.o.Log.InfoContext(ctx, "operation started", "operation", o.ID, "action", o.Action, "filter", o.Filter)
	q.operations.now()
	return o, nil
}

// CancelOperation ends a running operation; what it has changed stays. Errors: task.ErrNotFound, task.ErrConflict when it has ended.
func (q *Queue) CancelOperation(ctx context.Context, id int64) (task.Operation, error) {
	o, err := q.store.CancelOperation(ctx, id, q.Now())
	if err != nil {
		return task.Operation{}, fmt.Errorf("cancel operation %d: %w", id, err)
	}
	return o, nil
}

// runOperations works on operations, its own and those that other processes have left, until ctx ends.
func (q *Queue) runOperations(ctx context.Context) {
	failing := false
	for ctx.Err() == nil {
		worked, err := q.WorkOperation(ctx)
		if err != nil && ctx.Err() == nil && !errors.Is(err, task.ErrStopped) && !failing {
			q.o.Log.Error("operations", "error", err)
		}
		if failing = err != nil; failing || !worked {
			q.operations.wait(ctx, upkeepEvery)
		}
	}
}

// WorkOperation works on the first running operation that no other process works on, until it has ended; worked is false when there is none. Run
// calls it.
func (q *Queue) WorkOperation(ctx context.Context) (worked bool, err error) {
	now := q.Now()
	o, err := q.store.TakeOperation(ctx, q.runner, now, now.Add(runnerLease))
	if errors.Is(err, task.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	m, err := task.ParseMatch(o.Filter)
	if err != nil {
		return false, fmt.Errorf("operation %d: %w", o.ID, err)
	}
	m, _ = m.In(o.Action.Statuses()...)
	for o.Status == task.OperationRunning {
		if o, err = q.stepOperation(ctx, o, m); errors.Is(err, task.ErrConflict) {
			return true, nil // cancelled, or another process goes on with it
		} else if err != nil {
			return true, fmt.Errorf("operation %d: %w", o.ID, err)
		}
	}
	q.o.Log.Info("operation ended", "operation", o.ID, "status", o.Status, "changed", o.Changed, "skipped", o.Skipped, "failed", o.Failed)
	return true, nil
}

// stepOperation finds the next tasks and does them, in one step or, where the store ends it earlier, in several. When the store refuses a step, it tries less of it, and
// gives a task up that it cannot change.
func (q *Queue) stepOperation(ctx context.Context, o task.Operation, m task.Match) (task.Operation, error) {
	found, next, err := q.store.FindTasks(ctx, m, o.CreatedAtUTC, o.DoneID, o.UpperID, stepTasks)
	ids := found
	for err == nil {
		s := task.Step{Operation: o, IDs: ids, Match: m, NextID: next, Now: q.Now()}
		if len(ids) < len(found) {
			s.NextID = ids[len(ids)-1]
		}
		s.Until = s.Now.Add(runnerLease)
		after, changed, refused := q.store.StepOperation(ctx, s)
		switch {
		case refused == nil:
			q.acted(ctx, o.Action, changed)
		case len(ids) == 0 || passing(refused):
			return o, refused
		case len(ids) == 1:
			s.IDs, s.NextID, s.Failed, s.Message = nil, ids[0], 1, fmt.Sprintf("task %d: %v", ids[0], refused)
			if after, _, err = q.store.StepOperation(ctx, s); err != nil {
				return o, err
			}
		default:
			ids = ids[:len(ids)/2]
			continue
		}
		found = slices.DeleteFunc(found, func(id int64) bool { return id <= after.DoneID })
		if o, ids = after, found; len(found) == 0 || o.Status != task.OperationRunning {
			return o, nil
		}
	}
	return o, err
}

// passing reports whether an error says nothing of the tasks: the same may be tried again later.
func passing(err error) bool {
	for _, e := range []error{
		task.ErrConflict, task.ErrBusy, task.ErrUnknown, task.ErrFull, task.ErrGone, task.ErrStopped, context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// acted tells everybody concerned of what a step has changed.
func (q *Queue) acted(ctx context.Context, a task.Action, changed []task.Task) {
	switch a {
	case task.ActionCancel:
		q.happened(task.EventCancelled, changed...)
		for _, t := range changed {
			q.watchers.tell(t.ID)
		}
		q.ended(ctx, changed...)
		return
	case task.ActionRequeue:
		q.happened(task.EventRequeued, changed...)
	case task.ActionSetPriority:
		q.happened(task.EventPriority, changed...)
	}
	q.queued(changed...)
}
