package postgres

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/task"
)

const (
	// outlastFor bounds the wait for statements that began before a change of rules.
	outlastFor = 5 * time.Second
	// outlastEvery is the time between two looks at those that are left.
	outlastEvery = 2 * time.Millisecond
)

// GetType returns ErrNotFound when the type is not known.
func (s *Store) GetType(ctx context.Context, name string) (task.TypeStatus, error) {
	known, err := s.types(ctx, "get type", name)
	if err == nil && len(known) == 0 {
		err = task.ErrNotFound
	}
	if err != nil {
		return task.TypeStatus{}, err
	}
	return known[0], nil
}

// ListTypes returns all types that are known, ordered by name.
func (s *Store) ListTypes(ctx context.Context) ([]task.TypeStatus, error) {
	return s.types(ctx, "list types", "")
}

// ListRules returns the rules of all types that have any.
func (s *Store) ListRules(ctx context.Context) ([]task.Type, error) {
	return search(ctx, s, "list rules", func(ctx context.Context) ([]task.Type, error) {
		rows, err := s.q.ListTypes(ctx, "")
		return typesOf(rows), err
	})
}

// typesOf converts rows; the columns of task_types are the fields of Type.
func typesOf(rows []postgresdb.Type) []task.Type {
	return column(rows, func(r postgresdb.Type) task.Type { return task.Type(r) })
}

// types returns one type, or all for an empty name.
func (s *Store) types(ctx context.Context, what, name string) ([]task.TypeStatus, error) {
	return search(ctx, s, what, func(ctx context.Context) ([]task.TypeStatus, error) {
		return inTx(ctx, s.listDB, snapshot, func(q *postgresdb.Queries) ([]task.TypeStatus, error) {
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
		})
	})
}

// PutType sets the rules of a type.
func (s *Store) PutType(ctx context.Context, name string, r task.TypeRules, now time.Time) (task.Type, error) {
	return s.ruled(ctx, "put type", func(ctx context.Context, q *postgresdb.Queries) (postgresdb.Type, error) {
		if err := openKeys(ctx, q, name, r.PerKey); err != nil {
			return postgresdb.Type{}, err
		}
		row, err := q.PutType(ctx, postgresdb.PutTypeParams{
			Type: name, MaxConcurrency: r.MaxConcurrency, MaxAttempts: r.MaxAttempts, RetryPolicy: r.RetryPolicy, TimeoutSeconds: r.TimeoutSeconds,
			MaxPayloadBytes: r.MaxPayloadBytes, PayloadSchema: r.PayloadSchema, UpdatedAtUTC: &now, RateLimit: r.RateLimit, Breaker: r.Breaker,
			LeaseSeconds: r.LeaseSeconds, Retention: r.Retention, PerKey: r.PerKey,
		})
		if err == nil && r.Paused != nil {
			row, err = q.PauseType(ctx, postgresdb.PauseTypeParams{Type: name, Paused: *r.Paused, UpdatedAtUTC: &now})
		}
		return row, err
	})
}

// openKeys lets the keys of a type have their turns again when what holds for them is about to change. Buckets of another rate begin full.
func openKeys(ctx context.Context, q *postgresdb.Queries, name string, next *task.KeyRules) error {
	rows, err := q.ListTypes(ctx, name)
	if err != nil || len(rows) == 0 || reflect.DeepEqual(rows[0].PerKey, next) {
		return err
	}
	if err := q.LockKeys(ctx); err != nil {
		return err
	}
	if rows[0].PerKey.Rate() != next.Rate() {
		if err := q.DropKeyRates(ctx, name); err != nil {
			return err
		}
	}
	return q.OpenKeys(ctx, name)
}

// PauseType pauses or resumes a type.
func (s *Store) PauseType(ctx context.Context, name string, paused bool, now time.Time) (task.Type, error) {
	return s.ruled(ctx, "pause type", func(ctx context.Context, q *postgresdb.Queries) (postgresdb.Type, error) {
		return q.PauseType(ctx, postgresdb.PauseTypeParams{Type: name, Paused: paused, UpdatedAtUTC: &now})
	})
}

// BreakType stops claims of a type until a time, or lets them go on.
func (s *Store) BreakType(ctx context.Context, name string, until *time.Time) (task.Type, error) {
	return s.ruled(ctx, "break type", func(ctx context.Context, q *postgresdb.Queries) (postgresdb.Type, error) {
		return q.BreakType(ctx, postgresdb.BreakTypeParams{Type: name, Until: until})
	})
}

// ruled runs a change of the rules of a type and waits until no claim goes by the old ones. A claim takes nothing when it sees that the rules have
// changed since it chose its lanes; what it sees is as of its beginning, and one that began before the change must end first.
func (s *Store) ruled(ctx context.Context, what string, change func(context.Context, *postgresdb.Queries) (postgresdb.Type, error)) (task.Type, error) {
	row, err := do(ctx, s, what, func(ctx context.Context) (postgresdb.Type, error) {
		return inTx(ctx, s.db, nil, func(q *postgresdb.Queries) (postgresdb.Type, error) {
			row, err := change(ctx, q)
			if err == nil {
				err = q.RaiseRules(ctx)
			}
			return row, err
		})
	})
	if err == nil {
		s.announceAny()
		err = s.outlast(ctx)
	}
	if err != nil {
		return task.Type{}, err
	}
	return task.Type(row), nil
}

// outlast waits until every transaction has ended that may change tasks now. ErrBusy when that takes longer than outlastFor.
func (s *Store) outlast(ctx context.Context) error {
	list := func() ([]string, error) { return search(ctx, s, "list statements under way", s.q.ListTaskWriters) }
	writers, err := list()
	within, cancel := context.WithTimeout(ctx, outlastFor)
	defer cancel()
	for err == nil && len(writers) > 0 {
		if sleep(within, outlastEvery); within.Err() != nil {
			return cmp.Or(ctx.Err(), fmt.Errorf("%w: the rule is set, but a statement that began before it has not ended", task.ErrBusy))
		}
		var now []string
		now, err = list()
		writers = slices.DeleteFunc(writers, func(w string) bool { return !slices.Contains(now, w) })
	}
	return err
}
