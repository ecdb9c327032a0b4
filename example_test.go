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
