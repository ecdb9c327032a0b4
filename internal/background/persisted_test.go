package background_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/background"
	"github.com/prismq/thequeue/internal/task"
)

// find returns the task of a run.
func find(t *testing.T, q background.Queue, runID string) task.Task {
	t.Helper()
	id, err := q.Find(t.Context(), runID)
	if err != nil {
		t.Fatal(err)
	}
	got, err := q.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRunsAreTasks(t *testing.T) {
	t.Parallel()
	eachQueue(t, func(t *testing.T, b backend) {
		o := b(t)
		r := start(t, o)
		result := task.JSON(`{"pages":3}`)
		r.start("good", func(context.Context, *background.Running) (*task.JSON, error) { return &result, nil })
		r.start("bad", func(context.Context, *background.Running) (*task.JSON, error) { return nil, errors.New("no") })
		r.wait()
		good, bad := find(t, o.Queue, "good"), find(t, o.Queue, "bad")
		if good.Type != "module" || good.Payload != `{"n":1}` || good.Status != task.Completed || *good.Result != result || *good.LastWorkerID != o.WorkerID {
			t.Errorf("got %+v", good)
		}
		if bad.Status != task.Failed || *bad.Outcome != task.Rejected || *bad.ErrorMessage != "no" || bad.Attempts != 1 {
			t.Errorf("got %+v", bad)
		}
	})
}

// A process that ends hands its runs back, and the next one of its id resumes those for which it has a handler.
func TestTheNextProcessResumesWhatWasLeft(t *testing.T) {
	t.Parallel()
	eachQueue(t, func(t *testing.T, b backend) {
		o := b(t)
		first := start(t, o)
		for _, module := range []string{"known", "unknown"} {
			began := make(chan struct{})
			if _, err := first.StartTask(task.Run{RunID: module + " 1", ModuleID: module}, func(ctx context.Context, _ *background.Running) (*task.JSON, error) {
				close(began)
				<-ctx.Done()
				return nil, ctx.Err()
			}); err != nil {
				t.Fatal(err)
			}
			until(t, began)
		}
		first.end()
		first.wants("known 1", task.RunQueued)
		if left := find(t, o.Queue, "known 1"); left.Status != task.Queued || left.Attempts != 0 {
			t.Errorf("left is %+v", left)
		}
		resumed := make(chan struct{}, 1)
		o.Handlers = map[string]background.Work{"known": func(_ context.Context, r *background.Running) (*task.JSON, error) {
			if r.RunID != "known 1" {
				t.Errorf("resumed %q", r.RunID)
			}
			resumed <- struct{}{}
			return nil, nil
		}}
		second := start(t, o)
		until(t, resumed)
		for !find(t, o.Queue, "known 1").Status.Ended() || !find(t, o.Queue, "unknown 1").Status.Ended() {
			time.Sleep(5 * time.Millisecond)
		}
		second.wait()
		second.wants("known 1", task.RunCompleted)
		if r := second.wants("unknown 1", task.RunFailed); *r.ErrorMessage != background.ErrInterrupted.Error() {
			t.Errorf("got %q", *r.ErrorMessage)
		}
	})
}

// What somebody else cancels, such as the dashboard, ends here too; and a run of another process can be cancelled.
func TestCancelledElsewhere(t *testing.T) {
	t.Parallel()
	eachQueue(t, func(t *testing.T, b backend) {
		o := b(t)
		o.Lease = 2 * time.Second
		r := start(t, o)
		began := make(chan struct{})
		r.start("one", func(ctx context.Context, _ *background.Running) (*task.JSON, error) {
			close(began)
			<-ctx.Done()
			return nil, ctx.Err()
		})
		until(t, began)
		o.WorkerID += " other"
		other := start(t, o)
		if !other.cancel("one") || other.cancel("one") {
			t.Error("it was not cancelled, or twice")
		}
		r.wait()
		r.wants("one", task.RunCancelled)
	})
}

// Tasks of the same type that ask for no process are left to the workers.
func TestTasksOfOthersAreLeft(t *testing.T) {
	t.Parallel()
	eachQueue(t, func(t *testing.T, b backend) {
		o := b(t)
		for i := range 3 {
			if _, _, _, err := o.Queue.Put(t.Context(), task.Spec{Type: "module", IdempotencyKey: new(fmt.Sprint("foreign ", i))}); err != nil {
				t.Fatal(err)
			}
		}
		r := start(t, o)
		for i := range 3 {
			r.start(fmt.Sprint("ours ", i), func(context.Context, *background.Running) (*task.JSON, error) { return nil, nil })
		}
		r.wait()
		r.end()
		for i := range 3 {
			r.wants(fmt.Sprint("ours ", i), task.RunCompleted)
			if got := find(t, o.Queue, fmt.Sprint("foreign ", i)); got.Status != task.Queued || got.Attempts != 0 {
				t.Errorf("got %+v", got)
			}
		}
	})
}

func TestWhatTheQueueRefusesFails(t *testing.T) {
	t.Parallel()
	eachQueue(t, func(t *testing.T, b backend) {
		r := start(t, b(t))
		long := task.JSON(`{"text":"` + strings.Repeat("x", 1_100_000) + `"}`)
		if _, err := r.StartTask(task.Run{RunID: "long", ModuleID: "module", Parameters: long}, func(context.Context, *background.Running) (*task.JSON, error) { return nil, nil }); err != nil {
			t.Fatal(err)
		}
		r.wait()
		r.wants("long", task.RunFailed)
	})
}
