package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

func (s *Store) AppendLog(ctx context.Context, tok task.Token, l task.Log) (task.Log, error) {
	return writeOne(ctx, s, func(ctx context.Context, x tx) (task.Log, error) {
		_, err := x.HoldsLease(ctx, sqlitedb.HoldsLeaseParams{ID: l.TaskID, Fence: tok.Fence, LeaseSecret: tok.Secret})
		if noRow(err) {
			return task.Log{}, x.lost(ctx, l.TaskID)
		}
		if err != nil {
			return task.Log{}, err
		}
		row, err := x.InsertLog(ctx, insertLog(l))
		return task.Log(row), err
	})
}

func (s *Store) ListLogs(ctx context.Context, f task.LogFilter) ([]task.Log, error) {
	tx, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, s.classify(ctx, err)
	}
	defer tx.Rollback() // nothing was changed
	q := s.read.WithTx(tx)
	t, err := q.GetTask(ctx, f.TaskID)
	if err != nil {
		return nil, s.classify(ctx, err)
	}
	lines, err := store.ListLogs(ctx, task.Task(t), f, logLines{q: q, id: f.TaskID})
	return lines, s.classify(ctx, err)
}

func (s *Store) ListAttempts(ctx context.Context, id int64) ([]task.Attempt, error) {
	tx, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, s.classify(ctx, err)
	}
	defer tx.Rollback() // nothing was changed
	q := s.read.WithTx(tx)
	t, err := q.GetTask(ctx, id)
	if err != nil {
		return nil, s.classify(ctx, err)
	}
	rows, err := q.ListAttempts(ctx, id)
	out := make([]task.Attempt, len(rows), len(rows)+1)
	for i, r := range rows {
		out[i] = task.Attempt(r)
	}
	if a, ok := task.Task(t).OwnAttempt(); ok {
		out = append(out, a)
	}
	return out, s.classify(ctx, err)
}

// logLines is what is stored of the log of a task.
type logLines struct {
	q  *sqlitedb.Queries
	id int64
}

func (l logLines) Last(ctx context.Context, upto, before int64) (id, fence int64, err error) {
	row, err := l.q.LastLog(ctx, sqlitedb.LastLogParams{TaskID: l.id, Upto: upto, Before: before})
	if noRow(err) {
		return 0, 0, nil
	}
	return row.LogID, row.Fence, err
}

func (l logLines) Lines(ctx context.Context, after int64, level task.Level, max int) ([]task.Log, error) {
	rows, err := l.q.ListLogs(ctx, sqlitedb.ListLogsParams{TaskID: l.id, After: after, Level: string(level), Max: int64(max)})
	out := make([]task.Log, len(rows))
	for i, r := range rows {
		out[i] = task.Log(r)
	}
	return out, err
}

func (l logLines) Attempts(ctx context.Context, after, upto int64) ([]task.Attempt, error) {
	rows, err := l.q.ListAttemptsBetween(ctx, sqlitedb.ListAttemptsBetweenParams{TaskID: l.id, After: after, Upto: upto})
	out := make([]task.Attempt, len(rows))
	for i, r := range rows {
		out[i] = task.Attempt(r)
	}
	return out, err
}

// logStart writes that the attempt of a task has begun, and when it was claimed, which the attempt itself tells no more.
func logStart(ctx context.Context, q *sqlitedb.Queries, t task.Task) error {
	c, err := store.ClaimedLine(ctx, t, logLines{q: q, id: t.ID})
	if err != nil {
		return err
	}
	err = q.InsertClaim(ctx, sqlitedb.InsertClaimParams{
		LogID: c.LogID, TaskID: c.TaskID, AtUTC: c.AtUTC, Level: c.Level, Message: c.Message, Details: c.Details, Fence: c.Fence, Event: c.Event,
	})
	if err != nil {
		return err
	}
	_, err = q.InsertLog(ctx, insertLog(t.StartedLine()))
	return err
}

func insertLog(l task.Log) sqlitedb.InsertLogParams {
	return sqlitedb.InsertLogParams{TaskID: l.TaskID, AtUTC: l.AtUTC, Level: l.Level, Message: l.Message, Details: l.Details, Event: l.Event}
}

func (s *Store) ListRecentLogs(ctx context.Context, f task.RecentLogFilter) ([]task.RecentLog, *task.LogPlace, error) {
	lines, next, err := store.ListRecentLogs(ctx, f, recentLines{s.read})
	return lines, next, s.classify(ctx, err)
}

func (s *Store) CountLogs(ctx context.Context, before time.Time) (int64, error) {
	n, err := s.read.CountLogs(ctx, before.UnixMicro())
	return n, s.classify(ctx, err)
}

// PurgeLogs goes to the writer only when there is something to delete.
func (s *Store) PurgeLogs(ctx context.Context, before time.Time, max int) (int, error) {
	for _, level := range task.Levels {
		upto, err := s.read.LastOldLog(ctx, sqlitedb.LastOldLogParams{Level: level, Before: before.UnixMicro(), Max: int64(max)})
		if noRow(err) {
			continue
		}
		if err != nil {
			return 0, s.classify(ctx, err)
		}
		n, err := writeOne(ctx, s, func(ctx context.Context, x tx) (int64, error) {
			return x.hot.PurgeLogs(ctx, sqlitedb.PurgeLogsParams{Level: level, Upto: upto})
		})
		if n > 0 || err != nil {
			return int(n), err
		}
	}
	return 0, nil
}

// recentLines is what is stored of the logs of all tasks.
type recentLines struct{ q *sqlitedb.Queries }

func (l recentLines) OfTask(ctx context.Context, f task.RecentLogFilter) ([]task.RecentLog, error) {
	rows, err := l.q.ListLogsOfTask(ctx, sqlitedb.ListLogsOfTaskParams{
		TaskID: f.TaskID, BeforeLog: f.Before.LogID, Since: store.Since(f), Level: string(f.Level), Type: f.Type, Word: f.Word, Max: int64(f.Limit),
	})
	out := make([]task.RecentLog, len(rows))
	for i, r := range rows {
		out[i] = recentLog(sqlitedb.ListRecentLogsRow(r))
	}
	return out, err
}

func (l recentLines) Lines(ctx context.Context, f task.RecentLogFilter, most int) ([]task.RecentLog, error) {
	rows, err := l.q.ListRecentLogs(ctx, sqlitedb.ListRecentLogsParams{
		Level: string(f.Level), Since: store.Since(f), BeforeLog: f.Before.LogID, BeforeTask: f.Before.TaskID, Most: int64(most), Type: f.Type, Word: f.Word, Max: int64(f.Limit),
	})
	out := make([]task.RecentLog, len(rows))
	for i, r := range rows {
		out[i] = recentLog(r)
	}
	return out, err
}

func (l recentLines) Last(ctx context.Context, f task.RecentLogFilter, most int) (task.LogPlace, error) {
	row, err := l.q.LastRecentLog(ctx, sqlitedb.LastRecentLogParams{
		Level: string(f.Level), Since: store.Since(f), BeforeLog: f.Before.LogID, BeforeTask: f.Before.TaskID, Most: int64(most),
	})
	if noRow(err) {
		return task.LogPlace{}, nil
	}
	return task.LogPlace(row), err
}

func recentLog(r sqlitedb.ListRecentLogsRow) task.RecentLog {
	return task.RecentLog{
		Log:  task.Log{LogID: r.LogID, TaskID: r.TaskID, AtUTC: r.AtUTC, Level: r.Level, Message: r.Message, Details: r.Details, Fence: r.Fence, Event: r.Event},
		Type: r.Type,
	}
}
