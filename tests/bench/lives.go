package main

import (
	"context"

	"github.com/prismq/thequeue/tests/bench/trial"
)

// backliteTasks bounds what backlite is given: its time grows with the square of it.
const backliteTasks = 1000

// crowd is P1: whole lives by 64 producers and as many workers. The same work is given to all, since not every peer has a call that takes one
// task; the work where each caller enqueues, claims and completes in turn is measured beside it where it can be.
func crowd(ctx context.Context, h *Harness) error {
	subjects := []Subject{
		{"sqlite", trial.Spec{Peer: "sqlite", Setting: trial.Durable, Work: trial.Mixed, Callers: 64}},
		{"river", trial.Spec{Peer: "river-sqlite", Setting: trial.Durable, Work: trial.Mixed, Callers: 64}},
		{"goqite", trial.Spec{Peer: "goqite", Setting: trial.Durable, Work: trial.Mixed, Callers: 64}},
		{"river-normal", trial.Spec{Peer: "river-sqlite", Setting: trial.Normal, Work: trial.Mixed, Callers: 64}},
		{"goqite-normal", trial.Spec{Peer: "goqite", Setting: trial.Normal, Work: trial.Mixed, Callers: 64}},
	}
	var extras []Subject
	if h.Extras {
		extras = append(extras,
			Subject{"river-default", trial.Spec{Peer: "river-sqlite", Setting: trial.Default, Work: trial.Mixed, Callers: 64}},
			Subject{"goqite-default", trial.Spec{Peer: "goqite", Setting: trial.Default, Work: trial.Mixed, Callers: 64}},
			Subject{"backlite", trial.Spec{Peer: "backlite", Setting: trial.Durable, Work: trial.Mixed, Callers: 64, Tasks: backliteTasks}},
			Subject{"backlite-default", trial.Spec{Peer: "backlite", Setting: trial.Default, Work: trial.Mixed, Callers: 64, Tasks: backliteTasks}},
			Subject{"sqlite in turn", trial.Spec{Peer: "sqlite", Setting: trial.Durable, Work: trial.Life, Callers: 64}},
			Subject{"goqite in turn", trial.Spec{Peer: "goqite", Setting: trial.Durable, Work: trial.Life, Callers: 64}},
			Subject{"bare, 64 a transaction", trial.Spec{Peer: "bare", Work: trial.Grouped, Callers: 1}},
			Subject{"sqlite, counted", trial.Spec{Peer: "sqlite", Setting: trial.Durable, Work: trial.Mixed, Callers: 64, Count: true}},
		)
	}
	if err := h.alternate(ctx, "P1", subjects, extras...); err != nil {
		return err
	}
	for _, peer := range []string{"river", "goqite", "river-normal", "goqite-normal"} {
		h.compare("P1", "sqlite/"+peer, "sqlite", peer)
	}
	if h.Extras {
		h.limit("P1", "the bare driver, 64 operations a transaction", "lives/s", h.values("P1", "bare, 64 a transaction", perSecond), h.values("P1", "sqlite", perSecond))
	}
	return nil
}

// few is P2: the same by 8, and one caller in turn against the bare driver.
func few(ctx context.Context, h *Harness) error {
	subjects := []Subject{
		{"sqlite", trial.Spec{Peer: "sqlite", Setting: trial.Durable, Work: trial.Mixed, Callers: 8}},
		{"river", trial.Spec{Peer: "river-sqlite", Setting: trial.Durable, Work: trial.Mixed, Callers: 8}},
		{"goqite", trial.Spec{Peer: "goqite", Setting: trial.Durable, Work: trial.Mixed, Callers: 8}},
		{"sqlite alone", trial.Spec{Peer: "sqlite", Setting: trial.Durable, Work: trial.Life, Callers: 1}},
		{"bare alone", trial.Spec{Peer: "bare", Work: trial.Life, Callers: 1}},
		{"disk", trial.Spec{Peer: "disk", Work: trial.Enqueue, Callers: 1}},
	}
	var extras []Subject
	if h.Extras {
		extras = append(extras,
			Subject{"river-default", trial.Spec{Peer: "river-sqlite", Setting: trial.Default, Work: trial.Mixed, Callers: 8}},
			Subject{"goqite-default", trial.Spec{Peer: "goqite", Setting: trial.Default, Work: trial.Mixed, Callers: 8}},
			Subject{"sqlite alone, counted", trial.Spec{Peer: "sqlite", Setting: trial.Durable, Work: trial.Life, Callers: 1, Count: true}},
		)
	}
	if err := h.alternate(ctx, "P2", subjects, extras...); err != nil {
		return err
	}
	h.compare("P2", "sqlite/river", "sqlite", "river")
	h.compare("P2", "sqlite/goqite", "sqlite", "goqite")
	h.compare("P2", "sqlite/bare", "sqlite alone", "bare alone")
	alone := h.values("P2", "sqlite alone", perSecond)
	h.limit("P2", "pages of 4 KiB synced one by one, against the three commits of each life of one caller", "/s", h.values("P2", "disk", perSecond), scaled(alone, 3))
	h.limit("P2", "one transaction of the bare driver for each operation, one caller", "lives/s", h.values("P2", "bare alone", perSecond), alone)
	return nil
}

// scaled multiplies all values.
func scaled(values []float64, by float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = v * by
	}
	return out
}

// batches is P3: batches of 1,000 from one producer.
func batches(ctx context.Context, h *Harness) error {
	subjects := []Subject{
		{"sqlite", trial.Spec{Peer: "sqlite", Setting: trial.Durable, Work: trial.Batch, Callers: 1}},
		{"bare", trial.Spec{Peer: "bare", Work: trial.Batch, Callers: 1}},
	}
	var extras []Subject
	if h.Extras {
		extras = append(extras,
			Subject{"river", trial.Spec{Peer: "river-sqlite", Setting: trial.Durable, Work: trial.Batch, Callers: 1}},
			Subject{"goqite", trial.Spec{Peer: "goqite", Setting: trial.Durable, Work: trial.Batch, Callers: 1}},
			Subject{"backlite", trial.Spec{Peer: "backlite", Setting: trial.Durable, Work: trial.Batch, Callers: 1}},
			Subject{"river-default", trial.Spec{Peer: "river-sqlite", Setting: trial.Default, Work: trial.Batch, Callers: 1}},
			Subject{"goqite-default", trial.Spec{Peer: "goqite", Setting: trial.Default, Work: trial.Batch, Callers: 1}},
			Subject{"backlite-default", trial.Spec{Peer: "backlite", Setting: trial.Default, Work: trial.Batch, Callers: 1}},
		)
	}
	if err := h.alternate(ctx, "P3", subjects, extras...); err != nil {
		return err
	}
	h.compare("P3", "sqlite/bare", "sqlite", "bare")
	h.limit("P3", "the bare driver, 1,000 rows a transaction", "rows/s", h.values("P3", "bare", perSecond), h.values("P3", "sqlite", perSecond))
	return nil
}
