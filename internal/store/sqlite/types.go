package sqlite

import (
	"context"
	"database/sql"
	"reflect"
	"time"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/task"
)

func (s *Store) GetType(ctx context.Context, name string) (task.TypeStatus, error) {
	known, err := s.types(ctx, name)
	if err == nil && len(known) == 0 {
		err = task.ErrNotFound
	}
	if err != nil {
		return task.TypeStatus{}, s.classify(ctx, err)
	}
	return known[0], nil
}

func (s *Store) ListRules(ctx context.Context) ([]task.Type, error) {
	rules, err := s.rules.get(ctx, s.index, func() ([]task.Type, error) {
		rows, err := s.read.ListTypes(ctx, "")
		return typesOf(rows), err
	})
	return rules, s.classify(ctx, err)
}

// typesOf converts rows; the columns of task_types are the fields of Type.
func typesOf(rows []sqlitedb.Type) []task.Type {
	out := make([]task.Type, len(rows))
	for i, r := range rows {
		out[i] = task.Type(r)
	}
	return out
}

func (s *Store) ListTypes(ctx context.Context) ([]task.TypeStatus, error) {
	known, err := s.types(ctx, "")
	return known, s.classify(ctx, err)
}

// types returns one type, or all for an empty name.
func (s *Store) types(ctx context.Context, name string) ([]task.TypeStatus, error) {
	tx, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() // nothing was changed
	q := s.read.WithTx(tx)
	rows, err := q.ListTypes(ctx, name)
	if err != nil {
		return nil, err
	}
	counted, err := q.CountTypes(ctx, name)
	if err != nil {
		return nil, err
	}
	counts := make(map[string]task.TypeCounts, len(counted))
	for _, c := range counted {
		counts[c.Type] = task.TypeCounts{
			QueuedTasks: c.Ready + c.Scheduled, ReadyTasks: c.Ready, ScheduledTasks: c.Scheduled, ProcessingTasks: c.Processing,
			CompletedTasks: c.Completed, FailedTasks: c.Failed,
		}
	}
	return task.NewTypeStatuses(typesOf(rows), counts), nil
}

func (s *Store) PutType(ctx context.Context, name string, r task.TypeRules, now time.Time) (task.Type, error) {
	return s.ruled(ctx, func(ctx context.Context, x tx) (sqlitedb.Type, error) {
		if err := x.openKeys(ctx, name, r.PerKey); err != nil {
			return sqlitedb.Type{}, err
		}
		row, err := x.PutType(ctx, sqlitedb.PutTypeParams{
			Type: name, MaxConcurrency: r.MaxConcurrency, MaxAttempts: r.MaxAttempts, RetryPolicy: r.RetryPolicy, TimeoutSeconds: r.TimeoutSeconds,
			MaxPayloadBytes: r.MaxPayloadBytes, PayloadSchema: r.PayloadSchema, UpdatedAtUTC: &now, RateLimit: r.RateLimit, Breaker: r.Breaker,
			LeaseSeconds: r.LeaseSeconds, Retention: r.Retention, PerKey: r.PerKey,
		})
		if err == nil && r.Paused != nil {
			row, err = x.PauseType(ctx, sqlitedb.PauseTypeParams{Type: name, Paused: *r.Paused, UpdatedAtUTC: &now})
		}
		return row, err
	})
}

func (s *Store) PauseType(ctx context.Context, name string, paused bool, now time.Time) (task.Type, error) {
	return s.ruled(ctx, func(ctx context.Context, x tx) (sqlitedb.Type, error) {
		return x.PauseType(ctx, sqlitedb.PauseTypeParams{Type: name, Paused: paused, UpdatedAtUTC: &now})
	})
}

func (s *Store) BreakType(ctx context.Context, name string, until *time.Time) (task.Type, error) {
	return s.ruled(ctx, func(ctx context.Context, x tx) (sqlitedb.Type, error) {
		return x.BreakType(ctx, sqlitedb.BreakTypeParams{Type: name, Until: until})
	})
}

// openKeys lets the keys of a type have their turns again when what holds for them is about to change. Buckets of another rate begin full.
func (x tx) openKeys(ctx context.Context, name string, next *task.KeyRules) error {
	rows, err := x.ListTypes(ctx, name)
	if err != nil || len(rows) == 0 || reflect.DeepEqual(rows[0].PerKey, next) {
		return err
	}
	if rows[0].PerKey.Rate() != next.Rate() {
		if err := x.DropKeyRates(ctx, name); err != nil {
			return err
		}
	}
	return x.OpenKeys(ctx, name)
}

// ruled runs a change of the rules of a type. Claims of the same group come after it, those of earlier groups have been answered.
func (s *Store) ruled(ctx context.Context, do func(context.Context, tx) (sqlitedb.Type, error)) (task.Type, error) {
	return write(ctx, s, func(ctx context.Context, x tx) (task.Type, error) {
		row, err := do(ctx, x)
		if err == nil {
			err = x.RaiseRules(ctx)
		}
		if err == nil {
			x.put(row)
		}
		return task.Type(row), err
	})
}
