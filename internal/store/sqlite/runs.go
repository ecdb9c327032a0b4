package sqlite

import (
	"context"
	"database/sql"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

func (s *Store) GetTaskByKey(ctx context.Context, key string) (task.Task, error) {
	row, err := s.read.GetTaskByKey(ctx, key)
	return task.Task(row), s.classify(ctx, err)
}

func (s *Store) ListRuns(ctx context.Context, f task.RunFilter) ([]task.Task, error) {
	var rows []sqlitedb.Task
	var err error
	if f.Status == "" && f.Type == "" {
		rows, err = s.read.ListRuns(ctx, sqlitedb.ListRunsParams{Max: int64(f.Limit), Skip: int64(f.Skip)})
	} else {
		rows, err = s.read.ListRunsByStatus(ctx, sqlitedb.ListRunsByStatusParams{Status: string(f.Status), Type: f.Type, Skip: int64(f.Skip), Max: int64(f.Limit)})
	}
	return tasksOf(rows), s.classify(ctx, err)
}

func (s *Store) CountRuns(ctx context.Context, status task.RunStatus, taskType string) (int64, error) {
	tx, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return 0, s.classify(ctx, err)
	}
	defer tx.Rollback() // nothing was changed
	n, err := store.CountRuns(ctx, status, taskType, runCounts{s.read.WithTx(tx)})
	return n, s.classify(ctx, err)
}

// runCounts counts runs.
type runCounts struct{ q *sqlitedb.Queries }

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
	return c.q.CountCancelled(ctx, sqlitedb.CountCancelledParams{Type: taskType, Max: max})
}

func (c runCounts) Unsuccessful(ctx context.Context, taskType string, max int64) (int64, error) {
	return c.q.CountUnsuccessful(ctx, sqlitedb.CountUnsuccessfulParams{Type: taskType, Max: max})
}

func (s *Store) TailLogs(ctx context.Context, taskID, after int64, n int) ([]task.Log, int64, error) {
	tx, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, 0, s.classify(ctx, err)
	}
	defer tx.Rollback() // nothing was changed
	q := s.read.WithTx(tx)
	t, err := q.GetTask(ctx, taskID)
	if err != nil {
		return nil, 0, s.classify(ctx, err)
	}
	lines, total, err := store.TailLogs(ctx, task.Task(t), after, n, logLines{q: q, id: taskID})
	return lines, total, s.classify(ctx, err)
}

func (l logLines) First(ctx context.Context, after int64, n int) (int64, error) {
	id, err := l.q.FirstOfLastLogs(ctx, sqlitedb.FirstOfLastLogsParams{TaskID: l.id, After: after, Max: int64(n)})
	if noRow(err) {
		return 0, nil
	}
	return id, err
}

func (l logLines) Count(ctx context.Context, after int64, max int) (int64, error) {
	return l.q.CountTaskLogs(ctx, sqlitedb.CountTaskLogsParams{TaskID: l.id, After: after, Max: int64(max)})
}
