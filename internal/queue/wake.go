package queue

import (
	"container/list"
	"sync"

	"github.com/prismq/thequeue/internal/task"
)

// waiters are the claims that wait for work, the longest waiting first. One task wakes one claim that may take it.
type waiters struct {
	mu   sync.Mutex
	list list.List // of *waiter
}

type waiter struct {
	claim task.Claim
	woken chan int64    // holds one wake-up: the id of the task it is for, 0 for any
	ended chan struct{} // closed: nobody may be there any more who waits for the answer
	place *list.Element
}

func (ws *waiters) join(c task.Claim) *waiter {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w := &waiter{claim: c, woken: make(chan int64, 1), ended: make(chan struct{})}
	w.place = ws.list.PushBack(w)
	return w
}

// leave takes w out. A wake-up that it has not used goes to everybody else.
func (ws *waiters) leave(w *waiter) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.list.Remove(w.place)
	select {
	case <-w.woken:
		ws.wakeEach()
	default:
	}
}

// dismiss ends the waiting claims of a worker without a task: it has been silent for longer than a lease, so they may be all that is left of it. Should it live, it
// asks again.
func (ws *waiters) dismiss(workerID string) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for e := ws.list.Front(); e != nil; e = e.Next() {
		if w := e.Value.(*waiter); w.claim.WorkerID == workerID && !w.dismissed() {
			close(w.ended)
		}
	}
}

func (w *waiter) dismissed() bool {
	select {
	case <-w.ended:
		return true
	default:
		return false
	}
}

// wake wakes the first claim that may take the task and has not been woken yet.
func (ws *waiters) wake(t task.Task) { ws.wakeLike(t, t.ID, nil) }

// wakeLike wakes the first claim but one that may take tasks like this and has not been woken yet; id is that of the task it is for, 0 for any.
func (ws *waiters) wakeLike(t task.Task, id int64, but *waiter) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.list.Len() == 0 {
		return
	}
	requires, err := task.ParseRequirements(t.Compatibility)
	if err != nil {
		return // the store would not hold it
	}
	ws.wakeIn(task.Lane{Type: t.Type, Requires: requires, Priority: t.Priority, Ready: 1}, id, but)
}

// wakeIn wakes as many of the first claims but one that may take from the lane and have not been woken yet as it has ready tasks; id is that of the task, 0
// for any. The caller holds mu.
func (ws *waiters) wakeIn(lane task.Lane, id int64, but *waiter) {
	for e := ws.list.Front(); e != nil && lane.Ready > 0; e = e.Next() {
		if w := e.Value.(*waiter); w != but && !w.dismissed() && w.claim.MayTake(lane) && w.wake(id) {
			lane.Ready--
		}
	}
}

// wakeFor wakes claims for the ready tasks of the lanes, all claims for nil lanes.
func (ws *waiters) wakeFor(lanes []task.Lane) {
	if lanes == nil {
		ws.wakeAll()
		return
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, lane := range lanes {
		ws.wakeIn(lane, 0, nil)
	}
}

// wakeType lets every waiting claim look for itself that takes tasks of the type.
func (ws *waiters) wakeType(name string) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for e := ws.list.Front(); e != nil; e = e.Next() {
		if w := e.Value.(*waiter); w.claim.AsksFor(name) {
			w.wake(0)
		}
	}
}

// wakeAll lets every waiting claim look for itself.
func (ws *waiters) wakeAll() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.wakeEach()
}

func (ws *waiters) wakeEach() {
	for e := ws.list.Front(); e != nil; e = e.Next() {
		e.Value.(*waiter).wake(0)
	}
}

func (ws *waiters) waiting() bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.list.Len() > 0
}

// wake reports false when a wake-up is already on its way.
func (w *waiter) wake(id int64) bool {
	select {
	case w.woken <- id:
		return true
	default:
		return false
	}
}

// watchers are told when a task that runs in this process is to stop.
type watchers struct {
	mu     sync.Mutex
	byTask map[int64]map[chan struct{}]struct{}
}

// Watch returns a channel that is closed when the task is cancelled or loses its lease through this process; stop ends the watch.
func (q *Queue) Watch(id int64) (ended <-chan struct{}, stop func()) {
	ws := &q.watchers
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ch := make(chan struct{})
	if ws.byTask[id] == nil {
		ws.byTask[id] = make(map[chan struct{}]struct{})
	}
	ws.byTask[id][ch] = struct{}{}
	return ch, func() { ws.remove(id, ch) }
}

func (ws *watchers) remove(id int64, ch chan struct{}) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if delete(ws.byTask[id], ch); len(ws.byTask[id]) == 0 {
		delete(ws.byTask, id)
	}
}

func (ws *watchers) tell(id int64) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for ch := range ws.byTask[id] {
		close(ch)
	}
	delete(ws.byTask, id)
}
