package worker

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// progressInterval is the shortest time between two heartbeats that only bring news of progress.
const progressInterval = time.Second

// Longest texts that a worker sends, in bytes; what is longer is cut.
const (
	maxErrorBytes    = 8 << 10
	maxProgressBytes = 500
)

// Attempt is one run of a task by a handler, with the lease it runs under.
type Attempt struct {
	task.Lease

	log     logger        // nil: the source keeps no logs
	wake    chan struct{} // holds one element when there is news of progress
	mu      sync.Mutex
	percent *int
	message *string
}

// Progress reports how far the attempt is, 0 to 100, with a short message; an empty one leaves the last. It does not block: the first
// report is sent at once, later ones at most every second, and only the newest counts. Safe for concurrent use.
func (a *Attempt) Progress(percent int, message string) {
	percent, message = min(max(percent, 0), 100), clean(message, maxProgressBytes)
	a.mu.Lock()
	a.percent = &percent
	if message != "" {
		a.message = &message
	}
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// beat returns what the next heartbeat says.
func (a *Attempt) beat(lease time.Duration) task.Beat {
	a.mu.Lock()
	defer a.mu.Unlock()
	return task.Beat{Lease: lease, Progress: a.percent, Message: a.message}
}

// watcher is a source in the same process: it closes the channel when the task is cancelled or its lease is lost, so that nobody has to
// wait for the next heartbeat.
type watcher interface {
	Watch(id int64) (ended <-chan struct{}, stop func())
}

// keeper keeps one lease alive and ends the context held when it cannot.
type keeper struct {
	*slot
	a      *Attempt
	held   context.Context
	lose   context.CancelCauseFunc // ends held
	lease  time.Duration           // how long it lasts
	expiry *time.Timer             // fires when the lease must have run out
	cancel context.CancelFunc
	done   chan struct{}
}

// keep starts to send heartbeats, each after a third of the lease, until rest.
func (s *slot) keep(forced context.Context, a *Attempt) *keeper {
	k := &keeper{slot: s, a: a, lease: length(a.Lease), done: make(chan struct{})}
	k.held, k.lose = context.WithCancelCause(context.WithoutCancel(forced))
	k.expiry = k.countdown()
	var ctx context.Context
	ctx, k.cancel = context.WithCancel(k.held)
	ended, unwatch := (<-chan struct{})(nil), func() {}
	if w, ok := k.src.(watcher); ok {
		ended, unwatch = w.Watch(a.ID)
	}
	go func() {
		defer close(k.done)
		defer unwatch()
		k.run(ctx, ended)
	}()
	return k
}

// countdown starts a timer that ends held one lease from now.
func (k *keeper) countdown() *time.Timer {
	return time.AfterFunc(k.lease, func() { k.lose(task.ErrLeaseLost) })
}

// rest ends the heartbeats and returns after the last. What is left of the lease still counts down until end.
func (k *keeper) rest() {
	k.cancel()
	<-k.done
}

// end gives up held and the countdown. Call it after rest.
func (k *keeper) end() {
	k.lose(nil)
	k.expiry.Stop()
}

func (k *keeper) run(ctx context.Context, ended <-chan struct{}) {
	next := time.NewTimer(k.lease / 3)
	defer next.Stop()
	news, mute := k.a.wake, (<-chan time.Time)(nil)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ended: // the answer to a heartbeat tells why
			k.beat(ctx)
			k.lose(ErrCancelled)
			return
		case <-mute:
			news, mute = k.a.wake, nil
			continue
		case <-news:
		case <-next.C:
		}
		next.Reset(k.beat(ctx))
		news, mute = nil, time.After(progressInterval)
	}
}

// beat sends one heartbeat and returns when the next is due. The lease is counted from before the request was sent, so that it
// ends here no later than on the server.
func (k *keeper) beat(ctx context.Context) time.Duration {
	renewed := k.countdown()
	call, cancel := context.WithTimeout(ctx, k.lease/3)
	defer cancel()
	pulse, err := k.src.Heartbeat(call, k.a.ID, k.a.LeaseToken, k.a.beat(k.lease))
	if pulse.Drain {
		k.drain()
	}
	switch {
	case errors.Is(err, task.ErrLeaseLost), errors.Is(err, task.ErrNotFound):
		k.lose(task.ErrLeaseLost)
	case err != nil:
		renewed.Stop()
		if ctx.Err() == nil {
			k.log.Warn("heartbeat did not get through", "task_id", k.a.ID, "type", k.a.Type, "error", err)
		}
		return k.lease / 12
	case pulse.CancelRequested:
		k.lose(ErrCancelled)
	}
	k.expiry.Stop()
	k.expiry = renewed
	return k.lease / 3
}

// length returns how long a lease lasts. A server that does not say gives the default.
func length(l task.Lease) time.Duration { return cmp.Or(max(l.Length(), 0), task.DefaultLease) }

// clean returns s as text that every store takes: valid UTF-8 without NUL, at most limit bytes.
func clean(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")
}
