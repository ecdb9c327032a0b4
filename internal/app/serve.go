package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"github.com/prismq/thequeue/internal/api"
	"github.com/prismq/thequeue/internal/backup"
	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/dashboard"
	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/tracing"
	"github.com/prismq/thequeue/internal/worker"
)

// Options of a process that runs until it is told to stop.
type Options struct {
	Log     *slog.Logger         // required
	Ready   func(addr string)    // called once requests are answered, with the address; nil: not called
	Hurry   <-chan struct{}      // closed: a stop under way waits no longer for running tasks; nil: it always waits
	Version string               // shown by the API
	Reloads <-chan config.Config // configurations to put in force; nil: none come
	Getenv  func(string) string  // tells where data is kept; nil: of this process
	Guard   *worker.Guard        // of the commands that tasks run, closed at the end; nil: none

	tracer trace.Tracer // nil: no spans are made
}

const (
	// A body must arrive within readTimeout; an answer, the longest wait of a claim included, is out within writeTimeout.
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 60 * time.Second
	writeTimeout      = task.MaxWait + 60*time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	// ballastBytes are allocated and never touched, so they take no memory; but the garbage collector, which runs whenever the heap has doubled,
	// lets so much more garbage gather. Without them a loaded server, whose live heap is some MiB, collects 25 times a second (measured: 5 % of its
	// processor time). A percentage instead would also be one of what large payloads take.
	ballastBytes = 16 << 20
	// shutdownTimeout bounds the wait for requests under way when everything else has stopped.
	shutdownTimeout = 5 * time.Second
)

// Serve runs the server, its upkeep and its own workers until ctx ends. Then it stops in this order: it is not ready any more and gives
// no claims; running tasks get the grace to end, while remote workers can still report; what did not end is handed back; requests under way are
// answered; the store is closed. An address that cannot be listened on, one that other machines can reach while there are no keys, a certificate that cannot be read, and a database
// that cannot be opened, are errors before anything runs.
func Serve(ctx context.Context, cfg config.Config, o Options) (err error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Addr)
	if err != nil {
		return err
	}
	defer ln.Close() // closed already unless the start failed
	defer func() { err = errors.Join(err, o.Guard.Close()) }()
	st, err := open(ctx, cfg.Database, true, true, o.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if err := closed(ctx, st, cfg); err != nil {
		return err
	}
	return serve(ctx, ln, st, cfg, o)
}

func serve(ctx context.Context, ln net.Listener, st store.Store, cfg config.Config, o Options) error {
	in := net.Listener(listener{ln})
	renew := func() {}
	if cfg.TLS.On() {
		certs, err := newCertificates(cfg.TLS, o.Log)
		if err != nil {
			return err
		}
		in, renew = tls.NewListener(in, certs.config()), certs.reload
	}
	ballast := make([]byte, ballastBytes)
	defer runtime.KeepAlive(ballast)
	spans, err := newTracing(ctx, cfg, o)
	if err != nil {
		return err
	}
	defer spans.Close(ctx)
	o.tracer = spans.Tracer()
	keeper := newKeeper(st, cfg, o)
	q := queue.New(st, queue.Options{Problems: keeper.Problems, Tracer: o.tracer, Backoff: cfg.Retry, MaxPayloadBytes: cfg.MaxPayloadBytes, AnswerLifetime: cfg.AnswerLifetime(), LogRetention: cfg.Logs.Retention(), Log: slog.New(api.LogHandler(o.Log.Handler()))})
	pool, err := newPool(q, cfg, o)
	if err != nil {
		return err
	}
	if err := errors.Join(set(ctx, q, cfg), setWebhooks(ctx, q, cfg)); err != nil {
		return err
	}
	feeds := newFeeds(q, cfg, o.Log)
	var stopping atomic.Bool
	server := newServer(q, keeper, cfg, o, func(ctx context.Context) error {
		if stopping.Load() {
			return task.ErrStopped
		}
		return q.Ping(ctx)
	})

	var open conns
	open.attach(server)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, failed := errgroup.WithContext(ctx) // ends with ctx, or when a part fails
	group.Go(func() error { return q.Run(running) })
	group.Go(func() error { return keeper.Run(running) })
	for _, f := range feeds {
		group.Go(func() error { return f.run(running) })
	}
	group.Go(func() error {
		if err := server.Serve(in); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		defer stop()
		again := newPools(cfg, o, func(cfg config.Config) (*worker.Worker, error) {
			renew()
			pool, err := newPool(q, cfg, o)
			if err == nil {
				err = set(running, q, cfg)
			}
			if err == nil {
				q.SetBackoff(cfg.Retry)
			}
			return pool, err
		})
		if err := again.run(failed, pool); err != nil {
			return err
		}
		<-failed.Done()
		shutDown(server, &open, o.Log)
		return nil
	})
	context.AfterFunc(failed, func() { stopping.Store(true); q.Drain() })
	if o.Ready != nil {
		o.Ready(ln.Addr().String())
	}
	return errors.Join(group.Wait(), keepMeasures(ctx, q))
}

