package queue

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// eventsKept is how many of the newest events are kept for those who were away.
	eventsKept = 8192
	// eventText is the longest message of an event, in bytes; the whole is in the task or its log. All that are kept together take 16 MiB at most.
	eventText = 2 << 10
	// eventsAtOnce is how many events are looked at, at most, before a stream gives what it has found.
	eventsAtOnce = 256
)

// events keeps what has happened to tasks lately, on this node, and wakes those who wait for more.
type events struct {
	mu   sync.Mutex
	ring []task.Event  // the newest, at their id modulo eventsKept
	next int64         // id of the next event
	from int64         // id of the oldest that is kept
	more chan struct{} // closed by the next event; nil when nobody waits for it

	streams atomic.Int64 // that wait for events
}

// tell adds an event of that name for each of the tasks, and wakes who waits.
func (v *events) tell(name task.EventName, tasks []task.Task) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range tasks {
		v.add(task.EventOf(name, &tasks[i]))
	}
	v.wake()
}

// add gives an event its id and keeps it. The caller holds mu.
func (v *events) add(e task.Event) {
	if v.ring == nil {
		v.ring = make([]task.Event, eventsKept)
	}
	if e.Message != nil && len(*e.Message) > eventText {
		e.Message = new(strings.ToValidUTF8((*e.Message)[:eventText], "") + "…") // a copy: the rest is not kept
	}
	e.ID = v.next
	v.ring[v.next%eventsKept] = e
	v.next++
	v.from = max(v.from, v.next-eventsKept)
}

// wake wakes those who wait for more. The caller holds mu.
func (v *events) wake() {
	if v.more != nil {
		close(v.more)
		v.more = nil
	}
}

// read returns the events from at on that f chooses, and where to go on. missed: some of them are not kept any more, or at is of
// another server. more is closed when there are others; nil when they are here already.
func (v *events) read(f task.EventFilter, at int64) (es []task.Event, next int64, missed bool, more <-chan struct{}) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if at < v.from || at > v.next {
		missed, at = true, max(v.from, min(at, v.next))
	}
	end := min(v.next, at+eventsAtOnce)
	for ; at < end; at++ {
		if e := v.ring[at%eventsKept]; f.Matches(e) {
			es = append(es, e)
		}
	}
	if at < v.next {
		return es, at, missed, nil
	}
	if v.more == nil {
		v.more = make(chan struct{})
	}
	return es, at, missed, v.more
}

// happened tells of an event that has made each of the tasks what it is, and counts it.
func (q *Queue) happened(name task.EventName, tasks ...task.Task) {
	if len(tasks) == 0 {
		return
	}
	now := q.Now()
	q.meter.note(now, q.runner, name, tasks)
	q.failures.note(now, name, tasks)
	q.paces.note(now, name, tasks)
	q.events.tell(name, tasks)
}

// EventStream is what happens to the tasks that a filter is about. It is for one caller at a time.
type EventStream struct {
	queue  *Queue
	filter task.EventFilter
	at     int64
}

// Events returns the stream of what happens on this node from now on or, where after is not 0, from the event after that one on.
func (q *Queue) Events(f task.EventFilter, after int64) *EventStream {
	at := after + 1
	if after == 0 {
		q.events.mu.Lock()
		defer q.events.mu.Unlock()
		at = q.events.next
	}
	return &EventStream{queue: q, filter: f, at: at}
}

// Next waits for events and returns them in their order, one at least unless missed is true: then events before them were not kept, since there were
// too many or the server was another one. Errors: those of ctx, and task.ErrStopped when the queue is about to end.
func (s *EventStream) Next(ctx context.Context) (es []task.Event, missed bool, err error) {
	s.queue.events.streams.Add(1)
	defer s.queue.events.streams.Add(-1)
	for {
		es, at, missed, more := s.queue.events.read(s.filter, s.at)
		if s.at = at; len(es) > 0 || missed {
			return es, missed, nil
		}
		if more == nil {
			continue
		}
		select {
		case <-more:
		case <-s.queue.drained:
			return nil, false, task.ErrStopped
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
}

// Pending returns what Next would without waiting; nothing, where it would wait.
func (s *EventStream) Pending() (es []task.Event, missed bool) {
	for {
		some, at, lost, more := s.queue.events.read(s.filter, s.at)
		es, missed, s.at = append(es, some...), missed || lost, at
		if more != nil {
			return es, missed
		}
	}
}

// Streams is how many streams wait for events.
func (q *Queue) Streams() int { return int(q.events.streams.Load()) }
