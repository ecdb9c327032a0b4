package thequeue_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/prismq/thequeue"
	"github.com/prismq/thequeue/internal/api"
)

// A program puts a task into its own queue and runs it with a Go function.
func Example() {
	dir, err := os.MkdirTemp("", "thequeue")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	q, err := thequeue.Open(ctx, filepath.Join(dir, "queue.db"), thequeue.Options{})
	if err != nil {
		panic(err)
	}
	defer q.Close()

	greet := thequeue.HandlerFunc(func(_ context.Context, a *thequeue.Attempt) (*thequeue.JSON, error) {
		fmt.Println("hello", a.Payload)
		stop()
		return nil, nil
	})
	w, err := q.NewWorker(thequeue.WorkerOptions{ID: "me", Handlers: map[string]thequeue.Handler{"greet": greet}})
	if err != nil {
		panic(err)
	}
	t, created, err := q.Enqueue(ctx, thequeue.Spec{Type: "greet", Payload: `{"name": "Ada"}`}, 5)
	if err != nil {
		panic(err)
	}
	fmt.Println(created, t.Status)
	if err := w.Run(ctx); err != nil {
		panic(err)
	}
	// Output:
	// true queued
	// hello {"name": "Ada"}
}

// A program gives a task to a server elsewhere, and runs it with a Go function.
func ExampleDial() {
	address, end := startServer() // stands for: thequeue serve
	defer end()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	c, err := thequeue.Dial(address, thequeue.ClientOptions{})
	if err != nil {
		panic(err)
	}
	receipt, err := c.Enqueue(ctx, thequeue.Spec{Type: "greet", Payload: `{"name":"Ada"}`})
	if err != nil {
		panic(err)
	}
	greet := thequeue.HandlerFunc(func(_ context.Context, a *thequeue.Attempt) (*thequeue.JSON, error) {
		fmt.Println("hello", a.Payload)
		stop() // the worker ends what it has begun
		return nil, nil
	})
	w, err := c.NewWorker(thequeue.WorkerOptions{ID: "me", Handlers: map[string]thequeue.Handler{"greet": greet}})
	if err != nil {
		panic(err)
	}
	if err := w.Run(ctx); err != nil {
		panic(err)
	}
	t, err := c.Get(context.Background(), receipt.TaskID)
	if err != nil {
		panic(err)
	}
	fmt.Println(t.Status, *t.LastWorkerID)
	// Output:
	// hello {"name":"Ada"}
	// completed me
}

// A program starts functions in the background, and keeps account of them in memory.
func ExampleNewBackgroundTaskManager() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	m, err := thequeue.NewBackgroundTaskManager(thequeue.BackgroundOptions{})
	if err != nil {
		panic(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()

	seen := make(chan struct{})
	id, err := m.StartTask(thequeue.Run{RunID: "convert-1", ModuleID: "convert"}, func(ctx context.Context, r *thequeue.Running) (*thequeue.JSON, error) {
		<-seen
		return convert(ctx, r)
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(id, m.IsTaskActive(id), m.ActiveTaskIDs())
	close(seen)
	if err := m.WaitAll(ctx); err != nil {
		panic(err)
	}
	run, _ := m.GetRun(id)
	fmt.Println(run.Status, *run.ExitCode, *run.ItemsProcessed, m.ActiveTaskCount())
	stop()
	if err := <-ended; err != nil {
		panic(err)
	}
	// Output:
	// convert-1 true [convert-1]
	// completed 0 3 0
}

// convert is the work of a run.
func convert(_ context.Context, r *thequeue.Running) (*thequeue.JSON, error) {
	r.Progress(100, "3/3 pages")
	result := thequeue.JSON(`{"converted": true}`)
	return &result, nil
}

// With a queue the same program survives its crashes: a run is a task, and the next process of this name resumes what its module has a handler for.
func ExampleClient_NewBackgroundTaskManager() {
	address, end := startServer() // stands for: thequeue serve
	defer end()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	c, err := thequeue.Dial(address, thequeue.ClientOptions{})
	if err != nil {
		panic(err)
	}
	m, err := c.NewBackgroundTaskManager(thequeue.BackgroundOptions{Name: "my-service", Handlers: map[string]thequeue.Work{"convert": convert}})
	if err != nil {
		panic(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()

	if _, err := m.StartTask(thequeue.Run{RunID: "convert-1", ModuleID: "convert"}, convert); err != nil {
		panic(err)
	}
	begun := make(chan struct{})
	if _, err := m.StartTask(thequeue.Run{RunID: "wait-1", ModuleID: "wait"}, func(ctx context.Context, _ *thequeue.Running) (*thequeue.JSON, error) {
		close(begun)
		<-ctx.Done() // it was cancelled, or the program ends
		return nil, ctx.Err()
	}); err != nil {
		panic(err)
	}
	<-begun
	cancelled, err := m.CancelTask(ctx, "wait-1") // returns when it has ended
	fmt.Println(cancelled, err)
	if err := m.WaitAll(ctx); err != nil {
		panic(err)
	}
	for _, id := range []string{"convert-1", "wait-1"} {
		run, err := c.Run(ctx, id) // as the server has it
		fmt.Println(run.RunID, run.Status, err)
	}
	stop()
	if err := <-ended; err != nil {
		panic(err)
	}
	// Output:
	// true <nil>
	// convert-1 completed <nil>
	// wait-1 cancelled <nil>
}

// One file says for each module whether its runs are in memory, in the queue, or in memory with a shadow in the queue.
func ExampleNewBackgroundRouter() {
	address, end := startServer() // stands for: thequeue serve
	defer end()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	routes := thequeue.Routes{Queue: address, Modules: map[string]thequeue.Route{"video": "queue", "audio": "shadow"}} // or thequeue.ReadRoutes("routing.json")
	router, err := thequeue.NewBackgroundRouter(routes, thequeue.BackgroundOptions{Name: "my-service"})
	if err != nil {
		panic(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- router.Run(ctx) }()
	for _, module := range []string{"video", "audio", "text"} {
		if _, err := router.StartTask(thequeue.Run{RunID: module + "-1", ModuleID: module}, convert); err != nil {
			panic(err)
		}
	}
	if err := errors.Join(router.WaitAll(ctx), router.WaitShadows(ctx)); err != nil {
		panic(err)
	}
	c, err := thequeue.Dial(address, thequeue.ClientOptions{})
	if err != nil {
		panic(err)
	}
	for _, id := range []string{"video-1", "shadow:audio-1", "text-1"} {
		run, err := c.Run(ctx, id) // as the server has it
		fmt.Println(id, run.Status, errors.Is(err, thequeue.ErrNotFound))
	}
	fmt.Println(router.Differences())
	stop()
	if err := <-ended; err != nil {
		panic(err)
	}
	// Output:
	// video-1 completed false
	// shadow:audio-1 completed false
	// text-1  true
	// []
}

// startServer serves a queue of its own over HTTP.
func startServer() (address string, end func()) {
	dir, err := os.MkdirTemp("", "thequeue")
	if err != nil {
		panic(err)
	}
	q, err := thequeue.Open(context.Background(), filepath.Join(dir, "queue.db"), thequeue.Options{})
	if err != nil {
		panic(err)
	}
	s := httptest.NewServer(api.New(q.Queue, api.Options{}))
	return s.URL, func() {
		s.Close()
		if err := errors.Join(q.Close(), os.RemoveAll(dir)); err != nil {
			panic(err)
		}
	}
}
