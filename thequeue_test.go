package thequeue_test

import (
	"context"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/prismq/thequeue"
	"github.com/prismq/thequeue/internal/api"
	"github.com/prismq/thequeue/internal/task"
)

// A router works over a queue of this process, over a client with a key, and over the server that its routes name, with the key of the environment.
func TestBackgroundRoutersOverEveryQueue(t *testing.T) {
	q, err := thequeue.Open(t.Context(), filepath.Join(t.TempDir(), "queue.db"), thequeue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(api.New(q.Queue, api.Options{}))
	t.Cleanup(server.Close)
	k, err := q.CreateAPIKey(t.Context(), task.APIKeySpec{Name: "ops", Role: "admin"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := thequeue.Dial(server.URL, thequeue.ClientOptions{APIKey: k.Key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	t.Setenv("PRISMQ_API_KEY", k.Key)
	routes := thequeue.Routes{Modules: map[string]thequeue.Route{"module": "queue"}}
	named := routes
	named.Queue = server.URL
	for name, router := range map[string]func(o thequeue.BackgroundOptions) (*thequeue.BackgroundRouter, error){
		"queue": func(o thequeue.BackgroundOptions) (*thequeue.BackgroundRouter, error) {
			return q.NewBackgroundRouter(routes, o)
		},
		"client": func(o thequeue.BackgroundOptions) (*thequeue.BackgroundRouter, error) {
			return c.NewBackgroundRouter(routes, o)
		},
		"routes": func(o thequeue.BackgroundOptions) (*thequeue.BackgroundRouter, error) {
			return thequeue.NewBackgroundRouter(named, o)
		},
	} {
		x, err := router(thequeue.BackgroundOptions{WorkerID: name})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		ended := goRun(ctx, x)
		if _, err := x.StartTask(thequeue.Run{RunID: name, ModuleID: "module"}, func(context.Context, *thequeue.Running) (*thequeue.JSON, error) { return nil, nil }); err != nil {
			t.Fatal(err)
		}
		if err := x.WaitAll(ctx); err != nil {
			t.Fatal(err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if run, _ := x.GetRun(name); run.Status != "completed" || run.TaskID == 0 {
			t.Errorf("over the %s it is %+v", name, run)
		}
	}
}

func goRun(ctx context.Context, x *thequeue.BackgroundRouter) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- x.Run(ctx) }()
	return ended
}
