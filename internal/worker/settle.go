package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// lastCall is how long the report of an attempt is still tried after the grace is over.
const lastCall = 500 * time.Millisecond

// settle tells the source how the attempt ended, and returns it with the error of the handler, or that of the report where it did not get through.
func (s *slot) settle(held, forced context.Context, l task.Lease, result *task.JSON, err error) (task.AttemptOutcome, error) {
	if err == nil && result != nil {
		if wrong := result.Check(); wrong != nil {
			err = Reject(fmt.Errorf("result %w", wrong))
		}
	}
	log := s.log.With("task_id", l.ID, "type", l.Type, "fence", l.Fence, "attempt", l.Attempts)
	var d *decision
	if !errors.As(err, &d) {
		d = &decision{release: errors.Is(err, ErrShutdown)}
	}
	var outcome string
	var undelivered error
	switch {
	case err == nil:
		outcome = "completed"
		var refused *task.InvalidError
		if refused, undelivered = s.complete(held, forced, l, result); refused != nil {
			outcome, d.noRetry, err = "failed", true, refused
		}
	case d.release:
		outcome, undelivered = "released", s.release(held, forced, l, d.after)
	default:
		outcome, undelivered = "failed", s.fail(held, forced, l, task.Failure{Message: clean(err.Error(), maxErrorBytes), NoRetry: d.noRetry, RetryAfter: d.after})
	}
	switch {
	case errors.Is(undelivered, task.ErrLeaseLost):
		log.Info("report dropped", "outcome", outcome, "reason", undelivered)
	case undelivered != nil:
		log.Error("report not delivered: the lease will run out", "outcome", outcome, "error", undelivered)
	case err != nil:
		log.Info("attempt ended", "outcome", outcome, "error", err)
	default:
		log.Debug("attempt ended", "outcome", outcome)
	}
	return ended(d, err, undelivered), cmp.Or(undelivered, err)
}

// ended returns how an attempt ended with an error, nil for none, of which d says what is to follow.
func ended(d *decision, err, undelivered error) task.AttemptOutcome {
	switch {
	case undelivered != nil: // the queue waits for a report until the lease has run out
		return task.AttemptLost
	case err == nil:
		return task.AttemptSucceeded
	case d.release:
		return task.AttemptReleased
	case d.noRetry:
		return task.AttemptRejected
	}
	return task.AttemptFailed
}

// complete reports the success. A result that the source refuses rejects the task: the work is done, and doing it again would
// bring the same result.
func (s *slot) complete(held, forced context.Context, l task.Lease, result *task.JSON) (refused *task.InvalidError, err error) {
	err = s.insist(held, forced, l, func(ctx context.Context) error {
		_, err := s.src.Complete(ctx, l.ID, l.LeaseToken, result)
		return err
	})
	if errors.As(err, &refused) {
		return refused, s.fail(held, forced, l, task.Failure{Message: clean("complete: "+refused.Error(), maxErrorBytes), NoRetry: true})
	}
	return nil, err
}

func (s *slot) fail(held, forced context.Context, l task.Lease, f task.Failure) error {
	return s.insist(held, forced, l, func(ctx context.Context) error {
		_, err := s.src.Fail(ctx, l.ID, l.LeaseToken, f)
		return err
	})
}

// release hands the task back; after nil: it is due at once.
func (s *slot) release(held, forced context.Context, l task.Lease, after *time.Duration) error {
	if after == nil {
		after = new(time.Duration)
	}
	return s.insist(held, forced, l, func(ctx context.Context) error {
		_, err := s.src.Release(ctx, l.ID, l.LeaseToken, *after)
		return err
	})
}

// handBack releases a task that was claimed in the moment the claiming ended.
func (s *slot) handBack(forced context.Context, l task.Lease) {
	held, cancel := context.WithTimeoutCause(context.WithoutCancel(forced), length(l), task.ErrLeaseLost)
	defer cancel()
	s.settle(held, forced, l, nil, ErrShutdown)
}

// insist makes the call until it is answered for good: with success, or with an error that another try cannot change. It gives up
// when the lease has run out, or lastCall after forced has ended, and returns the last error.
func (s *slot) insist(held, forced context.Context, l task.Lease, call func(context.Context) error) error {
	held, cancel := context.WithCancel(held)
	defer cancel()
	defer context.AfterFunc(forced, func() { time.AfterFunc(lastCall, cancel) })()
	for n := 0; ; n++ {
		ctx, done := context.WithTimeout(held, length(l)/3)
		err := call(ctx)
		done()
		if err == nil || final(err) || !pause(held, time.After(backoff(n))) {
			return err
		}
	}
}

func final(err error) bool {
	var refused *task.InvalidError
	return errors.As(err, &refused) || errors.Is(err, task.ErrLeaseLost) || errors.Is(err, task.ErrNotFound) || errors.Is(err, task.ErrConflict)
}
