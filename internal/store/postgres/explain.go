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

// ListBacklog returns lanes with queued tasks.
func (s *Store) ListBacklog(ctx context.Context) ([]task.Backlog, error) {
	return search(ctx, s, "list backlog", func(ctx context.Context) ([]task.Backlog, error) {
		rows, err := s.lists.ListBacklog(ctx)
		out := make([]task.Backlog, len(rows))
		for i, r := range rows {
			out[i] = store.NewBacklog(r.ID, r.Type, r.Compatibility, r.Priority, r.Ready, r.Scheduled)
		}
		return store.SortBacklog(out), err
	})
}

// CountAhead counts older tasks of a lane.
func (s *Store) CountAhead(ctx context.Context, laneID, id int64, max int) (int64, error) {
	return search(ctx, s, "count tasks ahead", func(ctx context.Context) (int64, error) {
		return s.lists.CountAhead(ctx, postgresdb.CountAheadParams{LaneID: laneID, ID: id, Max: int64(max)})
	})
}

// ListHeld returns tasks of a type in processing.
func (s *Store) ListHeld(ctx context.Context, taskType string, max int) ([]task.Holding, error) {
	return search(ctx, s, "list held tasks", func(ctx context.Context) ([]task.Holding, error) {
		rows, err := s.lists.ListHeld(ctx, postgresdb.ListHeldParams{Type: taskType, Max: int64(max)})
		out := make([]task.Holding, len(rows))
		for i, r := range rows {
			out[i] = task.Holding{TaskID: r.ID, WorkerID: r.LockedBy, LeaseUntilUTC: r.LeaseUntilUTC}
		}
		return out, err
	})
}

// ListFinishes returns ends of completed tasks.
func (s *Store) ListFinishes(ctx context.Context, taskType string, max int) ([]time.Time, error) {
	return search(ctx, s, "list finishes", func(ctx context.Context) ([]time.Time, error) {
		rows, err := s.lists.ListFinishes(ctx, postgresdb.ListFinishesParams{Type: taskType, Max: int64(max)})
		return store.Finishes(rows), err
	})
}

// ListKeyHeld returns tasks of a key in processing.
func (s *Store) ListKeyHeld(ctx context.Context, taskType, key string, max int) ([]task.Holding, error) {
	return search(ctx, s, "list held tasks of a key", func(ctx context.Context) ([]task.Holding, error) {
		rows, err := s.lists.ListKeyHeld(ctx, postgresdb.ListKeyHeldParams{Type: taskType, ConcurrencyKey: &key, Max: int64(max)})
		return column(rows, func(r postgresdb.ListKeyHeldRow) task.Holding {
			return task.Holding{TaskID: r.ID, WorkerID: r.LockedBy, LeaseUntilUTC: r.LeaseUntilUTC}
		}), err
	})
}

// KeyRateOpens returns from when on the rate of a key gives its next task.
func (s *Store) KeyRateOpens(ctx context.Context, taskType, key string) (*time.Time, error) {
	return search(ctx, s, "read the rate of a key", func(ctx context.Context) (*time.Time, error) {
		open, err := s.q.GetKeyRate(ctx, postgresdb.GetKeyRateParams{Type: taskType, ConcurrencyKey: key})
		if errors.Is(err, sql.ErrNoRows) {
			return nil, nil
		}
		return &open, err
	})
}

// CountKeyAhead counts older tasks of a key in a lane.
func (s *Store) CountKeyAhead(ctx context.Context, laneID int64, key string, id int64, max int) (int64, error) {
	return search(ctx, s, "count tasks of a key ahead", func(ctx context.Context) (int64, error) {
		return s.lists.CountKeyAhead(ctx, postgresdb.CountKeyAheadParams{LaneID: laneID, ConcurrencyKey: &key, ID: id, Max: int64(max)})
	})
}

// ListPoisoned returns live tasks that have lost two workers or more.
func (s *Store) ListPoisoned(ctx context.Context, max int) ([]task.Poisoned, error) {
	return search(ctx, s, "list tasks that have lost workers", func(ctx context.Context) ([]task.Poisoned, error) {
		rows, err := s.lists.ListPoisoned(ctx, int64(max))
		return column(rows, func(r postgresdb.ListPoisonedRow) task.Poisoned {
			return task.Poisoned{TaskID: r.ID, Type: r.Type, Lost: r.Lost}
		}), err
	})
}
