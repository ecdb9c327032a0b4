package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/task"
)

// GetTask returns ErrNotFound when no task has this id.
func (s *Store) GetTask(ctx context.Context, id int64) (task.Task, error) {
	return look(ctx, s, "get task", func(ctx context.Context) (task.Task, error) {
		row, err := s.lists.GetTask(ctx, id)
		return task.Task(row), err
	})
}

// ListTasks returns up to f.Limit tasks, newest first.
func (s *Store) ListTasks(ctx context.Context, f task.Filter) ([]task.Task, error) {
	if f.Before == 0 {
		f.Before = math.MaxInt64
	}
	return search(ctx, s, "list tasks", func(ctx context.Context) ([]task.Task, error) {
		var rows []postgresdb.Task
		var err error
		switch {
		case f.Type != "" || f.Status == task.Processing:
			rows, err = s.lists.ListTasksByType(ctx, postgresdb.ListTasksByTypeParams{Status: string(f.Status), Before: f.Before, Max: int64(f.Limit), Type: f.Type})
		case f.Status != "":
			rows, err = s.lists.ListTasksByStatus(ctx, postgresdb.ListTasksByStatusParams{Status: f.Status, Before: f.Before, Max: int64(f.Limit)})
		default:
			rows, err = s.lists.ListTasks(ctx, postgresdb.ListTasksParams{Before: f.Before, Max: int64(f.Limit)})
		}
		out := make([]task.Task, len(rows))
		for i, r := range rows {
			out[i] = task.Task(r)
		}
		return out, err
	})
}

// Stats counts all tasks in one snapshot.
func (s *Store) Stats(ctx context.Context, now time.Time) (task.Stats, error) {
	return search(ctx, s, "count tasks", func(ctx context.Context) (task.Stats, error) {
		return inTx(ctx, s.listDB, snapshot, func(q *postgresdb.Queries) (task.Stats, error) {
			n, err := q.CountTasks(ctx)
			if err != nil {
				return task.Stats{}, err
			}
			stats := task.Stats{
				TotalTasks:  n.Ready + n.Scheduled + n.Processing + n.Completed + n.Failed,
				QueuedTasks: n.Ready + n.Scheduled, ProcessingTasks: n.Processing, CompletedTasks: n.Completed, FailedTasks: n.Failed,
				ReadyTasks: n.Ready, ScheduledTasks: n.Scheduled, DeletedTasks: n.Purged,
			}
			oldest, err := q.OldestQueuedAt(ctx)
			if errors.Is(err, sql.ErrNoRows) {
				return stats, nil
			}
			age := max(now.Sub(oldest), 0).Seconds()
			stats.OldestQueuedAgeSeconds = &age
			return stats, err
		})
	})
}

// CancelTask ends a live task as failed/cancelled.
func (s *Store) CancelTask(ctx context.Context, id int64, now time.Time) (task.Task, bool, error) {
	changed := false
	t, err := do(ctx, s, "cancel task", func(ctx context.Context) (task.Task, error) {
		for {
			row, err := s.q.CancelTask(ctx, postgresdb.CancelTaskParams{Now: now, ID: id})
			if changed = err == nil; changed || !errors.Is(err, sql.ErrNoRows) {
				return task.Task(row), err
			}
			row, err = s.q.GetTask(ctx, id)
			if err != nil || row.Status.Ended() { // else it has been requeued meanwhile
				return task.Task(row), err
			}
		}
	})
	return t, changed && err == nil, err
}

// RequeueTask makes a failed task queued and due again.
func (s *Store) RequeueTask(ctx context.Context, id int64, now time.Time) (task.Task, error) {
	t, err := do(ctx, s, "requeue task", func(ctx context.Context) (task.Task, error) {
		row, err := s.q.RequeueTask(ctx, postgresdb.RequeueTaskParams{Now: now, ID: id})
		if errors.Is(err, sql.ErrNoRows) {
			err = s.conflict(ctx, id, "requeued")
		}
		return task.Task(row), err
	})
	s.announce(t)
	return t, err
}

// DeleteTask removes an ended task with its log and history.
func (s *Store) DeleteTask(ctx context.Context, id int64) error {
	_, err := do(ctx, s, "delete task", func(ctx context.Context) (int64, error) {
		n, err := s.q.DeleteTask(ctx, id)
		if err == nil && n == 0 {
			err = s.conflict(ctx, id, "deleted")
		}
		return n, err
	})
	return err
}

// conflict says why a change by an operator matched no row.
func (s *Store) conflict(ctx context.Context, id int64, verb string) error {
	row, err := s.q.GetTask(ctx, id)
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: task %d is %s and cannot be %s", task.ErrConflict, id, row.Status, verb)
}
