package queue

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// upkeepEvery bounds the time between two looks at what has fallen due. It must not be longer than the shortest lease: the end of
	// a lease that was given after a look is then known before it comes.
	upkeepEvery = task.MinLease
	// grace is how long leases stay that ended while this process, or its database, stood still, or as long as that was if it is less: the heartbeats
	// that could not be answered meanwhile come first.
	grace = 5 * time.Second
	// graceStep is the time between two looks at what else falls due meanwhile.
	graceStep = 50 * time.Millisecond
	// upkeepBatch is how many tasks one statement of the upkeep changes at most, so that it never holds others up for long.
	upkeepBatch = 500
)

// listener is a store that other processes share. Listen calls woken with the lanes in which these have made tasks ready, Ready being how many, until
// ctx ends; nil lanes stand for any.
type listener interface {
	Listen(ctx context.Context, woken func(lanes []task.Lane))
}

// Run takes back expired leases, makes due tasks ready, ends those past their deadline and makes the tasks of schedules, each when its time comes, until ctx
// ends. It works on operations, deletes ended tasks whose retention is over, gives the database the care that it needs, and stores what it has counted. It also lets waiting claims see what other processes have enqueued: at once where the store says so, else within upkeepEvery. A store that fails is tried again; Run returns nil.
func (q *Queue) Run(ctx context.Context) error {
	if l, ok := q.store.(listener); ok {
		var listening sync.WaitGroup
		listening.Go(func() { l.Listen(ctx, q.waiters.wakeFor) })
		defer listening.Wait()
	}
	var operating sync.WaitGroup
	operating.Go(func() { q.runOperations(ctx) })
	operating.Go(func() { q.runPurges(ctx) })
	operating.Go(func() { q.runMeter(ctx) })
	operating.Go(func() { q.runCare(ctx) })
	defer operating.Wait()
	failing, looked, reapFrom := false, q.Now(), time.Time{}
	for ctx.Err() == nil {
		now := q.Now()
		if still := now.Sub(looked) - upkeepEvery; still > upkeepEvery {
			q.o.Log.Warn("the process or its database stood still", "seconds", still.Seconds())
			reapFrom = now.Add(min(still, grace))
		}
		looked = now
		next, err := q.look(ctx, !now.Before(reapFrom))
		if err != nil && ctx.Err() == nil && !errors.Is(err, task.ErrStopped) && !failing {
			q.o.Log.Error("upkeep", "error", err)
		}
		failing = err != nil
		q.upkeep.wait(ctx, min(max(next.Sub(q.Now()), time.Millisecond), upkeepEvery))
	}
	return nil
}

// Upkeep does once what is due now and returns when something is due next, not later than upkeepEvery from now. Run calls it; tests with a clock of their own do.
func (q *Queue) Upkeep(ctx context.Context) (next time.Time, err error) { return q.look(ctx, true) }

// look is Upkeep, which leaves expired leases alone unless it is to reap.
func (q *Queue) look(ctx context.Context, reap bool) (next time.Time, err error) {
	now := q.Now()
	later := now.Add(upkeepEvery)
	q.upkeep.set(later)
	event, err := q.store.NextEvent(ctx)
	if err != nil {
		return later, err
	}
	if event != nil && !event.After(now) {
		if err := q.catchUp(ctx, now, reap); err != nil {
			return later, err
		}
		if event, err = q.store.NextEvent(ctx); err != nil {
			return later, err
		}
	}
	if err := q.purgeAnswers(ctx, now); err != nil {
		return later, err
	}
	q.touchAPIKeys(ctx)
	if err := q.lookAround(ctx, now); err != nil {
		return later, err
	}
	if event != nil && !reap && !event.After(now) {
		next := now.Add(graceStep)
		event = &next
	}
	if opening := q.opened(now); !opening.IsZero() && (event == nil || opening.Before(*event)) {
		event = &opening
	}
	if event != nil && event.Before(later) {
		later = *event
		q.upkeep.set(later)
	}
	return later, nil
}

// catchUp does everything that was due at now, but for expired leases unless it is to reap.
func (q *Queue) catchUp(ctx context.Context, now time.Time, reap bool) error {
	all := []func(context.Context, time.Time, int) ([]task.Task, error){q.reap, q.store.PromoteDue, q.expire}
	if !reap {
		all = all[1:]
	}
	for _, do := range all {
		for n := upkeepBatch; n == upkeepBatch; {
			changed, err := do(ctx, now, upkeepBatch)
			if err != nil {
				return err
			}
			q.queued(changed...)
			n = len(changed)
		}
	}
	if err := q.openKeys(ctx, now); err != nil {
		return err
	}
	return q.tick(ctx, now)
}

// openKeys lets concurrency keys have tasks again whose rate allows it, and wakes the claims that wait for such.
func (q *Queue) openKeys(ctx context.Context, now time.Time) error {
	types, err := q.store.OpenKeys(ctx, now)
	for _, t := range types {
		q.waiters.wakeType(t)
	}
	return err
}

func (q *Queue) reap(ctx context.Context, now time.Time, max int) ([]task.Task, error) {
	lost, err := q.store.ReapExpiredLeases(ctx, now, max)
	for _, t := range lost {
		q.o.Log.WarnContext(ctx, "lease expired", "task_id", t.ID, "type", t.Type, "attempts", t.Attempts, "status", t.Status)
		q.watchers.tell(t.ID)
		if t.LastWorkerID != nil {
			q.waiters.dismiss(*t.LastWorkerID)
		}
	}
	q.happened(task.EventLost, lost...)
	failed := slices.DeleteFunc(slices.Clone(lost), func(t task.Task) bool { return t.Status != task.Failed })
	q.events.tell(task.EventFailed, failed) // which the first event has counted
	q.ended(ctx, lost...)
	return lost, err
}

func (q *Queue) expire(ctx context.Context, now time.Time, max int) ([]task.Task, error) {
	expired, err := q.store.ExpireTasks(ctx, now, max)
	q.happened(task.EventExpired, expired...)
	return expired, err
}

// lookAround wakes waiting claims when there is work that nobody here has announced: another process may have enqueued it. It ends those of workers that
// are to take nothing new.
func (q *Queue) lookAround(ctx context.Context, now time.Time) error {
	if !q.waiters.waiting() {
		return nil
	}
	draining, err := q.store.ListDraining(ctx)
	if err != nil {
		return err
	}
	if q.workers.drain(draining) {
		q.waiters.wakeAll()
	}
	stats, err := q.store.Stats(ctx, now)
	if err == nil && stats.ReadyTasks > 0 {
		q.waiters.wakeAll()
	}
	return err
}

// alarm wakes the upkeep when something falls due earlier than it thought.
type alarm struct {
	mu   sync.Mutex
	next time.Time
	ring chan struct{} // holds one ring
}

// set says when the upkeep will look by itself.
func (a *alarm) set(t time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next = t
}

// at asks for a look at the time given.
func (a *alarm) at(t time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t.Before(a.next) {
		a.now()
	}
}

// now asks for a look at once.
func (a *alarm) now() {
	select {
	case a.ring <- struct{}{}:
	default:
	}
}

func (a *alarm) wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-a.ring:
	}
}
