package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// maxSet is how many operations one set holds at most.
	maxSet = 512
	// maxSetBytes bounds the payloads and results of one set.
	maxSetBytes = 4 << 20
	// setsAtOnce is how many sets are under way at most: the server works on one while this process makes up the other. With one for each kind
	// of operation sets are smaller, and what each costs beside its operations weighs more.
	setsAtOnce = 2
	// worthASet is how many operations must have gathered before they go beside a set of their kind, and half as many as are under way: smaller
	// sets cost more than they bring. With none beside, 64 callers who only enqueue do 13 % less.
	worthASet = 8
	// hastyLock is how long a set waits for a lock. Then its operations go on by themselves, so that one task that somebody has locked keeps
	// no others waiting.
	hastyLock = "200ms"
	// setTimeout bounds one set where the server does not bound a statement.
	setTimeout = 20 * time.Second
	// settleFor bounds the attempts to find out what became of an operation.
	settleFor = 5 * time.Second
	// firstPause is the time before the server is asked again that could not be asked what became of an operation. It doubles.
	firstPause = 20 * time.Millisecond
)

// gatherer lets operations of one kind that come together share one statement and its commit. There is no timer and no goroutine of its
// own: a caller that finds no set under way does its operation at once; else it waits, and when a set ends, or enough have gathered for another one
// beside it, the first that waits takes all that have gathered. So a lone caller pays nothing, and sets grow with the load. Gatherers share a gate:
// what waits for it gathers too.
//
// A context that ends before its operation has begun withdraws it. After that the operation is not interrupted and its answer says what
// happened: the commit is that of others too.
type gatherer[E, V any] struct {
	longest time.Duration // of one set: the server ends a statement earlier, this is for one that does not answer; 0: setTimeout
	gate    chan struct{} // holds one for each set under way, of any kind

	size func(E) int // what an operation adds to its set
	most int         // the size of a set, unless a single operation is greater

	// many does a set and answers each operation by itself; with an error none was answered, and each is done alone, unless what failed would
	// fail again. one does a single operation. What is done in a set, and so many wait for, is done in haste: a lock that others hold for
	// long makes it fail.
	many func(context.Context, []E) ([]outcome[V], error)
	one  func(ctx context.Context, in E, haste bool) (V, error)
	// settle finds out what became of an operation during which the connection broke; nil, or errUnknown as the answer: there is no way to know.
	settle func(context.Context, E) (V, error)
	// tell is told of each set that was done: how many operations, and how long it took; nil: nobody is.
	tell func(operations int, took time.Duration)
	now  func() time.Time // nil where tell is

	mu       sync.Mutex
	waiting  []*operation[E, V] // in the order in which they came
	led      bool               // one that waits has been told to take a set
	underWay int                // operations in sets
}

type outcome[V any] struct {
	value V
	err   error
}

var (
	// errAlone is the answer of a set to an operation that must not share it.
	errAlone = errors.New("to be done alone")
	// errPanicked is the answer of a set that ended in a panic: what became of its operations is not known.
	errPanicked = fmt.Errorf("%w: the set ended in a panic", task.ErrUnknown)
	// errUnknown: whether an operation happened cannot be found out.
	errUnknown = errors.New("not known")
)

type operation[E, V any] struct {
	in      E
	word    chan word // room for both words, so that nobody waits to say one
	leads   bool      // has been told to take a set and has not yet; guarded by the gatherer's mu
	outcome outcome[V]
	cause   error // not nil: to be done alone, because of this
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
	g.begin()
	g.mu.Unlock()
	gate, done := chan struct{}(nil), ctx.Done() // nil: not waited for
	for {
		select {
		case w := <-op.word:
			if w == answered {
				return g.finish(ctx, op)
			}
			gate = g.gate
		case gate <- struct{}{}:
			gate = nil
			runtime.Gosched() // callers that are ready to run come along
			g.lead(ctx, op)
		case <-done:
			if g.withdraw(op) {
				var none V
				return none, notBegun(ctx)
			}
			done = nil
		}
	}
}

// lead does the set of which op is the first. The gate, which the caller has passed, is free again when it returns.
func (g *gatherer[E, V]) lead(ctx context.Context, op *operation[E, V]) {
	set := g.take(op)
	defer func() {
		<-g.gate
		g.end(len(set))
	}()
	g.run(ctx, set)
}

// begin tells the first that waits to take a set, if any does and a set is worth it. The caller holds mu.
func (g *gatherer[E, V]) begin() {
	n := len(g.waiting)
	if !g.led && n > 0 && (g.underWay == 0 || n >= max(worthASet, g.underWay/2)) {
		g.led, g.waiting[0].leads = true, true
		g.waiting[0].word <- lead
	}
}

// end notes that a set of n is done, and lets the next begin.
func (g *gatherer[E, V]) end(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.underWay -= n
	g.begin()
}

// take removes the operations of the next set from those that wait, the first come first. The leader is the first of all.
func (g *gatherer[E, V]) take(leader *operation[E, V]) []*operation[E, V] {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.led, leader.leads = false, false
	n, size := 0, 0
	for n < len(g.waiting) && n < maxSet {
		if size += g.size(g.waiting[n].in); n > 0 && size > g.most {
			break
		}
		n++
	}
	set := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	g.underWay += n
	g.begin()
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
	if op.leads {
		g.led = false
		g.begin()
	}
	return true
}

// run does a set and answers its operations, even when doing it panics, which is the leader's to deal with.
func (g *gatherer[E, V]) run(ctx context.Context, set []*operation[E, V]) {
	for _, op := range set {
		op.cause = errPanicked
	}
	defer func() {
		for _, op := range set {
			op.word <- answered
		}
	}()
	if g.tell != nil {
		began := g.now()
		defer func() {
			if set[0].cause == nil {
				g.tell(len(set), g.now().Sub(began))
			}
		}()
	}
	if op := set[0]; len(set) == 1 {
		op.outcome.value, op.outcome.err, op.cause = g.hasty(ctx, op.in)
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
			if failed := op.outcome.err; failed == errAlone || locked(failed) {
				op.cause = failed
			}
		}
	}
}

// finish returns the outcome of a set to one caller, who does alone what the set could not: one bad operation must not fail the others. What
// made the database refuse the set for a while would refuse each of them.
func (g *gatherer[E, V]) finish(ctx context.Context, op *operation[E, V]) (V, error) {
	switch cause := op.cause; {
	case cause == nil:
		return op.outcome.value, op.outcome.err
	case cause == errPanicked:
		var none V
		return none, cause
	case unsettled(cause):
		return g.settled(ctx, op.in, cause)
	case busy(cause) && !undone(cause) && !locked(cause):
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
	v, err := g.one(within, in, false)
	if unsettled(err) {
		return g.settled(ctx, in, err)
	}
	return v, err
}

// hasty does a single operation in the place of a set. What takes longer is left to its caller, who keeps nobody waiting.
func (g *gatherer[E, V]) hasty(ctx context.Context, in E) (v V, err, cause error) {
	within, cancel := g.within(ctx)
	defer cancel()
	if v, err = g.one(within, in, true); locked(err) || unsettled(err) {
		return v, nil, err
	}
	return v, err, nil
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
