package sqlite

import (
	"context"
	"time"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

func (s *Store) ListBacklog(ctx context.Context) ([]task.Backlog, error) {
	rows, err := s.read.ListBacklog(ctx)
	out := make([]task.Backlog, len(rows))
	for i, r := range rows {
		out[i] = store.NewBacklog(r.ID, r.Type, r.Compatibility, r.Priority, r.Ready, r.Scheduled)
	}
	return store.SortBacklog(out), s.classify(ctx, err)
}

func (s *Store) CountAhead(ctx context.Context, laneID, id int64, max int) (int64, error) {
	n, err := s.read.CountAhead(ctx, sqlitedb.CountAheadParams{LaneID: laneID, ID: id, Max: int64(max)})
	return n, s.classify(ctx, err)
}

func (s *Store) ListHeld(ctx context.Context, taskType string, max int) ([]task.Holding, error) {
	rows, err := s.read.ListHeld(ctx, sqlitedb.ListHeldParams{Type: taskType, Max: int64(max)})
	out := make([]task.Holding, len(rows))
	for i, r := range rows {
		out[i] = task.Holding{TaskID: r.ID, WorkerID: r.LockedBy, LeaseUntilUTC: r.LeaseUntilUTC}
	}
	return out, s.classify(ctx, err)
}

func (s *Store) ListFinishes(ctx context.Context, taskType string, max int) ([]time.Time, error) {
	rows, err := s.read.ListFinishes(ctx, sqlitedb.ListFinishesParams{Type: taskType, Max: int64(max)})
	return store.Finishes(rows), s.classify(ctx, err)
}

func (s *Store) ListKeyHeld(ctx context.Context, taskType, key string, max int) ([]task.Holding, error) {
	rows, err := s.read.ListKeyHeld(ctx, sqlitedb.ListKeyHeldParams{Type: taskType, ConcurrencyKey: &key, Max: int64(max)})
	out := make([]task.Holding, len(rows))
	for i, r := range rows {
		out[i] = task.Holding{TaskID: r.ID, WorkerID: r.LockedBy, LeaseUntilUTC: r.LeaseUntilUTC}
	}
	return out, s.classify(ctx, err)
}

func (s *Store) KeyRateOpens(ctx context.Context, taskType, key string) (*time.Time, error) {
	open, err := s.read.GetKeyRate(ctx, sqlitedb.GetKeyRateParams{Type: taskType, ConcurrencyKey: key})
	if noRow(err) {
		return nil, nil
	}
	return &open, s.classify(ctx, err)
}

func (s *Store) CountKeyAhead(ctx context.Context, laneID int64, key string, id int64, max int) (int64, error) {
	n, err := s.read.CountKeyAhead(ctx, sqlitedb.CountKeyAheadParams{LaneID: laneID, ConcurrencyKey: &key, ID: id, Max: int64(max)})
	return n, s.classify(ctx, err)
}

func (s *Store) ListPoisoned(ctx context.Context, max int) ([]task.Poisoned, error) {
	rows, err := s.read.ListPoisoned(ctx, int64(max))
	out := make([]task.Poisoned, len(rows))
	for i, r := range rows {
		out[i] = task.Poisoned{TaskID: r.ID, Type: r.Type, Lost: r.Lost}
	}
	return out, s.classify(ctx, err)
}
