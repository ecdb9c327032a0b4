package peer

import (
	"context"
	"database/sql"
	"path/filepath"
	"time"

	"github.com/mikestefanello/backlite"

	"github.com/prismq/thequeue/tests/bench/trial"
)

// Backlite is backlite as its README sets it up: mattn's driver, WAL, a busy timeout of 5 s. Its pool has one connection here: with more,
// its transactions meet SQLITE_BUSY under load. Its fetch reads the whole backlog and its dispatcher sleeps 100 ms whenever all workers are
// busy, so its rate says little; no goal is measured against it.
type Backlite struct{}

func (Backlite) Name() string { return "backlite" }

func (Backlite) Modules() []string {
	return []string{"github.com/mikestefanello/backlite", "github.com/mattn/go-sqlite3"}
}

// Workers is one for each caller.
func (Backlite) Workers(callers int) int { return callers }

func (Backlite) Open(ctx context.Context, s trial.Spec) (Queue, error) {
	dsn := "file:" + filepath.Join(s.Dir, "backlite.db") + "?_journal=WAL&_timeout=5000"
	if s.Setting != trial.Default {
		dsn += "&_sync=" + synchronous(s.Setting)
	}
	db, err := sql.Open(mattn, dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	client, err := backlite.NewClient(backlite.ClientConfig{DB: db, ReleaseAfter: 10 * time.Minute, NumWorkers: s.Workers})
	if err != nil {
		return nil, err
	}
	if err := client.Install(); err != nil {
		return nil, err
	}
	settings, err := sqliteSettings(ctx, db, s.Setting)
	if err != nil {
		return nil, err
	}
	b := &backliteQueue{db: db, client: client, settings: settings, done: make(chan struct{}, 1<<20)}
	client.Register(backlite.NewQueue(func(context.Context, backliteTask) error {
		b.done <- struct{}{}
		return nil
	}))
	return b, nil
}

// backliteTask has the payload's three fields.
type backliteTask riverArgs

func (backliteTask) Config() backlite.QueueConfig {
	return backlite.QueueConfig{Name: "email", MaxAttempts: 5, Backoff: 5 * time.Second, Timeout: 10 * time.Second}
}

type backliteQueue struct {
	db       *sql.DB
	client   *backlite.Client
	settings string
	done     chan struct{}
}

func (b *backliteQueue) Enqueue(ctx context.Context) error {
	_, err := b.client.Add(backliteTask(riverPayload)).Ctx(ctx).Save()
	return err
}

func (b *backliteQueue) EnqueueBatch(ctx context.Context, n int) error {
	tasks := make([]backlite.Task, n)
	for i := range tasks {
		tasks[i] = backliteTask(riverPayload)
	}
	_, err := b.client.Add(tasks...).Ctx(ctx).Save()
	return err
}

// Work ignores the number of workers, which is fixed by Open. A task counts when its processor returns, a little before that is stored.
func (b *backliteQueue) Work(ctx context.Context, _ int, done func()) error {
	b.client.Start(context.WithoutCancel(ctx))
	for {
		select {
		case <-b.done:
			done()
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
			defer cancel()
			b.client.Stop(ctx)
			return nil
		}
	}
}

func (b *backliteQueue) Settings() string { return b.settings }

func (b *backliteQueue) Close() error { return b.db.Close() }
