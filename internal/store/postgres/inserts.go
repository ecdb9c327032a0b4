package postgres

import (
	"context"
	"database/sql"
	"errors"
	"strconv"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// InsertTask stores a new task, or returns the one that has its key.
func (s *Store) InsertTask(ctx context.Context, t task.Task) (task.Task, bool, error) {
	created := false
	stored, err := do(ctx, s, "insert task", func(ctx context.Context) (task.Task, error) {
		ts, err := s.setLanes(ctx, []task.Task{t})
		if err != nil {
			return task.Task{}, err
		}
		for {
			id, err := s.inserts.do(ctx, ts[0])
			if created = err == nil; created || !errors.Is(err, sql.ErrNoRows) {
				ts[0].ID = id
				return ts[0], err
			}
			row, err := s.q.GetTaskByKey(ctx, *t.IdempotencyKey)
			if !errors.Is(err, sql.ErrNoRows) { // else it has been deleted meanwhile
				return task.Task(row), err
			}
		}
	})
	if created = created && err == nil; created {
		s.announce(stored)
	}
	return stored, created, err
}

// insertOne returns the id, or sql.ErrNoRows when the key is known.
func (s *Store) insertOne(ctx context.Context, t task.Task, haste bool) (int64, error) {
	return s.queries(haste).InsertTask(ctx, postgresdb.InsertTaskParams{
		LaneID: t.LaneID, Type: t.Type, Priority: t.Priority, Payload: t.Payload, Compatibility: t.Compatibility,
		MaxAttempts: t.MaxAttempts, RunAfterUTC: t.RunAfterUTC, DeadlineUTC: t.DeadlineUTC, TimeoutSeconds: t.TimeoutSeconds,
		RetryPolicy: t.RetryPolicy, Ready: t.Ready, IdempotencyKey: t.IdempotencyKey, Now: t.CreatedAtUTC,
	})
}

// insertMany stores a set of tasks that have nothing to do with each other.
func (s *Store) insertMany(ctx context.Context, ts []task.Task) ([]outcome[int64], error) {
	ids, err := insertAll(ctx, s.sets, ts)
	if err != nil {
		return nil, err
	}
	out := make([]outcome[int64], len(ts))
	for i, id := range ids {
		if out[i].value = id; id == 0 {
			out[i].err = sql.ErrNoRows
		}
	}
	return out, nil
}

// insertAll stores the tasks in one statement and returns their ids, 0 where a key was known.
func insertAll(ctx context.Context, q *postgresdb.Queries, ts []task.Task) ([]int64, error) {
	rows, err := q.InsertTasks(ctx, insertParams(ts))
	if err != nil {
		return nil, err
	}
	inserted := make([]task.Task, len(rows))
	for i, r := range rows {
		inserted[i] = task.Task{ID: r.ID, IdempotencyKey: r.IdempotencyKey}
	}
	sortByID(inserted)
	stored, _ := store.MatchBatch(ts, inserted)
	ids := make([]int64, len(ts))
	for i := range stored {
		ids[i] = stored[i].ID
	}
	return ids, nil
}

func insertParams(ts []task.Task) postgresdb.InsertTasksParams {
	column := func(value func([]byte, task.Task) []byte) string {
		return column(len(ts), func(b []byte, i int) []byte { return value(b, ts[i]) })
	}
	return postgresdb.InsertTasksParams{
		LaneIds:         column(func(b []byte, t task.Task) []byte { return appendInt(b, t.LaneID) }),
		Types:           column(func(b []byte, t task.Task) []byte { return appendText(b, t.Type) }),
		Priorities:      column(func(b []byte, t task.Task) []byte { return appendInt(b, t.Priority) }),
		Payloads:        column(func(b []byte, t task.Task) []byte { return appendText(b, t.Payload) }),
		Compatibilities: column(func(b []byte, t task.Task) []byte { return appendText(b, t.Compatibility) }),
		MaxAttempts:     column(func(b []byte, t task.Task) []byte { return appendInt(b, t.MaxAttempts) }),
		RunAfters:       column(func(b []byte, t task.Task) []byte { return appendTime(b, t.RunAfterUTC) }),
		Deadlines:       column(func(b []byte, t task.Task) []byte { return appendOr(b, t.DeadlineUTC, appendTime) }),
		Timeouts:        column(func(b []byte, t task.Task) []byte { return appendOr(b, t.TimeoutSeconds, appendFloat) }),
		RetryPolicies:   column(func(b []byte, t task.Task) []byte { return appendOr(b, t.RetryPolicy, appendText) }),
		Readies:         column(func(b []byte, t task.Task) []byte { return strconv.AppendBool(b, t.Ready) }),
		IdempotencyKeys: column(func(b []byte, t task.Task) []byte { return appendOr(b, t.IdempotencyKey, appendText) }),
		CreatedAts:      column(func(b []byte, t task.Task) []byte { return appendTime(b, t.CreatedAtUTC) }),
	}
}

// settleInsert finds out by its key what became of an insert during which the connection broke. Trying again waits for what the server
// may still be doing with it. A task without a key may be stored or not.
func (s *Store) settleInsert(ctx context.Context, t task.Task) (int64, error) {
	if t.IdempotencyKey == nil {
		return 0, errUnknown
	}
	id, err := s.insertOne(ctx, t, false)
	if !errors.Is(err, sql.ErrNoRows) {
		return id, err
	}
	row, err := s.q.GetTaskByKey(ctx, *t.IdempotencyKey)
	if err == nil && !row.CreatedAtUTC.Equal(t.CreatedAtUTC) {
		err = sql.ErrNoRows // somebody else's
	}
	return row.ID, err
}

// InsertTasks stores many tasks, all or nothing.
func (s *Store) InsertTasks(ctx context.Context, ts []task.Task) ([]task.Task, []bool, error) {
	created := make([]bool, len(ts))
	stored, err := do(ctx, s, "insert tasks", func(ctx context.Context) ([]task.Task, error) {
		ts, err := s.setLanes(ctx, ts)
		if err != nil {
			return nil, err
		}
		for {
			err := s.insertBatch(ctx, ts, created)
			if !errors.Is(err, sql.ErrNoRows) { // else a task of a known key has been deleted meanwhile
				return ts, err
			}
		}
	})
	if err != nil {
		return nil, nil, err
	}
	s.announce(stored...)
	return stored, created, nil
}

// insertBatch sets the ids of those that are created and replaces the others by the tasks that have their keys. It returns sql.ErrNoRows
// when one of these is gone.
func (s *Store) insertBatch(ctx context.Context, ts []task.Task, created []bool) error {
	known, err := inTx(ctx, s.db, nil, func(q *postgresdb.Queries) (map[int]task.Task, error) {
		ids, err := insertAll(ctx, q, ts)
		if err != nil {
			return nil, err
		}
		known := make(map[int]task.Task)
		for i, id := range ids {
			if ts[i].ID, created[i] = id, id != 0; !created[i] {
				row, err := q.GetTaskByKey(ctx, *ts[i].IdempotencyKey)
				if err != nil {
					return nil, err
				}
				known[i] = task.Task(row)
			}
		}
		return known, nil
	})
	for i, t := range known {
		ts[i] = t
	}
	return err
}
