package postgres

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"
)

const (
	// maxSet is how many operations one set holds at most.
	maxSet = 512
	// maxSetBytes bounds the payloads and results of one set.
	maxSetBytes = 4 << 20
	// enough operations begin a set beside another one, of which there are maxAtOnce at most. With fewer callers one set at a time is
	// faster: two share its cost among half as many.
	enough    = 16
	maxAtOnce = 2
	// setTimeout bounds one set where the server does not bound a statement.
	setTimeout = 20 * time.Second
	// settleFor bounds the attempts to find out what became of an operation.
	settleFor = 5 * time.Second
	// firstPause is the time before the server is asked again that could not be asked what became of an operation. It doubles.
	firstPause = 20 * time.Millisecond
)

// gatherer lets operations of one kind that come together share one statement and its commit. There is no timer and no goroutine of its
// own: a caller that finds no set under way does its operation at once; else it waits, and when a set ends the first that waits takes all that
// have gathered. So a lone caller pays nothing, and sets grow with the load. When enough have gathered another set begins beside the first: the
// server then works on one while this process makes up the other.
//
// A context that ends before its operation has begun withdraws it. After that the operation is not interrupted and its answer says what
// happened: the commit is that of others too.
type gatherer[E, V any] struct {
	longest time.Duration // of one set: the server ends a statement earlier, this is for one that does not answer; 0: setTimeout
	size    func(E) int   // what an operation adds to its set
	most    int           // the size of a set, unless a single operation is greater

	// one does a single operation. many does a set and answers each operation by itself; with an error none was answered, and each is
	// done alone, unless what failed would fail again.
	one  func(context.Context, E) (V, error)
	many func(context.Context, []E) ([]outcome[V], error)
	// settle finds out what became of an operation during which the connection broke; nil, or errUnknown as the answer: there is no way to know.
	settle func(context.Context, E) (V, error)

	mu      sync.Mutex
	waiting []*operation[E, V] // in the order in which they came
	running int                // sets under way or about to be
	pending int                // of these, sets about to be
}

type outcome[V any] struct {
	value V
	err   error
}

var (
	// errAlone is the answer of a set to an operation that must not share it.
	errAlone = errors.New("to be done alone")
	// errUnknown: whether an operation happened cannot be found out.
	errUnknown = errors.New("not known")
)

type operation[E, V any] struct {
	in        E
	word      chan word // room for both words, so that nobody waits to say one
	appointed bool      // has been told to lead and has not yet; guarded by the gatherer's mu
	outcome   outcome[V]
	cause     error // not nil: to be done alone, because of this
}

type word int

const (
	lead     word = iota // take a set and do it
	answered             // the outcome is there
)

// do returns when the operation is committed or has failed.
func (g *gatherer[E, V]) do(ctx context.Context, in E) (V, error) {
	if ctx.Err() != nil {
		var none V
		return none, notBegun(ctx)
	}
	op := &operation[E, V]{in: in, word: make(chan word, 2)}
	g.mu.Lock()
	g.waiting = append(g.waiting, op)
	first := g.running == 0
	if first || g.mayBegin() {
		g.begin(op)
	}
	g.mu.Unlock()
	done := ctx.Done()
	for {
		select {
		case w := <-op.word:
			if w == lead {
				g.lead(ctx, op)
				continue
			}
			return g.finish(ctx, op)
		case <-done:
			if g.withdraw(op) {
				var none V
				return none, notBegun(ctx)
			}
			done = nil
		}
	}
}

// lead does one set.
func (g *gatherer[E, V]) lead(ctx context.Context, op *operation[E, V]) {
	runtime.Gosched() // callers that are ready to run come along
	if set := g.take(op); len(set) > 0 {
		g.run(ctx, set)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.end()
}

// end notes that a set is done, and lets the first that waits begin the next. The caller holds mu.
func (g *gatherer[E, V]) end() {
	g.running--
	if len(g.waiting) > 0 && (g.running == 0 || g.mayBegin()) {
		g.begin(g.waiting[0])
	}
}

// mayBegin reports whether a set may begin beside others. The caller holds mu.
func (g *gatherer[E, V]) mayBegin() bool {
	return g.pending == 0 && g.running < maxAtOnce && len(g.waiting) >= enough
}

// begin tells the caller of the operation to take a set. The caller holds mu.
func (g *gatherer[E, V]) begin(op *operation[E, V]) {
	g.running++
	g.pending++
	op.appointed = true
	op.word <- lead
}

// take removes the operations of the next set from those that wait, the first come first.
func (g *gatherer[E, V]) take(leader *operation[E, V]) []*operation[E, V] {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pending--
	leader.appointed = false
	n, size := 0, 0
	for n < len(g.waiting) && n < maxSet {
		if size += g.size(g.waiting[n].in); n > 0 && size > g.most {
			break
		}
		n++
	}
	set := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	return set
}

// withdraw reports whether the operation has not begun, and will not.
func (g *gatherer[E, V]) withdraw(op *operation[E, V]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, op)
	if i < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	if op.appointed {
		g.pending--
		g.end()
	}
	return true
}

// run does a set and answers its operations.
func (g *gatherer[E, V]) run(ctx context.Context, set []*operation[E, V]) {
	if op := set[0]; len(set) == 1 {
		op.outcome.value, op.outcome.err = g.alone(ctx, op.in)
		op.word <- answered
		return
	}
	ins := make([]E, len(set))
	for i, op := range set {
		ins[i] = op.in
	}
	within, cancel := g.within(ctx)
	defer cancel()
	outcomes, err := g.many(within, ins)
	for i, op := range set {
		if op.cause = err; err == nil {
			op.outcome = outcomes[i]
			if op.outcome.err == errAlone {
				op.cause = errAlone
			}
		}
		op.word <- answered
	}
}

// finish returns the outcome of a set to one caller, who does alone what the set could not: one bad operation must not fail the others. What
// made the database refuse the set for a while would refuse each of them.
func (g *gatherer[E, V]) finish(ctx context.Context, op *operation[E, V]) (V, error) {
	switch cause := op.cause; {
	case cause == nil:
		return op.outcome.value, op.outcome.err
	case unsettled(cause):
		return g.settled(ctx, op.in, cause)
	case busy(cause) && !undone(cause):
		var none V
		return none, cause
	}
	return g.alone(ctx, op.in)
}

// within returns the context of one set: that of one caller without its end.
func (g *gatherer[E, V]) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), cmp.Or(g.longest, setTimeout))
}

func (g *gatherer[E, V]) alone(ctx context.Context, in E) (V, error) {
	within, cancel := g.within(ctx)
	defer cancel()
	v, err := g.one(within, in)
	if unsettled(err) {
		return g.settled(ctx, in, err)
	}
	return v, err
}

// settled finds out what became of an operation, as soon as the server can be asked again; when that takes long, or the caller goes, the answer is
// that the connection broke.
func (g *gatherer[E, V]) settled(ctx context.Context, in E, broken error) (V, error) {
	var none V
	if g.settle == nil {
		return none, broken
	}
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
	defer cancel()
	for pause := firstPause; within.Err() == nil && ctx.Err() != context.Canceled; pause *= 2 {
		v, err := g.settle(within, in)
		if err == errUnknown {
			break
		}
		if !busy(err) && !unsettled(err) {
			return v, err
		}
		sleep(within, pause)
	}
	return none, broken
}
