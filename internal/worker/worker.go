package worker

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/prismq/thequeue/internal/task"
)

// Defaults of Options.
const (
	DefaultCount        = 4
	DefaultPollInterval = time.Second
	DefaultGrace        = 10 * time.Second
)

// Handler does the work of one type of task. It is called by several goroutines at once.
type Handler interface {
	// Handle runs one attempt and returns its result, nil for none. It must return soon after ctx has ended; context.Cause(ctx) says
	// why it did. An error fails the attempt, and the policy of the task decides over the next; Reject, RetryAfter and Snooze
	// decide here. A panic is an error.
	Handle(ctx context.Context, a *Attempt) (*task.JSON, error)
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(ctx context.Context, a *Attempt) (*task.JSON, error)

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, a *Attempt) (*task.JSON, error) { return f(ctx, a) }

// Options describes a worker. Only ID and Handlers have to be given.
type Options struct {
	ID           string             // names the worker in claims, attempts and the registry
	Count        int                // attempts that run at once; 0: DefaultCount
	Capabilities task.Capabilities  // what the worker offers; nil: nothing
	Strategy     task.Strategy      // empty: priority
	Lease        time.Duration      // of each claim and heartbeat; 0: as long as the rule of each type says, or task.DefaultLease
	Wait         time.Duration      // how long one claim waits for work; 0: task.MaxWait; negative: not at all
	PollInterval time.Duration      // at least so long from an empty claim to the next; 0: DefaultPollInterval
	Handlers     map[string]Handler // by task type
	AllTypes     bool               // claim every type and reject those without a handler; otherwise such types are never claimed
	Grace        time.Duration      // what running attempts get to finish in when the worker stops; 0: DefaultGrace; negative: nothing
	Hurry        <-chan struct{}    // closed: the rest of the grace is skipped; nil: it never is
	Tracer       trace.Tracer       // makes a span of each attempt; nil: none are made
	Log          *slog.Logger       // nil: discards
}

// Worker claims and runs tasks. Make one with New.
type Worker struct {
	src     task.Source
	o       Options
	claim   task.Claim
	log     *slog.Logger
	failing atomic.Bool // the last claim returned an error

	draining sync.Once
	drained  chan struct{} // closed by Drain
}

// New returns a worker that has not started yet, or a *task.InvalidError with every option that is wrong.
func New(src task.Source, o Options) (*Worker, error) {
	o.Count = cmp.Or(o.Count, DefaultCount)
	o.PollInterval = cmp.Or(o.PollInterval, DefaultPollInterval)
	o.Grace = max(cmp.Or(o.Grace, DefaultGrace), 0)
	o.Wait = max(cmp.Or(o.Wait, task.MaxWait), 0)
	c := task.Claim{WorkerID: o.ID, Capabilities: o.Capabilities, Strategy: o.Strategy, Lease: o.Lease, Wait: o.Wait, Max: 1}
	if !o.AllTypes {
		c.Types = slices.Sorted(maps.Keys(o.Handlers))
	}
	var bad task.InvalidError
	if o.Count < 1 {
		bad.Add("count", "must be at least 1")
	}
	if o.PollInterval < 0 {
		bad.Add("poll_interval_seconds", "must not be negative")
	}
	if len(o.Handlers) == 0 {
		bad.Add("handlers", "must name at least one task type")
	}
	c, err := c.WithDefaults()
	if wrong, ok := err.(*task.InvalidError); ok {
		bad.Fields = append(bad.Fields, wrong.Fields...)
	}
	if len(bad.Fields) > 0 {
		return nil, fmt.Errorf("worker: %w", &bad)
	}
	log := cmp.Or(o.Log, slog.New(slog.DiscardHandler)).With("worker_id", o.ID)
	return &Worker{src: src, o: o, claim: c, log: log, drained: make(chan struct{})}, nil
}

// Drain ends the claiming for good. Run returns when the attempts under way have ended, however long they take.
func (w *Worker) Drain() { w.draining.Do(func() { close(w.drained) }) }

// Run claims and runs tasks until ctx ends or the source says that the worker is to drain, and returns nil after the last handler has
// returned. When ctx ends, nothing more is claimed and running attempts get the grace to finish; then their contexts end with
// ErrShutdown, and what did not finish is handed back. It blocks, and may be called again after it has returned.
func (w *Worker) Run(ctx context.Context) error {
	claiming, drain := context.WithCancel(ctx)
	defer drain()
	forced, force := context.WithCancel(context.WithoutCancel(ctx))
	defer force()
	var slots sync.WaitGroup
	for range w.o.Count {
		slots.Go(func() { (&slot{Worker: w, drain: drain}).run(claiming, forced) })
	}
	ended := make(chan struct{})
	go func() { slots.Wait(); close(ended) }()

	for told := w.drained; ; told = nil {
		select {
		case <-told:
			drain()
			continue
		case <-ended:
			w.log.Info("worker drained")
			return nil
		case <-ctx.Done():
		}
		break
	}
	w.log.Info("worker stopping", "grace", w.o.Grace)
	select {
	case <-ended:
	case <-w.o.Hurry:
		force()
	case <-time.After(w.o.Grace):
		force()
	}
	<-ended
	w.log.Info("worker stopped")
	return nil
}
