package sqlite

import (
	"context"
	"time"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

func (s *Store) PutRollups(ctx context.Context, rs []task.Rollup) error {
	_, err := write(ctx, s, func(ctx context.Context, x tx) (struct{}, error) { return struct{}{}, x.putRollups(ctx, rs) })
	return err
}

func (x tx) putRollups(ctx context.Context, rs []task.Rollup) error {
	for _, r := range rs {
		if err := x.PutRollup(ctx, sqlitedb.PutRollupParams(r)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) ListRollups(ctx context.Context, f task.RollupFilter) ([]task.Rollup, error) {
	var rows []sqlitedb.Rollup
	var err error
	if f.EachType {
		rows, err = s.read.ListRollupsOfTypes(ctx, sqlitedb.ListRollupsOfTypesParams{Seconds: f.Seconds, Since: f.From, Before: f.To})
	} else {
		rows, err = s.read.ListRollups(ctx, sqlitedb.ListRollupsParams{Seconds: f.Seconds, Type: f.Type, Since: f.From, Before: f.To})
	}
	return rollupsOf(rows), s.classify(ctx, err)
}

func rollupsOf(rows []sqlitedb.Rollup) []task.Rollup {
	out := make([]task.Rollup, len(rows))
	for i, r := range rows {
		out[i] = task.Rollup(r)
	}
	return out
}

func (s *Store) FoldRollups(ctx context.Context, from time.Time, node string) error {
	_, err := write(ctx, s, func(ctx context.Context, x tx) (struct{}, error) {
		rows, err := x.TakeRollups(ctx, sqlitedb.TakeRollupsParams{Seconds: task.Minute, Since: from, Before: from.Add(time.Hour)})
		if err == nil {
			err = x.putRollups(ctx, store.Fold(rollupsOf(rows), from, node))
		}
		return struct{}{}, err
	})
	return err
}

func (s *Store) OldestRollup(ctx context.Context, seconds int) (*time.Time, error) {
	at, err := s.read.OldestRollup(ctx, seconds)
	if noRow(err) {
		return nil, nil
	}
	return &at, s.classify(ctx, err)
}

func (s *Store) PurgeRollups(ctx context.Context, before time.Time) error {
	_, err := writeOne(ctx, s, func(ctx context.Context, x tx) (int64, error) { return x.PurgeRollups(ctx, before) })
	return err
}
