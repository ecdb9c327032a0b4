package queue_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// wantHealth reports unless the problems are these, each as "code severity subject", and the messages hold the words.
func (r rig) wantHealth(status task.HealthStatus, want []string, words ...string) {
	r.Helper()
	h, err := r.Health(r.Context())
	r.ok(err)
	var got, messages []string
	for _, p := range h.Problems {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s", p.Code, p.Severity, p.Subject)))
		messages = append(messages, p.Message)
	}
	if h.Status != status || strings.Join(got, "\n") != strings.Join(want, "\n") {
		r.Fatalf("%s: got %q, want %s: %q\n%q", h.Status, got, status, want, messages)
	}
	for _, w := range words {
		if !strings.Contains(strings.Join(messages, "\n"), w) {
			r.Errorf("%q is not in %q", w, messages)
		}
	}
}

// alive has a worker for all types heard.
func (r rig) alive() {
	r.Helper()
	_, err := r.WorkerHeartbeat(r.Context(), "alive", nil, nil)
	r.ok(err)
}

func TestHealthOfAQuietQueue(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		r.wantHealth(task.Well, nil)
		r.finished()
		r.wantHealth(task.Well, nil)
	})
}

func TestHealthNoWorkers(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		r.enqueue(task.Spec{})
		r.wantHealth(task.Ill, []string{"no_workers critical"}, "1 task is due, and no worker takes any", "Start one")
		r.alive()
		r.wantHealth(task.Well, nil)
		_, err := r.DrainWorker(r.Context(), "alive")
		r.ok(err)
		r.wantHealth(task.Ill, []string{"no_workers critical"}, "but for 1 that take nothing new")
	})
}

func TestHealthStrandedTasks(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		_, err := r.WorkerHeartbeat(r.Context(), "w", nil, []string{"other"})
		r.ok(err)
		r.enqueue(task.Spec{})
		r.wantHealth(task.Strained, []string{"stranded warning test"}, "1 task of type test waits", "does not take tasks of type test")
		r.enqueue(task.Spec{RunAfterUTC: &task.Time{Time: r.clock.Now().Add(time.Hour)}, Type: "later"}) // it has time
		r.wantHealth(task.Strained, []string{"stranded warning test"})
	})
}

func TestHealthPoisonTask(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		id := r.enqueue(task.Spec{}).ID
		for range 2 {
			r.wantClaimed(task.Claim{}, 1)
			r.clock.advance(61 * time.Second)
			_, err := r.Upkeep(r.Context())
			r.ok(err)
		}
		r.wantHealth(task.Strained, []string{fmt.Sprintf("poison_task warning %d", id)}, "has lost 2 workers", "cancel it")
		_, _, err := r.Cancel(r.Context(), id)
		r.ok(err)
		r.wantHealth(task.Well, nil)
	})
}

func TestHealthPausedType(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		r.alive()
		_, err := r.PauseType(r.Context(), "test")
		r.ok(err)
		r.wantHealth(task.Well, nil) // nothing waits
		r.enqueue(task.Spec{})
		r.wantHealth(task.Strained, []string{"type_paused warning test"}, "is paused, and 1 of its tasks waits")
		r.ok(r.DeleteWorker(r.Context(), "alive")) // which would have nothing to do
		r.wantHealth(task.Strained, []string{"type_paused warning test"})
	})
}

func TestHealthGrowingBacklog(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		r.alive()
		r.enqueueMany(100, task.Spec{Type: "test"})
		r.wantHealth(task.Strained, []string{"backlog_growing warning"}, "100 tasks came in and 0 were done; 100 are due")
		for range 60 {
			r.ok(r.complete(r.claimOne()))
		}
		r.wantHealth(task.Well, nil) // at this rate the rest is done in ten minutes
		r.clock.advance(time.Minute)
		r.enqueueMany(70, task.Spec{Type: "test"})
		r.wantHealth(task.Strained, []string{"backlog_growing warning"}, "170 tasks came in and 60 were done; 110 are due")
	})
}

