package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prismq/thequeue/tests/bench/peer"
	"github.com/prismq/thequeue/tests/bench/trial"
)

// job is a trial and what reads its costs.
type job struct {
	trial.Spec
	meter peer.Meter
}

// phase does work on n tasks and returns when all of it has been stored.
type phase func(ctx context.Context, n int) error

// measure runs the work of s on an open, empty queue.
func measure(ctx context.Context, q peer.Queue, s job) (trial.Result, error) {
	switch s.Work {
	case trial.Mixed:
		return working(ctx, q, s.Workers, func(ctx context.Context, done *count) (trial.Result, error) {
			return sized(ctx, s, func(ctx context.Context, n int) error {
				target := done.after(n)
				if err := each(ctx, s.Callers, n, func() error { return q.Enqueue(ctx) }); err != nil {
					return err
				}
				return target.wait(ctx)
			})
		})
	case trial.Life:
		t, ok := q.(peer.Taker)
		if !ok {
			return trial.Result{}, fmt.Errorf("%w: single tasks cannot be taken by a call", errors.ErrUnsupported)
		}
		return sized(ctx, s, func(ctx context.Context, n int) error { return lives(ctx, t, s.Callers, n) })
	case trial.Enqueue:
		return sized(ctx, s, func(ctx context.Context, n int) error {
			return each(ctx, s.Callers, n, func() error { return q.Enqueue(ctx) })
		})
	case trial.Batch:
		return sized(ctx, s, func(ctx context.Context, n int) error {
			for ; n > 0; n -= trial.BatchSize {
				if err := q.EnqueueBatch(ctx, trial.BatchSize); err != nil {
					return err
				}
			}
			return nil
		})
	case trial.Grouped:
		g, ok := q.(peer.Grouper)
		if !ok {
			return trial.Result{}, fmt.Errorf("%w: it does not group", errors.ErrUnsupported)
		}
		return sized(ctx, s, func(ctx context.Context, n int) error {
			return each(ctx, s.Callers, n/trial.GroupSize, func() error { return g.Group(ctx, trial.GroupSize) })
		})
	case trial.Drain:
		return drain(ctx, q, s)
	}
	return trial.Result{}, fmt.Errorf("unknown work %q", s.Work)
}

const (
	pilotTasks = 192 // of the first short run; a multiple of trial.GroupSize
	pilotShare = 0.1 // of the time, for the second
)

// sized runs the phase twice for a short time to learn how many tasks fill s.Seconds, and then measures it with that many.
func sized(ctx context.Context, s job, do phase) (trial.Result, error) {
	n := pilotTasks
	if s.Work == trial.Batch {
		n = trial.BatchSize
	}
	for _, share := range []float64{pilotShare, 1} {
		r, err := s.timed(ctx, limited(n, s), do)
		if err != nil {
			return r, err
		}
		// Never fewer than before: a few tasks measure how long a queue takes to notice the first, which would cost those that poll.
		n = max(n, int(r.PerSecond()*s.Seconds*share))
	}
	return s.timed(ctx, limited(n, s), do)
}

// limited keeps a number of tasks within what the spec allows, and makes it whole batches or groups.
func limited(n int, s job) int {
	least := map[trial.Work]int{trial.Batch: trial.BatchSize, trial.Grouped: trial.GroupSize}[s.Work]
	if least == 0 {
		least = 1
	}
	if s.Tasks > 0 {
		n = min(n, s.Tasks)
	}
	return max(n/least*least, least)
}

func (s job) timed(ctx context.Context, n int, do phase) (trial.Result, error) {
	before, err := s.meter(ctx)
	if err != nil {
		return trial.Result{}, err
	}
	begin, cpu := time.Now(), cpuTime()
	if err := do(ctx, n); err != nil {
		return trial.Result{}, err
	}
	r := trial.Result{Tasks: n, Seconds: time.Since(begin).Seconds(), CPUSeconds: (cpuTime() - cpu).Seconds(), Costs: make(map[string]float64)}
	after, err := s.meter(ctx)
	for name, v := range after {
		r.Costs[name] = (v - before[name]) / float64(n)
	}
	return r, err
}

// each calls do n times in all, by so many callers at once, and returns the first error.
func each(ctx context.Context, callers, n int, do func() error) error {
	var left atomic.Int64
	left.Store(int64(n))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for ctx.Err() == nil && left.Add(-1) >= 0 {
				if err := do(); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// lives has each caller enqueue one task and take one, n in all. A caller may find its task taken by another, whose own is then left.
func lives(ctx context.Context, t peer.Taker, callers, n int) error {
	var worker atomic.Int64
	workers := sync.Pool{New: func() any { return int(worker.Add(1)) }}
	return each(ctx, callers, n, func() error {
		w := workers.Get().(int)
		defer workers.Put(w) //nolint:staticcheck // a small integer is no allocation
		if err := t.Enqueue(ctx); err != nil {
			return err
		}
		for {
			if ok, err := t.Take(ctx, w); ok || err != nil {
				return err
			}
		}
	})
}

// drain fills the queue with s.Tasks tasks and measures how long its workers take to finish them.
func drain(ctx context.Context, q peer.Queue, s job) (trial.Result, error) {
	err := q.EnqueueBatch(ctx, s.Tasks)
	if errors.Is(err, errors.ErrUnsupported) {
		err = each(ctx, s.Callers, s.Tasks, func() error { return q.Enqueue(ctx) })
	}
	if err != nil {
		return trial.Result{}, err
	}
	return s.timed(ctx, s.Tasks, func(ctx context.Context, n int) error {
		_, err := working(ctx, q, s.Workers, func(ctx context.Context, done *count) (trial.Result, error) {
			return trial.Result{}, done.until(n).wait(ctx)
		})
		return err
	})
}

// working runs do while the queue's workers run, and stops them afterwards.
func working(ctx context.Context, q peer.Queue, workers int, do func(ctx context.Context, done *count) (trial.Result, error)) (trial.Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	working, stop := context.WithCancel(ctx)
	defer stop()
	var done count
	ended := make(chan error, 1)
	go func() {
		err := q.Work(working, workers, done.add)
		if err != nil {
			cancel(err)
		}
		ended <- err
	}()
	r, err := do(ctx, &done)
	stop()
	return r, errors.Join(err, <-ended)
}

// count counts finished tasks and tells when a number is reached.
type count struct {
	mu      sync.Mutex
	n       int
	targets []target
}

type target struct {
	at      int
	reached chan struct{}
}

func (c *count) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	c.tell()
}

func (c *count) tell() {
	for len(c.targets) > 0 && c.n >= c.targets[0].at {
		close(c.targets[0].reached)
		c.targets = c.targets[1:]
	}
}

// after returns the target that is reached with the n-th task from now.
func (c *count) after(n int) target {
	c.mu.Lock()
	at := c.n + n
	c.mu.Unlock()
	return c.until(at)
}

// until returns the target that is reached with the n-th task of all. Targets must grow.
func (c *count) until(n int) target {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := target{at: n, reached: make(chan struct{})}
	c.targets = append(c.targets, t)
	c.tell()
	return t
}

func (t target) wait(ctx context.Context) error {
	select {
	case <-t.reached:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
