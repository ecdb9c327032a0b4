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
	// Insert stores tasks whose idempotency keys are not known and differ, and returns them with their ids, which grow in the order given.
	Insert(ctx context.Context, ts []task.Task) ([]task.Task, error)
	// Note notes a task under a unique key, Forget takes the note back.
	Note(ctx context.Context, taskType, key string, id int64) error
	Forget(ctx context.Context, taskType, key string, id int64) error
}

// InsertUnique does for both engines what the store's method of that name says. It decides about all tasks before it inserts any, so that an engine can take
// its locks for all of them in one order.
func InsertUnique(ctx context.Context, x UniqueTx, ts []task.Task, us []*task.Unique) (stored []task.Task, created []bool, err error) {
	b := uniqueBatch{UniqueTx: x, byKey: make(map[string]int), under: make(map[name]int)}
	stored, created = make([]task.Task, len(ts)), make([]bool, len(ts))
	of := make([]int, len(ts)) // which of the new tasks each is; -1: none
	for i, t := range ts {
		before := len(b.fresh)
		if of[i], stored[i], err = b.decide(ctx, t, us[i]); err != nil {
			return nil, nil, err
		}
		created[i] = len(b.fresh) > before
	}
	fresh, err := x.Insert(ctx, b.fresh)
	if err != nil {
		return nil, nil, err
	}
	for i, n := range of {
		if n >= 0 {
			stored[i] = fresh[n]
		}
	}
	return stored, created, b.note(ctx, fresh)
}

// name is what a unique key is told apart by.
type name struct{ taskType, key string }

// uniqueBatch is what has been decided about the tasks of a batch.
type uniqueBatch struct {
	UniqueTx
	fresh []task.Task    // those to be inserted
	byKey map[string]int // which of them has an idempotency key
	under map[name]int   // which of them is the newest under a unique key
	names []name         // the unique key of each of them; zero: none
	ended []note         // what is forgotten for their sake
}

// note is a task noted under a unique key.
type note struct {
	name
	id int64
}

// decide returns which of the new tasks t is, or -1 and the stored task that is in its way.
func (b *uniqueBatch) decide(ctx context.Context, t task.Task, u *task.Unique) (int, task.Task, error) {
	if t.IdempotencyKey != nil {
		if n, twice := b.byKey[*t.IdempotencyKey]; twice {
			return n, task.Task{}, nil
		}
		if known, err := b.ByKey(ctx, *t.IdempotencyKey); !errors.Is(err, task.ErrNotFound) {
			return -1, known, err
		}
	}
	var under name
	if u != nil {
		under = name{t.Type, u.Key}
		if n, twice := b.under[under]; twice && u.Holds(task.Queued, b.fresh[n].CreatedAtUTC, t.CreatedAtUTC) {
			return n, task.Task{}, nil
		}
		if inTheWay, err := b.look(ctx, t, u, under); inTheWay.ID != 0 || err != nil {
			return -1, inTheWay, err
		}
	}
	return b.add(t, under), task.Task{}, nil
}

// look returns the stored task that is in the way of t, the zero task when there is none.
func (b *uniqueBatch) look(ctx context.Context, t task.Task, u *task.Unique, under name) (task.Task, error) {
	others, err := b.Under(ctx, under.taskType, under.key)
	if err != nil {
		return task.Task{}, err
	}
	for _, o := range others {
		if u.Holds(o.Status, o.CreatedAtUTC, t.CreatedAtUTC) {
			return b.Task(ctx, o.ID)
		}
	}
	for _, o := range others {
		if o.Status.Ended() { // the new one is the newest
			b.ended = append(b.ended, note{under, o.ID})
		}
	}
	return task.Task{}, nil
}

// add has t inserted.
func (b *uniqueBatch) add(t task.Task, under name) int {
	n := len(b.fresh)
	b.fresh, b.names = append(b.fresh, t), append(b.names, under)
	if t.IdempotencyKey != nil {
		b.byKey[*t.IdempotencyKey] = n
	}
	if under != (name{}) {
		b.under[under] = n
	}
	return n
}

// note has the new tasks noted in the place of those that have ended.
func (b *uniqueBatch) note(ctx context.Context, fresh []task.Task) error {
	for _, o := range b.ended {
		if err := b.Forget(ctx, o.taskType, o.key, o.id); err != nil {
			return err
		}
	}
	for n, under := range b.names {
		if under == (name{}) {
			continue
		}
		if err := b.Note(ctx, under.taskType, under.key, fresh[n].ID); err != nil {
			return err
		}
	}
	return nil
}
