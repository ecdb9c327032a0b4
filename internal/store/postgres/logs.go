package postgres

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// AppendLog adds a line to the log of the task under its live lease.
func (s *Store) AppendLog(ctx context.Context, tok task.Token, l task.Log) (task.Log, error) {
	return do(ctx, s, "append log", func(ctx context.Context) (task.Log, error) {
		line, err := inTx(ctx, s.db, nil, func(q *postgresdb.Queries) (task.Log, error) {
			if _, err := q.HoldsLease(ctx, postgresdb.HoldsLeaseParams{ID: l.TaskID, Fence: tok.Fence, LeaseSecret: tok.Secret}); err != nil {
				return task.Log{}, err
			}
			row, err := q.InsertLog(ctx, insertLog(l))
			return task.Log(row), err
		})
		if errors.Is(err, sql.ErrNoRows) {
			err = s.lost(ctx, l.TaskID)
		}
		return line, err
	})
}

// ListLogs returns the log of a task, oldest first.
func (s *Store) ListLogs(ctx context.Context, f task.LogFilter) ([]task.Log, error) {
	return search(ctx, s, "list logs", func(ctx context.Context) ([]task.Log, error) {
		return inTx(ctx, s.listDB, snapshot, func(q *postgresdb.Queries) ([]task.Log, error) {
			t, err := q.GetTask(ctx, f.TaskID)
			if err != nil {
				return nil, err
			}
			return store.ListLogs(ctx, task.Task(t), f, logLines{q: q, id: f.TaskID})
		})
	})
}

// ListAttempts returns the attempts of a task, oldest first, with the one that runs now last.
func (s *Store) ListAttempts(ctx context.Context, id int64) ([]task.Attempt, error) {
	return search(ctx, s, "list attempts", func(ctx context.Context) ([]task.Attempt, error) {
		return inTx(ctx, s.listDB, snapshot, func(q *postgresdb.Queries) ([]task.Attempt, error) {
			t, err := q.GetTask(ctx, id)
			if err != nil {
				return nil, err
			}
			rows, err := q.ListAttempts(ctx, id)
			out := make([]task.Attempt, len(rows), len(rows)+1)
			for i, r := range rows {
				out[i] = task.Attempt(r)
			}
			if own, ok := task.Task(t).OwnAttempt(); ok {
				out = append(out, own)
			}
			return out, err
		})
	})
}

// logLines is what is stored of the log of a task.
type logLines struct {
	q  *postgresdb.Queries
	id int64
}

func (l logLines) Last(ctx context.Context, upto, before int64) (id, fence int64, err error) {
	row, err := l.q.LastLog(ctx, postgresdb.LastLogParams{TaskID: l.id, Upto: upto, Before: before})
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, nil
	}
	return row.LogID, row.Fence, err
}

func (l logLines) Lines(ctx context.Context, after int64, level task.Level, max int) ([]task.Log, error) {
	rows, err := l.q.ListLogs(ctx, postgresdb.ListLogsParams{TaskID: l.id, After: after, Level: string(level), Max: int64(max)})
	out := make([]task.Log, len(rows))
	for i, r := range rows {
		out[i] = task.Log(r)
	}
	return out, err
}

func (l logLines) Attempts(ctx context.Context, after, upto int64) ([]task.Attempt, error) {
	rows, err := l.q.ListAttemptsBetween(ctx, postgresdb.ListAttemptsBetweenParams{TaskID: l.id, After: after, Upto: upto})
	out := make([]task.Attempt, len(rows))
	for i, r := range rows {
		out[i] = task.Attempt(r)
	}
	return out, err
}

// logStart writes that the attempt of a task has begun, and when it was claimed, which the attempt itself tells no more.
func logStart(ctx context.Context, q *postgresdb.Queries, t task.Task) error {
	c, err := store.ClaimedLine(ctx, t, logLines{q: q, id: t.ID})
	if err != nil {
		return err
	}
	err = q.InsertClaim(ctx, postgresdb.InsertClaimParams{
		LogID: c.LogID, TaskID: c.TaskID, AtUTC: c.AtUTC, Level: c.Level, Message: c.Message, Details: c.Details, Fence: c.Fence, Event: c.Event,
	})
	if err != nil {
		return err
	}
	_, err = q.InsertLog(ctx, insertLog(t.StartedLine()))
	return err
}