func TestHealthFailingType(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		attempt := func(ok bool) {
			r.enqueue(task.Spec{MaxAttempts: ptr(1)})
			l := r.claimOne()
			if ok {
				r.ok(r.complete(l))
				return
			}
			_, err := r.Fail(r.Context(), l.ID, l.LeaseToken, task.Failure{Message: "no"})
			r.ok(err)
		}
		for range 3 {
			attempt(true)
		}
		for range 2 {
			attempt(false)
		}
		r.wantHealth(task.Well, nil)
		attempt(false)
		r.wantHealth(task.Strained, []string{"type_failing warning test"}, "3 of 6 attempts have failed")
		r.clock.advance(12 * time.Minute)
		r.alive()
		_ = r.DeleteWorker(r.Context(), "worker-1")
		r.wantHealth(task.Well, nil)
	})
}

func TestHealthOpenBreaker(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		r.put("test", breaking)
		r.enqueueMany(4, task.Spec{Type: "test"})
		for range 4 {
			r.attempt(false)
		}
		r.wantHealth(task.Strained, []string{"breaker_open warning test"}, "circuit breaker of type test is open")
	})
}

func TestHealthStaleWorker(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		r.enqueue(task.Spec{})
		r.claim(task.Claim{WorkerID: "gone", Lease: time.Hour})
		r.clock.advance(6 * time.Minute)
		r.alive()
		r.wantHealth(task.Strained, []string{"worker_stale warning gone"}, "not heard for 6m", "It holds 1 task until the lease ends")
		r.ok(r.DeleteWorker(r.Context(), "gone"))
		r.wantHealth(task.Well, nil)
	})
}

func TestHealthLowDisk(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		for _, c := range []struct {
			free, all int64
			low       bool
		}{{1 << 30, 10 << 30, false}, {1 << 29, 10 << 30, false}, {1<<29 - 1, 1 << 30, true}, {4 << 30, 100 << 30, true}, {6 << 30, 100 << 30, false}} {
			q := queue.New(&diskful{r.st, store.FileVitals{FreeBytes: c.free, DiskBytes: c.all}}, queue.Options{Clock: r.clock})
			h, err := q.Health(r.Context())
			r.ok(err)
			if low := h.Status == task.Ill && len(h.Problems) == 1 && h.Problems[0].Code == task.ProblemDiskLow; low != c.low {
				r.Errorf("%d of %d bytes are free: got %+v", c.free, c.all, h)
			}
		}
	})
}

// diskful is a store on a disk of a given size.
type diskful struct {
	store.Store
	file store.FileVitals
}

func (d *diskful) Vitals(context.Context) (store.Vitals, error) {
	return store.Vitals{File: &d.file}, nil
}

func TestHealthMissedSchedule(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		r.putSchedule("nightly", task.ScheduleSpec{Cron: "0 0 3 * * *", Task: task.Spec{Type: "test"}, Misfire: task.MisfireSkip})
		r.clock.advance(24 * time.Hour)
		r.alive()
		r.wantHealth(task.Ill, []string{"schedule_missed critical nightly"}, "no server works on its schedules")
		_, err := r.Upkeep(r.Context())
		r.ok(err)
		r.wantHealth(task.Strained, []string{"schedule_missed warning nightly"}, "was missed", "misfire: skip")
		_, err = r.PauseSchedule(r.Context(), "nightly")
		r.ok(err)
		r.wantHealth(task.Well, nil)
	})
}

// Of many problems of one kind the first are told one by one, and the gravest come first.
func TestHealthTellsTheGravestFirstAndNotTooMany(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		for i := range 30 {
			r.claim(task.Claim{WorkerID: fmt.Sprintf("w%02d", i)})
		}
		r.clock.advance(time.Hour)
		r.enqueue(task.Spec{})
		h, err := r.Health(r.Context())
		r.ok(err)
		if len(h.Problems) != 12 || h.Problems[0].Code != task.ProblemNoWorkers || h.Problems[11].Message != "There are more like this." || h.Problems[10].Subject != "w09" {
			r.Errorf("got %+v", h)
		}
	})
}
