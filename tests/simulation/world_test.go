package simulation

import (
	"container/heap"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
)

// start is the first instant of the clock.
var start = time.Date(2026, 3, 28, 22, 0, 0, 0, time.UTC)

// clock is moved by the simulation.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// event is something that an actor does at a time.
type event struct {
	at  time.Time
	seq int // of events of one instant the first planned comes first
	do  func()
}

type agenda []event

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at.Before(a[j].at) || a[i].at.Equal(a[j].at) && a[i].seq < a[j].seq
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(event)) }
func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// world is a queue, everybody who uses it, and the model of it.
type world struct {
	*testing.T
	model
	seed   uint64
	rng    *rand.Rand
	clock  *clock
	open   func() (store.Store, error)
	st     store.Store
	q      *queue.Queue
	agenda agenda
	seq    int

	workers   []*worker
	schedules map[string]*timetable
	old       []*hold // leases whose holders have gone; their tokens come back late
	quiet     bool    // no more arrivals and faults
	touched   bool    // the store may have changed since due was read
	due       *time.Time

	counts struct{ enqueued, claims, lost, ticks, operations, restarts, stale, trips int }
}

func newWorld(t *testing.T, seed uint64, open func() (store.Store, error)) *world {
	w := &world{
		T: t, model: newModel(), seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), clock: &clock{now: start}, open: open, schedules: make(map[string]*timetable),
	}
	w.begin()
	t.Cleanup(func() {
		if err := w.st.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return w
}

// broken ends the simulation.
func (w *world) broken(invariant, format string, args ...any) {
	w.Helper()
	w.Fatalf("%s broken at %s, seed %d: "+format, append([]any{invariant, w.clock.Now().Format(time.TimeOnly + ".000000"), w.seed}, args...)...)
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.broken("an operation", "%v", err)
	}
}

// begin opens the store, as a server does when it starts.
func (w *world) begin() {
	st, err := w.open()
	w.ok(err)
	w.st = st
	if b := w.rules[brittle].breaker; b != nil { // each server counts for itself
		b.ends = nil
	}
	w.q = queue.New(st, queue.Options{Clock: w.clock, Rand: rand.New(rand.NewPCG(w.rng.Uint64(), 1)), Log: slog.New(slog.DiscardHandler)})
	w.touched = true
}

// restart stops the server, and starts it again after a while in which nobody reached it.
func (w *world) restart(down time.Duration) {
	w.counts.restarts++
	w.ok(w.st.Close())
	w.clock.set(w.clock.Now().Add(down))
	w.begin()
	w.upkeep()
	w.check()
}

func (w *world) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.agenda, event{w.clock.Now().Add(d), w.seq, do})
}

// every does something again and again, after waits of that mean.
func (w *world) every(mean time.Duration, do func()) {
	w.after(w.around(mean), func() {
		if !w.quiet {
			do()
			w.every(mean, do)
		}
	})
}

// around is a random wait of that mean, in whole microseconds.
func (w *world) around(mean time.Duration) time.Duration {
	return time.Duration(w.rng.ExpFloat64()*float64(mean)).Truncate(time.Microsecond) + time.Microsecond
}

func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

// run lets time pass. What is due in the store is done by the upkeep at its instant.
func (w *world) run(until time.Time, done func() bool) {
	for !done() {
		w.look()
		next := until
		if len(w.agenda) > 0 && w.agenda[0].at.Before(until) {
			next = w.agenda[0].at
		}
		if w.due != nil && !w.due.After(next) {
			w.moveTo(*w.due)
			w.upkeep()
			continue
		}
		w.moveTo(next)
		if !next.Before(until) {
			return
		}
		heap.Pop(&w.agenda).(event).do()
	}
}

// moveTo moves the clock on; a restart may have moved it further already.
func (w *world) moveTo(t time.Time) {
	if t.After(w.clock.Now()) {
		w.clock.set(t)
	}
}

// look asks the store when something falls due next.
func (w *world) look() {
	if !w.touched {
		return
	}
	due, err := w.st.NextEvent(w.Context())
	w.ok(err)
	w.due, w.touched = due, false
}

// live lets everybody work for some hours.
func (w *world) live(d time.Duration) {
	w.hire()
	w.operate()
	w.run(w.clock.Now().Add(d), func() bool { return false })
	w.check()
}

// settle ends arrivals, faults and limits, and wants every task to end.
func (w *world) settle() {
	w.quiet = true
	w.lift()
	for _, wk := range w.workers {
		w.revive(wk)
	}
	w.run(w.clock.Now().Add(6*time.Hour), func() bool { return len(w.alive) == 0 })
	for id := range w.alive {
		w.broken("I16", "task %d has not ended: %+v", id, w.tasks[id].Task)
	}
	w.check()
}
