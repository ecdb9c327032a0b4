package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/prismq/thequeue/tests/bench/server"
	"github.com/prismq/thequeue/tests/bench/stat"
	"github.com/prismq/thequeue/tests/bench/trial"
)

// sought is one kind of work of a peer and the numbers of workers or connections among which its best is sought.
type sought struct {
	spec  trial.Spec
	knob  string // workers or connections
	steps []int
}

// searches is where the settings of other queues come from (the number of workers of each peer, and River's connections on PostgreSQL).
var searches = []sought{
	{trial.Spec{Peer: "river-sqlite", Setting: trial.Durable, Work: trial.Mixed, Callers: 64}, "workers", []int{100, 500, 1000, 2000}},
	{trial.Spec{Peer: "river-sqlite", Setting: trial.Normal, Work: trial.Mixed, Callers: 64}, "workers", []int{100, 500, 1000, 2000}},
	{trial.Spec{Peer: "river-sqlite", Setting: trial.Durable, Work: trial.Mixed, Callers: 8}, "workers", []int{100, 500, 1000, 2000}},
	{trial.Spec{Peer: "goqite", Setting: trial.Durable, Work: trial.Mixed, Callers: 64}, "workers", []int{1, 4, 16, 64}},
	{trial.Spec{Peer: "goqite", Setting: trial.Normal, Work: trial.Mixed, Callers: 64}, "workers", []int{1, 4, 16, 64}},
	{trial.Spec{Peer: "goqite", Setting: trial.Durable, Work: trial.Mixed, Callers: 8}, "workers", []int{1, 4, 8}},
	{trial.Spec{Peer: "river-postgres", Setting: trial.Durable, Work: trial.Enqueue, Callers: 64}, "connections", []int{8, 16, 32, 64}},
	{trial.Spec{Peer: "river-postgres", Setting: trial.Durable, Work: trial.Mixed, Callers: 64}, "connections", []int{8, 16, 32, 64}},
	{trial.Spec{Peer: "river-postgres", Setting: trial.Durable, Work: trial.Drain, Callers: 64}, "connections", []int{8, 16, 32, 64}},
	{trial.Spec{Peer: "river-postgres", Setting: trial.Durable, Work: trial.Mixed, Callers: 64}, "workers", []int{100, 500, 1000, 2000}},
	{trial.Spec{Peer: "river-postgres", Setting: trial.Durable, Work: trial.Drain, Callers: 64}, "workers", []int{100, 500, 1000, 2000}},
	{trial.Spec{Peer: "asynq", Setting: trial.Durable, Work: trial.Mixed, Callers: 64}, "workers", []int{2, 16, 64, 256}},
	{trial.Spec{Peer: "gue", Setting: trial.Durable, Work: trial.Mixed, Callers: 64}, "workers", []int{4, 16, 64}},
}

// setting returns the spec with the knob turned to a step.
func (s sought) setting(step int, h *Harness) trial.Spec {
	spec := s.spec
	if s.knob == "workers" {
		spec.Workers = step
	} else {
		spec.Conns = step
	}
	if spec.Work == trial.Drain {
		spec.Tasks = int(drainPerSecond * h.Seconds)
	}
	return spec
}

// search turns the knobs of the other queues and writes a table of what each setting reaches.
func (h *Harness) search(ctx context.Context, folder string) error {
	var table strings.Builder
	fmt.Fprintf(&table, "Tasks a second, medians of %d rounds at scale `%s`; %s.\n", h.Rounds, h.Scale.Name, h.machine)
	for _, s := range searches {
		name := fmt.Sprintf("%s, %s, %s, %d callers, by %s", s.spec.Peer, s.spec.Setting, s.spec.Work, s.spec.Callers, s.knob)
		var subjects []Subject
		var labels []string
		for _, step := range s.steps {
			labels = append(labels, fmt.Sprint(step))
			subjects = append(subjects, Subject{labels[len(labels)-1], s.setting(step, h)})
		}
		if err := h.alternate(ctx, name, subjects); errors.Is(err, server.ErrMissing) {
			h.say("%s: %v", name, err)
			continue
		} else if err != nil {
			return err
		}
		rates := make([]float64, len(labels))
		for i, label := range labels {
			rates[i] = stat.Median(h.values(name, label, perSecond))
		}
		h.say("%s: %v %.0f", name, labels, rates)
		growthTable(&table, name, labels, []string{s.spec.Peer}, [][]float64{rates})
	}
	return os.WriteFile(filepath.Join(folder, "peers.md"), []byte(table.String()), 0o644)
}
