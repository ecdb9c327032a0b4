package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// Receipt is what a producer learns of a task that it has enqueued.
type Receipt struct {
	TaskID       int64       `json:"task_id"`
	Status       task.Status `json:"status"`
	CreatedAtUTC time.Time   `json:"created_at_utc"`
	Created      bool        `json:"created"` // false: the key was known, be it by a try before; this is the task that has it
}

// Enqueue stores one task, with up to 100 attempts allowed. A spec without an idempotency key is given a random one, so that a call
// that is tried again after a broken connection cannot make twins; the task keeps it.
func (c *Client) Enqueue(ctx context.Context, s task.Spec) (Receipt, error) {
	receipts, err := c.EnqueueBatch(ctx, []task.Spec{s})
	if bad, ok := errors.AsType[*task.InvalidError](err); ok {
		for i, f := range bad.Fields {
			bad.Fields[i].Field = strings.TrimPrefix(f.Field, "tasks[0].")
		}
	}
	if err != nil {
		return Receipt{}, err
	}
	return receipts[0], nil
}

// EnqueueBatch stores 1 to 1,000 tasks, all or none, and answers in their order. Each spec without an idempotency key is given a random
// one, as by Enqueue. The fields of an *task.InvalidError name the element: tasks[3].priority.
func (c *Client) EnqueueBatch(ctx context.Context, specs []task.Spec) ([]Receipt, error) {
	body, err := encodeBatch(specs)
	if err != nil {
		return nil, err
	}
	var out struct {
		Tasks []Receipt `json:"tasks"`
	}
	if _, err := c.do(ctx, call{method: http.MethodPost, path: "/api/queue/enqueue/batch", body: body, twice: true}, &out); err != nil {
		return nil, err
	}
	if len(out.Tasks) != len(specs) {
		return nil, fmt.Errorf("the server answered with %d tasks to a batch of %d", len(out.Tasks), len(specs))
	}
	for i, s := range specs {
		if s.IdempotencyKey == nil {
			out.Tasks[i].Created = true // by this try or the one before: nobody else knows the key
		}
	}
	return out.Tasks, nil
}

func taskPath(id int64, call string) string {
	return "/api/queue/tasks/" + strconv.FormatInt(id, 10) + call
}

// Get returns the task with this id.
func (c *Client) Get(ctx context.Context, id int64) (t task.Task, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: taskPath(id, ""), twice: true}, &t)
	return t, err
}

// List returns up to f.Limit tasks (0: 100, at most 1,000), newest first. The next page has the last id in f.Before.
// It asks again when the server has ended a page early, because its tasks are long or few match.
func (c *Client) List(ctx context.Context, f task.Filter) (ts []task.Task, err error) {
	if f.Limit == 0 {
		f.Limit = 100
	}
	cursor := number(f.Before)
	for {
		var page []task.Task
		q := query("status", string(f.Status), "type", f.Type, "filter", f.Match.String(), "cursor", cursor, "limit", number(int64(f.Limit-len(ts))))
		if _, err := c.do(ctx, call{method: http.MethodGet, path: "/api/queue/tasks" + q, twice: true, cursor: &cursor}, &page); err != nil {
			return nil, err
		}
		if ts = append(ts, page...); cursor == "" || len(ts) >= f.Limit {
			return ts, nil
		}
	}
}

