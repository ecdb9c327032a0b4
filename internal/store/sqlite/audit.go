package sqlite

import (
	"context"
	"math"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/task"
)

func (s *Store) AddAudit(ctx context.Context, a task.Audit) (task.Audit, error) {
	return writeOne(ctx, s, func(ctx context.Context, x tx) (task.Audit, error) {
		row, err := x.InsertAudit(ctx, sqlitedb.InsertAuditParams{AtUTC: a.AtUTC, Actor: a.Actor, Action: a.Action, Subject: a.Subject, Message: a.Message})
		return task.Audit(row), err
	})
}

func (s *Store) GetAudit(ctx context.Context, id int64) (task.Audit, error) {
	row, err := s.read.GetAudit(ctx, id)
	return task.Audit(row), s.classify(ctx, err)
}

func (s *Store) ListAudits(ctx context.Context, before int64, max int) ([]task.Audit, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	rows, err := s.read.ListAudits(ctx, sqlitedb.ListAuditsParams{Before: before, Max: int64(max)})
	out := make([]task.Audit, len(rows))
	for i, r := range rows {
		out[i] = task.Audit(r)
	}
	return out, s.classify(ctx, err)
}
