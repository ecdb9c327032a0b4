// Package thequeue embeds The Queue in a Go program: the same queue that the server runs, over a SQLite file or a PostgreSQL database,
// with handlers that are Go functions. Dial does the same with the queue of a server elsewhere.
package thequeue

import (
	"context"
	"log/slog"
	"time"

	"github.com/prismq/thequeue/internal/app"
	"github.com/prismq/thequeue/internal/background"
	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/worker"
)

// The words of the queue; the types say what they mean.
type (
	Task          = task.Task
	Spec          = task.Spec
	JSON          = task.JSON
	Time          = task.Time
	Status        = task.Status
	Stats         = task.Stats
	Attempt       = worker.Attempt
	Handler       = worker.Handler
	HandlerFunc   = worker.HandlerFunc
	WorkerOptions = worker.Options
	Options       = queue.Options
	InvalidError  = task.InvalidError

	BackgroundTaskManager = background.Manager
	BackgroundOptions     = background.Options
	BackgroundRouter      = background.Router
	Difference            = background.Difference
	Registry              = background.Registry
	Route                 = background.Route
	Routes                = background.Routes
	Run                   = task.Run
	RunStatus             = task.RunStatus
	Running               = background.Running
	Work                  = background.Work
)

// The errors to tell apart with errors.Is.
var (
	ErrNotFound  = task.ErrNotFound
	ErrConflict  = task.ErrConflict
	ErrLeaseLost = task.ErrLeaseLost
	ErrBusy      = task.ErrBusy
	ErrFull      = task.ErrFull
	ErrStopped   = task.ErrStopped
)

// Queue is an open queue. Run must be running for leases to expire and for tasks to become due. It is safe for concurrent use.
type Queue struct {
	*queue.Queue
	store store.Store
}

// Open opens the database, the path of a SQLite file or a postgres:// URL, and brings its schema to the version of this package. The
// file is made when it is missing.
func Open(ctx context.Context, database string, o Options) (*Queue, error) {
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	st, err := app.OpenStore(ctx, database, true, log)
	if err != nil {
		return nil, err
	}
	return &Queue{Queue: queue.New(st, o), store: st}, nil
}

// Close gives the database up.
func (q *Queue) Close() error { return q.store.Close() }

// NewWorker returns a worker that takes its tasks from the queue; its Run method runs them until the context ends.
func (q *Queue) NewWorker(o WorkerOptions) (*worker.Worker, error) { return worker.New(q.Queue, o) }

// Client is the queue of a server, over HTTP. It is safe for concurrent use.
type Client struct{ *client.Client }

// ClientOptions has how often calls are tried again and how long they may take, and the key and certificates for a server that wants them; the zero value is good.
type ClientOptions = client.Options

// Dial returns a client of the server at baseURL, such as http://127.0.0.1:8000. It does not connect yet: Ready tells whether the server answers.
func Dial(baseURL string, o ClientOptions) (*Client, error) {
	c, err := client.New(baseURL, o)
	if err != nil {
		return nil, err
	}
	return &Client{c}, nil
}

// NewWorker returns a worker that takes its tasks from the server; its Run method runs them until the context ends. While the server cannot be reached it asks
// again, and what it runs goes on until its lease is over.
func (c *Client) NewWorker(o WorkerOptions) (*worker.Worker, error) { return worker.New(c.Client, o) }

// NewBackgroundTaskManager returns a manager that starts functions in the background and keeps account of them in memory; its Run method runs them until the context ends. The methods of
// Queue and Client of this name keep them in a queue: then they outlive the process.
func NewBackgroundTaskManager(o BackgroundOptions) (*BackgroundTaskManager, error) {
	return background.New(o)
}

// NewBackgroundTaskManager returns a manager whose runs are tasks of the queue; its Run method runs them until the context ends.
func (q *Queue) NewBackgroundTaskManager(o BackgroundOptions) (*BackgroundTaskManager, error) {
	o.Queue = background.Local(q.Queue)
	return background.New(o)
}

// NewBackgroundTaskManager returns a manager whose runs are tasks of the server; its Run method runs them until the context ends.
func (c *Client) NewBackgroundTaskManager(o BackgroundOptions) (*BackgroundTaskManager, error) {
	o.Queue = background.Remote(c.Client)
	return background.New(o)
}

// ReadRoutes reads from a JSON file where the runs of each module go: in memory, into a queue, or in memory with a shadow in a queue.
func ReadRoutes(path string) (Routes, error) { return background.ReadRoutes(path) }

// NewBackgroundRouter returns a manager with a backend for each module, over the server that the routes name, where they name one, with the key of the variable PRISMQ_API_KEY; its Run method runs
// what is started until the context ends. The methods of Queue and Client of this name take a queue that is open, and a server with certificates of its own.
func NewBackgroundRouter(r Routes, o BackgroundOptions) (*BackgroundRouter, error) {
	return background.NewRouter(r, o)
}

// NewBackgroundRouter returns a manager with a backend for each module, which is this queue where the routes say queue or shadow, whatever address they name.
func (q *Queue) NewBackgroundRouter(r Routes, o BackgroundOptions) (*BackgroundRouter, error) {
	o.Queue = background.Local(q.Queue)
	return background.NewRouter(r, o)
}

// NewBackgroundRouter returns a manager with a backend for each module, which is this server where the routes say queue or shadow, whatever address they name.
func (c *Client) NewBackgroundRouter(r Routes, o BackgroundOptions) (*BackgroundRouter, error) {
	o.Queue = background.Remote(c.Client)
	return background.NewRouter(r, o)
}

// Reject marks an error of a handler as final: the task is not tried again.
func Reject(err error) error { return worker.Reject(err) }

// RetryAfter marks an error of a handler as one after which the task waits for d before its next attempt, if it has one left.
func RetryAfter(d time.Duration, err error) error { return worker.RetryAfter(d, err) }

// Snooze is an error with which a handler hands its task back to come again after d. The attempt does not count.
func Snooze(d time.Duration) error { return worker.Snooze(d) }
