package peer

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	_ "modernc.org/sqlite" // the driver with which River is tested on SQLite

	"github.com/prismq/thequeue/tests/bench/trial"
)

// RiverSQLite is River with riversqlite on modernc's driver and a pool of one connection, as the package's documentation advises. Its
// default durability is SQLite's own: FULL.
type RiverSQLite struct{}

func (RiverSQLite) Name() string { return "river-sqlite" }

func (RiverSQLite) Modules() []string {
	return []string{"github.com/riverqueue/river", "github.com/riverqueue/river/riverdriver/riversqlite", "modernc.org/sqlite"}
}

// Workers is what River's own benchmark says it found best.
func (RiverSQLite) Workers(int) int { return riverWorkers }

func (RiverSQLite) Open(ctx context.Context, s trial.Spec) (Queue, error) {
	dsn := "file:" + filepath.Join(s.Dir, "river.db") + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)"
	if s.Setting != trial.Default {
		dsn += "&_pragma=synchronous(" + synchronous(s.Setting) + ")"
	}
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	settings, err := sqliteSettings(ctx, db, s.Setting)
	if err != nil {
		return nil, err
	}
	return openRiver(ctx, riversqlite.New(db), s, settings, db)
}

// RiverPostgres is River with riverpgxv5 on a pgx pool as large as ours.
type RiverPostgres struct{}

func (RiverPostgres) Name() string { return "river-postgres" }

func (RiverPostgres) Modules() []string {
	return []string{"github.com/riverqueue/river", "github.com/riverqueue/river/riverdriver/riverpgxv5", "github.com/jackc/pgx/v5"}
}

// Workers is what River's own benchmark says it found best.
func (RiverPostgres) Workers(int) int { return riverWorkers }

func (RiverPostgres) Open(ctx context.Context, s trial.Spec) (Queue, error) {
	s.Conns = cmp.Or(s.Conns, poolConns)
	pool, settings, err := openPool(ctx, s)
	if err != nil {
		return nil, err
	}
	return openRiver(ctx, riverpgxv5.New(pool), s, settings, closePool{pool})
}

// closePool gives a pgx pool the method of an io.Closer.
type closePool struct{ *pgxpool.Pool }

func (c closePool) Close() error {
	c.Pool.Close()
	return nil
}

// riverWorkers is what River's own benchmark says it found best: about 1,000, whatever the number of producers.
const riverWorkers = 1000

// riverConfig is the one of River's own benchmark (river bench), except where the default is asked for.
func riverConfig(s trial.Spec) (*river.Config, string) {
	workers := river.NewWorkers()
	river.AddWorker(workers, riverWorker{})
	c := &river.Config{
		Logger: slog.New(slog.DiscardHandler), Workers: workers,
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: s.Workers}},
	}
	if s.Setting == trial.Default {
		return c, fmt.Sprintf("its default intervals of fetching (100 ms, 1 s), MaxWorkers=%d", s.Workers)
	}
	c.FetchCooldown, c.FetchPollInterval = 2*time.Millisecond, 20*time.Millisecond
	return c, fmt.Sprintf("FetchCooldown=2ms, FetchPollInterval=20ms as in its own benchmark, MaxWorkers=%d", s.Workers)
}

// riverArgs has the payload's three fields.
type riverArgs struct {
	To      string `json:"to"`
	Subject string `json:"subject"`
	Body    string `json:"body"`
}

func (riverArgs) Kind() string { return "email" }

// riverPayload is the payload as River takes it.
var riverPayload = riverArgs{To: "someone@example.org", Subject: "hello", Body: string(trial.Payload[54 : len(trial.Payload)-2])}

type riverWorker struct {
	river.WorkerDefaults[riverArgs]
}

func (riverWorker) Work(context.Context, *river.Job[riverArgs]) error { return nil }

// riverQueue is a River client whose transactions are of type TTx.
type riverQueue[TTx any] struct {
	client   *river.Client[TTx]
	settings string
	below    io.Closer
}

func openRiver[TTx any](ctx context.Context, d riverdriver.Driver[TTx], s trial.Spec, settings string, below io.Closer) (Queue, error) {
	migrator, err := rivermigrate.New(d, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, err
	}
	config, said := riverConfig(s)
	client, err := river.NewClient(d, config)
	if err != nil {
		return nil, err
	}
	return &riverQueue[TTx]{client: client, settings: settings + "; " + said, below: below}, nil
}

func (r *riverQueue[TTx]) Enqueue(ctx context.Context) error {
	_, err := r.client.Insert(ctx, riverPayload, nil)
	return err
}

// EnqueueBatch uses InsertManyFast, which returns no rows and is River's fastest.
func (r *riverQueue[TTx]) EnqueueBatch(ctx context.Context, n int) error {
	params := make([]river.InsertManyParams, n)
	for i := range params {
		params[i].Args = riverPayload
	}
	_, err := r.client.InsertManyFast(ctx, params)
	return err
}

// riverEvents is more than a round completes: events that find the channel full are dropped.
const riverEvents = 1 << 20

// Work ignores the number of workers, which is fixed by Open. A job counts when its completion has been stored, which is when River
// tells of it.
func (r *riverQueue[TTx]) Work(ctx context.Context, _ int, done func()) error {
	events, cancel := r.client.SubscribeConfig(&river.SubscribeConfig{
		ChanSize: riverEvents, Kinds: []river.EventKind{river.EventKindJobCompleted, river.EventKindJobFailed},
	})
	defer cancel()
	if err := r.client.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	for {
		select {
		case e := <-events:
			if e.Kind != river.EventKindJobCompleted {
				return errors.Join(fmt.Errorf("job %d failed", e.Job.ID), r.stop(ctx))
			}
			done()
		case <-ctx.Done():
			return r.stop(ctx)
		}
	}
}

// stopTimeout bounds the stopping of a peer's workers.
const stopTimeout = 10 * time.Second

func (r *riverQueue[TTx]) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return r.client.Stop(ctx)
}

func (r *riverQueue[TTx]) Settings() string { return r.settings }

func (r *riverQueue[TTx]) Close() error { return r.below.Close() }
