package postgres

import (
	"context"
	"database/sql"
	"errors"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/task"
)

// AppendLog adds a line to the log of the task under its live lease.
func (s *Store) AppendLog(ctx context.Context, tok task.Token, l task.Log) (task.Log, error) {
	return do(ctx, s, "append log", func(ctx context.Context) (task.Log, error) {
		line, err := inTx(ctx, s.db, nil, func(q *postgresdb.Queries) (task.Log, error) {
			if _, err := q.HoldsLease(ctx, postgresdb.HoldsLeaseParams{ID: l.TaskID, Fence: tok.Fence, LeaseSecret: tok.Secret}); err != nil {
				return task.Log{}, err
			}
			row, err := q.InsertLog(ctx, postgresdb.InsertLogParams{TaskID: l.TaskID, AtUTC: l.AtUTC, Level: l.Level, Message: l.Message, Details: l.Details})
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
		rows, err := s.lists.ListLogs(ctx, postgresdb.ListLogsParams{TaskID: f.TaskID, After: f.After, Level: string(f.Level), Max: int64(f.Limit)})
		if err == nil && len(rows) == 0 {
			_, err = s.lists.GetTask(ctx, f.TaskID)
		}
		out := make([]task.Log, len(rows))
		for i, r := range rows {
			out[i] = task.Log(r)
		}
		return out, err
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
