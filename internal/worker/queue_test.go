package worker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
	"github.com/prismq/thequeue/internal/worker"
)

// reported is a queue that also says when it has taken a report or answered a heartbeat.
type reported struct {
	*queue.Queue
	reports chan task.Task
	beats   chan error
}

func (q reported) Heartbeat(ctx context.Context, id int64, token string, b task.Beat) (task.Pulse, error) {
	p, err := q.Queue.Heartbeat(ctx, id, token, b)
	q.beats <- err
	return p, err
}

func (q reported) tell(t task.Task, err error) (task.Task, error) {
	if err == nil {
		q.reports <- t
	}
	return t, err
}

func (q reported) Complete(ctx context.Context, id int64, token string, result *task.JSON) (task.Task, error) {
	return q.tell(q.Queue.Complete(ctx, id, token, result))
}

func (q reported) Fail(ctx context.Context, id int64, token string, f task.Failure) (task.Task, error) {
	return q.tell(q.Queue.Fail(ctx, id, token, f))
}

func (q reported) Release(ctx context.Context, id int64, token string, after time.Duration) (task.Task, error) {
	return q.tell(q.Queue.Release(ctx, id, token, after))
}

// realQueue returns a queue on a new SQLite file, with its upkeep running until the test ends.
func realQueue(t *testing.T) reported {
	t.Helper()
	q := reported{queue.New(testdb.SQLite(t), queue.Options{}), make(chan task.Task, 1000), make(chan error, 1000)}
	background(t, q.Run)
	return q
}

