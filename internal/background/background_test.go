package background_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/api"
	"github.com/prismq/thequeue/internal/background"
	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// backend makes the options of a manager; each call is for another process.
type backend func(t *testing.T) background.Options

// each runs a test in memory, over a queue in the process on both engines, and over a server.
func each(t *testing.T, test func(t *testing.T, b backend)) {
	t.Parallel()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, func(*testing.T) background.Options { return background.Options{} })
	})
	eachQueue(t, test)
}

// eachQueue is each without the memory.
func eachQueue(t *testing.T, test func(t *testing.T, b backend)) {
	testdb.Each(t, func(t *testing.T, st store.Store) {
		q := serve(t, st)
		test(t, func(t *testing.T) background.Options {
			return background.Options{Queue: background.Local(q), WorkerID: t.Name()}
		})
	})
	t.Run("server", func(t *testing.T) {
		t.Parallel()
		s := httptest.NewServer(api.New(serve(t, testdb.SQLite(t)), api.Options{}))
		t.Cleanup(s.Close)
		test(t, func(t *testing.T) background.Options {
			c, err := client.New(s.URL, client.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			return background.Options{Queue: background.Remote(c), WorkerID: t.Name()}
		})
	})
}

// serve returns a queue whose upkeep runs.
func serve(t *testing.T, st store.Store) *queue.Queue {
	t.Helper()
	q := queue.New(st, queue.Options{})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("upkeep: %v", err)
		}
	})
	return q
}

// rig is a manager that runs.
type rig struct {
	*background.Manager
	t   *testing.T
	end func() // ends it, and returns when it has ended
}

func start(t *testing.T, o background.Options) *rig {
	t.Helper()
	m, err := background.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	var once sync.Once
	r := &rig{m, t, func() {
		once.Do(func() {
			stop()
			if err := <-ended; err != nil {
				t.Errorf("manager: %v", err)
			}
		})
	}}
	t.Cleanup(r.end)
	return r
}

func (r *rig) start(id string, work background.Work) {
	r.t.Helper()
	got, err := r.StartTask(task.Run{RunID: id, ModuleID: "module", Parameters: `{"n":1}`}, work)
	if err != nil || got != id {
		r.t.Fatalf("started %q: %v", got, err)
	}
}

func (r *rig) wait() {
	r.t.Helper()
	ctx, stop := context.WithTimeout(r.t.Context(), patience)
	defer stop()
	if err := r.WaitAll(ctx); err != nil {
		r.t.Fatalf("%v are active still: %v", r.ActiveTaskIDs(), err)
	}
}

func (r *rig) cancel(id string) bool {
	r.t.Helper()
	ctx, stop := context.WithTimeout(r.t.Context(), patience)
	defer stop()
	ok, err := r.CancelTask(ctx, id)
	if err != nil {
		r.t.Fatal(err)
	}
	return ok
}

// run returns what the registry has.
func (r *rig) run(id string) task.Run {
	r.t.Helper()
	run, ok := r.GetRun(id)
	if !ok {
		r.t.Fatalf("there is no run %s", id)
	}
	return run
}

func (r *rig) wants(id string, status task.RunStatus) task.Run {
	r.t.Helper()
	run := r.run(id)
	if run.Status != status {
		r.t.Errorf("run %s is %s (%v), want %s", id, run.Status, run.ErrorMessage, status)
	}
	return run
}

// until waits for a signal.
func until(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatal("it did not come")
	}
}

func TestNothingIsActiveAtFirst(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		r := start(t, b(t))
		r.wait()
		if r.ActiveTaskCount() != 0 || len(r.ActiveTaskIDs()) != 0 || r.IsTaskActive("nobody") || r.cancel("nobody") {
			t.Error("something is active")
		}
	})
}

func TestARunFromBeginningToEnd(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		r := start(t, b(t))
		began, goOn := make(chan struct{}), make(chan struct{})
		result := task.JSON(`{"pages": 3}`)
		r.start("one", func(_ context.Context, run *background.Running) (*task.JSON, error) {
			if run.RunID != "one" || run.ModuleID != "module" || run.Parameters != `{"n":1}` || run.Status != task.RunRunning {
				t.Errorf("the work sees %+v", run.Run)
			}
			run.Progress(30, "15/50 pages")
			close(began)
			<-goOn
			return &result, nil
		})
		if !r.IsTaskActive("one") || r.ActiveTaskCount() != 1 || !slices.Equal(r.ActiveTaskIDs(), []string{"one"}) {
			t.Errorf("active: %v", r.ActiveTaskIDs())
		}
		until(t, began)
		running := r.wants("one", task.RunRunning)
		if running.StartedAt == nil || *running.ProgressPercent != 30 || *running.ItemsProcessed != 15 || *running.ItemsTotal != 50 {
			t.Errorf("got %+v", running)
		}
		close(goOn)
		r.wait()
		done := r.wants("one", task.RunCompleted)
		if done.CompletedAt == nil || *done.ExitCode != 0 || done.ErrorMessage != nil || r.IsTaskActive("one") || r.cancel("one") {
			t.Errorf("got %+v", done)
		}
	})
}

func TestAFailureIsInTheRegistryAndIsNotTriedAgain(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		r := start(t, b(t))
		var calls atomic.Int64
		r.start("error", func(context.Context, *background.Running) (*task.JSON, error) {
			calls.Add(1)
			return nil, errors.New("on purpose")
		})
		r.start("panic", func(context.Context, *background.Running) (*task.JSON, error) { calls.Add(1); panic("on purpose") })
		r.wait()
		if e, p := r.wants("error", task.RunFailed), r.wants("panic", task.RunFailed); *e.ErrorMessage != "on purpose" || *p.ErrorMessage != "panic: on purpose" || *e.ExitCode != 1 {
			t.Errorf("got %q and %q", *e.ErrorMessage, *p.ErrorMessage)
		}
		if calls.Load() != 2 {
			t.Errorf("%d calls", calls.Load())
		}
	})
}

