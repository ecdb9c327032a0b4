package background

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/worker"
)

// leased is a queue that gives one lease and no other, and notes how it has ended.
type leased struct {
	Queue
	lease task.Lease
	drain func()

	mu    sync.Mutex
	given bool
	ended task.AttemptOutcome // empty: the queue has not taken the end
}

// Claim gives the lease, and from then on nothing.
func (l *leased) Claim(context.Context, task.Claim) ([]task.Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.given {
		l.drain()
		return nil, nil
	}
	l.given = true
	return []task.Lease{l.lease}, nil
}

func (l *leased) note(o task.AttemptOutcome, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.ended = o
	}
}

// taken reports whether the lease was given.
func (l *leased) taken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.given
}

func (l *leased) outcome() task.AttemptOutcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

// Complete ends the task well.
func (l *leased) Complete(ctx context.Context, id int64, token string, result *task.JSON) (task.Task, error) {
	t, err := l.Queue.Complete(ctx, id, token, result)
	l.note(task.AttemptSucceeded, err)
	return t, err
}

// Fail ends the task.
func (l *leased) Fail(ctx context.Context, id int64, token string, f task.Failure) (task.Task, error) {
	t, err := l.Queue.Fail(ctx, id, token, f)
	l.note(task.AttemptRejected, err)
	return t, err
}

// Release hands the task back.
func (l *leased) Release(ctx context.Context, id int64, token string, after time.Duration) (task.Task, error) {
	t, err := l.Queue.Release(ctx, id, token, after)
	l.note(task.AttemptReleased, err)
	return t, err
}

// Watch tells at once of a task that was cancelled, where the queue is of this process.
func (l *leased) Watch(id int64) (ended <-chan struct{}, stop func()) {
	if w, ok := l.Queue.(interface {
		Watch(id int64) (<-chan struct{}, func())
	}); ok {
		return w.Watch(id)
	}
	return nil, func() {}
}

// maxResult is how long a result may be that is kept, in bytes.
const maxResult = 256 << 10

// under executes a run under a lease, with heartbeats, and returns how the queue took its end, empty where it did not, and why it failed.
func (p *persisted) under(ctx context.Context, d *drive, l task.Lease) (task.AttemptOutcome, error) {
	src := &leased{Queue: p.queue, lease: l}
	var failure error
	handler := worker.HandlerFunc(func(ctx context.Context, a *worker.Attempt) (*task.JSON, error) {
		result, err := d.execute(ctx, a)
		switch {
		case err == nil && result != nil && len(*result) > maxResult:
			return nil, nil
		case err == nil || errors.Is(err, worker.ErrShutdown):
			return result, err
		case d.cancelled():
			p.cancelUnder(ctx, d)
			return nil, worker.Reject(worker.ErrCancelled) // the queue refuses it, as the lease has gone with the cancellation
		}
		failure = err
		return nil, worker.Reject(err)
	})
	w, err := worker.New(src, worker.Options{
		ID: p.id, Count: 1, Lease: p.m.o.Lease, Wait: -1, Grace: -1, Handlers: map[string]worker.Handler{l.Type: handler}, Log: p.m.log,
	})
	if err != nil {
		return "", err
	}
	src.drain = w.Drain
	defer func() {
		if !src.taken() { // ctx had ended before
			p.release(l)
		}
	}()
	if err := w.Run(ctx); err != nil {
		return "", err
	}
	return src.outcome(), failure
}

// cancelUnder cancels the task of a run that this process holds. It gives up with the lease.
func (p *persisted) cancelUnder(ctx context.Context, d *drive) {
	for n := 0; ctx.Err() == nil; n++ {
		_, err := p.queue.CancelTask(ctx, d.id())
		if err == nil || errors.Is(err, task.ErrNotFound) || denied(err) {
			return
		}
		pause(ctx, backoff(n))
	}
}
