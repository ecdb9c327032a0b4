package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/sqlite"
	"github.com/prismq/thequeue/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, sqlite.Options{Migrate: true}) })
}

// TestConformanceUnderTriggers runs the same with the triggers on: every statement of the writer passes the rules that the schema holds others to.
func TestConformanceUnderTriggers(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, sqlite.Judged(sqlite.Options{Migrate: true})) })
}

func open(t *testing.T, o sqlite.Options) *sqlite.Store {
	t.Helper()
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "queue.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return st
}

func TestALimitHoldsOverTwoProcesses(t *testing.T) {
	t.Parallel()
	storetest.CheckLimit(t, openTwice(t)...)
}

func TestARateHoldsOverTwoProcesses(t *testing.T) {
	t.Parallel()
	storetest.CheckRate(t, openTwice(t)...)
}

func TestTheLimitOfAKeyHoldsOverTwoProcesses(t *testing.T) {
	t.Parallel()
	storetest.CheckKeys(t, openTwice(t)...)
}

func TestQuarantineHoldsOverTwoProcesses(t *testing.T) {
	t.Parallel()
	storetest.CheckQuarantine(t, openTwice(t)...)
}

// openTwice returns two stores on one new file.
func openTwice(t *testing.T) (stores []store.Store) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "queue.db")
	for range 2 {
		st, err := sqlite.Open(t.Context(), path, sqlite.Options{Migrate: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { st.Close() })
		stores = append(stores, st)
	}
	return stores
}