// query makes the query part of an address from names and values; those without a value are left out.
func query(pairs ...string) string {
	q := url.Values{}
	for p := range slices.Chunk(pairs, 2) {
		if p[1] != "" {
			q.Set(p[0], p[1])
		}
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// Cancel ends a queued or processing task. It returns the status that the task has now; changed is false when it was ended already, be it
// by a first try of this very call.
func (c *Client) Cancel(ctx context.Context, id int64) (now task.Status, changed bool, err error) {
	var out struct {
		Status  task.Status `json:"status"`
		Message string      `json:"message"`
	}
	_, err = c.do(ctx, call{method: http.MethodPost, path: taskPath(id, "/cancel"), twice: true}, &out)
	return out.Status, out.Message == "Task cancelled successfully", err
}

// Requeue gives a failed task all its attempts again.
func (c *Client) Requeue(ctx context.Context, id int64) (t task.Task, err error) {
	_, err = c.do(ctx, call{method: http.MethodPost, path: taskPath(id, "/requeue")}, &t)
	return t, err
}

// Delete removes an ended task with its log and history.
func (c *Client) Delete(ctx context.Context, id int64) error {
	unclear, err := c.do(ctx, call{method: http.MethodDelete, path: taskPath(id, ""), twice: true}, nil)
	if unclear && errors.Is(err, task.ErrNotFound) {
		return nil
	}
	return err
}

// Attempts returns the attempts of a task, oldest first, the one that runs now last.
func (c *Client) Attempts(ctx context.Context, id int64) (as []task.Attempt, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: taskPath(id, "/attempts"), twice: true}, &as)
	return as, err
}

// Explain tells why a task does not run, in the order in which the causes must be dealt with, or what has become of it.
func (c *Client) Explain(ctx context.Context, id int64) (e task.Explanation, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: taskPath(id, "/explain"), twice: true}, &e)
	return e, err
}

// Stranded returns what no live worker may take, and why, by priority.
func (c *Client) Stranded(ctx context.Context) (lanes []task.Stranded, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: "/api/queue/stranded", twice: true}, &lanes)
	return lanes, err
}

// Logs returns up to f.Limit lines (0: 100, at most 1,000) of the log of a task, oldest first.
func (c *Client) Logs(ctx context.Context, f task.LogFilter) (ls []task.Log, err error) {
	q := query("after", number(f.After), "level", string(f.Level), "limit", number(int64(f.Limit)))
	_, err = c.do(ctx, call{method: http.MethodGet, path: taskPath(f.TaskID, "/logs") + q, twice: true}, &ls)
	return ls, err
}

// RecentLogs returns up to f.Limit lines (0: 100) of all tasks, newest first, of those that are stored. It asks again when the server has ended a page early.
func (c *Client) RecentLogs(ctx context.Context, f task.RecentLogFilter) (ls []task.RecentLog, err error) {
	if f.Limit == 0 {
		f.Limit = 100
	}
	cursor := ""
	if f.Before != (task.LogPlace{}) {
		cursor = fmt.Sprintf("%d.%d", f.Before.LogID, f.Before.TaskID)
	}
	for {
		var page []task.RecentLog
		q := query("level", string(f.Level), "since", instant(f.Since), "until", instant(f.Until), "task", number(f.TaskID), "type", f.Type, "q", f.Word,
			"cursor", cursor, "limit", number(int64(min(f.Limit-len(ls), 1000))))
		if _, err := c.do(ctx, call{method: http.MethodGet, path: "/api/queue/logs" + q, twice: true, cursor: &cursor}, &page); err != nil {
			return nil, err
		}
		if ls = append(ls, page...); cursor == "" || len(ls) >= f.Limit {
			return ls, nil
		}
	}
}

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// DeleteLogs deletes stored lines of all tasks from before an instant, or counts them where dryRun says so. It is to be called again while the answer says that there are more.
func (c *Client) DeleteLogs(ctx context.Context, before time.Time, dryRun bool) (d task.DeletedLogs, err error) {
	dry := ""
	if dryRun {
		dry = "true"
	}
	_, err = c.do(ctx, call{method: http.MethodDelete, path: "/api/queue/logs" + query("before", instant(before), "dry_run", dry), twice: true}, &d)
	return d, err
}

// Stats counts the tasks.
func (c *Client) Stats(ctx context.Context) (s task.Stats, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: "/api/queue/stats", twice: true}, &s)
	return s, err
}

// Ready returns nil when the server can take requests.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/readyz", twice: true}, nil)
	return err
}
