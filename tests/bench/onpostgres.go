package main

import (
	"context"
	"errors"

	"github.com/prismq/thequeue/tests/bench/server"
	"github.com/prismq/thequeue/tests/bench/trial"
)

// drainPerSecond is how many tasks are drained for each second that a trial lasts.
const drainPerSecond = 10_000

// onPostgres is P9.
func onPostgres(ctx context.Context, h *Harness) error {
	drained := int(drainPerSecond * h.Seconds)
	subjects := []Subject{
		{"enqueue", trial.Spec{Peer: "postgres", Setting: trial.Durable, Work: trial.Enqueue, Callers: 64}},
		{"river enqueue", trial.Spec{Peer: "river-postgres", Setting: trial.Durable, Work: trial.Enqueue, Callers: 64}},
		{"life", trial.Spec{Peer: "postgres", Setting: trial.Durable, Work: trial.Mixed, Callers: 64}},
		{"river life", trial.Spec{Peer: "river-postgres", Setting: trial.Durable, Work: trial.Mixed, Callers: 64}},
		{"drain", trial.Spec{Peer: "postgres", Setting: trial.Durable, Work: trial.Drain, Callers: 64, Tasks: drained}},
		{"river drain", trial.Spec{Peer: "river-postgres", Setting: trial.Durable, Work: trial.Drain, Callers: 64, Tasks: drained}},
	}
	err := h.needRedis(ctx)
	hasRedis := err == nil
	if hasRedis {
		subjects = append(subjects, Subject{"asynq life", trial.Spec{Peer: "asynq", Setting: trial.Durable, Work: trial.Mixed, Callers: 64}})
	} else if !errors.Is(err, server.ErrMissing) {
		return err
	} else {
		h.say("P9: %v", err)
	}
	var extras []Subject
	if h.Extras {
		extras = append(extras,
			Subject{"river default life", trial.Spec{Peer: "river-postgres", Setting: trial.Default, Work: trial.Mixed, Callers: 64}},
			Subject{"river default enqueue", trial.Spec{Peer: "river-postgres", Setting: trial.Default, Work: trial.Enqueue, Callers: 64}},
			Subject{"river default drain", trial.Spec{Peer: "river-postgres", Setting: trial.Default, Work: trial.Drain, Callers: 64, Tasks: drained}},
			Subject{"gue default life", trial.Spec{Peer: "gue", Setting: trial.Default, Work: trial.Mixed, Callers: 64}},
			Subject{"bare, sets of 64", trial.Spec{Peer: "bare-postgres", Setting: trial.Durable, Work: trial.Grouped, Callers: 2}},
			Subject{"bare batch", trial.Spec{Peer: "bare-postgres", Setting: trial.Durable, Work: trial.Batch, Callers: 1}},
			Subject{"gue enqueue", trial.Spec{Peer: "gue", Setting: trial.Durable, Work: trial.Enqueue, Callers: 64}},
			Subject{"gue life", trial.Spec{Peer: "gue", Setting: trial.Durable, Work: trial.Mixed, Callers: 64}},
			Subject{"batch", trial.Spec{Peer: "postgres", Setting: trial.Durable, Work: trial.Batch, Callers: 1}},
			Subject{"river batch", trial.Spec{Peer: "river-postgres", Setting: trial.Durable, Work: trial.Batch, Callers: 1}},
		)
		if hasRedis {
			extras = append(extras,
				Subject{"asynq everysec life", trial.Spec{Peer: "asynq", Setting: trial.Normal, Work: trial.Mixed, Callers: 64}},
				Subject{"asynq default life", trial.Spec{Peer: "asynq", Setting: trial.Default, Work: trial.Mixed, Callers: 64}},
			)
		}
	}
	if err := h.alternate(ctx, "P9", subjects, extras...); err != nil {
		return err
	}
	h.compare("P9", "enqueue/river", "enqueue", "river enqueue")
	h.compare("P9", "life/river", "life", "river life")
	h.compare("P9", "drain/river", "drain", "river drain")
	if hasRedis || h.Margin == 0 { // a smoke run goes without what is not installed
		h.compare("P9", "life/asynq", "life", "asynq life")
	}
	if h.Extras {
		h.limit("P9", "pgx with a bare table, 64 rows a statement, two connections", "lives/s", h.values("P9", "bare, sets of 64", perSecond), h.values("P9", "life", perSecond))
		h.limit("P9", "pgx with a bare table, 1,000 rows a statement", "rows/s", h.values("P9", "bare batch", perSecond), h.values("P9", "batch", perSecond))
	}
	return h.twoNodes(ctx)
}

// twoNodes measures one process of 64 callers and two of 32 on one PostgreSQL.
func (h *Harness) twoNodes(ctx context.Context) error {
	var doubles []float64
	for round := 1; round <= h.Rounds; round++ {
		for _, nodes := range inOrder([]int{1, 2}, round) {
			url, drop, err := h.postgres.Database(ctx)
			if err != nil {
				return err
			}
			found, err := h.nodes(ctx, nodes, trial.NodeSpec{Database: url, Callers: 64 / nodes, Seconds: h.Seconds})
			if err := errors.Join(err, drop()); err != nil {
				return err
			}
			name := map[int]string{1: "one node", 2: "two nodes"}[nodes]
			if err := h.add(Measurement{Goal: "P9", Subject: name, Round: round, Values: found.values()}); err != nil {
				return err
			}
			if nodes == 2 {
				doubles = append(doubles, float64(found.doubles))
			}
		}
	}
	h.compare("P9", "two-nodes/one", "two nodes", "one node")
	h.judge("P9", "double-claims", doubles)
	return nil
}
