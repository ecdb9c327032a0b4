package client

import (
	"context"
	"errors"
	"net/http"

	"github.com/prismq/thequeue/internal/task"
)

const failuresPath = "/api/queue/failures"

func failurePath(id string) string { return failuresPath + "/" + segment(id) }

// Failures returns up to limit groups of failures (0: 100, at most 1,000), those first that were seen last; only of those reasons for which tasks of the type have failed, unless it is
// empty.
func (c *Client) Failures(ctx context.Context, taskType string, limit int) (fs []task.FailureStatus, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: failuresPath + query("type", taskType, "limit", number(int64(limit))), twice: true}, &fs)
	return fs, err
}

// Failure returns one group of failures.
func (c *Client) Failure(ctx context.Context, id string) (f task.FailureStatus, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: failurePath(id), twice: true}, &f)
	return f, err
}

// RequeueFailure starts the operation that queues the tasks of a group again that are failed. It is not tried again when the connection breaks: ListOperations tells whether it has begun.
func (c *Client) RequeueFailure(ctx context.Context, id string) (o task.Operation, err error) {
	_, err = c.do(ctx, call{method: http.MethodPost, path: failurePath(id) + "/requeue"}, &o)
	return o, err
}

// DismissFailure forgets a group until it happens again; its tasks are not touched.
func (c *Client) DismissFailure(ctx context.Context, id string) error {
	unclear, err := c.do(ctx, call{method: http.MethodPost, path: failurePath(id) + "/dismiss", twice: true}, nil)
	if unclear && errors.Is(err, task.ErrNotFound) {
		return nil
	}
	return err
}