// newTracing returns what makes the spans of this process and sends them, as the configuration says; nil when it wants none.
func newTracing(ctx context.Context, cfg config.Config, o Options) (*tracing.Tracing, error) {
	return tracing.New(ctx, tracing.Options{
		Endpoint: cfg.Tracing.OTLPEndpoint, SampleRatio: cfg.Tracing.SampleRatio, Version: o.Version, Instance: cfg.WorkerID, Log: o.Log,
	})
}

// keepMeasures stores what was counted last.
func keepMeasures(ctx context.Context, q *queue.Queue) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	return q.StoreMeasures(ctx)
}

// set sets the rules of types and the schedules of the configuration. Others, and what is paused, stay as they are.
func set(ctx context.Context, q *queue.Queue, cfg config.Config) error {
	for _, name := range slices.Sorted(maps.Keys(cfg.Types)) {
		_, err := q.PutType(ctx, name, cfg.Types[name])
		if wrong, ok := errors.AsType[*task.InvalidError](err); ok {
			return wrong.Within("types." + name)
		}
		if err != nil {
			return fmt.Errorf("types.%s: %w", name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Schedules)) {
		_, _, err := q.PutSchedule(ctx, name, cfg.Schedules[name])
		if wrong, ok := errors.AsType[*task.InvalidError](err); ok {
			return wrong.Within("schedules." + name)
		}
		if err != nil {
			return fmt.Errorf("schedules.%s: %w", name, err)
		}
	}
	return nil
}

func newServer(q *queue.Queue, backups *backup.Keeper, cfg config.Config, o Options, ready func(context.Context) error) *http.Server {
	engine := schema.SQLite
	if config.IsPostgres(cfg.Database) {
		engine = schema.Postgres
	}
	pages := dashboard.New(q, dashboard.Options{Version: o.Version, Backups: backups, Database: config.Redact(cfg.Database), Schema: schema.Newest(engine), KeysRequired: !cfg.OnLoopback(), MaxFormBytes: 3 * int64(cfg.MaxBodyBytes), Log: o.Log})
	handler := api.New(q, api.Options{
		MaxBodyBytes: int64(cfg.MaxBodyBytes), KeysRequired: !cfg.OnLoopback(), MaxWaiting: cfg.MaxWaiting, MaxWaitingOfOne: cfg.MaxWaitingOfOne, Hosts: hosts(cfg), Log: o.Log, Ready: ready, Version: o.Version, Pages: pages, Backups: backups,
	})
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
	}
}

// hosts are the names by which the server may be called: those of the settings, and that of the address where it is a name.
func hosts(cfg config.Config) []string {
	out := append([]string{}, cfg.AllowedHosts...)
	if host, _, err := net.SplitHostPort(cfg.Addr); err == nil && host != "" {
		out = append(out, host)
	}
	return out
}

// shutDown answers the requests under way and closes what is still open after that.
func shutDown(server *http.Server, open *conns, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	open.closeSilent()
	if err := server.Shutdown(ctx); err != nil {
		log.Warn("requests did not end in time and are broken off", "error", errors.Join(err, server.Close()))
	}
}

// newPool returns the workers of this process, which take the types that have a handler here and leave the others to remote workers;
// nil when the configuration wants none.
func newPool(q *queue.Queue, cfg config.Config, o Options) (*worker.Worker, error) {
	if cfg.Workers == 0 {
		return nil, nil
	}
	return newWorker(q, cfg, o)
}
