package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// Why the context of a handler ended before the handler did: context.Cause returns one of these, wrapped or not, or task.ErrLeaseLost.
var (
	// ErrCancelled: somebody cancelled the task. Whatever the handler returns is dropped.
	ErrCancelled = errors.New("the task was cancelled")
	// ErrTimeout: the attempt took longer than the task or the handler allows. It counts as failed.
	ErrTimeout = errors.New("timed out")
	// ErrShutdown: the worker stops and its grace is over. The attempt is handed back and does not count.
	ErrShutdown = errors.New("the worker is stopping")
)

// decision is an error that says what is to follow from it.
type decision struct {
	error
	noRetry bool
	release bool
	after   *time.Duration // nil: as the policy of the task says
}

func (d *decision) Unwrap() error { return d.error }

// Reject returns err, which must not be nil, as one after which the task is never tried again.
func Reject(err error) error { return &decision{error: err, noRetry: true} }

// RetryAfter returns err, which must not be nil, as one after which the task waits for d before its next attempt, if it has one left.
func RetryAfter(d time.Duration, err error) error { return &decision{error: err, after: &d} }

// Snooze returns an error that hands the task back to come again: the attempt does not count, and the task is due again after d, from 0 to
// task.MaxTimeout; what lies outside is moved there.
func Snooze(d time.Duration) error {
	d = min(max(d, 0), task.MaxTimeout)
	return &decision{error: fmt.Errorf("snoozed for %v", d), release: true, after: &d}
}

// timedOut is the cause of a context that ends after limit.
func timedOut(limit time.Duration) error { return fmt.Errorf("%w after %v", ErrTimeout, limit) }

// explain returns err with the reason why ctx had ended, if it had and err does not tell it already.
func explain(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	switch {
	case cause == nil || errors.Is(err, cause):
		return err
	case errors.Is(err, ctx.Err()):
		return cause
	}
	return fmt.Errorf("%w: %w", cause, err)
}
