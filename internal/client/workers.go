package client

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

func workerPath(workerID string) string { return "/api/queue/workers/" + segment(workerID) }

// Workers returns the registry, ordered by id, with what each does.
func (c *Client) Workers(ctx context.Context) (ws []task.WorkerStatus, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: "/api/queue/workers", twice: true}, &ws)
	return ws, err
}

// Worker returns one worker with the first of the tasks that it holds.
func (c *Client) Worker(ctx context.Context, workerID string) (w task.WorkerStatus, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: workerPath(workerID), twice: true}, &w)
	return w, err
}

// WorkerHeartbeat registers a worker or renews its entry; nil capabilities and types stay as they are. Of the answer only Drain is set.
func (c *Client) WorkerHeartbeat(ctx context.Context, workerID string, capabilities *task.JSON, types []string) (p task.Pulse, err error) {
	body, err := new(object).add("capabilities", capabilities).add("types", types).bytes()
	if err != nil {
		return p, err
	}
	_, err = c.do(ctx, call{method: http.MethodPost, path: workerPath(workerID) + "/heartbeat", body: body, twice: true}, &p)
	return p, err
}

// DrainWorker has a worker take nothing new.
func (c *Client) DrainWorker(ctx context.Context, workerID string) (w task.Worker, err error) {
	_, err = c.do(ctx, call{method: http.MethodPost, path: workerPath(workerID) + "/drain", twice: true}, &w)
	return w, err
}

// ResumeWorker lets it take tasks again.
func (c *Client) ResumeWorker(ctx context.Context, workerID string) (w task.Worker, err error) {
	_, err = c.do(ctx, call{method: http.MethodPost, path: workerPath(workerID) + "/resume", twice: true}, &w)
	return w, err
}

// DeleteWorker removes a worker from the registry; tasks that it holds are not touched.
func (c *Client) DeleteWorker(ctx context.Context, workerID string) error {
	unclear, err := c.do(ctx, call{method: http.MethodDelete, path: workerPath(workerID), twice: true}, nil)
	if unclear && errors.Is(err, task.ErrNotFound) {
		return nil
	}
	return err
}

// ReclaimWorker takes the tasks of a worker back at once, and returns their ids.
func (c *Client) ReclaimWorker(ctx context.Context, workerID string) ([]int64, error) {
	var out struct {
		TaskIDs []int64 `json:"task_ids"`
	}
	_, err := c.do(ctx, call{method: http.MethodPost, path: workerPath(workerID) + "/reclaim", twice: true}, &out)
	return out.TaskIDs, err
}

// CleanWorkers removes the workers that were not heard for silent, 0 standing for five minutes; those that hold tasks are kept unless forced.
func (c *Client) CleanWorkers(ctx context.Context, silent time.Duration, force bool) (out task.Cleaned, err error) {
	body, err := new(object).add("older_than_seconds", silent.Seconds()).add("force", force).bytes()
	if err != nil {
		return out, err
	}
	_, err = c.do(ctx, call{method: http.MethodPost, path: "/api/queue/workers/cleanup", body: body, twice: true}, &out)
	return out, err
}
