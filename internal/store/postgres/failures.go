package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// AddFailures adds what was counted to each group, in the order of their keys: so nodes that do so at once cannot wait for each other.
func (s *Store) AddFailures(ctx context.Context, gs []task.FailureGroup) error {
	gs = slices.SortedFunc(slices.Values(gs), func(a, b task.FailureGroup) int {
		return cmp.Or(cmp.Compare(a.Fingerprint, b.Fingerprint), cmp.Compare(a.Type, b.Type))
	})
	_, err := do(ctx, s, "add failures", func(ctx context.Context) (struct{}, error) {
		return inTx(ctx, s.db, nil, func(q *postgresdb.Queries) (struct{}, error) {
			for _, g := range gs {
				if err := q.AddFailureGroup(ctx, postgresdb.AddFailureGroupParams(g)); err != nil {
					return struct{}{}, err
				}
			}
			return struct{}{}, nil
		})
	})
	return err
}

// ListFailures returns the groups of those reasons that were seen last.
func (s *Store) ListFailures(ctx context.Context, taskType string, max int) ([]task.FailureGroup, error) {
	return search(ctx, s, "list failures", func(ctx context.Context) ([]task.FailureGroup, error) {
		rows, err := s.lists.ListFailureGroups(ctx, postgresdb.ListFailureGroupsParams{Type: taskType, Max: int64(max)})
		return failuresOf(rows), err
	})
}

// GetFailure returns the groups of one reason.
func (s *Store) GetFailure(ctx context.Context, fingerprint string) ([]task.FailureGroup, error) {
	return look(ctx, s, "get failure", func(ctx context.Context) ([]task.FailureGroup, error) {
		rows, err := s.lists.GetFailureGroup(ctx, fingerprint)
		if err == nil && len(rows) == 0 {
			err = task.ErrNotFound
		}
		return failuresOf(rows), err
	})
}

func failuresOf(rows []postgresdb.FailureGroup) []task.FailureGroup {
	out := make([]task.FailureGroup, len(rows))
	for i, r := range rows {
		out[i] = task.FailureGroup(r)
	}
	return out
}

// DeleteFailure forgets the groups of a reason.
func (s *Store) DeleteFailure(ctx context.Context, fingerprint string) error {
	_, err := do(ctx, s, "delete failure", func(ctx context.Context) (int64, error) {
		n, err := s.q.DeleteFailureGroup(ctx, fingerprint)
		if err == nil && n == 0 {
			err = task.ErrNotFound
		}
		return n, err
	})
	return err
}

// PurgeFailures deletes what was not seen for long, and all but the newest.
func (s *Store) PurgeFailures(ctx context.Context, before time.Time, keep int) error {
	_, err := do(ctx, s, "purge failures", func(ctx context.Context) (int64, error) {
		return s.q.PurgeFailureGroups(ctx, postgresdb.PurgeFailureGroupsParams{Before: before, Keep: int64(keep)})
	})
	return err
}

// CountFailed counts the failed tasks of each fingerprint.
func (s *Store) CountFailed(ctx context.Context, fingerprints []string, max int) (map[string]int64, error) {
	list, err := json.Marshal(fingerprints)
	if err != nil {
		return nil, err
	}
	return search(ctx, s, "count failed tasks", func(ctx context.Context) (map[string]int64, error) {
		rows, err := s.lists.CountFailed(ctx, postgresdb.CountFailedParams{Fingerprints: string(list), Most: int64(max)})
		out := make(map[string]int64, len(rows))
		for _, r := range rows {
			out[r.Fingerprint] = r.Tasks
		}
		return out, err
	})
}

// findFailed and findFailedDown return what a filter may ask about.
func (s *Store) findFailed(ctx context.Context, q store.FailedQuery) ([]task.Task, error) {
	rows, err := s.lists.FindFailed(ctx, postgresdb.FindFailedParams(q))
	out := make([]task.Task, len(rows))
	for i, r := range rows {
		out[i] = failedTask(r, q.Fingerprint)
	}
	return out, err
}

func (s *Store) findFailedDown(ctx context.Context, q store.FailedQuery) ([]task.Task, error) {
	rows, err := s.lists.FindFailedDown(ctx, postgresdb.FindFailedDownParams(q))
	out := make([]task.Task, len(rows))
	for i, r := range rows {
		out[i] = failedTask(postgresdb.FindFailedRow(r), q.Fingerprint)
	}
	return out, err
}

func failedTask(r postgresdb.FindFailedRow, fingerprint string) task.Task {
	return task.Task{
		ID: r.ID, Type: r.Type, Priority: r.Priority, Status: task.Failed, Outcome: r.Outcome, Attempts: r.Attempts, RunAfterUTC: r.RunAfterUTC, LastWorkerID: r.LastWorkerID,
		FinishedAtUTC: r.FinishedAtUTC, ErrorMessage: r.ErrorMessage, IdempotencyKey: r.IdempotencyKey, ConcurrencyKey: r.ConcurrencyKey, CreatedAtUTC: r.CreatedAtUTC, ErrorFingerprint: &fingerprint,
	}
}
