package queue

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// rulesEvery is how old the rules of types may be that this process goes by, so that those set through another one hold within a second.
const rulesEvery = 500 * time.Millisecond

// rulesWithin bounds the time for reading them: most who ask have done their work already.
const rulesWithin = time.Second

// rules are the rules of task types as the store had them a moment ago. Nothing reads them while nothing happens.
type rules struct {
	reading sync.Mutex // held by whoever reads them
	known   atomic.Pointer[knownRules]
}

type knownRules struct {
	at      time.Time
	byType  map[string]task.Type
	schemas map[string]payloadSchema // of the types that have one
	timed   bool                     // a type has a rate or a breaker
	keyRate bool                     // a type has a rate for each key
	leases  bool                     // a type says how long leases last
	kept    []task.Type              // those that do not keep all their ended tasks for good
}

// newKnownRules compiles the schemas that before does not have; a nil before has none.
func newKnownRules(all []task.Type, at time.Time, before *knownRules) *knownRules {
	k := &knownRules{at: at, byType: make(map[string]task.Type, len(all)), schemas: make(map[string]payloadSchema)}
	for _, t := range all {
		k.byType[t.Type] = t
		k.keyRate = k.keyRate || t.PerKey.Rate() != task.RateLimit{}
		k.leases = k.leases || t.LeaseSeconds != nil
		if t.Retention != nil {
			k.kept = append(k.kept, t)
		}
		k.timed = k.timed || t.RateLimit != nil || t.Breaker != nil
		if t.PayloadSchema == nil {
			continue
		}
		var known payloadSchema
		if before != nil {
			known = before.schemas[t.Type]
		}
		if known.text != *t.PayloadSchema {
			known = compileSchema(*t.PayloadSchema)
		}
		k.schemas[t.Type] = known
	}
	return k
}

// task returns the task that a spec describes under the rules of its type, or an InvalidError.
func (k *knownRules) task(s task.Spec, now time.Time, l task.Limits) (task.Task, error) {
	t, err := s.Task(now, k.of(s.Type).Limits(l))
	if err != nil {
		return task.Task{}, err
	}
	if schema, ok := k.schemas[t.Type]; ok {
		err = schema.check(t.Payload)
	}
	return t, err
}

// of returns the rules of a type by the name that an enqueue gives.
func (k *knownRules) of(taskType string) task.Type {
	if len(k.byType) == 0 {
		return task.Type{}
	}
	return k.byType[strings.TrimSpace(taskType)]
}

// freshRules reads the rules when they are too old. Those who come meanwhile go by the old ones, as they all do when the store does not give new ones.
func (q *Queue) freshRules(ctx context.Context) (*knownRules, error) {
	now := q.Now()
	k := q.rules.known.Load()
	if k != nil && now.Sub(k.at) < rulesEvery {
		return k, nil
	}
	if k == nil {
		q.rules.reading.Lock()
	} else if !q.rules.reading.TryLock() {
		return k, nil
	}
	defer q.rules.reading.Unlock()
	if newer := q.rules.known.Load(); newer != k && newer != nil {
		return newer, nil
	}
	ctx, cancel := context.WithTimeout(ctx, rulesWithin)
	defer cancel()
	all, err := q.store.ListRules(ctx)
	if err != nil && k == nil {
		return nil, fmt.Errorf("read the rules of types: %w", err)
	}
	if err != nil {
		return k, nil
	}
	k = newKnownRules(all, now, k)
	q.rules.known.Store(k)
	return k, nil
}

// neighbourly is a store that other processes share: it tells them that a type with a limit has room.
type neighbourly interface{ AnnounceRoom(t task.Task) }

// ended wakes the claims that wait for room: where a type allows so many tasks at a time, the end of one lets the next begin. Breakers learn how the attempts
// have ended.
func (q *Queue) ended(ctx context.Context, tasks ...task.Task) {
	k, err := q.freshRules(ctx)
	if err != nil { // they look for themselves before long
		return
	}
	for _, t := range tasks {
		q.judged(ctx, k, t)
		if !k.of(t.Type).Waits(t) {
			continue
		}
		q.waiters.wakeType(t.Type)
		if n, ok := q.store.(neighbourly); ok {
			n.AnnounceRoom(t)
		}
	}
}