func insertLog(l task.Log) postgresdb.InsertLogParams {
	return postgresdb.InsertLogParams{TaskID: l.TaskID, AtUTC: l.AtUTC, Level: l.Level, Message: l.Message, Details: l.Details, Event: l.Event}
}

// ListRecentLogs returns lines of all tasks, newest first.
func (s *Store) ListRecentLogs(ctx context.Context, f task.RecentLogFilter) ([]task.RecentLog, *task.LogPlace, error) {
	type page struct {
		lines []task.RecentLog
		next  *task.LogPlace
	}
	out, err := search(ctx, s, "list recent logs", func(ctx context.Context) (out page, err error) {
		out.lines, out.next, err = store.ListRecentLogs(ctx, f, recentLines{s.lists})
		return out, err
	})
	return out.lines, out.next, err
}

// CountLogs counts the stored lines from before an instant.
func (s *Store) CountLogs(ctx context.Context, before time.Time) (int64, error) {
	return search(ctx, s, "count logs", func(ctx context.Context) (int64, error) { return s.lists.CountLogs(ctx, before.UnixMicro()) })
}

// PurgeLogs deletes lines from before an instant. What another node deletes at the same time is waited for.
func (s *Store) PurgeLogs(ctx context.Context, before time.Time, max int) (int, error) {
	return do(ctx, s, "purge logs", func(ctx context.Context) (int, error) {
		for _, level := range task.Levels {
			upto, err := s.q.LastOldLog(ctx, postgresdb.LastOldLogParams{Level: level, Before: before.UnixMicro(), Max: int64(max)})
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return 0, err
			}
			if n, err := s.q.PurgeLogs(ctx, postgresdb.PurgeLogsParams{Level: level, Upto: upto}); n > 0 || err != nil {
				return int(n), err
			}
		}
		return 0, nil
	})
}

// recentLines is what is stored of the logs of all tasks.
type recentLines struct{ q *postgresdb.Queries }

func (l recentLines) OfTask(ctx context.Context, f task.RecentLogFilter) ([]task.RecentLog, error) {
	rows, err := l.q.ListLogsOfTask(ctx, postgresdb.ListLogsOfTaskParams{
		TaskID: f.TaskID, BeforeLog: f.Before.LogID, Since: store.Since(f), Level: string(f.Level), Type: f.Type, Word: f.Word, Max: int64(f.Limit),
	})
	out := make([]task.RecentLog, len(rows))
	for i, r := range rows {
		out[i] = recentLog(postgresdb.ListRecentLogsRow(r))
	}
	return out, err
}

func (l recentLines) Lines(ctx context.Context, f task.RecentLogFilter, most int) ([]task.RecentLog, error) {
	rows, err := l.q.ListRecentLogs(ctx, postgresdb.ListRecentLogsParams{
		Level: string(f.Level), Since: store.Since(f), BeforeLog: f.Before.LogID, BeforeTask: f.Before.TaskID, Most: int64(most), Type: f.Type, Word: f.Word, Max: int64(f.Limit),
	})
	out := make([]task.RecentLog, len(rows))
	for i, r := range rows {
		out[i] = recentLog(r)
	}
	return out, err
}

func (l recentLines) Last(ctx context.Context, f task.RecentLogFilter, most int) (task.LogPlace, error) {
	row, err := l.q.LastRecentLog(ctx, postgresdb.LastRecentLogParams{
		Level: string(f.Level), Since: store.Since(f), BeforeLog: f.Before.LogID, BeforeTask: f.Before.TaskID, Most: int64(most),
	})
	if errors.Is(err, sql.ErrNoRows) {
		return task.LogPlace{}, nil
	}
	return task.LogPlace(row), err
}

func recentLog(r postgresdb.ListRecentLogsRow) task.RecentLog {
	return task.RecentLog{
		Log:  task.Log{LogID: r.LogID, TaskID: r.TaskID, AtUTC: r.AtUTC, Level: r.Level, Message: r.Message, Details: r.Details, Fence: r.Fence, Event: r.Event},
		Type: r.Type,
	}
}
