package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/task"
)

func (s *Store) ReapExpiredLeases(ctx context.Context, now time.Time, max int) ([]task.Task, error) {
	return write(ctx, s, func(ctx context.Context, q *sqlitedb.Queries) ([]task.Task, error) {
		rows, err := q.RequeueExpiredLeases(ctx, sqlitedb.RequeueExpiredLeasesParams{Now: now, Max: int64(max)})
		if err != nil || len(rows) == max {
			return tasksOf(rows), err
		}
		failed, err := q.FailExpiredLeases(ctx, sqlitedb.FailExpiredLeasesParams{Now: now, Max: int64(max - len(rows))})
		return tasksOf(append(rows, failed...)), err
	})
}

func (s *Store) PromoteDue(ctx context.Context, now time.Time, max int) ([]task.Task, error) {
	return writeOne(ctx, s, func(ctx context.Context, q *sqlitedb.Queries) ([]task.Task, error) {
		rows, err := q.PromoteDue(ctx, sqlitedb.PromoteDueParams{Now: now, Max: int64(max)})
		return tasksOf(rows), err
	})
}

func (s *Store) ExpireTasks(ctx context.Context, now time.Time, max int) ([]task.Task, error) {
	return writeOne(ctx, s, func(ctx context.Context, q *sqlitedb.Queries) ([]task.Task, error) {
		rows, err := q.ExpireTasks(ctx, sqlitedb.ExpireTasksParams{Now: now, Max: int64(max)})
		return tasksOf(rows), err
	})
}

func (s *Store) NextEvent(ctx context.Context) (*time.Time, error) {
	var next *time.Time
	keep := func(t *time.Time, err error) error {
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err == nil && t != nil && (next == nil || t.Before(*next)) {
			next = t
		}
		return s.classify(ctx, err)
	}
	due, err := s.read.NextRunAfter(ctx)
	if err := keep(&due, err); err != nil {
		return nil, err
	}
	if err := keep(s.read.NextLeaseEnd(ctx)); err != nil {
		return nil, err
	}
	if err := keep(s.read.NextDeadline(ctx)); err != nil {
		return nil, err
	}
	return next, nil
}
