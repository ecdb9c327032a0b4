package peer

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"

	_ "github.com/mattn/go-sqlite3" // the driver of goqite's README
	"maragu.dev/goqite"

	"github.com/prismq/thequeue/tests/bench/trial"
)

// mattn is the name under which the worker's binary registers mattn's driver: by its own name it would collide with ours.
const mattn = "mattn"

// Goqite is maragu.dev/goqite as its README sets it up: mattn's driver, WAL, a busy timeout of 5 s, one connection. That driver is
// compiled to NORMAL in WAL, so the default is not durable. Tasks are sent, received and deleted; workers poll, since it has no way to wait
// but polling.
type Goqite struct{}

func (Goqite) Name() string { return "goqite" }

func (Goqite) Modules() []string {
	return []string{"maragu.dev/goqite", "github.com/mattn/go-sqlite3"}
}

// Workers is up to four: on its one connection they take turns, and more only wake each other.
func (Goqite) Workers(callers int) int { return min(callers, 4) }

func (Goqite) Open(ctx context.Context, s trial.Spec) (Queue, error) {
	dsn := "file:" + filepath.Join(s.Dir, "goqite.db") + "?_journal=WAL&_timeout=5000&_fk=true"
	if s.Setting != trial.Default {
		dsn += "&_sync=" + synchronous(s.Setting)
	}
	db, err := sql.Open(mattn, dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(1)
	schema, err := schemaOf(ctx, "maragu.dev/goqite", "schema_sqlite.sql")
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, fmt.Errorf("schema of goqite: %w", err)
	}
	settings, err := sqliteSettings(ctx, db, s.Setting)
	if err != nil {
		return nil, err
	}
	q := goqite.New(goqite.NewOpts{DB: db, Name: "bench"})
	return &goqiteQueue{db: db, q: q, settings: settings}, nil
}

type goqiteQueue struct {
	db       *sql.DB
	q        *goqite.Queue
	settings string
}

func (g *goqiteQueue) Enqueue(ctx context.Context) error {
	return g.q.Send(ctx, goqite.Message{Body: trial.Payload})
}

// EnqueueBatch sends in one transaction: goqite has no call for many.
func (g *goqiteQueue) EnqueueBatch(ctx context.Context, n int) error {
	tx, err := g.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // of no account after a commit
	for range n {
		if err := g.q.SendTx(ctx, tx, goqite.Message{Body: trial.Payload}); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (g *goqiteQueue) Work(ctx context.Context, workers int, done func()) error {
	return takeAll(ctx, workers, g.Take, done)
}

func (g *goqiteQueue) Take(ctx context.Context, _ int) (bool, error) {
	m, err := g.q.Receive(ctx)
	if err != nil || m == nil {
		return false, err
	}
	return true, g.q.Delete(ctx, m.ID)
}

func (g *goqiteQueue) Settings() string { return g.settings }

func (g *goqiteQueue) Close() error { return g.db.Close() }
