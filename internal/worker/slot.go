package worker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// claimSlack is how much longer than it was told to wait a claim may take before it is given up.
const claimSlack = 15 * time.Second

// claimGrace is what a claim under way gets when the worker stops. Its answer may be on the way already, and a task in it that nobody
// reads would be held until the end of its lease.
const claimGrace = 500 * time.Millisecond

// slot runs one attempt after the other.
type slot struct {
	*Worker
	drain func() // ends the claiming of all slots
}

// run claims until claiming ends. Attempts go on from then until forced ends, and are told to stop.
func (s *slot) run(claiming, forced context.Context) {
	for failures := 0; claiming.Err() == nil; {
		pace, waited := time.After(s.o.PollInterval), time.After(s.claim.Wait/2)
		leases, err := s.claimOne(claiming, forced)
		switch {
		case err != nil:
			pause(claiming, time.After(backoff(failures)))
			failures++
			continue
		case len(leases) == 0: // the wait is over, or the server would not wait
			s.heedDrain(claiming, waited)
			pause(claiming, pace)
		}
		failures = 0
		for _, l := range leases {
			if claiming.Err() == nil {
				s.attempt(forced, l)
			} else {
				s.handBack(forced, l)
			}
		}
	}
}

// registrar is a source that tells a worker which holds nothing whether it is to drain.
type registrar interface {
	WorkerHeartbeat(ctx context.Context, workerID string, capabilities *task.JSON, types []string) (task.Pulse, error)
}

// heedDrain ends the claiming when the worker is to take nothing new. It asks only after a claim that found nothing sooner than it was told to wait.
func (s *slot) heedDrain(claiming context.Context, waited <-chan time.Time) {
	r, ok := s.src.(registrar)
	if !ok || s.claim.Wait == 0 {
		return
	}
	select {
	case <-waited:
		return
	default:
	}
	if p, err := r.WorkerHeartbeat(claiming, s.o.ID, nil, nil); err == nil && p.Drain { // an error shows in the next claim
		s.drain()
	}
}

// claimOne asks for one task. It logs when claims begin to fail and when they work again.
func (s *slot) claimOne(claiming, forced context.Context) ([]task.Lease, error) {
	ctx, cancel := context.WithTimeout(forced, s.claim.Wait+claimSlack)
	defer cancel()
	defer context.AfterFunc(claiming, func() { pause(ctx, time.After(claimGrace)); cancel() })()
	leases, err := s.src.Claim(ctx, s.claim)
	if claiming.Err() == nil && s.failing.CompareAndSwap(err == nil, err != nil) {
		if err != nil {
			s.log.Warn("claims fail", "error", err)
		} else {
			s.log.Info("claims work again")
		}
	}
	return leases, err
}

// attempt runs the handler under the lease and reports how it ended.
func (s *slot) attempt(forced context.Context, l task.Lease) {
	a := &Attempt{Lease: l, wake: make(chan struct{}, 1)}
	a.log, _ = s.src.(logger)
	k := s.keep(forced, a)
	ctx, end := s.trace(k.held, l)
	result, err := s.handle(ctx, forced, a)
	k.rest()
	defer k.end()
	if k.held.Err() != nil {
		reason := context.Cause(k.held)
		s.log.Info("attempt dropped", "task_id", l.ID, "type", l.Type, "fence", l.Fence, "reason", reason)
		end(dropped(reason), reason)
		return
	}
	end(s.settle(k.held, forced, l, result, err))
}

// handle calls the handler with a context that ends with the lease, at the timeout of the task, or when the grace is over.
func (s *slot) handle(held, forced context.Context, a *Attempt) (result *task.JSON, err error) {
	h, ok := s.o.Handlers[a.Type]
	if !ok {
		return nil, Reject(fmt.Errorf("worker %s has no handler for task type %q", s.o.ID, a.Type))
	}
	ctx, cancel := context.WithCancelCause(held)
	defer cancel(nil)
	defer context.AfterFunc(forced, func() { cancel(ErrShutdown) })()
	if a.TimeoutSeconds != nil {
		limit := time.Duration(*a.TimeoutSeconds * float64(time.Second))
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, limit, timedOut(limit))
		defer stop()
	}
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("handler panicked", "task_id", a.ID, "type", a.Type, "panic", p, "stack", string(debug.Stack()))
			result, err = nil, fmt.Errorf("panic: %v", p)
		}
	}()
	if result, err = h.Handle(ctx, a); err != nil {
		return nil, explain(ctx, err)
	}
	return result, nil
}

// backoff is the wait after the n-th failure in a row, counted from 0: from 0.1 s up to 5 s, the later half of it at random.
func backoff(n int) time.Duration {
	d := min(200*time.Millisecond<<min(n, 10), 5*time.Second)
	return d/2 + rand.N(d/2)
}

// pause waits for c, and reports whether that came before the end of ctx.
func pause(ctx context.Context, c <-chan time.Time) bool {
	select {
	case <-ctx.Done():
		return false
	case <-c:
		return true
	}
}
