package background

import (
	"context"

	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/task"
)

// Queue is what a manager needs of a queue: *queue.Queue has it by Local, *client.Client by Remote. Errors are those of package task.
type Queue interface {
	task.Source
	// Put stores a task, and returns the id and the status of the one that has its idempotency key now.
	Put(ctx context.Context, s task.Spec) (id int64, status task.Status, created bool, err error)
	Get(ctx context.Context, id int64) (task.Task, error)
	// Find returns the id of the task that has an idempotency key.
	Find(ctx context.Context, key string) (int64, error)
	// CancelTask reports whether it was this call that has ended the task.
	CancelTask(ctx context.Context, id int64) (bool, error)
	Delete(ctx context.Context, id int64) error
	Stranded(ctx context.Context) ([]task.Stranded, error)
	ReclaimWorker(ctx context.Context, workerID string) ([]int64, error)
	WorkerHeartbeat(ctx context.Context, workerID string, capabilities *task.JSON, types []string) (task.Pulse, error)
}

// Local is the queue of this process.
func Local(q *queue.Queue) Queue { return local{q} }

// Remote is the queue of a server.
func Remote(c *client.Client) Queue { return remote{c} }

type local struct{ *queue.Queue }

func (l local) Put(ctx context.Context, s task.Spec) (int64, task.Status, bool, error) {
	t, created, err := l.Enqueue(ctx, s, queue.MaxAttempts)
	return t.ID, t.Status, created, err
}

func (l local) Get(ctx context.Context, id int64) (task.Task, error) {
	return l.Reader().GetTask(ctx, id)
}

func (l local) Find(ctx context.Context, key string) (int64, error) {
	t, err := l.Reader().GetTaskByKey(ctx, key)
	return t.ID, err
}

func (l local) CancelTask(ctx context.Context, id int64) (bool, error) {
	_, changed, err := l.Cancel(ctx, id)
	return changed, err
}

type remote struct{ *client.Client }

func (r remote) Put(ctx context.Context, s task.Spec) (int64, task.Status, bool, error) {
	receipt, err := r.Enqueue(ctx, s)
	return receipt.TaskID, receipt.Status, receipt.Created, err
}

func (r remote) Find(ctx context.Context, key string) (int64, error) {
	run, err := r.Run(ctx, key)
	return run.TaskID, err
}

func (r remote) CancelTask(ctx context.Context, id int64) (bool, error) {
	_, changed, err := r.Cancel(ctx, id)
	return changed, err
}
