package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// tasksOf converts rows; the columns of task_queue are the fields of Task.
func tasksOf(rows []sqlitedb.Task) []task.Task {
	out := make([]task.Task, len(rows))
	for i, r := range rows {
		out[i] = task.Task(r)
	}
	return out
}

func (s *Store) GetTask(ctx context.Context, id int64) (task.Task, error) {
	row, err := s.read.GetTask(ctx, id)
	return task.Task(row), s.classify(ctx, err)
}

func (s *Store) ListTasks(ctx context.Context, f task.Filter) ([]task.Task, error) {
	if f.Before == 0 {
		f.Before = math.MaxInt64
	}
	var rows []sqlitedb.Task
	var err error
	if f.Status == "" {
		rows, err = s.read.ListTasks(ctx, sqlitedb.ListTasksParams{Before: f.Before, Type: f.Type, Max: int64(f.Limit)})
	} else {
		rows, err = s.read.ListTasksByStatus(ctx, sqlitedb.ListTasksByStatusParams{Status: f.Status, Before: f.Before, Type: f.Type, Max: int64(f.Limit)})
	}
	return tasksOf(rows), s.classify(ctx, err)
}

func (s *Store) Stats(ctx context.Context, now time.Time) (task.Stats, error) {
	tx, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return task.Stats{}, s.classify(ctx, err)
	}
	defer tx.Rollback() // nothing was changed
	q := s.read.WithTx(tx)
	c, err := q.CountTasks(ctx)
	if err != nil {
		return task.Stats{}, s.classify(ctx, err)
	}
	stats := task.Stats{
		ReadyTasks: c.Ready, ScheduledTasks: c.Scheduled, QueuedTasks: c.Ready + c.Scheduled, ProcessingTasks: c.Processing,
		CompletedTasks: c.Completed, FailedTasks: c.Failed, DeletedTasks: c.Purged,
		TotalTasks: c.Ready + c.Scheduled + c.Processing + c.Completed + c.Failed,
	}
	oldest, err := q.OldestQueuedAt(ctx)
	if err == nil {
		age := max(now.Sub(oldest).Seconds(), 0)
		stats.OldestQueuedAgeSeconds = &age
	} else if !errors.Is(err, sql.ErrNoRows) {
		return task.Stats{}, s.classify(ctx, err)
	}
	return stats, nil
}

// inserted is what an insert came to.
type inserted struct {
	task    task.Task
	created bool
}

func (s *Store) InsertTask(ctx context.Context, t task.Task) (task.Task, bool, error) {
	key, err := keyOf(t)
	if err != nil {
		return task.Task{}, false, err
	}
	_, known := s.knownLane(key)
	in, err := submit(ctx, s, known, func(ctx context.Context, q *sqlitedb.Queries) (inserted, error) {
		lane, err := s.findLane(ctx, q, key)
		if err != nil {
			return inserted{}, err
		}
		id, err := q.InsertTask(ctx, sqlitedb.InsertTaskParams{
			LaneID: lane, Type: t.Type, Priority: t.Priority, Payload: t.Payload, Compatibility: t.Compatibility, MaxAttempts: t.MaxAttempts,
			RunAfterUTC: t.RunAfterUTC, DeadlineUTC: t.DeadlineUTC, TimeoutSeconds: t.TimeoutSeconds, RetryPolicy: t.RetryPolicy,
			Ready: t.Ready, IdempotencyKey: t.IdempotencyKey, Now: t.CreatedAtUTC,
		})
		if errors.Is(err, sql.ErrNoRows) {
			row, err := q.GetTaskByKey(ctx, *t.IdempotencyKey)
			return inserted{task: task.Task(row)}, err
		}
		stored := t
		stored.ID, stored.LaneID = id, lane
		return inserted{task: stored, created: true}, err
	})
	if in.created && !known {
		s.keepLane(key, in.task.LaneID)
	}
	return in.task, in.created, err
}

func (s *Store) InsertTasks(ctx context.Context, ts []task.Task) ([]task.Task, []bool, error) {
	keys := make([]laneKey, len(ts))
	for i, t := range ts {
		var err error
		if keys[i], err = keyOf(t); err != nil {
			return nil, nil, err
		}
	}
	batch := slices.Clone(ts)
	var created []bool
	stored, err := write(ctx, s, func(ctx context.Context, q *sqlitedb.Queries) ([]task.Task, error) {
		lanes := make(map[laneKey]int64)
		for i, k := range keys {
			if lanes[k] == 0 {
				id, err := s.findLane(ctx, q, k)
				if err != nil {
					return nil, err
				}
				lanes[k] = id
			}
			batch[i].LaneID = lanes[k]
		}
		var stored []task.Task
		var err error
		stored, created, err = insertBatch(ctx, q, batch)
		return stored, err
	})
	if err != nil {
		return nil, nil, err
	}
	for i, k := range keys {
		s.keepLane(k, batch[i].LaneID)
	}
	return stored, created, nil
}

func insertBatch(ctx context.Context, q *sqlitedb.Queries, batch []task.Task) ([]task.Task, []bool, error) {
	text, err := store.EncodeBatch(batch)
	if err != nil {
		return nil, nil, err
	}
	rows, err := q.InsertTasks(ctx, text)
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(rows, func(a, b sqlitedb.Task) int { return cmp.Compare(a.ID, b.ID) })
	stored, created := store.MatchBatch(batch, tasksOf(rows))
	for i := range stored {
		if stored[i].ID == 0 {
			row, err := q.GetTaskByKey(ctx, *batch[i].IdempotencyKey)
			if err != nil {
				return nil, nil, err
			}
			stored[i] = task.Task(row)
		}
	}
	return stored, created, nil
}

func (s *Store) CancelTask(ctx context.Context, id int64, now time.Time) (task.Task, bool, error) {
	out, err := writeOne(ctx, s, func(ctx context.Context, q *sqlitedb.Queries) (inserted, error) {
		row, err := q.CancelTask(ctx, sqlitedb.CancelTaskParams{ID: id, Now: now})
		if !errors.Is(err, sql.ErrNoRows) {
			return inserted{task: task.Task(row), created: true}, err
		}
		row, err = q.GetTask(ctx, id)
		return inserted{task: task.Task(row)}, err
	})
	return out.task, out.created, err
}

func (s *Store) RequeueTask(ctx context.Context, id int64, now time.Time) (task.Task, error) {
	return writeOne(ctx, s, func(ctx context.Context, q *sqlitedb.Queries) (task.Task, error) {
		row, err := q.RequeueTask(ctx, sqlitedb.RequeueTaskParams{ID: id, Now: now})
		if errors.Is(err, sql.ErrNoRows) {
			return task.Task{}, conflict(ctx, q, id, "requeued")
		}
		return task.Task(row), err
	})
}

func (s *Store) DeleteTask(ctx context.Context, id int64) error {
	_, err := writeOne(ctx, s, func(ctx context.Context, q *sqlitedb.Queries) (int64, error) {
		n, err := q.DeleteTask(ctx, id)
		if err == nil && n == 0 {
			err = conflict(ctx, q, id, "deleted")
		}
		return n, err
	})
	return err
}

// conflict says why a statement found no row to change.
func conflict(ctx context.Context, q *sqlitedb.Queries, id int64, verb string) error {
	row, err := q.GetTask(ctx, id)
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: task %d is %s and cannot be %s", task.ErrConflict, id, row.Status, verb)
}
