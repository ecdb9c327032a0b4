package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/tests/bench/server"
	"github.com/prismq/thequeue/tests/bench/stat"
)

// looks is how many requests of each page one round of P6 has.
const looks = 100

// looking is P6: what a person looks at, on a store with many rows and one with few, of both engines. Requests follow one another on one connection.
func looking(ctx context.Context, h *Harness) error {
	for engine, prefix := range map[string]string{"sqlite": "", "postgres": "postgres-"} {
		err := h.lookAtEngine(ctx, engine, prefix)
		if errors.Is(err, server.ErrMissing) {
			h.say("P6: %v", err) // its rows have no values and so no verdict
		} else if err != nil {
			return err
		}
		for _, row := range []string{"stats", "tasks", "tasks-by-status", "tasks-by-type", "others"} {
			h.judge("P6", prefix+row, stat.Ratios(h.values("P6", prefix+"many", row+"_ms"), h.values("P6", prefix+"few", row+"_ms")))
		}
	}
	return nil
}

// lookAtEngine fills the two stores and looks at them in alternating rounds.
func (h *Harness) lookAtEngine(ctx context.Context, engine, prefix string) (err error) {
	databases := make(map[string]string)
	for name, n := range map[string]int{"few": h.Few, "many": h.Many} {
		s, openErr := h.newShelf(ctx, engine)
		if openErr != nil {
			return openErr
		}
		databases[name] = s.database
		defer func() { err = errors.Join(err, s.drop()) }()
		if err := errors.Join(s.furnish(ctx, n), s.close()); err != nil {
			return err
		}
	}
	for round := 1; round <= h.Rounds; round++ {
		for _, name := range inOrder([]string{"few", "many"}, round) {
			if err := h.look(ctx, databases[name], prefix+name, round); err != nil {
				return err
			}
		}
	}
	return nil
}

// look asks a server on the database for every page.
func (h *Harness) look(ctx context.Context, database, name string, round int) error {
	s, err := server.StartQueue(ctx, h.program("thequeue"), database, h.dir)
	if err != nil {
		return err
	}
	l := newLoad(s.Addr, 1)
	values := make(map[string]float64)
	pages := map[string][]string{"stats": {"/api/queue/stats"}, "tasks": {"/api/queue/tasks"}, "tasks-by-type": {"/api/queue/tasks?type=email", "/api/queue/tasks?type=rare"},
		"others": {"/api/queue/workers", "/api/queue/types", "/api/queue/types/rare", "/api/queue/schedules", "/api/queue/operations", "/api/queue/tasks/1/attempts", "/api/queue/tasks/1/logs", "/api/queue/stranded"}}
	for _, status := range task.Statuses {
		pages["tasks-by-status"] = append(pages["tasks-by-status"], "/api/queue/tasks?status="+string(status))
		for _, taskType := range []string{"email", "rare"} {
			pages["tasks-by-type"] = append(pages["tasks-by-type"], "/api/queue/tasks?type="+taskType+"&status="+string(status))
		}
	}
	for row, paths := range pages {
		var slowest []float64
		for _, path := range paths {
			took, e := timesOf(l, path)
			err = errors.Join(err, e)
			slowest = append(slowest, took)
		}
		values[row+"_ms"] = slices.Max(slowest)
	}
	if err := errors.Join(err, s.Stop()); err != nil {
		return err
	}
	return h.add(Measurement{Goal: "P6", Subject: name, Round: round, Values: values})
}

// timesOf returns the median time of a page in milliseconds.
func timesOf(l *load, path string) (float64, error) {
	var took []time.Duration
	for range looks {
		begin := time.Now()
		if err := l.call("GET", path, nil, requestTimeout, nil); err != nil {
			return 0, err
		}
		took = append(took, time.Since(begin))
	}
	return ms(stat.Percentile(took, 50)), nil
}
