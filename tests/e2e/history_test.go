package e2e

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// A history is what clients saw: every request that was answered, with the order of the requests where it matters. The numbers sent and
// answered come from one counter, so that one answer came before another request exactly if its number is smaller.
type history struct {
	tried       map[string]bool // keys of all tasks that somebody tried to enqueue
	acks        []ack
	claims      []lease
	completions []completion // those that the server took
}

// ack is an answer to an enqueue.
type ack struct {
	key string
	id  int64
}

// lease is a task in the answer to a claim.
type lease struct {
	id, fence      int64
	token          string
	sent, answered int64
}

// completion was taken under a lease.
type completion struct {
	lease
	sent int64
}

// violations compares what clients saw with what is in the store when all work is done, and returns everything that must not be.
func (h history) violations(stored []view, s stats) []string {
	c := checker{h: h, byID: map[int64]view{}, acked: map[string]int64{}, completed: map[int64]completion{}}
	c.keys(stored)
	c.lostAcks()
	c.leases()
	c.tokens()
	c.ends(stored)
	c.counts(stored, s)
	return c.found
}

type checker struct {
	h         history
	byID      map[int64]view
	acked     map[string]int64
	completed map[int64]completion // by task
	found     []string
}

func (c *checker) complain(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

// keys demands that each key has one task, and that nobody's task is not there.
func (c *checker) keys(stored []view) {
	byKey := map[string]int64{}
	for _, v := range stored {
		if first, twice := byKey[v.IdempotencyKey]; twice {
			c.complain("twin: key %s has the tasks %d and %d", v.IdempotencyKey, first, v.TaskID)
		}
		if !c.h.tried[v.IdempotencyKey] {
			c.complain("stranger: nobody has sent task %d with key %q", v.TaskID, v.IdempotencyKey)
		}
		byKey[v.IdempotencyKey], c.byID[v.TaskID] = v.TaskID, v
	}
}

// lostAcks demands that every task that was acknowledged is there, under its key.
func (c *checker) lostAcks() {
	for _, a := range c.h.acks {
		if v, ok := c.byID[a.id]; !ok || v.IdempotencyKey != a.key {
			c.complain("lost: task %d with key %s was acknowledged and is not there", a.id, a.key)
		}
		if first, ok := c.acked[a.key]; ok && first != a.id {
			c.complain("two answers: key %s was acknowledged as task %d and as %d", a.key, first, a.id)
		}
		c.acked[a.key] = a.id
	}
}

// leases demands that no claim was answered with a lease that another claim got, and that fences grow. The leases of one claim may have one
// token, since a token counts for its task alone.
func (c *checker) leases() {
	type place struct{ id, fence int64 }
	given, tokens := map[place]bool{}, map[string]int64{}
	newest := map[int64]lease{}
	for _, l := range c.h.claims {
		if given[place{l.id, l.fence}] {
			c.complain("double lease: task %d was given twice under fence %d", l.id, l.fence)
		}
		if sent, known := tokens[l.token]; known && sent != l.sent {
			c.complain("known token: task %d was given under the token of another claim", l.id)
		}
		given[place{l.id, l.fence}], tokens[l.token] = true, l.sent
		if before, ok := newest[l.id]; ok && before.answered < l.sent && before.fence >= l.fence {
			c.complain("fence: task %d was given under fence %d and later under %d", l.id, before.fence, l.fence)
		}
		if l.fence >= newest[l.id].fence {
			newest[l.id] = l
		}
	}
}

// tokens demands that a task was completed once, and never under a lease that was over.
func (c *checker) tokens() {
	for _, done := range c.h.completions {
		if first, twice := c.completed[done.id]; twice {
			c.complain("two ends: task %d was completed under the fences %d and %d", done.id, first.fence, done.fence)
		}
		c.completed[done.id] = done
	}
	for _, l := range c.h.claims {
		if done, ok := c.completed[l.id]; ok && l.fence > done.fence && l.answered < done.sent {
			c.complain("stale: task %d was completed under fence %d after fence %d had been given", l.id, done.fence, l.fence)
		}
	}
}

// ends demands that all tasks are completed, each under the fence under which the server took it.
func (c *checker) ends(stored []view) {
	for _, v := range stored {
		if v.Status != "completed" || v.Outcome != "succeeded" {
			c.complain("not done: task %d is %s after %d attempts: %s", v.TaskID, v.Status, v.Attempts, v.ErrorMessage)
		}
		if done, ok := c.completed[v.TaskID]; ok && v.Fence != done.fence {
			c.complain("undone: task %d was completed under fence %d and has %d", v.TaskID, done.fence, v.Fence)
		}
	}
}

// counts demands that the counts of the server are those of its tasks.
func (c *checker) counts(stored []view, s stats) {
	var want stats
	for _, v := range stored {
		want.Total++
		switch v.Status {
		case "queued":
			want.Queued++
		case "processing":
			want.Processing++
		case "completed":
			want.Completed++
		case "failed":
			want.Failed++
		}
	}
	if s != want {
		c.complain("counts: the server counts %+v, there are %+v", s, want)
	}
}

// recorder gathers a history from many clients.
type recorder struct {
	counter    atomic.Int64
	unanswered atomic.Int64 // requests
	refused    atomic.Int64 // completions, since the lease was over
	mu         sync.Mutex
	history    history
}

// note adds to the history.
func (r *recorder) note(add func(h *history)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add(&r.history)
}
