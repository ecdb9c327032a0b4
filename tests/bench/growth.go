package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/tests/bench/server"
	"github.com/prismq/thequeue/tests/bench/stat"
)

// growthTime is how long claims are watched in one round of one strategy, as a share of a trial.
const growthTime = 0.5

// coldTime is how long a store is used before it is measured: the first calls open connections and plan their statements, which those on the large store have done.
const coldTime = 300 * time.Millisecond

// grown is P4: claims among many queued and as many completed tasks, against few.
func grown(ctx context.Context, h *Harness) error {
	return h.watchEngines(ctx, growthWatch{
		goal: "P4",
		many: func(s *shelf) error { return s.fill(ctx, h.Many) },
		few:  func(s *shelf) error { return s.fill(ctx, h.Few) },
	})
}

// hidden is P5: claims behind many tasks that this worker may not take, against none of them. What lifo is to find lies behind new ones in each round, and
// nothing newer comes meanwhile.
func hidden(ctx context.Context, h *Harness) error {
	few := func(s *shelf) error { return s.put(ctx, h.Few, mail) }
	pile := int(pileRate * growthTime * h.Seconds)
	return h.watchEngines(ctx, growthWatch{
		goal: "P5",
		many: func(s *shelf) error { return errors.Join(s.hide(ctx, h.Many), few(s)) },
		few:  few,
		newest: func(s *shelf, isLarge bool) error {
			err := s.put(ctx, pile, mail)
			if isLarge {
				err = errors.Join(err, s.hide(ctx, h.Many/10))
			}
			return err
		},
	})
}

// pileRate is more than the tasks that are taken in a second where nothing is enqueued meanwhile.
const pileRate = 40_000

// growthWatch is how the stores of P4 and P5 are filled.
type growthWatch struct {
	goal      string
	many, few func(*shelf) error
	newest    func(s *shelf, isLarge bool) error // before each round of lifo, which then only claims and completes; nil: it is as the others
}

// watchEngines watches claims on both engines.
func (h *Harness) watchEngines(ctx context.Context, w growthWatch) error {
	for _, engine := range []string{"sqlite", "postgres"} {
		large, err := h.newShelf(ctx, engine)
		if errors.Is(err, server.ErrMissing) {
			h.unmeasured(w.goal, engine, err)
			continue
		}
		if err != nil {
			return err
		}
		if err = errors.Join(w.many(large), h.settled(ctx, large)); err == nil {
			_, err = large.live(ctx, task.FIFO, 64, coldTime)
		}
		if err == nil {
			err = h.watchClaims(ctx, w, engine, large)
		}
		if err := errors.Join(err, large.remove()); err != nil {
			return err
		}
	}
	return nil
}

// unmeasured leaves the rows of an engine that is not installed without a verdict.
func (h *Harness) unmeasured(goal, engine string, err error) {
	h.say("%s: %v", goal, err)
	for _, strategy := range task.Strategies {
		for _, callers := range h.crowds(engine) {
			h.judge(goal, growthRow(engine, strategy, callers), nil)
		}
	}
}

// crowds are the numbers of callers that are watched: on PostgreSQL only a long run has 8 too.
func (h *Harness) crowds(engine string) []int {
	if engine == "postgres" && !h.Long {
		return []int{64}
	}
	return []int{8, 64}
}

// settled leaves a store that has just been filled as it is found later: on PostgreSQL what a filling has left dead is removed by a vacuum, and all of it is on the disk.
func (h *Harness) settled(ctx context.Context, s *shelf) error {
	if !strings.HasPrefix(s.database, "postgres://") {
		syscall.Sync()
		return nil
	}
	err := h.postgres.Vacuum(ctx, s.database)
	syscall.Sync()
	return err
}

// growthRow is the name of a row of P4 or P5; what names no engine is SQLite's.
func growthRow(engine string, strategy task.Strategy, callers int) string {
	row := fmt.Sprintf("%s/%d", strategy, callers)
	if engine == "postgres" {
		row = "postgres-" + row
	}
	return row
}

// watchClaims measures the large store and small ones in alternating rounds, by each strategy and for 8 and 64 callers. What is measured leaves completed
// tasks, so every round has a small store of its own.
func (h *Harness) watchClaims(ctx context.Context, w growthWatch, engine string, large *shelf) error {
	for _, strategy := range task.Strategies {
		for _, callers := range h.crowds(engine) {
			for round := 1; round <= h.Rounds; round++ {
				small, err := h.newShelf(ctx, engine)
				if err != nil {
					return err
				}
				if err = errors.Join(w.few(small), h.settled(ctx, small)); err == nil {
					_, err = small.live(ctx, strategy, callers, coldTime)
				}
				if err == nil {
					err = h.watchRound(ctx, w, growthRow(engine, strategy, callers), round, strategy, callers, map[string]*shelf{"few": small, "many": large})
				}
				if err := errors.Join(err, small.remove()); err != nil {
					return err
				}
			}
			row := growthRow(engine, strategy, callers)
			h.judge(w.goal, row, stat.Ratios(h.values(w.goal, row+" many", "claim_p95_ms"), h.values(w.goal, row+" few", "claim_p95_ms")))
		}
	}
	return nil
}

// watchRound is one round of one row. It notes how many tasks each store held when it began.
func (h *Harness) watchRound(ctx context.Context, w growthWatch, row string, round int, strategy task.Strategy, callers int, shelves map[string]*shelf) error {
	goal, d := w.goal, time.Duration(growthTime*h.Seconds*float64(time.Second))
	onPile := w.newest != nil && strategy == task.LIFO
	for _, name := range inOrder([]string{"few", "many"}, round) {
		if onPile {
			if err := w.newest(shelves[name], name == "many"); err != nil {
				return err
			}
		}
		before, err := shelves[name].Stats(ctx)
		if err != nil {
			return err
		}
		l, err := shelves[name].watch(ctx, strategy, callers, d, !onPile)
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

// makeShelf makes a SQLite file of that name with n queued and n completed tasks.
func (h *Harness) makeShelf(ctx context.Context, name string, n int) error {
	s, err := openShelf(ctx, h.shelfPath(name))
	if err != nil {
		return err
	}
	return errors.Join(s.fill(ctx, n), s.close())
}
