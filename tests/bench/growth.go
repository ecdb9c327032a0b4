package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/tests/bench/stat"
)

// growthTime is how long claims are watched in one round of one strategy, as a share of a trial.
const growthTime = 0.5

// grown is P4: claims among many queued and as many completed tasks, against few.
func grown(ctx context.Context, h *Harness) error {
	large, err := h.openShelf(ctx, "many")
	if err != nil {
		return err
	}
	if err = large.fill(ctx, h.Many); err == nil {
		err = h.watchClaims(ctx, "P4", large, func(s *shelf) error { return s.fill(ctx, h.Few) })
	}
	return errors.Join(err, large.close())
}

// hidden is P5: claims behind many tasks that this worker may not take, against none of them.
func hidden(ctx context.Context, h *Harness) error {
	large, err := h.openShelf(ctx, "behind")
	if err != nil {
		return err
	}
	few := func(s *shelf) error { return s.put(ctx, h.Few, mail) }
	if err = errors.Join(large.hide(ctx, h.Many), few(large)); err == nil {
		err = h.watchClaims(ctx, "P5", large, few)
	}
	return errors.Join(err, large.close())
}

// watchClaims measures the large store and small ones in alternating rounds, by each strategy and for 8 and 64 callers. What is measured leaves completed
// tasks, so every round has a small store of its own.
func (h *Harness) watchClaims(ctx context.Context, goal string, large *shelf, fill func(*shelf) error) error {
	for _, strategy := range task.Strategies {
		for _, callers := range []int{8, 64} {
			row := fmt.Sprintf("%s/%d", strategy, callers)
			for round := 1; round <= h.Rounds; round++ {
				small, err := h.openShelf(ctx, fmt.Sprintf("%s-%s-%d-%d", goal, strategy, callers, round))
				if err != nil {
					return err
				}
				if err = fill(small); err == nil {
					err = h.watchRound(ctx, goal, row, round, strategy, callers, map[string]*shelf{"few": small, "many": large})
				}
				if err := errors.Join(err, small.close(), small.remove()); err != nil {
					return err
				}
			}
			h.judge(goal, row, stat.Ratios(h.values(goal, row+" many", "claim_p95_ms"), h.values(goal, row+" few", "claim_p95_ms")))
		}
	}
	return nil
}

// watchRound is one round of one row. It notes how many tasks each store held when it began.
func (h *Harness) watchRound(ctx context.Context, goal, row string, round int, strategy task.Strategy, callers int, shelves map[string]*shelf) error {
	d := time.Duration(growthTime * h.Seconds * float64(time.Second))
	for _, name := range inOrder([]string{"few", "many"}, round) {
		before, err := shelves[name].Stats(ctx)
		if err != nil {
			return err
		}
		l, err := shelves[name].live(ctx, strategy, callers, d)
		if err != nil {
			return err
		}
		values := l.values()
		values["tasks"] = float64(before.TotalTasks)
		if err := h.add(Measurement{Goal: goal, Subject: row + " " + name, Round: round, Values: values}); err != nil {
			return err
		}
	}
	return nil
}

// values are the percentiles in milliseconds, and the rate.
func (l *latencies) values() map[string]float64 {
	return map[string]float64{
		"claim_p50_ms": ms(stat.Percentile(l.claims, 50)), "claim_p95_ms": ms(stat.Percentile(l.claims, 95)),
		"claim_p99_ms": ms(stat.Percentile(l.claims, 99)), "enqueue_p95_ms": ms(stat.Percentile(l.enqueue, 95)),
		"lives/s": float64(l.lives) / l.took.Seconds(),
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// needShelf makes the file of that name with n queued and n completed tasks, unless an earlier workload has left it.
func (h *Harness) needShelf(ctx context.Context, name string, n int) error {
	s, err := h.openShelf(ctx, name)
	if err != nil {
		return err
	}
	stats, err := s.Stats(ctx)
	if err == nil && stats.TotalTasks == 0 {
		err = s.fill(ctx, n)
	}
	return errors.Join(err, s.close())
}
