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

// PutRollups stores rollups, each in the place of the one of the same time, type and node.
func (s *Store) PutRollups(ctx context.Context, rs []task.Rollup) error {
	_, err := do(ctx, s, "put rollups", func(ctx context.Context) (struct{}, error) {
		return inTx(ctx, s.db, nil, func(q *postgresdb.Queries) (struct{}, error) { return struct{}{}, putRollups(ctx, q, rs) })
	})
	return err
}

func putRollups(ctx context.Context, q *postgresdb.Queries, rs []task.Rollup) error {
	for _, r := range rs {
		if err := q.PutRollup(ctx, postgresdb.PutRollupParams(r)); err != nil {
			return err
		}
	}
	return nil
}

// ListRollups returns rollups in the order of time.
func (s *Store) ListRollups(ctx context.Context, f task.RollupFilter) ([]task.Rollup, error) {
	return search(ctx, s, "list rollups", func(ctx context.Context) ([]task.Rollup, error) {
		var rows []postgresdb.Rollup
		var err error
		if f.EachType {
			rows, err = s.lists.ListRollupsOfTypes(ctx, postgresdb.ListRollupsOfTypesParams{Seconds: f.Seconds, Since: f.From, Before: f.To})
		} else {
			rows, err = s.lists.ListRollups(ctx, postgresdb.ListRollupsParams{Seconds: f.Seconds, Type: f.Type, Since: f.From, Before: f.To})
		}
		return rollupsOf(rows), err
	})
}

func rollupsOf(rows []postgresdb.Rollup) []task.Rollup {
	out := make([]task.Rollup, len(rows))
	for i, r := range rows {
		out[i] = task.Rollup(r)
	}
	return out
}

// FoldRollups puts the minutes of an hour into one rollup of the hour for each type. Of two nodes that do so at once each gets other minutes.
func (s *Store) FoldRollups(ctx context.Context, from time.Time, node string) error {
	_, err := do(ctx, s, "fold rollups", func(ctx context.Context) (struct{}, error) {
		return inTx(ctx, s.db, nil, func(q *postgresdb.Queries) (struct{}, error) {
			rows, err := q.TakeRollups(ctx, postgresdb.TakeRollupsParams{Seconds: task.Minute, Since: from, Before: from.Add(time.Hour)})
			if err == nil {
				err = putRollups(ctx, q, store.Fold(rollupsOf(rows), from, node))
			}
			return struct{}{}, err
		})
	})
	return err
}

// OldestRollup returns when the oldest rollup of so many seconds began.
func (s *Store) OldestRollup(ctx context.Context, seconds int) (*time.Time, error) {
	return look(ctx, s, "oldest rollup", func(ctx context.Context) (*time.Time, error) {
		at, err := s.q.OldestRollup(ctx, seconds)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, nil
		}
		return &at, err
	})
}

// PurgeRollups deletes the hours that began before a time.
func (s *Store) PurgeRollups(ctx context.Context, before time.Time) error {
	_, err := do(ctx, s, "purge rollups", func(ctx context.Context) (int64, error) { return s.q.PurgeRollups(ctx, before) })
	return err
}
