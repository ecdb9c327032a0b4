package peer

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/vgarvardt/gue/v5"
	"github.com/vgarvardt/gue/v5/adapter/pgxv5"

	"github.com/prismq/thequeue/tests/bench/trial"
)

// Gue is gue on a pgx pool, as its README sets it up. It holds a transaction and with it a connection while a job is worked, so the pool
// has one for each worker and some for producers.
type Gue struct{}

func (Gue) Name() string { return "gue" }

func (Gue) Modules() []string {
	return []string{"github.com/vgarvardt/gue/v5", "github.com/jackc/pgx/v5"}
}

// Workers is one for each caller.
func (Gue) Workers(callers int) int { return callers }

func (Gue) Open(ctx context.Context, s trial.Spec) (Queue, error) {
	s.Conns = cmp.Or(s.Conns, s.Workers+poolConns)
	pool, settings, err := openPool(ctx, s)
	if err != nil {
		return nil, err
	}
	schema, err := schemaOf(ctx, "github.com/vgarvardt/gue/v5", "migrations/schema.sql")
	if err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, schema); err != nil {
		return nil, fmt.Errorf("schema of gue: %w", err)
	}
	client, err := gue.NewClient(pgxv5.NewConnPool(pool))
	if err != nil {
		return nil, err
	}
	return &gueQueue{pool: pool, client: client, settings: settings}, nil
}

type gueQueue struct {
	pool     *pgxpool.Pool
	client   *gue.Client
	settings string
}

func (g *gueQueue) job() *gue.Job {
	return &gue.Job{Type: "email", Queue: "bench", Args: trial.Payload}
}

func (g *gueQueue) Enqueue(ctx context.Context) error { return g.client.Enqueue(ctx, g.job()) }

func (g *gueQueue) EnqueueBatch(ctx context.Context, n int) error {
	jobs := make([]*gue.Job, n)
	for i := range jobs {
		jobs[i] = g.job()
	}
	return g.client.EnqueueBatch(ctx, jobs)
}

// Work locks, deletes and releases jobs by the client's calls: gue's own workers would sleep up to five seconds when they find nothing.
func (g *gueQueue) Work(ctx context.Context, workers int, done func()) error {
	return takeAll(ctx, workers, g.Take, done)
}

func (g *gueQueue) Take(ctx context.Context, _ int) (bool, error) {
	j, err := g.client.LockJob(ctx, "bench")
	if err != nil || j == nil {
		return false, err
	}
	if err := j.Delete(ctx); err != nil {
		return false, errors.Join(err, j.Done(ctx))
	}
	return true, j.Done(ctx)
}

func (g *gueQueue) Settings() string { return g.settings }

func (g *gueQueue) Close() error {
	g.pool.Close()
	return nil
}
