package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/prismq/thequeue/tests/bench/trial"
)

// together is what several nodes found.
type together struct {
	rate    float64 // lives a second of all
	busy    int
	doubles int // tasks that were given out twice
}

func (t together) values() map[string]float64 {
	return map[string]float64{perSecond: t.rate, "busy errors": float64(t.busy), "double claims": float64(t.doubles)}
}

// nodes runs so many nodes on one database at once.
func (h *Harness) nodes(ctx context.Context, n int, s trial.NodeSpec) (together, error) {
	results, errs := make([]trial.NodeResult, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = h.ask(ctx, "node", s, &results[i]) })
	}
	wg.Wait()
	var t together
	seen := make(map[int64]bool)
	for i, r := range results {
		if errs[i] == nil && r.Lives == 0 {
			errs[i] = fmt.Errorf("node %d of %d has worked no task", i+1, n)
		}
		t.busy += r.Busy
		if r.Seconds > 0 {
			t.rate += float64(r.Lives) / r.Seconds
		}
		for _, id := range r.Claimed {
			if seen[id] {
				t.doubles++
			}
			seen[id] = true
		}
	}
	return t, errors.Join(errs...)
}

// oneFile is P10: four processes on one SQLite file, 8 workers in each, whose leases are longer than the run, so that no task is given out twice
// for a good reason.
func oneFile(ctx context.Context, h *Harness) error {
	if err := h.makeShelf(ctx, "shared", 1); err != nil { // the schema is there before they race for it
		return err
	}
	for round := 1; round <= h.Rounds; round++ {
		found, err := h.nodes(ctx, 4, trial.NodeSpec{Database: filepath.Join(h.dir, "shared.db"), Callers: 8, Seconds: 2 * h.Seconds})
		if err != nil {
			return err
		}
		if err := h.add(Measurement{Goal: "P10", Subject: "four processes", Round: round, Values: found.values()}); err != nil {
			return err
		}
	}
	h.judge("P10", "busy-errors", h.values("P10", "four processes", "busy errors"))
	h.judge("P10", "double-claims", h.values("P10", "four processes", "double claims"))
	return nil
}

// idle is P11: one process with 8 workers that wait. It has one round, since it is long and nothing happens.
func idle(ctx context.Context, h *Harness) error {
	var r trial.NodeResult
	s := trial.NodeSpec{Database: filepath.Join(h.dir, "idle.db"), Callers: 8, Seconds: h.Idle.Seconds(), Idle: true}
	if err := h.ask(ctx, "node", s, &r); err != nil {
		return err
	}
	err := h.add(Measurement{Goal: "P11", Subject: "8 waiting workers", Round: 1, Values: map[string]float64{
		"statements": float64(r.Statements), "seconds": r.Seconds, coreShare: 100 * r.CPUSeconds / r.Seconds,
	}})
	h.judge("P11", "statements", h.values("P11", "8 waiting workers", "statements"))
	h.judge("P11", "cpu", h.values("P11", "8 waiting workers", coreShare))
	return err
}
