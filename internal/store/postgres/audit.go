package postgres

import (
	"context"
	"math"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/task"
)

// AddAudit stores what was done.
func (s *Store) AddAudit(ctx context.Context, a task.Audit) (task.Audit, error) {
	return do(ctx, s, "add audit", func(ctx context.Context) (task.Audit, error) {
		row, err := s.q.InsertAudit(ctx, postgresdb.InsertAuditParams{AtUTC: a.AtUTC, Actor: a.Actor, Action: a.Action, Subject: a.Subject, Message: a.Message})
		return task.Audit(row), err
	})
}

// GetAudit returns one row.
func (s *Store) GetAudit(ctx context.Context, id int64) (task.Audit, error) {
	return look(ctx, s, "get audit", func(ctx context.Context) (task.Audit, error) {
		row, err := s.q.GetAudit(ctx, id)
		return task.Audit(row), err
	})
}

// ListAudits returns rows, newest first.
func (s *Store) ListAudits(ctx context.Context, before int64, max int) ([]task.Audit, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	return search(ctx, s, "list audits", func(ctx context.Context) ([]task.Audit, error) {
		rows, err := s.lists.ListAudits(ctx, postgresdb.ListAuditsParams{Before: before, Max: int64(max)})
		out := make([]task.Audit, len(rows))
		for i, r := range rows {
			out[i] = task.Audit(r)
		}
		return out, err
	})
}
