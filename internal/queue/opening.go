package queue

import (
	"context"
	"sync"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// openings are the times at which rates and breakers let tasks be claimed again for which claims wait.
type openings struct {
	mu     sync.Mutex
	byType map[string]time.Time
}

// openEvery is the least time between two openings of one type for which claims are woken: what a fast rate allows meanwhile is given at once.
const openEvery = 5 * time.Millisecond

// expect has claims for the type woken at a time.
func (o *openings) expect(taskType string, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byType == nil {
		o.byType = make(map[string]time.Time)
	}
	if was, ok := o.byType[taskType]; !ok || at.Before(was) {
		o.byType[taskType] = at
	}
}

// due returns the types whose time has come, and forgets them, and when the next one comes; the zero time when there is none.
func (o *openings) due(now time.Time) (types []string, next time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for taskType, at := range o.byType {
		switch {
		case !at.After(now):
			types = append(types, taskType)
			delete(o.byType, taskType)
		case next.IsZero() || at.Before(next):
			next = at
		}
	}
	return types, next
}

// awaitOpening notes, for a claim that found nothing and waits, when rates and breakers next let something be claimed that it asks for.
func (q *Queue) awaitOpening(ctx context.Context, c task.Claim) {
	if k := q.rules.known.Load(); k != nil && k.keyRate { // the claim may have shut a key, whose opening is an event
		if event, err := q.store.NextEvent(ctx); err == nil && event != nil {
			q.upkeep.at(*event)
		}
	}
	if k := q.rules.known.Load(); k != nil && !k.timed && q.Now().Sub(k.at) < rulesEvery {
		return
	}
	k, err := q.freshRules(ctx)
	if err != nil || !k.timed {
		return
	}
	rules, err := q.store.ListRules(ctx)
	if err != nil {
		return // the claims look for themselves before long
	}
	now := q.Now()
	for _, r := range rules {
		if at, closed := r.OpensAt(now); closed && c.AsksFor(r.Type) {
			at = now.Add(max(at.Sub(now), openEvery))
			q.openings.expect(r.Type, at)
			q.upkeep.at(at)
		}
	}
}

// opened wakes the claims that wait for what may be claimed again, and returns when that is next.
func (q *Queue) opened(now time.Time) (next time.Time) {
	types, next := q.openings.due(now)
	for _, t := range types {
		q.waiters.wakeType(t)
	}
	return next
}
