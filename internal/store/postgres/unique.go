package postgres

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// InsertUnique stores tasks of which some are to be the only ones under a key.
func (s *Store) InsertUnique(ctx context.Context, ts []task.Task, us []*task.Unique) ([]task.Task, []bool, error) {
	type made struct {
		stored  []task.Task
		created []bool
	}
	out, err := do(ctx, s, "insert unique tasks", func(ctx context.Context) (made, error) {
		ts, err := s.setLanes(ctx, ts)
		if err != nil {
			return made{}, err
		}
		for {
			m, err := inTx(ctx, s.db, nil, func(q *postgresdb.Queries) (made, error) {
				stored, created, err := insertUnique(ctx, q, ts, us)
				return made{stored, created}, err
			})
			if !errors.Is(err, sql.ErrNoRows) { // else a task in the way has come or gone meanwhile
				return m, err
			}
		}
	})
	if err != nil {
		return nil, nil, err
	}
	for i, t := range out.stored {
		if out.created[i] {
			s.announce(t)
		}
	}
	return out.stored, out.created, nil
}

func insertUnique(ctx context.Context, q *postgresdb.Queries, ts []task.Task, us []*task.Unique) (stored []task.Task, created []bool, err error) {
	var names []string
	for i, u := range us {
		if u != nil {
			names = append(names, ts[i].Type+"\n"+u.Key)
		}
	}
	slices.Sort(names) // so that no two batches wait for each other
	for _, name := range slices.Compact(names) {
		if err := q.LockUnique(ctx, name); err != nil {
			return nil, nil, err
		}
	}
	stored, created = make([]task.Task, len(ts)), make([]bool, len(ts))
	for i, t := range ts {
		if stored[i], created[i], err = store.InsertUnique(ctx, uniqueTx{q}, t, us[i]); err != nil {
			return nil, nil, err
		}
	}
	return stored, created, nil
}

// uniqueTx is a store.UniqueTx.
type uniqueTx struct{ q *postgresdb.Queries }

func (x uniqueTx) ByKey(ctx context.Context, idempotencyKey string) (task.Task, error) {
	row, err := x.q.GetTaskByKey(ctx, idempotencyKey)
	if errors.Is(err, sql.ErrNoRows) {
		err = task.ErrNotFound
	}
	return task.Task(row), err
}

func (x uniqueTx) Under(ctx context.Context, taskType, key string) ([]task.Task, error) {
	rows, err := x.q.ListUnique(ctx, postgresdb.ListUniqueParams{Type: taskType, UniqueKey: key})
	return column(rows, func(r postgresdb.ListUniqueRow) task.Task {
		return task.Task{ID: r.ID, Status: r.Status, CreatedAtUTC: r.CreatedAtUTC}
	}), err
}

func (x uniqueTx) Task(ctx context.Context, id int64) (task.Task, error) {
	row, err := x.q.GetTask(ctx, id)
	return task.Task(row), err
}

func (x uniqueTx) Insert(ctx context.Context, t task.Task) (task.Task, error) {
	var err error
	t.ID, err = x.q.InsertTask(ctx, insertParamsOf(t))
	return t, err
}

func (x uniqueTx) Note(ctx context.Context, taskType, key string, id int64) error {
	return x.q.InsertUnique(ctx, postgresdb.InsertUniqueParams{Type: taskType, UniqueKey: key, TaskID: id})
}

func (x uniqueTx) Forget(ctx context.Context, taskType, key string, id int64) error {
	return x.q.DeleteUnique(ctx, postgresdb.DeleteUniqueParams{Type: taskType, UniqueKey: key, TaskID: id})
}
