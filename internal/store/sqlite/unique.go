package sqlite

import (
	"context"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

func (s *Store) InsertUnique(ctx context.Context, ts []task.Task, us []*task.Unique) ([]task.Task, []bool, error) {
	type made struct {
		stored  []task.Task
		created []bool
	}
	m, err := write(ctx, s, func(ctx context.Context, x tx) (made, error) {
		stored, created, err := store.InsertUnique(ctx, uniqueTx{x}, ts, us)
		return made{stored, created}, err
	})
	if err != nil {
		return nil, nil, err
	}
	return m.stored, m.created, nil
}

// uniqueTx is a store.UniqueTx.
type uniqueTx struct{ tx }

func (x uniqueTx) ByKey(ctx context.Context, idempotencyKey string) (task.Task, error) {
	row, err := x.GetTaskByKey(ctx, idempotencyKey)
	if noRow(err) {
		err = task.ErrNotFound
	}
	return task.Task(row), err
}

func (x uniqueTx) Under(ctx context.Context, taskType, key string) ([]task.Task, error) {
	rows, err := x.ListUnique(ctx, sqlitedb.ListUniqueParams{Type: taskType, UniqueKey: key})
	out := make([]task.Task, len(rows))
	for i, r := range rows {
		out[i] = task.Task{ID: r.ID, Status: r.Status, CreatedAtUTC: r.CreatedAtUTC}
	}
	return out, err
}

func (x uniqueTx) Task(ctx context.Context, id int64) (task.Task, error) { return x.task(ctx, id) }

func (x uniqueTx) Insert(ctx context.Context, ts []task.Task) ([]task.Task, error) {
	out := make([]task.Task, len(ts))
	for i, t := range ts {
		var err error
		if out[i], err = x.insert(ctx, t); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (x uniqueTx) insert(ctx context.Context, t task.Task) (task.Task, error) {
	key, err := keyOf(t)
	if err != nil {
		return t, err
	}
	if hasKey(t) {
		in, err := x.insertKeyed(ctx, key, t)
		return in.task, err
	}
	l, err := x.lane(ctx, key)
	if err != nil {
		return t, err
	}
	t.LaneID = l.ID
	err = x.insertRows(ctx, []*task.Task{&t})
	return t, err
}

func (x uniqueTx) Note(ctx context.Context, taskType, key string, id int64) error {
	return x.InsertUnique(ctx, sqlitedb.InsertUniqueParams{Type: taskType, UniqueKey: key, TaskID: id})
}

func (x uniqueTx) Forget(ctx context.Context, taskType, key string, id int64) error {
	return x.DeleteUnique(ctx, sqlitedb.DeleteUniqueParams{Type: taskType, UniqueKey: key, TaskID: id})
}
