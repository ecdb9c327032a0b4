package sqlite

import (
	"context"
	"encoding/json"
	"time"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

func (s *Store) AddFailures(ctx context.Context, gs []task.FailureGroup) error {
	_, err := write(ctx, s, func(ctx context.Context, x tx) (struct{}, error) {
		for _, g := range gs {
			if err := x.AddFailureGroup(ctx, sqlitedb.AddFailureGroupParams(g)); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	return err
}

func (s *Store) ListFailures(ctx context.Context, taskType string, max int) ([]task.FailureGroup, error) {
	rows, err := s.read.ListFailureGroups(ctx, sqlitedb.ListFailureGroupsParams{Type: taskType, Max: int64(max)})
	return failuresOf(rows), s.classify(ctx, err)
}

func (s *Store) GetFailure(ctx context.Context, fingerprint string) ([]task.FailureGroup, error) {
	rows, err := s.read.GetFailureGroup(ctx, fingerprint)
	if err == nil && len(rows) == 0 {
		return nil, task.ErrNotFound
	}
	return failuresOf(rows), s.classify(ctx, err)
}

func failuresOf(rows []sqlitedb.FailureGroup) []task.FailureGroup {
	out := make([]task.FailureGroup, len(rows))
	for i, r := range rows {
		out[i] = task.FailureGroup(r)
	}
	return out
}

func (s *Store) DeleteFailure(ctx context.Context, fingerprint string) error {
	_, err := writeOne(ctx, s, func(ctx context.Context, x tx) (struct{}, error) {
		n, err := x.DeleteFailureGroup(ctx, fingerprint)
		if err == nil && n == 0 {
			err = task.ErrNotFound
		}
		return struct{}{}, err
	})
	return err
}

func (s *Store) PurgeFailures(ctx context.Context, before time.Time, keep int) error {
	_, err := writeOne(ctx, s, func(ctx context.Context, x tx) (int64, error) {
		return x.PurgeFailureGroups(ctx, sqlitedb.PurgeFailureGroupsParams{Before: before, Keep: int64(keep)})
	})
	return err
}

func (s *Store) CountFailed(ctx context.Context, fingerprints []string, max int) (map[string]int64, error) {
	list, err := json.Marshal(fingerprints)
	if err != nil {
		return nil, err
	}
	rows, err := s.read.CountFailed(ctx, sqlitedb.CountFailedParams{Fingerprints: string(list), Most: int64(max)})
	out := make(map[string]int64, len(rows))
	for _, r := range rows {
		out[r.Fingerprint] = r.Tasks
	}
	return out, s.classify(ctx, err)
}

// findFailed and findFailedDown return what a filter may ask about.
func (s *Store) findFailed(ctx context.Context, q store.FailedQuery) ([]task.Task, error) {
	rows, err := s.read.FindFailed(ctx, sqlitedb.FindFailedParams(q))
	out := make([]task.Task, len(rows))
	for i, r := range rows {
		out[i] = failedTask(r, q.Fingerprint)
	}
	return out, err
}

func (s *Store) findFailedDown(ctx context.Context, q store.FailedQuery) ([]task.Task, error) {
	rows, err := s.read.FindFailedDown(ctx, sqlitedb.FindFailedDownParams(q))
	out := make([]task.Task, len(rows))
	for i, r := range rows {
		out[i] = failedTask(sqlitedb.FindFailedRow(r), q.Fingerprint)
	}
	return out, err
}

func failedTask(r sqlitedb.FindFailedRow, fingerprint string) task.Task {
	return task.Task{
		ID: r.ID, Type: r.Type, Priority: r.Priority, Status: task.Failed, Outcome: r.Outcome, Attempts: r.Attempts, RunAfterUTC: r.RunAfterUTC, LastWorkerID: r.LastWorkerID,
		FinishedAtUTC: r.FinishedAtUTC, ErrorMessage: r.ErrorMessage, IdempotencyKey: r.IdempotencyKey, ConcurrencyKey: r.ConcurrencyKey, CreatedAtUTC: r.CreatedAtUTC, ErrorFingerprint: &fingerprint,
	}
}
