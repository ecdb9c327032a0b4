// Package simulation runs hours of a queue in virtual time: producers, workers that fail and die, operators, schedules, limits and restarts of the server
// on real stores, and compares everything with a model as it happens. A failure names the invariant by its number in the list of promises and the seed, with which
// the same hours can be run again: go test ./tests/simulation -seed N.
package simulation

import (
	"flag"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/store/sqlite"
	"github.com/prismq/thequeue/internal/testdb"
)

var (
	seed  = flag.Uint64("seed", 1, "seed of the simulation")
	hours = flag.Float64("hours", 0, "hours of virtual time; 0: 8, and half an hour under the race detector")
)

// orUnder is the number that was asked for, or one that is less under the race detector, which makes SQLite twenty times as slow and has nothing to find where one
// goroutine does everything.
func orUnder[T comparable](asked, usual, underRace T) T {
	var none T
	switch info, ok := debug.ReadBuildInfo(); {
	case asked != none:
		return asked
	case ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}):
		return underRace
	}
	return usual
}

func TestMain(m *testing.M) { testdb.Main(m) }

// engines open a store again and again at one place.
var engines = map[string]func(t *testing.T) (open func() (store.Store, error), inspect func() (store.Inspection, error)){
	"sqlite": func(t *testing.T) (func() (store.Store, error), func() (store.Inspection, error)) {
		path := filepath.Join(t.TempDir(), "queue.db")
		return func() (store.Store, error) { return sqlite.Open(t.Context(), path, sqlite.Options{Migrate: true}) },
			func() (store.Inspection, error) { return sqlite.Inspect(t.Context(), path, 10) }
	},
	"postgres": func(t *testing.T) (func() (store.Store, error), func() (store.Inspection, error)) {
		url := testdb.PostgresURL(t)
		return func() (store.Store, error) { return postgres.Open(t.Context(), url, postgres.Options{MaxConns: 4}) },
			func() (store.Inspection, error) { return postgres.Inspect(t.Context(), url, 10) }
	},
}

// Eight hours with 8 workers and 20 types keep all invariants that a single thread of events can break.
func TestEightHours(t *testing.T) {
	t.Parallel()
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			open, inspect := open(t)
			w := newWorld(t, *seed, open)
			lived := orUnder(*hours, 8, 0.5)
			w.live(time.Duration(lived * float64(time.Hour)))
			if lived >= 8 && w.counts.trips == 0 {
				w.broken("the simulation", "no circuit breaker has opened")
			}
			w.fsck(inspect)
			w.settle()
			w.fsck(inspect)
			w.checkHistories()
			t.Log(w.summary())
		})
	}
}

// fsck looks at all that is stored, in the middle of the work and at rest.
func (w *world) fsck(inspect func() (store.Inspection, error)) {
	w.Helper()
	in, err := inspect()
	w.ok(err)
	if len(in.Damages) > 0 {
		w.broken("fsck", "it finds %+v", in.Damages)
	}
}

func (w *world) summary() string {
	return fmt.Sprintf("seed %d: %d tasks, %d claims, %d leases lost, %d ticks, %d operations, %d restarts, %d stale calls refused, %d breaks",
		w.seed, w.counts.enqueued, w.counts.claims, w.counts.lost, w.counts.ticks, w.counts.operations, w.counts.restarts, w.counts.stale, w.counts.trips)
}
