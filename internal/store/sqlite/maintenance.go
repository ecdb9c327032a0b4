package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/task"
)

func (s *Store) ReapExpiredLeases(ctx context.Context, now time.Time, max int) ([]task.Task, error) {
	return write(ctx, s, func(ctx context.Context, x tx) ([]task.Task, error) {
		expired, err := x.ListExpiredLeases(ctx, sqlitedb.ListExpiredLeasesParams{Now: &now, Max: int64(max)})
		if err != nil {
			return nil, err
		}
		again := int64(0) // those with attempts left
		for _, r := range expired {
			if r.Attempts < r.MaxAttempts {
				again++
			}
		}
		requeued, err := x.RequeueExpiredLeases(ctx, sqlitedb.RequeueExpiredLeasesParams{Now: now, Max: again})
		if err != nil {
			return nil, err
		}
		failed, err := x.FailExpiredLeases(ctx, sqlitedb.FailExpiredLeasesParams{Now: now, ErrorFingerprint: task.FingerprintOf(task.LeaseExpiredPattern), Max: int64(len(expired)) - again})
		if err != nil {
			return nil, err
		}
		return x.reaped(ctx, byID(expired), append(requeued, failed...))
	})
}

// reaped notes that leases were taken back and keeps their attempts.
func (x tx) reaped(ctx context.Context, before map[int64]task.Task, rows []sqlitedb.Task) ([]task.Task, error) {
	for _, r := range rows {
		was, after := before[r.ID], task.Task(r)
		x.move(&was, &after)
		if x.triggers {
			continue
		}
		err := x.hot.InsertAttempt(ctx, sqlitedb.InsertAttemptParams{
			TaskID: was.ID, Fence: was.Fence, Attempt: was.Attempts, WorkerID: *was.LockedBy, StartedAtUTC: *cmp.Or(was.ProcessingStartedUTC, was.ReservedAtUTC),
			FinishedAtUTC: &after.UpdatedAtUTC, Outcome: after.AttemptOutcome, ErrorMessage: after.ErrorMessage,
		})
		if err != nil {
			return nil, err
		}
		if err := x.tell(ctx, was, after); err != nil {
			return nil, err
		}
	}
	return tasksOf(rows), nil
}

func byID(rows []sqlitedb.Task) map[int64]task.Task {
	out := make(map[int64]task.Task, len(rows))
	for _, r := range rows {
		out[r.ID] = task.Task(r)
	}
	return out
}

func (s *Store) PromoteDue(ctx context.Context, now time.Time, max int) ([]task.Task, error) {
	return write(ctx, s, func(ctx context.Context, x tx) ([]task.Task, error) {
		rows, err := x.PromoteDue(ctx, sqlitedb.PromoteDueParams{Now: now, Max: int64(max)})
		for _, r := range rows {
			after := task.Task(r)
			before := after
			before.Ready = false
			x.move(&before, &after)
		}
		return tasksOf(rows), err
	})
}

func (s *Store) ExpireTasks(ctx context.Context, now time.Time, max int) ([]task.Task, error) {
	return write(ctx, s, func(ctx context.Context, x tx) ([]task.Task, error) {
		past, err := x.ListPastDeadline(ctx, sqlitedb.ListPastDeadlineParams{Now: &now, Max: int64(max)})
		if err != nil {
			return nil, err
		}
		before := byID(past)
		rows, err := x.ExpireTasks(ctx, sqlitedb.ExpireTasksParams{Now: now, ErrorFingerprint: task.FingerprintOf(task.DeadlinePattern), Max: int64(len(past))})
		for _, r := range rows {
			was, after := before[r.ID], task.Task(r)
			x.move(&was, &after)
			if err := x.tell(ctx, was, after); err != nil {
				return nil, err
			}
		}
		return tasksOf(rows), err
	})
}

// openingKeys is at how many keys that open a look for their types looks.
const openingKeys = 1000

// OpenKeys goes to the writer only when there is something to open.
func (s *Store) OpenKeys(ctx context.Context, now time.Time) ([]string, error) {
	if types, err := s.read.ListOpeningTypes(ctx, sqlitedb.ListOpeningTypesParams{Now: &now, Max: openingKeys}); err != nil || len(types) == 0 {
		return nil, s.classify(ctx, err)
	}
	return write(ctx, s, func(ctx context.Context, x tx) ([]string, error) {
		types, err := x.ListOpeningTypes(ctx, sqlitedb.ListOpeningTypesParams{Now: &now, Max: openingKeys})
		if err == nil && len(types) > 0 {
			err = x.OpenDueKeys(ctx, &now)
		}
		return types, err
	})
}

func (s *Store) PurgeKeyRates(ctx context.Context, now time.Time) error {
	_, err := writeOne(ctx, s, func(ctx context.Context, x tx) (struct{}, error) { return struct{}{}, x.PurgeKeyRates(ctx, now) })
	return err
}

func (s *Store) NextEvent(ctx context.Context) (*time.Time, error) {
	if err := s.sound(); err != nil {
		return nil, s.classify(ctx, err)
	}
	return s.event.get(ctx, s.index, func() (*time.Time, error) { return s.nextEvent(ctx) })
}

func (s *Store) nextEvent(ctx context.Context) (*time.Time, error) {
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
	if err := keep(s.read.NextTick(ctx)); err != nil {
		return nil, err
	}
	if err := keep(s.read.NextKeyOpening(ctx)); err != nil {
		return nil, err
	}
	return next, nil
}
