package postgres

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/db/postgressets"
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
	return s.queries(haste).InsertTask(ctx, insertParamsOf(t))
}

func insertParamsOf(t task.Task) postgresdb.InsertTaskParams {
	return postgresdb.InsertTaskParams{
		LaneID: t.LaneID, Type: t.Type, Priority: t.Priority, Payload: t.Payload, Compatibility: t.Compatibility,
		MaxAttempts: t.MaxAttempts, RunAfterUTC: t.RunAfterUTC, DeadlineUTC: t.DeadlineUTC, TimeoutSeconds: t.TimeoutSeconds,
		RetryPolicy: t.RetryPolicy, Ready: t.Ready, IdempotencyKey: t.IdempotencyKey, ConcurrencyKey: t.ConcurrencyKey, Traceparent: t.Traceparent, Now: t.CreatedAtUTC,
	}
}

// insertMany stores a set of tasks that have nothing to do with each other.
func (s *Store) insertMany(ctx context.Context, ts []task.Task) ([]outcome[int64], error) {
	ids, err := onPgx(ctx, s.setDB, func(q *postgressets.Queries) ([]int64, error) { return insertAll(ctx, q, ts) })
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
func insertAll(ctx context.Context, q *postgressets.Queries, ts []task.Task) ([]int64, error) {
	p := insertParams(ts)
	if p.IdempotencyKeys == nil && p.ConcurrencyKeys == nil && p.Traceparents == nil {
		ids, err := q.InsertTasksWithoutKeys(ctx, withoutKeys(p))
		slices.Sort(ids) // they grow in the order given; RETURNING has none
		return ids, err
	}
	rows, err := q.InsertTasks(ctx, p)
	if err != nil {
		return nil, err
	}
	inserted := make([]task.Task, len(rows))
	for i, r := range rows {
		inserted[i] = task.Task{ID: r.ID, IdempotencyKey: r.IdempotencyKey}
	}
	sortByID(inserted)
	stored, _ := store.MatchBatch(ts, inserted)
	return column(stored, func(t task.Task) int64 { return t.ID }), nil
}

func insertParams(ts []task.Task) postgressets.InsertTasksParams {
	return postgressets.InsertTasksParams{
		LaneIds:         column(ts, func(t task.Task) int64 { return t.LaneID }),
		Types:           column(ts, func(t task.Task) string { return t.Type }),
		Priorities:      column(ts, func(t task.Task) int64 { return int64(t.Priority) }),
		Payloads:        column(ts, func(t task.Task) string { return string(t.Payload) }),
		Compatibilities: column(ts, func(t task.Task) string { return string(t.Compatibility) }),
		MaxAttempts:     column(ts, func(t task.Task) int64 { return int64(t.MaxAttempts) }),
		RunAfters:       column(ts, func(t task.Task) time.Time { return t.RunAfterUTC }),
		Deadlines:       texts(ts, func(t task.Task) (string, bool) { return timeText(t.DeadlineUTC) }),
		Timeouts:        texts(ts, func(t task.Task) (string, bool) { return floatText(t.TimeoutSeconds) }),
		RetryPolicies:   texts(ts, func(t task.Task) (string, bool) { return text(t.RetryPolicy) }),
		Readies:         column(ts, func(t task.Task) bool { return t.Ready }),
		IdempotencyKeys: texts(ts, func(t task.Task) (string, bool) { return text(t.IdempotencyKey) }),
		ConcurrencyKeys: texts(ts, func(t task.Task) (string, bool) { return text(t.ConcurrencyKey) }),
		Traceparents:    texts(ts, func(t task.Task) (string, bool) { return text(t.Traceparent) }),
		CreatedAts:      column(ts, func(t task.Task) time.Time { return t.CreatedAtUTC }),
	}
}

func withoutKeys(p postgressets.InsertTasksParams) postgressets.InsertTasksWithoutKeysParams {
	return postgressets.InsertTasksWithoutKeysParams{
		LaneIds: p.LaneIds, Types: p.Types, Priorities: p.Priorities, Payloads: p.Payloads, Compatibilities: p.Compatibilities, MaxAttempts: p.MaxAttempts,
		RunAfters: p.RunAfters, Deadlines: p.Deadlines, Timeouts: p.Timeouts, RetryPolicies: p.RetryPolicies, Readies: p.Readies, CreatedAts: p.CreatedAts,
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
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return notSent(ctx, err)
	}
	defer conn.Close()
	known, err := inTx(ctx, conn, nil, func(q *postgresdb.Queries) (map[int]task.Task, error) {
		ids, err := asPgx(conn, func(sets *postgressets.Queries) ([]int64, error) { return insertAll(ctx, sets, ts) })
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
