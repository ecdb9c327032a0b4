package clock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prismq/thequeue/internal/clock"
)

func TestTimeGoesOnFromWhatWasPromised(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, ahead := range []time.Duration{time.Hour, 30 * 24 * time.Hour} {
			promised := time.Now().Add(ahead)
			c := clock.NewSystem(promised)
			time.Sleep(3 * time.Second)
			if got, want := c.Now(), promised.Add(3*time.Second); !got.Equal(want.UTC().Truncate(time.Microsecond)) {
				t.Errorf("%v ahead: clock says %v, want %v", ahead, got, want)
			}
		}
	})
}

func TestAnEarlierBoundChangesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, bound := range []time.Time{{}, time.Now().Add(-time.Hour)} {
			if got, want := clock.NewSystem(bound).Now(), time.Now().UTC(); !got.Equal(want) || got.Location() != time.UTC {
				t.Errorf("bound %v: clock says %v, want %v", bound, got, want)
			}
		}
	})
}
