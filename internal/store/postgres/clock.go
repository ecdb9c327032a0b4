package postgres

import (
	"context"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/task"
)

const (
	// measureEvery is how often the offset is measured: the clocks of two machines drift apart by some 50 µs a second at most.
	measureEvery = 10 * time.Second
	// samples are taken per measurement, of which the one with the shortest trip counts.
	samples = 3
)

// databaseClock tells the time of the database: that of this machine plus an offset.
type databaseClock struct {
	base   task.Clock
	offset atomic.Int64 // microseconds
	last   atomic.Int64 // the latest instant returned, in microseconds since 1970
}

// Now returns UTC in whole microseconds, never earlier than any instant returned before, unless the database was set back by more than maxStep.
func (c *databaseClock) Now() time.Time {
	now := c.base.Now().UnixMicro() + c.offset.Load()
	for {
		last := c.last.Load()
		if now <= last {
			return time.UnixMicro(last).UTC()
		}
		if c.last.CompareAndSwap(last, now) {
			return time.UnixMicro(now).UTC()
		}
	}
}

// measure sets the offset. The database is taken to have read its clock in the middle of the trip.
func (c *databaseClock) measure(ctx context.Context, q *postgresdb.Queries) error {
	shortest, offset := time.Duration(math.MaxInt64), int64(0)
	for range samples {
		before := c.base.Now()
		micros, err := q.ReadClock(ctx)
		if err != nil {
			return err
		}
		if trip := c.base.Now().Sub(before); trip < shortest {
			shortest, offset = trip, micros-before.Add(trip/2).UnixMicro()
		}
	}
	c.set(offset)
	return nil
}

// maxStep is how far the clock of the database may be set back before it is followed. A smaller step is error of measurement, and the clock
// stands still until that is made up.
const maxStep = time.Second

// set changes the offset. A database that was set back by more than maxStep, or that a standby with another clock has replaced, is followed
// back: the other nodes follow it too, and a node that did not would take leases back that are in force.
func (c *databaseClock) set(offset int64) {
	if c.offset.Swap(offset)-offset > maxStep.Microseconds() {
		c.last.Store(0)
	}
}

// run measures again and again until ctx ends.
func (c *databaseClock) run(ctx context.Context, q *postgresdb.Queries, log *slog.Logger) {
	ticker := time.NewTicker(measureEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		within, cancel := context.WithTimeout(ctx, measureEvery)
		before := c.offset.Load()
		if err := c.measure(within, q); err != nil && ctx.Err() == nil {
			log.Warn("measure the clock of the database", "error", err)
		}
		if by := time.Duration(before-c.offset.Load()) * time.Microsecond; by > maxStep {
			log.Warn("the clock of the database was set back", "by", by)
		}
		cancel()
	}
}
