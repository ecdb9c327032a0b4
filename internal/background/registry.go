package background

import (
	"sync"

	"github.com/prismq/thequeue/internal/task"
)

// Registry keeps runs. It is safe for concurrent use.
type Registry interface {
	// UpdateRun keeps what has become of a run, also of one that is not known yet.
	UpdateRun(r task.Run)
	// GetRun returns a run; false when there is none of this id.
	GetRun(runID string) (task.Run, bool)
}

// Memory is a Registry that keeps every run until it ends with the process. The zero value is empty.
type Memory struct {
	mu   sync.Mutex
	runs map[string]task.Run
}

// UpdateRun keeps what has become of a run.
func (m *Memory) UpdateRun(r task.Run) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.runs == nil {
		m.runs = make(map[string]task.Run)
	}
	m.runs[r.RunID] = r
}

// GetRun returns a run; false when there is none of this id.
func (m *Memory) GetRun(runID string) (task.Run, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.runs[runID]
	return r, ok
}

// take returns a run and forgets it; the zero one when there is none of this id.
func (m *Memory) take(runID string) task.Run {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.runs[runID]
	delete(m.runs, runID)
	return r
}
