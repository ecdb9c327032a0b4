package store

import (
	"context"
	"errors"

	"github.com/prismq/thequeue/internal/task"
)

// UniqueTx is what an engine does for InsertUnique in one transaction, in which nobody else makes a task under the same key.
type UniqueTx interface {
	// ByKey returns the task that has an idempotency key; ErrNotFound when there is none.
	ByKey(ctx context.Context, idempotencyKey string) (task.Task, error)
	// Under returns the tasks noted under a unique key, newest first: their ids, statuses and times of creation.
	Under(ctx context.Context, taskType, key string) ([]task.Task, error)
	// Task returns a task.
	Task(ctx context.Context, id int64) (task.Task, error)
	// Insert stores a task whose idempotency key is not known, and returns it with its id.
	Insert(ctx context.Context, t task.Task) (task.Task, error)
	// Note notes a task under a unique key, Forget takes the note back.
	Note(ctx context.Context, taskType, key string, id int64) error
	Forget(ctx context.Context, taskType, key string, id int64) error
}

// InsertUnique does for both engines what the store's method of that name says of one task. A nil u makes it like any other.
func InsertUnique(ctx context.Context, x UniqueTx, t task.Task, u *task.Unique) (stored task.Task, created bool, err error) {
	if t.IdempotencyKey != nil {
		if stored, err = x.ByKey(ctx, *t.IdempotencyKey); !errors.Is(err, task.ErrNotFound) {
			return stored, false, err
		}
	}
	if u == nil {
		stored, err = x.Insert(ctx, t)
		return stored, err == nil, err
	}
	others, err := x.Under(ctx, t.Type, u.Key)
	if err != nil {
		return task.Task{}, false, err
	}
	for _, o := range others {
		if u.Holds(o.Status, o.CreatedAtUTC, t.CreatedAtUTC) {
			stored, err = x.Task(ctx, o.ID)
			return stored, false, err
		}
	}
	if stored, err = x.Insert(ctx, t); err != nil {
		return task.Task{}, false, err
	}
	for _, o := range others {
		if o.Status.Ended() { // the new one is the newest
			if err := x.Forget(ctx, t.Type, u.Key, o.ID); err != nil {
				return task.Task{}, false, err
			}
		}
	}
	return stored, true, x.Note(ctx, t.Type, u.Key, stored.ID)
}
