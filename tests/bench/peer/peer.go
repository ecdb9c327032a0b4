// Package peer makes queues comparable: ours, those of others, and the bare driver, each behind the same few calls and each in the
// setting that its own documentation recommends.
package peer

import (
	"context"
	"sync"
	"time"

	"github.com/prismq/thequeue/tests/bench/trial"
)

// Peer is a queue as one can choose it.
type Peer interface {
	// Name is the name in goals and tables, like river-sqlite.
	Name() string
	// Modules are the paths of the Go modules whose versions matter.
	Modules() []string
	// Workers is how many tasks run at a time, for so many callers, where a trial does not say: the best of those that -peers tries.
	Workers(callers int) int
	// Open makes the queue in the empty directory or database of the spec, whose Workers are set.
	Open(ctx context.Context, s trial.Spec) (Queue, error)
}

// Queue is an open queue. Its methods are safe for concurrent use.
type Queue interface {
	// Enqueue stores one task with the payload of 200 bytes; it is stored as durably as the setting says when the call returns.
	Enqueue(ctx context.Context) error
	// EnqueueBatch stores n tasks by the queue's own call for many, all or nothing.
	EnqueueBatch(ctx context.Context, n int) error
	// Work takes and finishes tasks with so many workers until ctx ends, and calls done after the end of each has been stored. It
	// returns nil when ctx ends.
	Work(ctx context.Context, workers int, done func()) error
	// Settings says what the queue runs with, read back from it where it can be.
	Settings() string
	Close() error
}

// Taker is a queue of which a single task can be taken and finished by calls.
type Taker interface {
	Queue
	// Take takes the next task and finishes it; false when there was none.
	Take(ctx context.Context, worker int) (bool, error)
}

// Grouper is a queue that can run n lives with n operations a transaction.
type Grouper interface {
	Queue
	Group(ctx context.Context, n int) error
}

// All lists every peer.
func All() []Peer {
	return []Peer{OnSQLite{}, OnPostgres{}, Bare{}, BarePostgres{}, Disk{}, RiverSQLite{}, RiverPostgres{}, Goqite{}, Backlite{}, Gue{}, Asynq{}}
}

// Named returns the peer of that name; nil when there is none.
func Named(name string) Peer {
	for _, p := range All() {
		if p.Name() == name {
			return p
		}
	}
	return nil
}

// pollEvery is how long a worker of a queue without waiting claims sleeps when there was nothing to take.
const pollEvery = time.Millisecond

// takeAll is Work for a Taker.
func takeAll(ctx context.Context, workers int, take func(ctx context.Context, worker int) (bool, error), done func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				switch ok, err := take(ctx, w); {
				case err != nil && ctx.Err() == nil:
					cancel(err)
				case ok:
					done()
				default:
					select {
					case <-time.After(pollEvery):
					case <-ctx.Done():
					}
				}
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != context.Canceled && err != context.DeadlineExceeded {
		return err
	}
	return nil
}