func TestCancelWhileItRuns(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		r := start(t, b(t))
		began := make(chan struct{})
		r.start("one", func(ctx context.Context, _ *background.Running) (*task.JSON, error) {
			close(began)
			<-ctx.Done()
			return nil, ctx.Err()
		})
		until(t, began)
		if !r.cancel("one") {
			t.Error("it was not cancelled")
		}
		r.wants("one", task.RunCancelled)
		if r.ActiveTaskCount() != 0 || r.cancel("one") {
			t.Error("it is active, or cancelled twice")
		}
	})
}

func TestCancelBeforeItBegins(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		m, err := background.New(b(t))
		if err != nil {
			t.Fatal(err)
		}
		var begun atomic.Bool
		if _, err := m.StartTask(task.Run{RunID: "one", ModuleID: "module"}, func(context.Context, *background.Running) (*task.JSON, error) {
			begun.Store(true)
			return nil, nil
		}); err != nil {
			t.Fatal(err)
		}
		cancelled := make(chan bool)
		go func() {
			ok, err := m.CancelTask(t.Context(), "one")
			cancelled <- ok && err == nil
		}()
		for len(cancelled) == 0 && m.Asked("one") != true {
			time.Sleep(time.Millisecond)
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- m.Run(ctx) }()
		if !<-cancelled || begun.Load() {
			t.Error("it was not cancelled before it began")
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if run, _ := m.GetRun("one"); run.Status != task.RunCancelled {
			t.Errorf("got %+v", run)
		}
	})
}

func TestCancelOfARunThatEndsAllTheSame(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		r := start(t, b(t))
		began := make(chan struct{})
		r.start("stubborn", func(ctx context.Context, _ *background.Running) (*task.JSON, error) {
			close(began)
			<-ctx.Done()
			return nil, nil
		})
		until(t, began)
		if r.cancel("stubborn") {
			t.Error("it counts as cancelled")
		}
		r.wants("stubborn", task.RunCompleted)
	})
}

func TestRunsRunAtOnceAndAreListedInTheirOrder(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		r := start(t, b(t))
		var inside atomic.Int64
		all := make(chan struct{})
		var ids []string
		for i := range 5 {
			ids = append(ids, fmt.Sprint("run ", i))
			r.start(ids[i], func(context.Context, *background.Running) (*task.JSON, error) {
				if inside.Add(1) == 5 {
					close(all)
				}
				<-all
				return nil, nil
			})
		}
		r.wait()
		for _, id := range ids {
			r.wants(id, task.RunCompleted)
		}
	})
}

func TestAnActiveRunIsNotStartedTwiceAndAnEndedOneIsReplaced(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		r := start(t, b(t))
		began, goOn := make(chan struct{}), make(chan struct{})
		var calls atomic.Int64
		r.start("one", func(context.Context, *background.Running) (*task.JSON, error) {
			close(began)
			<-goOn
			calls.Add(1)
			return nil, nil
		})
		until(t, began)
		r.start("one", func(context.Context, *background.Running) (*task.JSON, error) { calls.Add(100); return nil, nil })
		close(goOn)
		r.wait()
		r.start("one", func(context.Context, *background.Running) (*task.JSON, error) {
			calls.Add(10)
			return nil, errors.New("no")
		})
		r.wait()
		if r.wants("one", task.RunFailed); calls.Load() != 11 {
			t.Errorf("calls come to %d", calls.Load())
		}
	})
}

func TestManyRuns(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		r := start(t, b(t))
		const many = 60
		want := map[task.RunStatus]int{task.RunCompleted: many / 3, task.RunFailed: many / 3, task.RunCancelled: many / 3}
		var cancels sync.WaitGroup
		for i := range many {
			id := fmt.Sprint("run ", i)
			began := make(chan struct{})
			r.start(id, func(ctx context.Context, _ *background.Running) (*task.JSON, error) {
				close(began)
				switch i % 3 {
				case 0:
					return nil, nil
				case 1:
					return nil, errors.New("no")
				}
				<-ctx.Done()
				return nil, ctx.Err()
			})
			if i%3 == 2 {
				cancels.Go(func() {
					<-began
					r.cancel(id)
				})
			}
		}
		r.wait()
		cancels.Wait()
		got := map[task.RunStatus]int{}
		for i := range many {
			got[r.run(fmt.Sprint("run ", i)).Status]++
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestBadRunsAndOptionsAreRefused(t *testing.T) {
	t.Parallel()
	if _, err := background.New(background.Options{Lease: time.Millisecond, MaxAttempts: 101, Priority: 1001, Name: string(make([]byte, 61))}); len(fields(err)) != 4 {
		t.Errorf("got %v", err)
	}
	r := start(t, background.Options{})
	if _, err := r.StartTask(task.Run{Parameters: "[]"}, nil); !slices.Equal(fields(err), []string{"run_id", "module_id", "parameters", "work"}) {
		t.Errorf("got %v", err)
	}
	r.end()
	if _, err := r.StartTask(task.Run{RunID: "a", ModuleID: "b"}, func(context.Context, *background.Running) (*task.JSON, error) { return nil, nil }); !errors.Is(err, background.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

func fields(err error) (names []string) {
	if bad, ok := errors.AsType[*task.InvalidError](err); ok {
		for _, f := range bad.Fields {
			names = append(names, f.Field)
		}
	}
	return names
}
