package peer

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/store/sqlite"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/tests/bench/trial"
)

// OnSQLite is The Queue on a SQLite file. It has one setting: durable.
type OnSQLite struct{}

func (OnSQLite) Name() string { return "sqlite" }

func (OnSQLite) Modules() []string { return []string{"github.com/ncruces/go-sqlite3"} }

// Workers is one for each caller.
func (OnSQLite) Workers(callers int) int { return callers }

func (OnSQLite) Open(ctx context.Context, s trial.Spec) (Queue, error) {
	st, err := sqlite.Open(ctx, filepath.Join(s.Dir, "queue.db"), sqlite.Options{Migrate: true})
	if err != nil {
		return nil, err
	}
	return newOurs(st, "synchronous=EXTRA, WAL (verified by the store on each connection)"), nil
}

// OnPostgres is The Queue on PostgreSQL. It has one setting: durable.
type OnPostgres struct{}

func (OnPostgres) Name() string { return "postgres" }

func (OnPostgres) Modules() []string { return []string{"github.com/jackc/pgx/v5"} }

// Workers is one for each caller.
func (OnPostgres) Workers(callers int) int { return callers }

func (OnPostgres) Open(ctx context.Context, s trial.Spec) (Queue, error) {
	set, err := postgresSettings(ctx, s.URL)
	if err != nil {
		return nil, err
	}
	st, err := postgres.Open(ctx, s.URL, postgres.Options{Migrate: true})
	if err != nil {
		return nil, err
	}
	return newOurs(st, set+", pool of the store's default size"), nil
}

// ours is the service in process, with its upkeep running as in the server.
type ours struct {
	*queue.Queue
	store    store.Store
	settings string
	stop     context.CancelFunc
	upkeep   sync.WaitGroup
}

func newOurs(st store.Store, settings string) *ours {
	o := &ours{Queue: queue.New(st, queue.Options{}), store: st, settings: settings}
	ctx, stop := context.WithCancel(context.Background())
	o.stop = stop
	o.upkeep.Go(func() { _ = o.Run(ctx) }) // returns nil
	return o
}

var spec = task.Spec{Type: "email", Payload: task.JSON(trial.Payload)}

func (o *ours) Enqueue(ctx context.Context) error {
	_, _, err := o.Queue.Enqueue(ctx, spec, queue.MaxAttempts)
	return err
}

func (o *ours) EnqueueBatch(ctx context.Context, n int) error {
	for n > 0 {
		batch := make([]task.Spec, min(n, queue.MaxBatch))
		for i := range batch {
			batch[i] = spec
		}
		if _, _, err := o.Queue.EnqueueBatch(ctx, batch); err != nil {
			return err
		}
		n -= len(batch)
	}
	return nil
}

// Work claims one at a time; an idle worker waits inside its claim.
func (o *ours) Work(ctx context.Context, workers int, done func()) error {
	return takeAll(ctx, workers, func(ctx context.Context, worker int) (bool, error) { return o.take(ctx, worker, time.Second) }, done)
}

func (o *ours) Take(ctx context.Context, worker int) (bool, error) { return o.take(ctx, worker, 0) }

func (o *ours) take(ctx context.Context, worker int, wait time.Duration) (bool, error) {
	leases, err := o.Claim(ctx, task.Claim{WorkerID: fmt.Sprint("worker-", worker), Wait: wait})
	if err != nil || len(leases) == 0 {
		return false, err
	}
	_, err = o.Complete(ctx, leases[0].ID, leases[0].LeaseToken, nil)
	return err == nil, err
}

func (o *ours) Settings() string { return o.settings }

func (o *ours) Close() error {
	o.stop()
	o.upkeep.Wait()
	return o.store.Close()
}
