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

// databaseClock tells the time of the database: that of this machine plus an offset. When the database's clock is set back it stands
// still until that has caught up.
type databaseClock struct {
	base   task.Clock
	offset atomic.Int64 // microseconds
	last   atomic.Int64 // the latest instant returned, in microseconds since 1970
}

// Now returns UTC in whole microseconds, never earlier than any instant returned before.
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
	c.offset.Store(offset)
	return nil
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
		if err := c.measure(within, q); err != nil && ctx.Err() == nil {
			log.Warn("measure the clock of the database", "error", err)
		}
		cancel()
	}
}
