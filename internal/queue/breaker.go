package queue

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// tallySlots is into how many parts the window of a breaker is cut: it ends by up to one of them early.
const tallySlots = 10

// breakers counts how attempts end, for the types that have a breaker. Each node counts what is reported to it, and what follows holds on all.
type breakers struct {
	mu     sync.Mutex
	byType map[string]*tally
}

// tally is what has ended in the parts of the window up to now.
type tally struct {
	slots [tallySlots]struct{ attempts, failures int }
	last  int64 // the number of the newest part since 1970
}

// add counts one attempt at now and returns the sums of the window.
func (y *tally) add(now time.Time, window time.Duration, failed bool) (attempts, failures int) {
	at := now.UnixNano() / max(1, int64(window)/tallySlots)
	for n := max(y.last+1, at-tallySlots+1); n <= at; n++ {
		y.slots[n%tallySlots] = struct{ attempts, failures int }{}
	}
	y.last = max(y.last, at)
	slot := &y.slots[y.last%tallySlots]
	slot.attempts++
	if failed {
		slot.failures++
	}
	for _, s := range y.slots {
		attempts, failures = attempts+s.attempts, failures+s.failures
	}
	return attempts, failures
}

// trips counts one attempt and reports whether the breaker is to stop claims now, after which the counting begins anew.
func (b *breakers) trips(taskType string, rule task.Breaker, now time.Time, failed bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	y := b.byType[taskType]
	if y == nil {
		if b.byType == nil {
			b.byType = make(map[string]*tally)
		}
		y = new(tally)
		b.byType[taskType] = y
	}
	attempts, failures := y.add(now, rule.Window(), failed)
	if attempts < rule.MinAttempts || float64(failures) < rule.FailureShare*float64(attempts) {
		return false
	}
	delete(b.byType, taskType)
	return true
}

// judged lets the breaker of a type know how an attempt has ended. Neither a task that was handed back nor one that its worker has rejected says whether
// what the tasks need is broken.
func (q *Queue) judged(ctx context.Context, k *knownRules, t task.Task) {
	rules := k.of(t.Type)
	if rules.Breaker == nil || t.AttemptOutcome == nil || t.Outcome != nil && *t.Outcome == task.Cancelled { // of a cancelled one the attempt may be one that has been judged before
		return
	}
	failed := *t.AttemptOutcome == task.AttemptFailed || *t.AttemptOutcome == task.AttemptLost
	if !failed && *t.AttemptOutcome != task.AttemptSucceeded {
		return
	}
	now, until := q.Now(), rules.BreakerUntilUTC
	switch {
	case until == nil:
		if q.breakers.trips(t.Type, *rules.Breaker, now, failed) {
			q.turnBreaker(ctx, t.Type, new(now.Add(rules.Breaker.Open())))
		}
	case now.Before(*until): // it was under way when the breaker opened
	case failed:
		q.turnBreaker(ctx, t.Type, new(now.Add(rules.Breaker.Open())))
	case t.ProcessingStartedUTC != nil && !t.ProcessingStartedUTC.Before(*until): // a success from before is no trial
		q.turnBreaker(ctx, t.Type, nil)
	}
}

// turnBreaker stops claims of a type until a time, or lets them go on. The attempt that was the cause has ended whatever comes of it.
func (q *Queue) turnBreaker(ctx context.Context, taskType string, until *time.Time) {
	_, err := q.store.BreakType(context.WithoutCancel(ctx), taskType, until)
	q.rules.known.Store(nil)
	switch {
	case errors.Is(err, task.ErrNotFound): // the type has no breaker any more
	case err != nil:
		q.o.Log.ErrorContext(ctx, "circuit breaker", "type", taskType, "error", err)
	case until != nil:
		q.o.Log.WarnContext(ctx, "circuit breaker open: too many attempts of the type fail", "type", taskType, "until", *until)
	default:
		q.o.Log.InfoContext(ctx, "circuit breaker closed: a task of the type has succeeded", "type", taskType)
		q.waiters.wakeType(taskType)
	}
}
