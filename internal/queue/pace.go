package queue

import (
	"sync"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// paceMinutes is the time over which the pace of a worker is told.
	paceMinutes = 10
	// pacedWorkers is how many workers have their ends counted at most: each takes some 240 bytes.
	pacedWorkers = 10_000
)

// paces counts how the attempts of each worker have ended on this node in the last minutes.
type paces struct {
	mu     sync.Mutex
	began  time.Time // when this node began to count
	minute int64     // of the last end, since 1970
	of     map[string]*[paceMinutes]ends
}

// ends is what a worker has ended in a minute.
type ends struct{ minute, completed, failed int64 }

// note counts the ends of attempts that an event of that name tells of. Handed back and cancelled ones are none.
func (p *paces) note(now time.Time, name task.EventName, tasks []task.Task) {
	switch name {
	case task.EventCompleted, task.EventRetry, task.EventFailed, task.EventLost:
	default:
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn(now.Unix() / 60)
	for i := range tasks {
		t := &tasks[i]
		if t.LastWorkerID == nil {
			continue
		}
		e := p.at(*t.LastWorkerID)
		if e == nil {
			continue
		}
		if name == task.EventCompleted {
			e.completed++
		} else {
			e.failed++
		}
	}
}

// turn begins a minute, and forgets workers that have ended nothing for long. The caller holds mu.
func (p *paces) turn(minute int64) {
	if minute == p.minute {
		return
	}
	p.minute = minute
	for id, of := range p.of {
		if completed, failed := sum(of, minute); completed+failed == 0 {
			delete(p.of, id)
		}
	}
}

// at is the present minute of a worker; nil for one of too many. The caller holds mu.
func (p *paces) at(workerID string) *ends {
	of := p.of[workerID]
	if of == nil && len(p.of) >= pacedWorkers {
		return nil
	}
	if of == nil {
		if p.of == nil {
			p.of = make(map[string]*[paceMinutes]ends)
		}
		of = new([paceMinutes]ends)
		p.of[workerID] = of
	}
	e := &of[p.minute%paceMinutes]
	if e.minute != p.minute {
		*e = ends{minute: p.minute}
	}
	return e
}

// sum adds up the minutes that are not too long ago.
func sum(of *[paceMinutes]ends, minute int64) (completed, failed int64) {
	for _, e := range of {
		if e.minute > minute-paceMinutes && e.minute <= minute {
			completed, failed = completed+e.completed, failed+e.failed
		}
	}
	return completed, failed
}

// fill tells the pace of a worker at now.
func (p *paces) fill(now time.Time, w *task.WorkerStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if of := p.of[w.WorkerID]; of != nil {
		completed, failed := sum(of, now.Unix()/60)
		since := now.Truncate(time.Minute).Add(-(paceMinutes - 1) * time.Minute)
		if p.began.After(since) {
			since = p.began
		}
		minutes := max(1, now.Sub(since).Minutes())
		w.CompletedPerMin, w.FailedPerMin = float64(completed)/minutes, float64(failed)/minutes
	}
}
