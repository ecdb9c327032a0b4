package worker_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
	"github.com/prismq/thequeue/internal/worker"
)

// counted is a queue that says how many claims found nothing.
type counted struct {
	reported
	empty chan struct{}
}

func (q counted) Claim(ctx context.Context, c task.Claim) ([]task.Lease, error) {
	leases, err := q.Queue.Claim(ctx, c)
	if len(leases) == 0 && err == nil {
		select {
		case q.empty <- struct{}{}:
		default:
		}
	}
	return leases, err
}

// poison stores a task with which two workers have been lost lately.
func poison(t *testing.T, st store.Store) {
	t.Helper()
	now := st.Clock().Now().Add(-time.Hour)
	stored, err := task.Spec{Type: "poison"}.Task(now, task.Limits{MaxAttempts: 100, PayloadBytes: 1000})
	if err == nil {
		_, _, err = st.InsertTask(t.Context(), stored)
	}
	for range 2 {
		if err == nil {
			_, err = st.ClaimTasks(t.Context(), task.Claim{
				WorkerID: "victim", Types: []string{"poison"}, Max: 1, Lease: time.Second, Strategy: task.FIFO, Now: now, Secret: "5ec7e7",
			})
		}
		now = now.Add(time.Second)
		if err == nil {
			_, err = st.ReapExpiredLeases(t.Context(), now, 10)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestAWorkerFinishesWhatItHasAndThenRunsATaskInQuarantineAlone(t *testing.T) {
	t.Parallel()
	st := testdb.SQLite(t)
	q := counted{reported{queue.New(st, queue.Options{}), make(chan task.Task, 1000), make(chan error, 1000)}, make(chan struct{})}
	background(t, q.Run)
	var running atomic.Int32
	begun, gate := make(chan struct{}, 100), make(chan struct{})
	beside := make(chan int32, 100)
	job := worker.HandlerFunc(func(context.Context, *worker.Attempt) (*task.JSON, error) {
		running.Add(1)
		defer running.Add(-1)
		begun <- struct{}{}
		<-gate
		return nil, nil
	})
	alone := worker.HandlerFunc(func(context.Context, *worker.Attempt) (*task.JSON, error) {
		beside <- running.Load()
		<-q.empty // another slot has asked meanwhile
		beside <- running.Load()
		return nil, nil
	})
	poison(t, st)
	if _, err := q.PauseType(t.Context(), "poison"); err != nil {
		t.Fatal(err)
	}
	enqueue(t, q.reported, task.Spec{Type: "job"})
	w, err := worker.New(q, worker.Options{
		ID: "w", Count: 3, Wait: -1, PollInterval: time.Millisecond, Handlers: map[string]worker.Handler{"job": job, "poison": alone},
	})
	if err != nil {
		t.Fatal(err)
	}
	background(t, w.Run)
	<-begun
	if _, err := q.ResumeType(t.Context(), "poison"); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		enqueue(t, q.reported, task.Spec{Type: "job"})
	}
	for range 20 {
		<-q.empty
	}
	if n := len(begun); n != 0 {
		t.Errorf("%d tasks more while it stands by", n)
	}
	close(gate)
	for range 2 {
		if n := <-beside; n != 0 {
			t.Errorf("%d tasks ran beside the one in quarantine", n)
		}
	}
	for range 7 {
		if done := <-q.reports; done.Status != task.Completed {
			t.Errorf("task %d ended as %s", done.ID, done.Status)
		}
	}
}
