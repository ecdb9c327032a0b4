package sqlite

import (
	"context"
	"database/sql"

	"github.com/prismq/thequeue/db/sqlitedb"
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
		row, err := x.InsertLog(ctx, sqlitedb.InsertLogParams{TaskID: l.TaskID, AtUTC: l.AtUTC, Level: l.Level, Message: l.Message, Details: l.Details})
		return task.Log(row), err
	})
}

func (s *Store) ListLogs(ctx context.Context, f task.LogFilter) ([]task.Log, error) {
	if _, err := s.GetTask(ctx, f.TaskID); err != nil {
		return nil, err
	}
	rows, err := s.read.ListLogs(ctx, sqlitedb.ListLogsParams{TaskID: f.TaskID, After: f.After, Level: string(f.Level), Max: int64(f.Limit)})
	out := make([]task.Log, len(rows))
	for i, r := range rows {
		out[i] = task.Log(r)
	}
	return out, s.classify(ctx, err)
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
