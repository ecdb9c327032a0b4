package queue

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// Claim gives up to c.Max leases to a worker and registers it. With c.Wait it waits that long for the first; empty when there was
// none, when the worker or the service is draining. Leases that come too late for a caller whose context has ended are handed back.
func (q *Queue) Claim(ctx context.Context, c task.Claim) ([]task.Lease, error) {
	c, err := c.WithDefaults()
	if err != nil {
		return nil, err
	}
	w, err := q.register(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("register worker: %w", err)
	}
	if w.Drain {
		return []task.Lease{}, nil
	}
	leases, err := q.claimNow(ctx, c, nil)
	if len(leases) == 0 && err == nil && c.Wait > 0 {
		leases, err = q.claimWaiting(ctx, c)
	}
	q.workers.waited(c.WorkerID, c.Wait > 0 && len(leases) == 0 && err == nil)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil && len(leases) > 0 {
		q.handBack(context.WithoutCancel(ctx), leases)
		return nil, ctx.Err()
	}
	return leases, nil
}

// claimNow looks once; w is the place of the claim among those that wait, nil where it has none.
func (q *Queue) claimNow(ctx context.Context, c task.Claim, w *waiter) ([]task.Lease, error) {
	if q.draining.Load() {
		return []task.Lease{}, nil
	}
	c.Now, c.Secret, c.Lease = q.Now(), q.o.Secret(), c.Lease.Truncate(time.Microsecond)
	if c.Strategy == task.WeightedRandom {
		c.Seed = q.seed()
	}
	tasks, err := q.store.ClaimTasks(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("claim: %w", err)
	}
	q.happened(task.EventClaimed, tasks...)
	q.traceWaits(tasks)
	q.passOn(tasks, w)
	leases := make([]task.Lease, len(tasks))
	for i, t := range tasks {
		leases[i] = task.NewLease(t)
	}
	return leases, nil
}

// passOn wakes one claim other than that of w for each task whose key has a rate: the claim that took it may have let others of its keys have tasks again, of which nobody else is told.
func (q *Queue) passOn(taken []task.Task, w *waiter) {
	k := q.rules.known.Load()
	if k == nil || !k.keyRate {
		return
	}
	for _, t := range taken {
		if t.ConcurrencyKey != nil && k.byType[t.Type].PerKey.Rate() != (task.RateLimit{}) {
			q.waiters.wakeLike(t, 0, w)
		}
	}
}

// claimWaiting looks once more after it has joined the waiters, so that no task can slip in between, and then whenever it is woken.
func (q *Queue) claimWaiting(ctx context.Context, c task.Claim) ([]task.Lease, error) {
	began := q.Now()
	w := q.waiters.join(c)
	defer q.waiters.leave(w)
	timeout := time.NewTimer(c.Wait)
	defer timeout.Stop()
	meant := int64(0) // the task for which this claim was woken, where that is known
	for last := false; ; {
		if e, ok := q.workers.get(c.WorkerID); (ok && e.drain) || w.dismissed() {
			q.waiters.wakeAll() // it may have used up a wake-up that is good for others
			return []task.Lease{}, nil
		}
		leases, err := q.claimNow(ctx, c, w)
		leases = q.withoutLost(ctx, c.WorkerID, began, leases)
		if err != nil || (len(leases) > 0 && meant != 0 && !slices.ContainsFunc(leases, func(l task.Lease) bool { return l.ID == meant })) {
			q.waiters.wakeAll() // that task may still be there
		}
		if len(leases) > 0 || err != nil || last {
			return leases, err
		}
		q.awaitOpening(ctx, c)
		select {
		case meant = <-w.woken:
		case <-timeout.C:
			// A wake-up that came together with the end of the wait was meant for this claim alone.
			select {
			case meant = <-w.woken:
				last = true
			default:
				return leases, nil
			}
		case <-w.ended:
			return leases, nil
		case <-q.drained:
			return leases, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// withoutLost hands back the tasks that the worker itself has lost since its claim began, and returns the other leases. Who waits for the answer may be gone with the lease, and
// would lose the task again: one worker that hangs is no evidence of two that have died. A claim that was dismissed in time is given none of them.
func (q *Queue) withoutLost(ctx context.Context, workerID string, began time.Time, leases []task.Lease) []task.Lease {
	lost := func(l task.Lease) bool {
		if l.Lost == 0 {
			return false
		}
		attempts, err := q.store.ListAttempts(ctx, l.ID)
		return err == nil && slices.ContainsFunc(attempts, func(a task.Attempt) bool { // else it goes on as any other
			return a.WorkerID == workerID && a.Outcome != nil && *a.Outcome == task.AttemptLost && a.FinishedAtUTC.After(began)
		})
	}
	back, rest := []task.Lease{}, []task.Lease{}
	for _, l := range leases {
		if lost(l) {
			back = append(back, l)
		} else {
			rest = append(rest, l)
		}
	}
	if len(back) == 0 {
		return leases
	}
	q.waiters.dismiss(workerID)
	q.handBack(context.WithoutCancel(ctx), back)
	q.waiters.wakeAll() // the wake-up that led here may have been for another task
	return rest
}

// handBack releases leases that nobody will work on.
func (q *Queue) handBack(ctx context.Context, leases []task.Lease) {
	for _, l := range leases {
		if _, err := q.Release(ctx, l.ID, l.LeaseToken, 0); err != nil {
			q.o.Log.WarnContext(ctx, "hand back a task that was claimed for a caller who has gone", "task_id", l.ID, "error", err)
		}
	}
}
