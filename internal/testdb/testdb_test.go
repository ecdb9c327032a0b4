package testdb_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

func TestEachStoreIsEmptyAndItsOwn(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"First", "Second"} {
		t.Run(name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, st store.Store) {
				now := st.Clock().Now()
				spec, err := task.Spec{Type: "work"}.Task(now, task.Limits{MaxAttempts: 5, PayloadBytes: 100})
				if err != nil {
					t.Fatal(err)
				}
				if _, _, err := st.InsertTask(t.Context(), spec); err != nil {
					t.Fatal(err)
				}
				if stats, err := st.Stats(t.Context(), now); err != nil || stats.TotalTasks != 1 {
					t.Errorf("%d tasks, error %v; want the one just stored", stats.TotalTasks, err)
				}
			})
		})
	}
}

func TestDatabasesAreDroppedWithTheTest(t *testing.T) {
	t.Parallel()
	var url string
	t.Run("Inner", func(t *testing.T) { url = testdb.PostgresURL(t) })
	if url == "" {
		t.Skip("the inner test was skipped: no PostgreSQL")
	}
	conn, err := pgx.Connect(context.Background(), url)
	if err == nil {
		conn.Close(context.Background())
		t.Errorf("%s is still there", url)
	}
}

func TestQueriesPassSqlcVet(t *testing.T) {
	t.Parallel()
	if os.Getenv("CI") != "true" {
		t.Skip("compiles sqlc, which takes a minute the first time; CI=true runs it")
	}
	vet := exec.CommandContext(t.Context(), "go", "tool", "sqlc", "vet")
	vet.Dir = filepath.Join("..", "..")
	vet.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "SQLC_POSTGRES_URL="+testdb.PostgresURL(t))
	if out, err := vet.CombinedOutput(); err != nil {
		t.Errorf("sqlc vet: %v\n%s", err, out)
	}
}
