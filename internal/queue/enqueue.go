package queue

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// MaxBatch is the greatest number of tasks in one batch.
const MaxBatch = 1000

// MaxAttempts is the greatest max_attempts of a task; the original endpoint allows less.
const MaxAttempts = 100

// Enqueue stores a new task, with at most maxAttempts allowed. When the idempotency key is known the task that has it comes back
// unchanged, with created false; so does one that its unique key finds in its way. Errors: *task.InvalidError and those of the store.
func (q *Queue) Enqueue(ctx context.Context, s task.Spec, maxAttempts int) (t task.Task, created bool, err error) {
	k, err := q.freshRules(ctx)
	if err != nil {
		return task.Task{}, false, fmt.Errorf("enqueue: %w", err)
	}
	t, err = k.task(s, q.Now(), q.limits(maxAttempts))
	if err != nil {
		return task.Task{}, false, err
	}
	one := [1]task.Task{t}
	spans := q.trace(ctx, one[:])
	if u := s.Unique(); u != nil {
		t, created, err = q.insertUnique(ctx, one[0], u)
	} else {
		t, created, err = q.store.InsertTask(ctx, one[0])
	}
	spans.end([]task.Task{t}, []bool{created}, err)
	if err != nil {
		return task.Task{}, false, fmt.Errorf("enqueue: %w", err)
	}
	if created {
		q.happened(task.EventEnqueued, t)
		q.queued(t)
	}
	return t, created, nil
}

func (q *Queue) insertUnique(ctx context.Context, t task.Task, u *task.Unique) (task.Task, bool, error) {
	stored, created, err := q.store.InsertUnique(ctx, []task.Task{t}, []*task.Unique{u})
	if err != nil {
		return task.Task{}, false, err
	}
	return stored[0], created[0], nil
}

// insertBatch stores the tasks of specs.
func (q *Queue) insertBatch(ctx context.Context, specs []task.Spec, ts []task.Task) ([]task.Task, []bool, error) {
	us, some := make([]*task.Unique, len(specs)), false
	for i, s := range specs {
		us[i] = s.Unique()
		some = some || us[i] != nil
	}
	if !some {
		return q.store.InsertTasks(ctx, ts)
	}
	return q.store.InsertUnique(ctx, ts, us)
}

// EnqueueBatch stores 1 to MaxBatch tasks, all or nothing, and answers in the order given. The fields of an *task.InvalidError name
// the element: tasks[3].priority.
func (q *Queue) EnqueueBatch(ctx context.Context, specs []task.Spec) ([]task.Task, []bool, error) {
	if len(specs) == 0 || len(specs) > MaxBatch {
		return nil, nil, task.Invalid("tasks", "must hold 1 to %d tasks, but holds %d", MaxBatch, len(specs))
	}
	k, err := q.freshRules(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("enqueue batch: %w", err)
	}
	ts, err := q.specified(specs, k)
	if err != nil {
		return nil, nil, err
	}
	spans := q.trace(ctx, ts)
	stored, created, err := q.insertBatch(ctx, specs, ts)
	spans.end(stored, created, err)
	if err != nil {
		return nil, nil, fmt.Errorf("enqueue batch: %w", err)
	}
	made := make([]task.Task, 0, len(stored))
	for i, t := range stored {
		if created[i] {
			made = append(made, t)
		}
	}
	q.happened(task.EventEnqueued, made...)
	q.queued(made...)
	return stored, created, nil
}

// specifiedAtOnce is how many specs are worth a processor of their own: most of the time goes to checking their JSON.
const specifiedAtOnce = 100

// specified turns all specs into tasks of one instant, or lists everything that is wrong with any of them, in their order.
func (q *Queue) specified(specs []task.Spec, k *knownRules) ([]task.Task, error) {
	now, limits := q.Now(), q.limits(MaxAttempts)
	ts := make([]task.Task, len(specs))
	parts := min(runtime.GOMAXPROCS(0), 1+len(specs)/specifiedAtOnce)
	errs := make([]error, parts)
	var all sync.WaitGroup
	for p := range parts {
		from, to := p*len(specs)/parts, (p+1)*len(specs)/parts
		check := func() { errs[p] = specifyInto(ts, specs, from, to, k, now, limits) }
		if p == parts-1 {
			check()
		} else {
			all.Go(check)
		}
	}
	all.Wait()
	var bad task.InvalidError
	for _, err := range errs {
		if invalid, ok := errors.AsType[*task.InvalidError](err); ok {
			bad.Fields = append(bad.Fields, invalid.Fields...)
		} else if err != nil {
			return nil, err
		}
	}
	return ts, bad.OrNil()
}

// specifyInto is specified for the specs with these numbers.
func specifyInto(ts []task.Task, specs []task.Spec, from, to int, k *knownRules, now time.Time, limits task.Limits) error {
	var bad task.InvalidError
	for i := from; i < to; i++ {
		var err error
		if ts[i], err = k.task(specs[i], now, limits); err == nil {
			continue
		}
		invalid, ok := errors.AsType[*task.InvalidError](err)
		if !ok {
			return err
		}
		bad.Fields = append(bad.Fields, invalid.Within(fmt.Sprintf("tasks[%d]", i)).Fields...)
	}
	return bad.OrNil()
}

func (q *Queue) limits(maxAttempts int) task.Limits {
	return task.Limits{MaxAttempts: maxAttempts, PayloadBytes: q.o.MaxPayloadBytes}
}

// Cancel ends a queued or processing task; a worker that runs it is told. An ended task comes back unchanged, with changed false.
// Error: task.ErrNotFound.
func (q *Queue) Cancel(ctx context.Context, id int64) (t task.Task, changed bool, err error) {
	t, changed, err = q.store.CancelTask(ctx, id, q.Now())
	if err != nil {
		return task.Task{}, false, fmt.Errorf("cancel task %d: %w", id, err)
	}
	if changed {
		q.watchers.tell(id)
		q.happened(task.EventCancelled, t)
		q.ended(ctx, t)
	}
	return t, changed, nil
}

// Requeue gives a failed task all its attempts again. Errors: task.ErrNotFound, task.ErrConflict when it is not failed.
func (q *Queue) Requeue(ctx context.Context, id int64) (task.Task, error) {
	t, err := q.store.RequeueTask(ctx, id, q.Now())
	if err != nil {
		return task.Task{}, fmt.Errorf("requeue task %d: %w", id, err)
	}
	q.happened(task.EventRequeued, t)
	q.queued(t)
	return t, nil
}

// Delete removes an ended task with its log and history. Errors: task.ErrNotFound, task.ErrConflict when it is live.
func (q *Queue) Delete(ctx context.Context, id int64) error {
	t, err := q.store.GetTask(ctx, id)
	if err == nil {
		err = q.store.DeleteTask(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("delete task %d: %w", id, err)
	}
	t.UpdatedAtUTC = q.Now()
	q.happened(task.EventDeleted, t)
	return nil
}
