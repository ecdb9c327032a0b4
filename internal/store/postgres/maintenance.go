package postgres

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/task"
)

// ReapExpiredLeases takes back leases whose time was over at now.
func (s *Store) ReapExpiredLeases(ctx context.Context, now time.Time, max int) ([]task.Task, error) {
	return s.announced(do(ctx, s, "reap leases", func(ctx context.Context) ([]task.Task, error) {
		return inTx(ctx, s.db, nil, func(q *postgresdb.Queries) ([]task.Task, error) {
			requeued, err := q.RequeueExpiredLeases(ctx, postgresdb.RequeueExpiredLeasesParams{Now: now, Max: int64(max)})
			if err == nil && entersQuarantine(tasks(requeued)) {
				err = q.RaiseRules(ctx) // claims under way look again, and see it
			}
			if err != nil || len(requeued) == max {
				return tasks(requeued), err
			}
			failed, err := q.FailExpiredLeases(ctx, postgresdb.FailExpiredLeasesParams{Now: now, ErrorFingerprint: task.FingerprintOf(task.LeaseExpiredPattern), Max: int64(max - len(requeued))})
			return tasks(append(requeued, failed...)), err
		})
	}))
}

// announced tells other processes of those tasks that can be claimed now.
func (s *Store) announced(ts []task.Task, err error) ([]task.Task, error) {
	s.announce(ts...)
	return ts, err
}

// PromoteDue makes queued tasks ready whose time has come.
func (s *Store) PromoteDue(ctx context.Context, now time.Time, max int) ([]task.Task, error) {
	return s.announced(do(ctx, s, "promote tasks", func(ctx context.Context) ([]task.Task, error) {
		rows, err := s.q.PromoteDue(ctx, postgresdb.PromoteDueParams{Now: now, Max: int64(max)})
		return tasks(rows), err
	}))
}

// ExpireTasks ends queued tasks whose deadline has come.
func (s *Store) ExpireTasks(ctx context.Context, now time.Time, max int) ([]task.Task, error) {
	return do(ctx, s, "expire tasks", func(ctx context.Context) ([]task.Task, error) {
		rows, err := s.q.ExpireTasks(ctx, postgresdb.ExpireTasksParams{Now: now, ErrorFingerprint: task.FingerprintOf(task.DeadlinePattern), Max: int64(max)})
		return tasks(rows), err
	})
}

// NextEvent returns the earliest instant at which a task falls due, a lease ends, or a deadline or a tick comes.
func (s *Store) NextEvent(ctx context.Context) (*time.Time, error) {
	return search(ctx, s, "find next event", func(ctx context.Context) (*time.Time, error) {
		var next *time.Time
		for _, find := range []func(context.Context) (*time.Time, error){s.nextRunAfter, s.q.NextLeaseEnd, s.q.NextDeadline, s.q.NextTick, s.q.NextKeyOpening} {
			at, err := find(ctx)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if next == nil || at.Before(*next) {
				next = at
			}
		}
		return next, nil
	})
}

func (s *Store) nextRunAfter(ctx context.Context) (*time.Time, error) {
	at, err := s.q.NextRunAfter(ctx)
	return &at, err
}
