package queue_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// operate does all of an operation and returns it as it has ended.
func (r rig) operate(s task.OperationSpec) task.Operation {
	r.Helper()
	p, err := r.Propose(r.Context(), s)
	r.ok(err)
	o, err := r.StartOperation(r.Context(), s, p.ConfirmToken)
	r.ok(err)
	_, err = r.WorkOperation(r.Context())
	r.ok(err)
	return r.operation(o.ID)
}

func (r rig) operation(id int64) task.Operation {
	r.Helper()
	o, err := r.Reader().GetOperation(r.Context(), id)
	r.ok(err)
	return o
}

func (r rig) enqueueMany(n int, s task.Spec) {
	r.Helper()
	for n > 0 {
		specs := make([]task.Spec, min(n, queue.MaxBatch))
		for i := range specs {
			specs[i] = s
		}
		_, _, err := r.EnqueueBatch(r.Context(), specs)
		r.ok(err)
		n -= len(specs)
	}
}

func TestADryRunChangesNothingAndItsTokenIsGoodOnceForTenMinutes(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		r.enqueueMany(12, task.Spec{Type: "mail"})
		other := r.enqueue(task.Spec{Type: "sms"})
		s := task.OperationSpec{Action: task.ActionCancel, Filter: "type:mail"}
		p, err := r.Propose(r.Context(), s)
		r.ok(err)
		if p.Matched != 12 || p.AtLeast || len(p.Sample) != 10 || p.Sample[0].Type != "mail" || !p.ExpiresAtUTC.Equal(start.Add(10*time.Minute)) {
			r.Errorf("got %+v", p)
		}
		r.clock.advance(10*time.Minute - time.Microsecond)
		if worked, err := r.WorkOperation(r.Context()); worked || err != nil {
			r.Errorf("a dry run is worked on: %v, %v", worked, err)
		}
		o, err := r.StartOperation(r.Context(), s, p.ConfirmToken)
		r.ok(err)
		if _, err := r.StartOperation(r.Context(), s, p.ConfirmToken); !errors.Is(err, task.ErrConflict) {
			r.Errorf("the token is good twice: %v", err)
		}
		_, err = r.WorkOperation(r.Context())
		r.ok(err)
		if o = r.operation(o.ID); o.Status != task.OperationCompleted || o.Changed != 12 || r.get(other.ID).Status != task.Queued {
			r.Errorf("got %+v", o)
		}
		p, err = r.Propose(r.Context(), s)
		r.ok(err)
		r.clock.advance(10 * time.Minute)
		if _, err := r.StartOperation(r.Context(), s, p.ConfirmToken); !errors.Is(err, task.ErrConflict) {
			r.Errorf("the token is good for longer: %v", err)
		}
	})
}

func TestAnOperationTellsThoseConcerned(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		r.enqueue(task.Spec{Type: "mail"})
		l := r.claimOne()
		ended, stop := r.Watch(l.ID)
		defer stop()
		r.operate(task.OperationSpec{Action: task.ActionCancel, All: true})
		select {
		case <-ended:
		default:
			r.Error("who runs the task is not told")
		}
		woken := make(chan []task.Lease, 1)
		go func() {
			leases, _ := r.Claim(r.Context(), task.Claim{WorkerID: "w", Wait: 30 * time.Second})
			woken <- leases
		}()
		r.operate(task.OperationSpec{Action: task.ActionRequeue, Filter: "outcome:cancelled"})
		if leases := <-woken; len(leases) != 1 || leases[0].ID != l.ID {
			r.Errorf("got %v", leases)
		}
	})
}

// stubborn is a store that refuses steps with one task.
type stubborn struct {
	store.Store
	task int64
}

func (s stubborn) StepOperation(ctx context.Context, step task.Step) (task.Operation, []task.Task, error) {
	for _, id := range step.IDs {
		if id == s.task {
			return task.Operation{}, nil, errors.New("it is refused")
		}
	}
	return s.Store.StepOperation(ctx, step)
}

func TestATaskThatCannotBeChangedIsCountedAndTheOthersAre(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		var bad task.Task
		for i := range 20 {
			if got := r.enqueue(task.Spec{Type: "mail"}); i == 12 {
				bad = got
			}
		}
		r.Queue = queue.New(stubborn{r.st, bad.ID}, queue.Options{Clock: r.clock})
		o := r.operate(task.OperationSpec{Action: task.ActionCancel, All: true})
		if o.Status != task.OperationCompleted || o.Matched != 20 || o.Changed != 19 || o.Failed != 1 || !strings.HasSuffix(*o.ErrorMessage, "it is refused") {
			r.Errorf("got %+v", o)
		}
		if got := r.get(bad.ID); got.Status != task.Queued {
			r.Errorf("it is %s", got.Status)
		}
	})
}

// TestTwoQueuesShareAnOperation has two services work on one store until it is done, the second of which takes it over when the first lets go.
func TestTwoQueuesShareAnOperation(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		const tasks = 3000
		r.enqueueMany(tasks, task.Spec{Type: "mail"})
		s := task.OperationSpec{Action: task.ActionSetPriority, Priority: new(7), Filter: "type:mail"}
		p, err := r.Propose(r.Context(), s)
		r.ok(err)
		o, err := r.StartOperation(r.Context(), s, p.ConfirmToken)
		r.ok(err)
		_, err = r.st.TakeOperation(r.Context(), "one that died", r.Now(), r.Now().Add(time.Hour))
		r.ok(err)
		if worked, err := r.WorkOperation(r.Context()); worked || err != nil {
			r.Errorf("it is taken from one who holds it: %v, %v", worked, err)
		}
		r.clock.advance(time.Hour)
		var working sync.WaitGroup
		for range 2 {
			q := queue.New(r.st, queue.Options{Clock: r.clock})
			working.Go(func() {
				if _, err := q.WorkOperation(r.Context()); err != nil {
					r.Error(err)
				}
			})
		}
		working.Wait()
		if o = r.operation(o.ID); o.Status != task.OperationCompleted || o.Changed != tasks || o.Matched != tasks {
			r.Errorf("got %+v", o)
		}
		list, err := r.st.ListTasks(r.Context(), task.Filter{Limit: 1})
		r.ok(err)
		lines, err := r.st.ListLogs(r.Context(), task.LogFilter{TaskID: list[0].ID, Limit: 10})
		r.ok(err)
		if len(lines) != 2 || list[0].Priority != 7 {
			r.Errorf("got %d log lines and priority %d", len(lines), list[0].Priority)
		}
	})
}

func TestAnOperationGoesOnWhileTheQueueRuns(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		q := queue.New(st, queue.Options{})
		r := rig{T: t, Queue: q, st: st}
		r.enqueueMany(50, task.Spec{Type: "mail"})
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = q.Run(ctx) })
		defer running.Wait()
		defer stop()
		s := task.OperationSpec{Action: task.ActionCancel, All: true}
		p, err := q.Propose(t.Context(), s)
		r.ok(err)
		o, err := q.StartOperation(t.Context(), s, p.ConfirmToken)
		r.ok(err)
		for deadline := q.Now().Add(30 * time.Second); o.Status == task.OperationRunning && q.Now().Before(deadline); {
			o = r.operation(o.ID)
		}
		if o.Status != task.OperationCompleted || o.Changed != 50 {
			t.Errorf("got %+v", o)
		}
	})
}
