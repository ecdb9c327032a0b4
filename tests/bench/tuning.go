package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/tests/bench/server"
	"github.com/prismq/thequeue/tests/bench/stat"
)

// A knob is one setting of a caller and what becomes of the rate when it is turned.
type knob struct {
	title string
	steps []int
	rate  func(ctx context.Context, q *queue.Queue, step int, d time.Duration) (float64, error)
}

var knobs = []knob{
	{"tasks in a batch, one producer: tasks stored a second", []int{1, 10, 100, 1000}, batchRate},
	{"`max` of a claim, one worker that completes one by one: tasks a second", []int{1, 10, 100}, claimRate},
	{"callers that enqueue, claim and complete in turn: lives a second", []int{1, 2, 4, 8, 16, 32, 64, 128}, lifeRate},
	{"callers that renew a lease: heartbeats a second", []int{1, 8, 64}, heartbeatRate},
}

// tune turns every knob on both engines and writes a table of each.
func (h *Harness) tune(ctx context.Context, folder string) error {
	var table strings.Builder
	fmt.Fprintf(&table, "Medians of %d rounds at scale `%s`, in process, durable; %s.\n", h.Rounds, h.Scale.Name, h.machine)
	for _, k := range knobs {
		names, values := []string{"SQLite", "PostgreSQL"}, make([][]float64, 2)
		var labels []string
		for _, step := range k.steps {
			labels = append(labels, fmt.Sprint(step))
			rates := make([][]float64, len(names))
			for round := 1; round <= h.Rounds; round++ {
				for i, engine := range []string{"sqlite", "postgres"} {
					v, err := h.turn(ctx, engine, k, step)
					if errors.Is(err, server.ErrMissing) {
						continue
					}
					if err != nil {
						return err
					}
					rates[i] = append(rates[i], v)
					if err := h.add(Measurement{Goal: k.title, Subject: names[i] + " " + fmt.Sprint(step), Round: round, Values: map[string]float64{perSecond: v}}); err != nil {
						return err
					}
				}
			}
			for i := range names {
				values[i] = append(values[i], stat.Median(rates[i]))
			}
		}
		h.say("%s: SQLite %.0f, PostgreSQL %.0f", k.title, values[0], values[1])
		growthTable(&table, k.title, labels, names, values)
	}
	return os.WriteFile(filepath.Join(folder, "tuning.md"), []byte(table.String()), 0o644)
}

// turn measures one step on a store of its own.
func (h *Harness) turn(ctx context.Context, engine string, k knob, step int) (float64, error) {
	s, err := h.newShelf(ctx, engine)
	if err != nil {
		return 0, err
	}
	rate, err := k.rate(ctx, s.Queue, step, time.Duration(h.Seconds*float64(time.Second)))
	return rate, errors.Join(err, s.remove())
}

// inTurn runs do again and again in so many goroutines for d and returns how much of what it counts was done in a second.
func inTurn(callers int, d time.Duration, do func(caller int) (int, error)) (float64, error) {
	var done atomic.Int64
	errs := make([]error, callers)
	begin := time.Now()
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for errs[i] == nil && time.Since(begin) < d {
				var n int
				n, errs[i] = do(i)
				done.Add(int64(n))
			}
		})
	}
	wg.Wait()
	return float64(done.Load()) / time.Since(begin).Seconds(), errors.Join(errs...)
}

func batchRate(ctx context.Context, q *queue.Queue, size int, d time.Duration) (float64, error) {
	specs := make([]task.Spec, size)
	return inTurn(1, d, func(int) (int, error) {
		for i := range specs {
			specs[i] = mail()
		}
		_, _, err := q.EnqueueBatch(ctx, specs)
		return size, err
	})
}

func claimRate(ctx context.Context, q *queue.Queue, most int, d time.Duration) (float64, error) {
	return inTurn(1, d, func(int) (int, error) {
		// A round of 100 is stored and worked; the one call that stores it is a hundredth of the work.
		const round = 100
		specs := make([]task.Spec, round)
		for i := range specs {
			specs[i] = mail()
		}
		if _, _, err := q.EnqueueBatch(ctx, specs); err != nil {
			return 0, err
		}
		for left := round; left > 0; {
			leases, err := q.Claim(ctx, task.Claim{WorkerID: "worker", Max: min(most, left)})
			if err != nil {
				return 0, err
			}
			for _, l := range leases {
				if _, err := q.Complete(ctx, l.ID, l.LeaseToken, nil); err != nil {
					return 0, err
				}
			}
			left -= len(leases)
		}
		return round, nil
	})
}

func lifeRate(ctx context.Context, q *queue.Queue, callers int, d time.Duration) (float64, error) {
	return inTurn(callers, d, func(i int) (int, error) {
		if _, _, err := q.Enqueue(ctx, mail(), queue.MaxAttempts); err != nil {
			return 0, err
		}
		leases, err := q.Claim(ctx, task.Claim{WorkerID: fmt.Sprint("worker-", i)})
		if err != nil {
			return 0, err
		}
		for _, l := range leases {
			if _, err := q.Complete(ctx, l.ID, l.LeaseToken, nil); err != nil {
				return 0, err
			}
		}
		return len(leases), nil
	})
}

func heartbeatRate(ctx context.Context, q *queue.Queue, callers int, d time.Duration) (float64, error) {
	for range callers {
		if _, _, err := q.Enqueue(ctx, mail(), queue.MaxAttempts); err != nil {
			return 0, err
		}
	}
	leases, err := q.Claim(ctx, task.Claim{WorkerID: "worker", Max: callers, Lease: task.MaxLease})
	if err != nil {
		return 0, err
	}
	if len(leases) != callers {
		return 0, fmt.Errorf("claimed %d of %d tasks", len(leases), callers)
	}
	return inTurn(callers, d, func(i int) (int, error) {
		_, err := q.Heartbeat(ctx, leases[i].ID, leases[i].LeaseToken, task.Beat{})
		return 1, err
	})
}