// background runs until stop, which waits for the end; the end of the test stops it, too.
func background(t *testing.T, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func start(t *testing.T, q reported, o worker.Options) (stop func()) {
	t.Helper()
	o.ID = "w"
	w, err := worker.New(q, o)
	if err != nil {
		t.Fatal(err)
	}
	return background(t, w.Run)
}

func enqueue(t *testing.T, q reported, s task.Spec) task.Task {
	t.Helper()
	stored, _, err := q.Enqueue(t.Context(), s, 100)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func (q reported) get(t *testing.T, id int64) task.Task {
	t.Helper()
	got, err := q.Reader().GetTask(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// seen is what the tests look at in a task.
type seen struct {
	Status   task.Status
	Outcome  task.Outcome
	Attempts int
	Error    string
	Result   task.JSON
}

func look(t task.Task) (s seen) {
	s.Status, s.Attempts = t.Status, t.Attempts
	if t.Outcome != nil {
		s.Outcome = *t.Outcome
	}
	if t.ErrorMessage != nil {
		s.Error = *t.ErrorMessage
	}
	if t.Result != nil {
		s.Result = *t.Result
	}
	return s
}

func TestQueueRunsEveryTaskOnce(t *testing.T) {
	t.Parallel()
	const n = 200
	q := realQueue(t)
	var mu sync.Mutex
	ran := map[int64]int{}
	count := worker.HandlerFunc(func(_ context.Context, a *worker.Attempt) (*task.JSON, error) {
		mu.Lock()
		defer mu.Unlock()
		ran[a.ID]++
		return &a.Payload, nil
	})
	for range 2 {
		start(t, q, worker.Options{Count: 4, Handlers: map[string]worker.Handler{"job": count}})
	}
	for i := range n {
		enqueue(t, q, task.Spec{Type: "job", Payload: task.JSON(fmt.Sprintf(`{"i": %d}`, i))})
	}
	for range n {
		done := <-q.reports
		if want := (seen{task.Completed, task.Succeeded, 1, "", done.Payload}); look(done) != want {
			t.Errorf("task %d: %+v, want %+v", done.ID, look(done), want)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for id, times := range ran {
		if times != 1 {
			t.Errorf("task %d ran %d times", id, times)
		}
	}
	if len(ran) != n {
		t.Errorf("%d tasks ran, want %d", len(ran), n)
	}
}

func TestQueueRetriesUntilTheAttemptsAreUsedUp(t *testing.T) {
	t.Parallel()
	q := realQueue(t)
	attempts := 3
	fails := worker.HandlerFunc(func(_ context.Context, a *worker.Attempt) (*task.JSON, error) {
		return nil, worker.RetryAfter(time.Millisecond, fmt.Errorf("no luck %d", a.Attempts))
	})
	start(t, q, worker.Options{Handlers: map[string]worker.Handler{"job": fails}})
	enqueue(t, q, task.Spec{Type: "job", MaxAttempts: &attempts})
	var got []seen
	for range attempts {
		got = append(got, look(<-q.reports))
	}
	want := []seen{{task.Queued, "", 1, "no luck 1", ""}, {task.Queued, "", 2, "no luck 2", ""}, {task.Failed, task.Exhausted, 3, "no luck 3", ""}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestQueueRejectsATypeWithoutHandler(t *testing.T) {
	t.Parallel()
	q := realQueue(t)
	start(t, q, worker.Options{AllTypes: true, Handlers: map[string]worker.Handler{"job": worker.Echo}})
	enqueue(t, q, task.Spec{Type: "stray"})
	want := seen{task.Failed, task.Rejected, 1, `worker w has no handler for task type "stray"`, ""}
	if got := look(<-q.reports); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// held returns a handler that says when it has begun, and waits until its context ends.
func held() (handler worker.Handler, begun chan struct{}, causes chan error) {
	begun, causes = make(chan struct{}, 1), make(chan error, 1)
	return worker.HandlerFunc(func(ctx context.Context, a *worker.Attempt) (*task.JSON, error) {
		begun <- struct{}{}
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return nil, context.Cause(ctx)
	}), begun, causes
}

func TestQueueCancelStopsTheHandlerAtOnce(t *testing.T) {
	t.Parallel()
	q := realQueue(t)
	h, begun, causes := held()
	// With a lease of an hour no heartbeat but the one after the cancel is sent.
	start(t, q, worker.Options{Lease: time.Hour, Handlers: map[string]worker.Handler{"job": h}})
	stored := enqueue(t, q, task.Spec{Type: "job"})
	<-begun
	if _, changed, err := q.Cancel(t.Context(), stored.ID); err != nil || !changed {
		t.Fatalf("Cancel: %v, %v", changed, err)
	}
	if cause := <-causes; !errors.Is(cause, worker.ErrCancelled) {
		t.Errorf("cause %v, want ErrCancelled", cause)
	}
	want := seen{task.Failed, task.Cancelled, 1, "Cancelled by user", ""}
	if got := look(q.get(t, stored.ID)); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestQueueGetsAttemptsBackWhenTheWorkerStops(t *testing.T) {
	t.Parallel()
	q := realQueue(t)
	h, begun, causes := held()
	stop := start(t, q, worker.Options{Grace: -1, Handlers: map[string]worker.Handler{"job": h}})
	stored := enqueue(t, q, task.Spec{Type: "job"})
	<-begun
	stop()
	if cause := <-causes; !errors.Is(cause, worker.ErrShutdown) {
		t.Errorf("cause %v, want ErrShutdown", cause)
	}
	got := q.get(t, stored.ID)
	if look(got) != (seen{Status: task.Queued}) || !got.Ready {
		t.Errorf("%+v, ready %v, want it queued and ready without an attempt", look(got), got.Ready)
	}
	start(t, q, worker.Options{Handlers: map[string]worker.Handler{"job": worker.Echo}})
	<-q.reports // the release
	if done := <-q.reports; done.Status != task.Completed || done.Fence != 2 {
		t.Errorf("then %+v with fence %d, want it completed with fence 2", look(done), done.Fence)
	}
}

func TestQueueKeepsProgress(t *testing.T) {
	t.Parallel()
	q := realQueue(t)
	h := worker.HandlerFunc(func(_ context.Context, a *worker.Attempt) (*task.JSON, error) {
		a.Progress(40, "nearly half")
		return nil, <-q.beats
	})
	start(t, q, worker.Options{Handlers: map[string]worker.Handler{"job": h}})
	enqueue(t, q, task.Spec{Type: "job"})
	done := <-q.reports
	if done.Status != task.Completed || done.ProgressMessage == nil || *done.ProgressMessage != "nearly half" {
		t.Errorf("%+v, progress message %v", look(done), done.ProgressMessage)
	}
}
