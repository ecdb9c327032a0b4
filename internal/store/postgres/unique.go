package postgres

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/db/postgressets"
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
			stored, created, err := s.insertUnique(ctx, ts, us)
			if !errors.Is(err, sql.ErrNoRows) { // else a task in the way has come or gone meanwhile
				return made{stored, created}, err
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

// insertUnique returns sql.ErrNoRows when another has taken an idempotency key meanwhile, or a task in the way is gone.
func (s *Store) insertUnique(ctx context.Context, ts []task.Task, us []*task.Unique) (stored []task.Task, created []bool, err error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, nil, notSent(ctx, err)
	}
	defer conn.Close()
	_, err = inTx(ctx, conn, nil, func(q *postgresdb.Queries) (struct{}, error) {
		if err := lockUnique(ctx, q, ts, us); err != nil {
			return struct{}{}, err
		}
		var err error
		stored, created, err = store.InsertUnique(ctx, uniqueTx{q, conn}, ts, us)
		return struct{}{}, err
	})
	return stored, created, err
}

func lockUnique(ctx context.Context, q *postgresdb.Queries, ts []task.Task, us []*task.Unique) error {
	var names []string
	for i, u := range us {
		if u != nil {
			names = append(names, ts[i].Type+"\n"+u.Key)
		}
	}
	slices.Sort(names) // so that no two batches wait for each other
	for _, name := range slices.Compact(names) {
		if err := q.LockUnique(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// uniqueTx is a store.UniqueTx: q is a transaction on conn.
type uniqueTx struct {
	q    *postgresdb.Queries
	conn *sql.Conn
}

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

// Insert stores them in one statement: it takes the keys and the counters in the order in which other sets take them.
func (x uniqueTx) Insert(ctx context.Context, ts []task.Task) ([]task.Task, error) {
	if len(ts) == 0 {
		return nil, nil
	}
	ids, err := asPgx(x.conn, func(sets *postgressets.Queries) ([]int64, error) { return insertAll(ctx, sets, ts) })
	if err != nil {
		return nil, err
	}
	out := slices.Clone(ts)
	for i, id := range ids {
		if out[i].ID = id; id == 0 {
			return nil, sql.ErrNoRows
		}
	}
	return out, nil
}

func (x uniqueTx) Note(ctx context.Context, taskType, key string, id int64) error {
	return x.q.InsertUnique(ctx, postgresdb.InsertUniqueParams{Type: taskType, UniqueKey: key, TaskID: id})
}

func (x uniqueTx) Forget(ctx context.Context, taskType, key string, id int64) error {
	return x.q.DeleteUnique(ctx, postgresdb.DeleteUniqueParams{Type: taskType, UniqueKey: key, TaskID: id})
}
