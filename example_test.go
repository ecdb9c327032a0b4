package thequeue_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/prismq/thequeue"
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
