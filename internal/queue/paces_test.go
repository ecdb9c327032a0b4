package queue

import (
	"strconv"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// However many names workers give themselves, so many are counted and no more; those that are, go on, and there is room again when they are quiet.
func TestThePaceOfNoMoreWorkersIsKept(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	p := paces{began: now.Add(-time.Hour)}
	ended := func(worker string) {
		p.note(now, task.EventCompleted, []task.Task{{LastWorkerID: &worker}})
	}
	completed := func(worker string) float64 {
		w := task.WorkerStatus{}
		w.WorkerID = worker
		p.fill(now, &w)
		return w.CompletedPerMin * (paceMinutes - 1) // the present minute has just begun
	}
	for i := range pacedWorkers + 5 {
		ended(strconv.Itoa(i))
	}
	ended("0")
	last := strconv.Itoa(pacedWorkers)
	if got := len(p.of); got != pacedWorkers || completed("0") != 2 || completed(last) != 0 {
		t.Errorf("%d workers are counted, of 0 %g ends, of %s %g", got, completed("0"), last, completed(last))
	}
	now = now.Add(paceMinutes * time.Minute)
	if ended(last); len(p.of) != 1 || completed(last) != 1 {
		t.Errorf("later %d workers are counted, of %s %g ends", len(p.of), last, completed(last))
	}
}
