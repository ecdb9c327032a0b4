package postgres

import (
	"context"
	"database/sql"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// DB is the pool of everything but lists.
func (s *Store) DB() *sql.DB { return s.db }

// ListDB is the pool of lists.
func (s *Store) ListDB() *sql.DB { return s.listDB }

// HoldSets lets no set begin until release is called.
func (s *Store) HoldSets() (release func()) {
	for range setsAtOnce {
		s.ends.gate <- struct{}{}
	}
	return func() {
		for range setsAtOnce {
			<-s.ends.gate
		}
	}
}

// EndsThatWait returns how many ends of attempts wait for their set.
func (s *Store) EndsThatWait(context.Context) (int, error) { return s.ends.gathered(), nil }

// ClaimsThatWait returns how many claims wait for their set.
func (s *Store) ClaimsThatWait(context.Context) (int, error) { return s.claims.gathered(), nil }

func (g *gatherer[E, V]) gathered() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}

// SettleRelease finds out what became of a release.
func (s *Store) SettleRelease(ctx context.Context, id int64, tok task.Token, now time.Time) (task.Task, error) {
	return s.settleEnd(ctx, end{id: id, tok: tok, as: task.AttemptReleased, runAfter: &now, now: now})
}

// MeasureFrom returns a clock of the database as seen from a machine with the clock given, and a function that measures again.
func (s *Store) MeasureFrom(base task.Clock) (task.Clock, func(context.Context) error) {
	c := &databaseClock{base: base}
	return c, func(ctx context.Context) error { return c.measure(ctx, s.q) }
}

// Shifted returns a clock and a function that sets its offset to base.
func Shifted(base task.Clock) (task.Clock, func(time.Duration)) {
	c := &databaseClock{base: base}
	return c, func(d time.Duration) { c.set(d.Microseconds()) }
}
