package sqlite

import (
	"context"
	"slices"
	"time"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

func (s *Store) UpsertWorker(ctx context.Context, w task.Worker) (task.Worker, error) {
	return writeOne(ctx, s, func(ctx context.Context, x tx) (task.Worker, error) {
		row, err := x.UpsertWorker(ctx, sqlitedb.UpsertWorkerParams{WorkerID: w.WorkerID, Capabilities: w.Capabilities, Types: w.Types, Now: w.HeartbeatUTC})
		return task.Worker(row), err
	})
}

func (s *Store) TouchWorker(ctx context.Context, workerID string, now time.Time) (task.Worker, error) {
	return writeOne(ctx, s, func(ctx context.Context, x tx) (task.Worker, error) {
		row, err := x.TouchWorker(ctx, sqlitedb.TouchWorkerParams{WorkerID: workerID, Now: now})
		return task.Worker(row), err
	})
}

func (s *Store) GetWorker(ctx context.Context, workerID string) (task.Worker, error) {
	row, err := s.read.GetWorker(ctx, workerID)
	return task.Worker(row), s.classify(ctx, err)
}

func (s *Store) ListWorkers(ctx context.Context) ([]task.Worker, error) {
	rows, err := s.read.ListWorkers(ctx)
	out := make([]task.Worker, len(rows))
	for i, r := range rows {
		out[i] = task.Worker(r)
	}
	return out, s.classify(ctx, err)
}

func (s *Store) ListDraining(ctx context.Context) ([]string, error) {
	ids, err := s.draining.get(ctx, s.index, func() ([]string, error) { return s.read.ListDraining(ctx) })
	return ids, s.classify(ctx, err)
}

func (s *Store) DrainWorker(ctx context.Context, workerID string, drain bool) (task.Worker, error) {
	return writeOne(ctx, s, func(ctx context.Context, x tx) (task.Worker, error) {
		row, err := x.DrainWorker(ctx, sqlitedb.DrainWorkerParams{WorkerID: workerID, Drain: drain})
		return task.Worker(row), err
	})
}

func (s *Store) DeleteWorker(ctx context.Context, workerID string) error {
	_, err := writeOne(ctx, s, func(ctx context.Context, x tx) (int64, error) {
		n, err := x.DeleteWorker(ctx, workerID)
		if err == nil && n == 0 {
			err = task.ErrNotFound
		}
		return n, err
	})
	return err
}

func (s *Store) CountHeld(ctx context.Context) (map[string]int64, error) {
	rows, err := s.read.CountHeld(ctx)
	held := make(map[string]int64, len(rows))
	for _, r := range rows {
		held[r.WorkerID] = r.Held
	}
	return held, s.classify(ctx, err)
}

func (s *Store) ListHeldBy(ctx context.Context, workerID string, max int) ([]task.Held, error) {
	rows, err := s.read.ListHeldBy(ctx, sqlitedb.ListHeldByParams{WorkerID: workerID, Max: int64(max)})
	out := make([]task.Held, len(rows))
	for i, r := range rows {
		out[i] = task.Held{TaskID: r.ID, Type: r.Type, WorkerID: r.LockedBy, LeaseUntilUTC: r.LeaseUntilUTC}
	}
	return out, s.classify(ctx, err)
}

func (s *Store) DeleteStaleWorkers(ctx context.Context, before time.Time, force bool) ([]string, error) {
	return write(ctx, s, func(ctx context.Context, x tx) ([]string, error) {
		ids, err := x.DeleteStaleWorkers(ctx, sqlitedb.DeleteStaleWorkersParams{Before: before, Force: store.Flag(force)})
		slices.Sort(ids)
		return ids, err
	})
}

func (s *Store) EndLeases(ctx context.Context, workerID string, now time.Time, max int) ([]int64, error) {
	return write(ctx, s, func(ctx context.Context, x tx) ([]int64, error) {
		ids, err := x.EndLeases(ctx, sqlitedb.EndLeasesParams{Now: now, WorkerID: workerID, Max: int64(max)})
		for _, id := range ids {
			x.forget(id)
		}
		slices.Sort(ids)
		return ids, err
	})
}
