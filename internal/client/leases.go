package client

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// Claim returns up to cl.Max leases, waiting up to cl.Wait for the first. The order of what it returns is the server's. When the connection
// breaks the server takes back what it has claimed for nobody, at the latest when the lease ends.
func (c *Client) Claim(ctx context.Context, cl task.Claim) ([]task.Lease, error) {
	o := new(object).add("worker_id", cl.WorkerID).add("types", cl.Types)
	if len(cl.Capabilities) > 0 {
		o.add("capabilities", cl.Capabilities)
	}
	if cl.Strategy != "" {
		o.add("strategy", cl.Strategy)
	}
	if cl.Max != 0 {
		o.add("max", cl.Max)
	}
	addLease(o, cl.Lease)
	body, err := o.add("wait_seconds", cl.Wait.Seconds()).bytes()
	if err != nil {
		return nil, err
	}
	var out struct {
		Tasks []task.Lease `json:"tasks"`
	}
	_, err = c.do(ctx, call{method: http.MethodPost, path: "/api/queue/claim", body: body, wait: cl.Wait}, &out)
	return out.Tasks, err
}

func addLease(o *object, d time.Duration) {
	if d != 0 {
		o.add("lease_seconds", d.Seconds())
	}
}

// held makes a call about a lease; more is what the body holds beside the token.
func (c *Client) held(ctx context.Context, id int64, verb string, more *object, token string, twice bool, out any) (unclear bool, err error) {
	body, err := more.add("lease_token", token).bytes()
	if err != nil {
		return false, err
	}
	return c.do(ctx, call{method: http.MethodPost, path: taskPath(id, verb), body: body, twice: twice}, out)
}

// Start notes that the attempt begins now rather than at the claim.
func (c *Client) Start(ctx context.Context, id int64, token string) (t task.Task, err error) {
	_, err = c.held(ctx, id, "/start", new(object), token, true, &t)
	return t, err
}

// Heartbeat renews the lease and reports progress.
func (c *Client) Heartbeat(ctx context.Context, id int64, token string, b task.Beat) (p task.Pulse, err error) {
	o := new(object).add("progress", b.Progress).add("message", b.Message)
	addLease(o, b.Lease)
	_, err = c.held(ctx, id, "/heartbeat", o, token, true, &p)
	return p, err
}

// Complete ends the task well; a nil result is none.
func (c *Client) Complete(ctx context.Context, id int64, token string, result *task.JSON) (task.Task, error) {
	return c.end(ctx, id, "/complete", new(object).add("result", result), token, task.AttemptSucceeded)
}

// Fail ends the attempt; the task is tried again or ends, as its policy and attempts say.
func (c *Client) Fail(ctx context.Context, id int64, token string, f task.Failure) (task.Task, error) {
	o := new(object).add("error_message", f.Message).add("retry", !f.NoRetry)
	if f.RetryAfter != nil {
		o.add("retry_after_seconds", f.RetryAfter.Seconds())
	}
	wanted := task.AttemptFailed
	if f.NoRetry {
		wanted = task.AttemptRejected
	}
	return c.end(ctx, id, "/fail", o, token, wanted)
}

// Release hands the task back untried: the attempt does not count. It is due again after the duration.
func (c *Client) Release(ctx context.Context, id int64, token string, after time.Duration) (task.Task, error) {
	return c.end(ctx, id, "/release", new(object).add("run_after_seconds", after.Seconds()), token, task.AttemptReleased)
}

// end makes a call that ends the lease. When an earlier try may have ended it, a lost lease is no news: the history says how the
// attempt with this token ended.
func (c *Client) end(ctx context.Context, id int64, verb string, more *object, token string, wanted task.AttemptOutcome) (t task.Task, err error) {
	unclear, err := c.held(ctx, id, verb, more, token, true, &t)
	if !unclear || !errors.Is(err, task.ErrLeaseLost) || !c.ended(ctx, id, token, wanted) {
		return t, err
	}
	return c.Get(ctx, id)
}

func (c *Client) ended(ctx context.Context, id int64, token string, wanted task.AttemptOutcome) bool {
	tok, err := task.ParseToken(token)
	if err != nil {
		return false
	}
	attempts, err := c.Attempts(ctx, id)
	return err == nil && slices.ContainsFunc(attempts, func(a task.Attempt) bool {
		return a.Fence == tok.Fence && a.Outcome != nil && *a.Outcome == wanted
	})
}

// AppendLog adds a line to the log of a task that the token holds: Level, Message and Details are sent.
func (c *Client) AppendLog(ctx context.Context, id int64, token string, l task.Log) (stored task.Log, err error) {
	o := new(object).add("level", l.Level).add("message", l.Message).add("details", l.Details)
	_, err = c.held(ctx, id, "/logs", o, token, false, &stored)
	return stored, err
}
