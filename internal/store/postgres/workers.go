package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// UpsertWorker registers a worker or renews its entry.
func (s *Store) UpsertWorker(ctx context.Context, w task.Worker) (task.Worker, error) {
	return do(ctx, s, "register worker", func(ctx context.Context) (task.Worker, error) {
		row, err := s.q.UpsertWorker(ctx, postgresdb.UpsertWorkerParams{WorkerID: w.WorkerID, Capabilities: w.Capabilities, Types: w.Types, Now: w.HeartbeatUTC})
		return task.Worker(row), err
	})
}

// TouchWorker returns ErrNotFound when no worker of this id is registered.
func (s *Store) TouchWorker(ctx context.Context, workerID string, now time.Time) (task.Worker, error) {
	return do(ctx, s, "touch worker", func(ctx context.Context) (task.Worker, error) {
		row, err := s.q.TouchWorker(ctx, postgresdb.TouchWorkerParams{WorkerID: workerID, Now: now})
		return task.Worker(row), err
	})
}

// GetWorker returns ErrNotFound when no worker of this id is registered.
func (s *Store) GetWorker(ctx context.Context, workerID string) (task.Worker, error) {
	return look(ctx, s, "get worker", func(ctx context.Context) (task.Worker, error) {
		row, err := s.q.GetWorker(ctx, workerID)
		return task.Worker(row), err
	})
}

// ListWorkers returns the registry, ordered by id.
func (s *Store) ListWorkers(ctx context.Context) ([]task.Worker, error) {
	return search(ctx, s, "list workers", func(ctx context.Context) ([]task.Worker, error) {
		rows, err := s.lists.ListWorkers(ctx)
		out := make([]task.Worker, len(rows))
		for i, r := range rows {
			out[i] = task.Worker(r)
		}
		return out, err
	})
}

// ListDraining returns the ids of workers, ordered.
func (s *Store) ListDraining(ctx context.Context) ([]string, error) {
	return look(ctx, s, "list draining workers", func(ctx context.Context) ([]string, error) { return s.q.ListDraining(ctx) })
}

// DrainWorker has a worker take nothing new, or take tasks again.
func (s *Store) DrainWorker(ctx context.Context, workerID string, drain bool) (task.Worker, error) {
	return do(ctx, s, "drain worker", func(ctx context.Context) (task.Worker, error) {
		row, err := s.q.DrainWorker(ctx, postgresdb.DrainWorkerParams{WorkerID: workerID, Drain: drain})
		return task.Worker(row), err
	})
}

// DeleteWorker returns ErrNotFound when there is no such entry.
func (s *Store) DeleteWorker(ctx context.Context, workerID string) error {
	_, err := do(ctx, s, "delete worker", func(ctx context.Context) (int64, error) {
		n, err := s.q.DeleteWorker(ctx, workerID)
		if err == nil && n == 0 {
			err = task.ErrNotFound
		}
		return n, err
	})
	return err
}

// CountHeld counts the tasks in processing by the worker that holds them.
func (s *Store) CountHeld(ctx context.Context) (map[string]int64, error) {
	return search(ctx, s, "count held tasks", func(ctx context.Context) (map[string]int64, error) {
		rows, err := s.lists.CountHeld(ctx)
		held := make(map[string]int64, len(rows))
		for _, r := range rows {
			held[r.WorkerID] = r.Held
		}
		return held, err
	})
}

// ListHeldBy returns tasks that a worker holds, those whose leases end first.
func (s *Store) ListHeldBy(ctx context.Context, workerID string, max int) ([]task.Held, error) {
	return search(ctx, s, "list held tasks of a worker", func(ctx context.Context) ([]task.Held, error) {
		rows, err := s.lists.ListHeldBy(ctx, postgresdb.ListHeldByParams{WorkerID: workerID, Max: int64(max)})
		return column(rows, func(r postgresdb.ListHeldByRow) task.Held {
			return task.Held{TaskID: r.ID, Type: r.Type, WorkerID: r.LockedBy, LeaseUntilUTC: r.LeaseUntilUTC}
		}), err
	})
}

// DeleteStaleWorkers removes the workers that were not heard since a time.
func (s *Store) DeleteStaleWorkers(ctx context.Context, before time.Time, force bool) ([]string, error) {
	return do(ctx, s, "delete stale workers", func(ctx context.Context) ([]string, error) {
		ids, err := s.q.DeleteStaleWorkers(ctx, postgresdb.DeleteStaleWorkersParams{Before: before, Force: store.Flag(force)})
		slices.Sort(ids)
		return ids, err
	})
}

// EndLeases has leases of a worker end now.
func (s *Store) EndLeases(ctx context.Context, workerID string, now time.Time, max int) ([]int64, error) {
	return do(ctx, s, "end leases", func(ctx context.Context) ([]int64, error) {
		ids, err := s.q.EndLeases(ctx, postgresdb.EndLeasesParams{Now: now, WorkerID: workerID, Max: int64(max)})
		slices.Sort(ids)
		return ids, err
	})
}
