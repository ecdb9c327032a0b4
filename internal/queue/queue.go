package queue

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/prismq/thequeue/internal/schedule"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// Options are settings of a queue that have good defaults.
type Options struct {
	Clock           task.Clock              // nil: the store's
	Rand            *rand.Rand              // jitter and the draws of weighted_random; nil: seeded by the system
	Secret          func() string           // the random half of tokens; nil: 128 bits of the system in hexadecimal
	Jitter          schedule.Jitter         // of schedules; nil: schedule.Spread
	Backoff         map[string]task.Backoff // retry policy by task type; a type not named has task.DefaultBackoff
	MaxPayloadBytes int                     // the longest payload and result; 0: 1 MiB
	AnswerLifetime  time.Duration           // how long answers are kept for requests that are sent again; 0: DefaultAnswerLifetime
	Tracer          trace.Tracer            // makes a span of each enqueue, and of each wait for a worker; nil: none are made
	LogRetention    time.Duration           // how long the lines of tasks are kept; 0: as long as their tasks
	Problems        func() []task.Problem   // what else is wrong, told with the health; nil: nothing
	Log             *slog.Logger            // nil: discards
}

// DefaultMaxPayloadBytes is the longest payload and result where the options do not say.
const DefaultMaxPayloadBytes = 1 << 20

// Queue is the service over one store. It is safe for concurrent use. Run must be running for leases to expire and for tasks
// to become due.
type Queue struct {
	store store.Store
	o     Options

	randMu sync.Mutex // guards o.Rand

	waiters  waiters
	watchers watchers
	events   events
	meter    meter
	failures failures
	paces    paces
	workers  registry
	rules    rules
	breakers breakers
	openings openings
	keyring  keyring
	upkeep   alarm
	backoff  atomic.Pointer[map[string]task.Backoff] // that of the options, or what SetBackoff has set
	// purgeFrom is when the upkeep looks for expired answers again. Only the upkeep uses it.
	purgeFrom time.Time

	purges purges
	// purgeLogsFrom is when lines of logs are looked at again. It belongs to the caller of PurgeEnded.
	purgeLogsFrom time.Time

	maintenance maintenance
	manyFree    bool // of the pages of the database, when Care has looked last. It belongs to its caller.

	operations alarm
	runner     string // this process, for those who share the store

	draining atomic.Bool
	drained  chan struct{} // closed by Drain
}

// New returns a queue over the store, which stays the caller's to close.
func New(st store.Store, o Options) *Queue {
	if o.Clock == nil {
		o.Clock = st.Clock()
	}
	if o.Rand == nil {
		var seed [16]byte
		crand.Read(seed[:]) // never fails
		o.Rand = rand.New(rand.NewPCG(binary.LittleEndian.Uint64(seed[:8]), binary.LittleEndian.Uint64(seed[8:])))
	}
	if o.Secret == nil {
		o.Secret = systemSecret
	}
	if o.Jitter == nil {
		o.Jitter = schedule.Spread
	}
	if o.MaxPayloadBytes == 0 {
		o.MaxPayloadBytes = DefaultMaxPayloadBytes
	}
	if o.AnswerLifetime == 0 {
		o.AnswerLifetime = DefaultAnswerLifetime
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	q := &Queue{
		store: st, o: o, drained: make(chan struct{}), upkeep: alarm{ring: make(chan struct{}, 1)},
		operations: alarm{ring: make(chan struct{}, 1)}, runner: systemSecret(), purges: make(purges),
		watchers: watchers{byTask: make(map[int64]map[chan struct{}]struct{})}, workers: registry{seen: make(map[string]registration)},
	}
	q.events.next = q.Now().UnixMicro()
	q.paces.began = q.Now()
	q.events.from = q.events.next
	q.SetBackoff(o.Backoff)
	return q
}

// SetBackoff replaces the retry policies by task type. Retries that wait already are not touched.
func (q *Queue) SetBackoff(policies map[string]task.Backoff) { q.backoff.Store(&policies) }

func systemSecret() string {
	var b [16]byte
	crand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Reader looks at the store without the service in between.
func (q *Queue) Reader() store.Reader { return q.store }

// Ping returns nil when the store answers and takes changes; task.ErrMoved for one that has been moved.
func (q *Queue) Ping(ctx context.Context) error { return q.store.Ping(ctx) }

// Now is the time of the store.
func (q *Queue) Now() time.Time { return q.o.Clock.Now() }

// Stats counts the tasks.
func (q *Queue) Stats(ctx context.Context) (task.Stats, error) { return q.store.Stats(ctx, q.Now()) }

// Drain ends waiting claims and lets no further one take anything. It cannot be undone.
func (q *Queue) Drain() {
	if !q.draining.Swap(true) {
		close(q.drained)
	}
}

func (q *Queue) random() float64 {
	q.randMu.Lock()
	defer q.randMu.Unlock()
	return q.o.Rand.Float64()
}

func (q *Queue) seed() uint64 {
	q.randMu.Lock()
	defer q.randMu.Unlock()
	return q.o.Rand.Uint64()
}

// queued tells everybody concerned of tasks that are queued: who waits for work, and the upkeep of those that are due later.
func (q *Queue) queued(tasks ...task.Task) {
	for _, t := range tasks {
		if t.Status != task.Queued {
			continue
		}
		if t.Ready && t.Quarantined() {
			q.waiters.wakeType(t.Type) // whoever is free takes it
		} else if t.Ready {
			q.waiters.wake(t)
		} else {
			q.upkeep.at(t.RunAfterUTC)
		}
		if t.DeadlineUTC != nil {
			q.upkeep.at(*t.DeadlineUTC)
		}
	}
}
