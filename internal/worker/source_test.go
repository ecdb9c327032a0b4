package worker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/worker"
)

// script is a source that answers as told and writes down when it was asked what. It serves the tests of the engine's timing, which
// run inside a synctest bubble; what a queue really answers is the matter of the tests against one.
type script struct {
	leases []task.Lease                             // handed out one by one; then claims wait
	claim  func(ctx context.Context, n int) error   // what the n-th claim returns, counted from 1, if not nil
	beat   func(n int) (task.Pulse, error)          // the answer to the n-th heartbeat; nil: renewed
	report func(verb string, n int) error           // the answer to the n-th of this verb; nil: taken
	watch  func(id int64) (<-chan struct{}, func()) // nil: no watch

	mu    sync.Mutex
	start time.Time
	count map[string]int
	said  []string // "20s heartbeat 7", in order, without claims
	beats []task.Beat
}

func newScript(leases ...task.Lease) *script {
	return &script{leases: leases, start: time.Now(), count: map[string]int{}}
}

func lease(id int64, taskType string) task.Lease {
	return task.Lease{Task: task.Task{ID: id, Type: taskType, Payload: "{}", Attempts: 1, MaxAttempts: 5, Fence: 1}, LeaseToken: fmt.Sprintf("1.%d", id)}
}

// note counts a call and writes it down.
func (s *script) note(verb string, id int64, text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count[verb]++
	if verb != "claim" {
		s.said = append(s.said, fmt.Sprintf("%v %s %d%s", time.Since(s.start), verb, id, text))
	}
	return s.count[verb]
}

func (s *script) Claim(ctx context.Context, c task.Claim) ([]task.Lease, error) {
	n := s.note("claim", 0, "")
	if s.claim != nil {
		if err := s.claim(ctx, n); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	if len(s.leases) > 0 {
		l := s.leases[0]
		s.leases = s.leases[1:]
		s.mu.Unlock()
		return []task.Lease{l}, nil
	}
	s.mu.Unlock()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(c.Wait):
		return nil, nil
	}
}

func (s *script) Heartbeat(_ context.Context, id int64, _ string, b task.Beat) (task.Pulse, error) {
	n := s.note("heartbeat", id, "")
	s.mu.Lock()
	s.beats = append(s.beats, b)
	s.mu.Unlock()
	if s.beat == nil {
		return task.Pulse{}, nil
	}
	return s.beat(n)
}

func (s *script) answer(verb string, id int64, text string) (task.Task, error) {
	n := s.note(verb, id, text)
	if s.report == nil {
		return task.Task{}, nil
	}
	return task.Task{}, s.report(verb, n)
}

func (s *script) Complete(_ context.Context, id int64, _ string, result *task.JSON) (task.Task, error) {
	if result == nil {
		return s.answer("complete", id, "")
	}
	return s.answer("complete", id, " "+string(*result))
}

func (s *script) Fail(_ context.Context, id int64, _ string, f task.Failure) (task.Task, error) {
	text := ": " + f.Message
	if f.NoRetry {
		text = " for good" + text
	}
	if f.RetryAfter != nil {
		text = fmt.Sprintf(" until %v later%s", *f.RetryAfter, text)
	}
	return s.answer("fail", id, text)
}

func (s *script) Release(_ context.Context, id int64, _ string, after time.Duration) (task.Task, error) {
	return s.answer("release", id, fmt.Sprintf(" for %v", after))
}

// watched is a script that also tells of ended tasks at once.
type watched struct{ *script }

func (s watched) Watch(id int64) (<-chan struct{}, func()) { return s.watch(id) }

// do is a handler of a few lines.
type do = func(ctx context.Context, a *worker.Attempt) (*task.JSON, error)

// wait is a handler that takes d, or returns why it could not.
func wait(d time.Duration) do {
	return func(ctx context.Context, _ *worker.Attempt) (*task.JSON, error) {
		select {
		case <-time.After(d):
			return nil, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// bubble runs the test in synthetic time.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}

// runFor runs a worker of one slot for the time given, tells it to stop, and returns how long it took to.
func runFor(t *testing.T, d time.Duration, src task.Source, o worker.Options, handle do) time.Duration {
	t.Helper()
	o.ID, o.Count = "w", 1
	if o.Handlers == nil {
		o.Handlers = map[string]worker.Handler{"job": worker.HandlerFunc(handle)}
	}
	w, err := worker.New(src, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	start := time.Now()
	if err := w.Run(ctx); err != nil {
		t.Fatalf("Run: %v", err)
	}
	return time.Since(start) - d
}

func attempt(payload task.JSON) *worker.Attempt {
	l := lease(42, "job")
	l.Payload, l.Fence, l.Attempts = payload, 7, 3
	return &worker.Attempt{Lease: l}
}

func text(j *task.JSON) string {
	if j == nil {
		return "none"
	}
	return string(*j)
}
