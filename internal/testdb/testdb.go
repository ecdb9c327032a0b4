package testdb

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/store/sqlite"
)

// Main runs the tests of a package and then stops the server that they have started: func TestMain(m *testing.M) { testdb.Main(m) }.
// Without it a container of the tests may stay behind.
func Main(m *testing.M) {
	code := m.Run()
	shared.stop()
	os.Exit(code)
}

// Each runs fn on a fresh store of each engine, in parallel subtests named sqlite and postgres.
func Each(t *testing.T, fn func(t *testing.T, st store.Store)) {
	t.Helper()
	for _, engine := range []struct {
		name string
		open func(testing.TB) store.Store
	}{{"sqlite", SQLite}, {"postgres", Postgres}} {
		t.Run(engine.name, func(t *testing.T) {
			t.Parallel()
			fn(t, engine.open(t))
		})
	}
}

// SQLite returns a store on a new file in the test's directory, closed with the test.
func SQLite(t testing.TB) store.Store {
	t.Helper()
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "queue.db"), sqlite.Options{Migrate: true})
	return closing(t, st, err)
}

// storeConns leaves room for many tests at once on a server of 100 connections.
const storeConns = 8

// Postgres returns a store on a new database, closed and dropped with the test.
func Postgres(t testing.TB) store.Store {
	t.Helper()
	st, err := postgres.Open(t.Context(), PostgresURL(t), postgres.Options{MaxConns: storeConns})
	return closing(t, st, err)
}

func closing(t testing.TB, st store.Store, err error) store.Store {
	t.Helper()
	if err != nil {
		t.Fatalf("open a store for the test: %v", err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("close the store of the test: %v", err)
		}
	})
	return st
}

// PostgresURL returns the URL of a new database with the schema of this binary, dropped with the test.
func PostgresURL(t testing.TB) string {
	t.Helper()
	s := shared.get(t)
	return s.create(t, s.template)
}

// EmptyPostgresURL returns the URL of a new database with nothing in it, dropped with the test.
func EmptyPostgresURL(t testing.TB) string {
	t.Helper()
	return shared.get(t).create(t, "template0")
}
