package queue

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// pendingFailures is how many groups of failures are kept in memory at most until they are stored; what is beyond is counted as one.
	pendingFailures = 1000
	// failuresAtOnce is how many groups one write stores.
	failuresAtOnce = 100
	// failuresKept is how long a group is kept that is not seen again, and maxFailures how many are, those of each type counted for themselves.
	failuresKept = 90 * 24 * time.Hour
	maxFailures  = 10_000
	// countedFailed is up to how many failed tasks of each group are counted.
	countedFailed = 1000
)

// failures counts the failures on this node by reason and type, until they are stored.
type failures struct {
	mu     sync.Mutex
	groups map[failureKey]*task.FailureGroup
}

type failureKey struct{ fingerprint, taskType string }

// note counts those failures of tasks that an event of that name tells of.
func (f *failures) note(now time.Time, name task.EventName, tasks []task.Task) {
	for i := range tasks {
		if g, ok := task.FailureOf(name, &tasks[i], now); ok {
			f.add(g)
		}
	}
}

func (f *failures) add(gs ...task.FailureGroup) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.groups == nil {
		f.groups = make(map[failureKey]*task.FailureGroup)
	}
	for _, g := range gs {
		known := f.groups[failureKey{g.Fingerprint, g.Type}]
		if known == nil && len(f.groups) >= pendingFailures {
			g.Pattern, g.Type = task.OtherFailuresPattern, ""
			g.Fingerprint = task.FingerprintOf(g.Pattern)
			known = f.groups[failureKey{g.Fingerprint, g.Type}]
		}
		if known != nil {
			known.Add(g)
		} else {
			f.groups[failureKey{g.Fingerprint, g.Type}] = &g
		}
	}
}

// take returns what is to be stored, and takes it for stored.
func (f *failures) take() []task.FailureGroup {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]task.FailureGroup, 0, len(f.groups))
	for g := range maps.Values(f.groups) {
		out = append(out, *g)
	}
	f.groups = nil
	return out
}

// storeFailures stores what was counted since the last time.
func (q *Queue) storeFailures(ctx context.Context) error {
	pending := q.failures.take()
	for some := range slices.Chunk(pending, failuresAtOnce) {
		if err := q.store.AddFailures(ctx, some); err != nil {
			q.failures.add(pending...)
			return fmt.Errorf("store failures: %w", err)
		}
		pending = pending[len(some):]
	}
	return nil
}

// Failures returns up to max groups of failures, those first that were seen last; only of those reasons for which tasks of the type have failed, unless it is empty. What other nodes have
// counted in their last seconds may be missing. Error: *task.InvalidError.
func (q *Queue) Failures(ctx context.Context, taskType string, max int) ([]task.FailureStatus, error) {
	_ = q.StoreMeasures(ctx) // what cannot be stored now is tried again, and logged, by Run
	groups, err := q.store.ListFailures(ctx, taskType, max)
	if err != nil {
		return nil, fmt.Errorf("failures: %w", err)
	}
	return q.failureStatus(ctx, groups)
}

// Failure returns one group. ErrNotFound when there is none.
func (q *Queue) Failure(ctx context.Context, id string) (task.FailureStatus, error) {
	_ = q.StoreMeasures(ctx)
	groups, err := q.store.GetFailure(ctx, id)
	if err != nil {
		return task.FailureStatus{}, fmt.Errorf("failure %s: %w", id, err)
	}
	out, err := q.failureStatus(ctx, groups)
	if err != nil {
		return task.FailureStatus{}, err
	}
	return out[0], nil
}

// failureStatus puts the groups of each reason together, and counts the tasks that are failed.
func (q *Queue) failureStatus(ctx context.Context, groups []task.FailureGroup) ([]task.FailureStatus, error) {
	out := task.FailuresOf(groups)
	ids := make([]string, len(out))
	for i, f := range out {
		ids[i] = f.FailureID
	}
	counts, err := q.store.CountFailed(ctx, ids, countedFailed+1)
	if err != nil {
		return nil, fmt.Errorf("count failed tasks: %w", err)
	}
	for i, f := range out {
		out[i].FailedTasks, out[i].AtLeast = min(counts[f.FailureID], countedFailed), counts[f.FailureID] > countedFailed
	}
	return out, nil
}

// failureSpec is the operation that queues the failed tasks of a group again.
func failureSpec(id string) task.OperationSpec {
	return task.OperationSpec{Action: task.ActionRequeue, Filter: "failure:" + id}
}

// ProposeFailure is Propose for what RequeueFailure does. Error also: ErrNotFound when there is no such group.
func (q *Queue) ProposeFailure(ctx context.Context, id string) (task.Proposal, error) {
	if _, err := q.store.GetFailure(ctx, id); err != nil {
		return task.Proposal{}, fmt.Errorf("failure %s: %w", id, err)
	}
	return q.Propose(ctx, failureSpec(id))
}

// RequeueFailure begins the operation that queues the tasks of a group again that are failed; without a token at once, else as StartOperation does. ErrNotFound when there is no such group.
func (q *Queue) RequeueFailure(ctx context.Context, id, token string) (task.Operation, error) {
	if _, err := q.store.GetFailure(ctx, id); err != nil {
		return task.Operation{}, fmt.Errorf("failure %s: %w", id, err)
	}
	if token != "" {
		return q.StartOperation(ctx, failureSpec(id), token)
	}
	o, _, err := failureSpec(id).Operation()
	if err != nil {
		return task.Operation{}, err
	}
	now := q.Now()
	token = q.o.Secret()
	o.ConfirmHash, o.ExpiresAtUTC = task.ConfirmHash(token), now.Add(confirmWithin)
	if err := q.store.ProposeOperation(ctx, o, now); err != nil {
		return task.Operation{}, fmt.Errorf("propose an operation: %w", err)
	}
	return q.StartOperation(ctx, failureSpec(id), token)
}

// DismissFailure forgets a group until it happens again; its tasks are not touched. ErrNotFound when there is none.
func (q *Queue) DismissFailure(ctx context.Context, id string) error {
	if err := q.StoreMeasures(ctx); err != nil { // what was counted goes too
		return err
	}
	if err := q.store.DeleteFailure(ctx, id); err != nil {
		return fmt.Errorf("failure %s: %w", id, err)
	}
	return nil
}
