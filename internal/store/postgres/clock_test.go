package postgres_test

import (
	"sync"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/clock"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/testdb"
)

// wrongClock is the clock of a machine that is off by some time.
type wrongClock struct {
	right *clock.System
	by    time.Duration
}

func (c wrongClock) Now() time.Time { return c.right.Now().Add(c.by) }

// machine returns a clock that is off by some time.
func machine(by time.Duration) wrongClock {
	return wrongClock{right: clock.NewSystem(time.Time{}), by: by}
}

func TestClockOfAWrongMachineAgreesWithTheDatabase(t *testing.T) {
	t.Parallel()
	st := testdb.Postgres(t).(*postgres.Store)
	for _, by := range []time.Duration{0, 26 * time.Hour, -400 * 24 * time.Hour} {
		c, measure := st.MeasureFrom(machine(by))
		if err := measure(t.Context()); err != nil {
			t.Fatal(err)
		}
		var before, after time.Time
		const read = "SELECT clock_timestamp()"
		if err := st.DB().QueryRowContext(t.Context(), read).Scan(&before); err != nil {
			t.Fatal(err)
		}
		now := c.Now()
		if err := st.DB().QueryRowContext(t.Context(), read).Scan(&after); err != nil {
			t.Fatal(err)
		}
		const slack = time.Second // half a round trip on a loaded machine
		if now.Before(before.Add(-slack)) || now.After(after.Add(slack)) {
			t.Errorf("machine off by %v: clock says %v, database between %v and %v", by, now, before, after)
		}
		if now.Location() != time.UTC || now.Nanosecond()%1000 != 0 {
			t.Errorf("%v is not UTC in whole microseconds", now)
		}
	}
}

func TestClockStandsStillWhileASmallStepBackIsMadeUp(t *testing.T) {
	t.Parallel()
	c, shift := postgres.Shifted(machine(0))
	shift(time.Hour)
	ahead := c.Now()
	shift(time.Hour - 500*time.Millisecond)
	if now := c.Now(); !now.Equal(ahead) {
		t.Errorf("clock says %v, want it to stand at %v", now, ahead)
	}
	shift(2 * time.Hour)
	if now := c.Now(); now.Before(ahead.Add(50 * time.Minute)) {
		t.Errorf("clock says %v, want it to go on from %v", now, ahead)
	}
}

func TestClockFollowsADatabaseThatWasSetBack(t *testing.T) {
	t.Parallel()
	c, shift := postgres.Shifted(machine(0))
	shift(time.Hour)
	ahead := c.Now()
	shift(-time.Hour)
	if now := c.Now(); now.After(ahead.Add(-119 * time.Minute)) {
		t.Errorf("clock says %v, want two hours before %v: the other nodes go by the database", now, ahead)
	}
}

func TestClockNeverGoesBackBySmallSteps(t *testing.T) {
	t.Parallel()
	c, shift := postgres.Shifted(machine(0))
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			last := c.Now()
			for i := range 2000 {
				shift(time.Duration(n-2) * time.Duration(i) * 100 * time.Microsecond)
				now := c.Now()
				if now.Before(last) {
					t.Errorf("clock went back from %v to %v", last, now)
				}
				last = now
			}
		})
	}
	wg.Wait()
}
