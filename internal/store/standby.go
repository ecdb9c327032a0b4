package store

import (
	"sync"
	"time"
)

// standbyFor is how long a worker stands by for a task since it last asked for work.
const standbyFor = time.Minute

// Standby says which worker is given nothing more until it holds nothing, so that a task in quarantine that is to run alone gets its turn: one worker for
// each such task. It is kept in memory: after a restart, or on another node, another worker may stand by as well, which does no harm. The zero value is
// ready. It is safe for concurrent use.
type Standby struct {
	mu     sync.Mutex
	byTask map[int64]standing
}

type standing struct {
	worker string
	until  time.Time
}

// Take reports whether the worker, which asks for work at now and holds something, is the one that stands by for the task. It becomes that when no
// other has asked within the last minute, or when the other drains, which is looked up: it asks for nothing more. Two that ask at once may both become it.
func (s *Standby) Take(id int64, worker string, now time.Time, drains func(worker string) (bool, error)) (bool, error) {
	if other := s.other(id, worker, now); other != "" {
		if gone, err := drains(other); err != nil || !gone {
			return false, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byTask == nil {
		s.byTask = make(map[int64]standing)
	}
	s.byTask[id] = standing{worker: worker, until: now.Add(standbyFor)}
	return true, nil
}

// other is who stands by for a task at now, unless it is the worker; empty: nobody.
func (s *Standby) other(id int64, worker string, now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o, ok := s.byTask[id]; ok && o.worker != worker && now.Before(o.until) {
		return o.worker
	}
	return ""
}

// Keep forgets all tasks but those given.
func (s *Standby) Keep(live func(id int64) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.byTask {
		if !live(id) {
			delete(s.byTask, id)
		}
	}
}
