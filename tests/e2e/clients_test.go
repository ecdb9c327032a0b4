package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"
)

// client makes requests of one server, wherever it is just now, until they are answered, and records what it sees.
type client struct {
	t    *testing.T
	rec  *recorder
	base func() string
}

// ask makes one request and reports whether the server did what was asked or refused it for good; otherwise it is worth another try.
func (c client) ask(ctx context.Context, path string, body object, into any) (status int, answered bool) {
	a, err := send(ctx, "POST", c.base()+"/api/queue"+path, body)
	switch {
	case err != nil:
		c.rec.unanswered.Add(1)
		pause(ctx, 5*time.Millisecond) // the server may be down
		return 0, false
	case a.status == http.StatusServiceUnavailable:
		pause(ctx, 5*time.Millisecond)
		return 0, false
	case a.status >= 300:
		return a.status, true
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		c.t.Errorf("%s: %v: %s", path, err, a.body)
	}
	return a.status, true
}

// pause waits unless ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// enqueue sends a task under its key until it is acknowledged.
func (c client) enqueue(ctx context.Context, taskType, key string) {
	c.rec.note(func(h *history) { h.tried[key] = true })
	body := object{"type": taskType, "payload": object{"key": key}, "idempotency_key": key, "max_attempts": 10}
	for ctx.Err() == nil {
		var got view
		status, answered := c.ask(ctx, "/enqueue", body, &got)
		switch {
		case status == http.StatusCreated:
			c.rec.note(func(h *history) { h.acks = append(h.acks, ack{key, got.TaskID}) })
			return
		case answered:
			c.t.Errorf("enqueue %s: status %d", key, status)
			return
		}
	}
}

// claim asks for up to max tasks of the type, under leases of a second.
func (c client) claim(ctx context.Context, worker, taskType string, max int) []lease {
	sent := c.rec.counter.Add(1)
	var got struct{ Tasks []view }
	status, answered := c.ask(ctx, "/claim", object{"worker_id": worker, "types": []string{taskType}, "max": max, "lease_seconds": 1, "wait_seconds": 0.2}, &got)
	if answered && status != http.StatusOK {
		c.t.Errorf("claim: status %d", status)
	}
	leases := make([]lease, len(got.Tasks))
	for i, v := range got.Tasks {
		leases[i] = lease{v.TaskID, v.Fence, v.LeaseToken, sent, c.rec.counter.Add(1)}
	}
	c.rec.note(func(h *history) { h.claims = append(h.claims, leases...) })
	return leases
}

// complete reports the end of a task until the server takes or refuses it.
func (c client) complete(ctx context.Context, l lease) {
	sent := c.rec.counter.Add(1)
	for ctx.Err() == nil {
		status, answered := c.ask(ctx, fmt.Sprintf("/tasks/%d/complete", l.id), object{"lease_token": l.token}, new(view))
		switch {
		case status == http.StatusOK:
			c.rec.note(func(h *history) { h.completions = append(h.completions, completion{l, sent}) })
			return
		case status == http.StatusConflict:
			c.rec.refused.Add(1)
			return
		case answered:
			c.t.Errorf("complete task %d: status %d", l.id, status)
			return
		}
	}
}

// work claims and completes tasks until ctx ends. Now and then it hangs over one, as r says, and reports its end when the lease is over.
func (c client) work(ctx context.Context, worker, taskType string, r *rand.Rand) {
	type hung struct {
		lease
		until <-chan time.Time
	}
	var hanging []hung
	for ctx.Err() == nil {
		for _, l := range c.claim(ctx, worker, taskType, 1+r.IntN(5)) {
			if r.IntN(40) == 0 {
				hanging = append(hanging, hung{l, time.After(1500 * time.Millisecond)})
			} else {
				c.complete(ctx, l)
			}
		}
		for len(hanging) > 0 {
			select {
			case <-hanging[0].until:
				c.complete(ctx, hanging[0].lease)
				hanging = hanging[1:]
				continue
			default:
			}
			break
		}
	}
}
