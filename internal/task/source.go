package task

import (
	"context"
	"time"
)

// Source is where a worker gets its tasks and reports on them. *queue.Queue is one in the same process, *client.Client is one over
// HTTP: the engine is the same. Errors are those of this package.
type Source interface {
	// Claim returns up to c.Max leases, waiting up to c.Wait for the first. Empty when there was none.
	Claim(ctx context.Context, c Claim) ([]Lease, error)
	// Heartbeat renews the lease. ErrLeaseLost: stop, somebody else may have the task.
	Heartbeat(ctx context.Context, id int64, token string, b Beat) (Pulse, error)
	// Complete ends the task well; a nil result is none.
	Complete(ctx context.Context, id int64, token string, result *JSON) (Task, error)
	// Fail ends the attempt; the task is tried again or ends, as its policy and attempts say.
	Fail(ctx context.Context, id int64, token string, f Failure) (Task, error)
	// Release hands the task back untried: the attempt does not count. It is due again after the duration.
	Release(ctx context.Context, id int64, token string, after time.Duration) (Task, error)
}
