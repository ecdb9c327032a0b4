package postgres

import (
	"context"
	"database/sql"
	"errors"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// GetTaskByKey returns ErrNotFound when no task has this idempotency key.
func (s *Store) GetTaskByKey(ctx context.Context, key string) (task.Task, error) {
	return look(ctx, s, "get task by its key", func(ctx context.Context) (task.Task, error) {
		row, err := s.lists.GetTaskByKey(ctx, key)
		return task.Task(row), err
	})
}

// ListRuns returns up to f.Limit tasks, newest first, from behind the first f.Skip.
func (s *Store) ListRuns(ctx context.Context, f task.RunFilter) ([]task.Task, error) {
	return search(ctx, s, "list runs", func(ctx context.Context) ([]task.Task, error) {
		var rows []postgresdb.Task
		var err error
		skip, most := int64(f.Skip), int64(f.Limit)
		switch {
		case f.Type != "":
			rows, err = s.lists.ListRunsByType(ctx, postgresdb.ListRunsByTypeParams{Max: most, Skip: skip, Status: string(f.Status), Type: f.Type})
		case f.Status != "":
			rows, err = s.lists.ListRunsByStatus(ctx, postgresdb.ListRunsByStatusParams{Status: string(f.Status), Max: most, Skip: skip})
		default:
			rows, err = s.lists.ListRuns(ctx, postgresdb.ListRunsParams{Max: most, Skip: skip})
		}
		out := make([]task.Task, len(rows))
		for i, r := range rows {
			out[i] = task.Task(r)
		}
		return out, err
	})
}

// CountRuns counts in one snapshot.
func (s *Store) CountRuns(ctx context.Context, status task.RunStatus, taskType string) (int64, error) {
	return search(ctx, s, "count runs", func(ctx context.Context) (int64, error) {
		return inTx(ctx, s.listDB, snapshot, func(q *postgresdb.Queries) (int64, error) {
			return store.CountRuns(ctx, status, taskType, runCounts{q})
		})
	})
}

// runCounts counts runs.
type runCounts struct{ q *postgresdb.Queries }

func (c runCounts) Counters(ctx context.Context, taskType string) (sum task.TypeCounts, err error) {
	rows, err := c.q.CountTypes(ctx, taskType)
	for _, r := range rows {
		sum.QueuedTasks += r.Ready + r.Scheduled
		sum.ProcessingTasks += r.Processing
		sum.CompletedTasks += r.Completed
		sum.FailedTasks += r.Failed
	}
	return sum, err
}

func (c runCounts) Cancelled(ctx context.Context, taskType string, max int64) (int64, error) {
	return c.q.CountCancelled(ctx, postgresdb.CountCancelledParams{Type: taskType, Max: max})
}

func (c runCounts) Unsuccessful(ctx context.Context, taskType string, max int64) (int64, error) {
	return c.q.CountUnsuccessful(ctx, postgresdb.CountUnsuccessfulParams{Type: taskType, Max: max})
}

// TailLogs returns the end of the log of a task, oldest line first.
func (s *Store) TailLogs(ctx context.Context, taskID, after int64, n int) ([]task.Log, int64, error) {
	type tail struct {
		lines []task.Log
		total int64
	}
	out, err := search(ctx, s, "read the end of a log", func(ctx context.Context) (tail, error) {
		return inTx(ctx, s.listDB, snapshot, func(q *postgresdb.Queries) (out tail, err error) {
			t, err := q.GetTask(ctx, taskID)
			if err != nil {
				return out, err
			}
			out.lines, out.total, err = store.TailLogs(ctx, task.Task(t), after, n, logLines{q: q, id: taskID})
			return out, err
		})
	})
	return out.lines, out.total, err
}

func (l logLines) First(ctx context.Context, after int64, n int) (int64, error) {
	id, err := l.q.FirstOfLastLogs(ctx, postgresdb.FirstOfLastLogsParams{TaskID: l.id, After: after, Max: int64(n)})
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return id, err
}

func (l logLines) Count(ctx context.Context, after int64, max int) (int64, error) {
	return l.q.CountTaskLogs(ctx, postgresdb.CountTaskLogsParams{TaskID: l.id, After: after, Max: int64(max)})
}
