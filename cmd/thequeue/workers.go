package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/prismq/thequeue/internal/task"
)

type workersCmd struct {
	List   workersListCmd   `cmd:"" help:"List the workers, by id."`
	Drain  workersDrainCmd  `cmd:"" help:"Have workers take nothing new and end what they run."`
	Resume workersResumeCmd `cmd:"" help:"Let them take tasks again."`
}

type workersListCmd struct{ access }

func (c *workersListCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		workers, err := q.Workers(ctx)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return s.printJSON(workers)
		}
		rows := [][]string{{"WORKER", "DRAIN", "HEARD", "TYPES", "CAPABILITIES"}}
		for _, w := range workers {
			rows = append(rows, []string{w.WorkerID, yes(w.Drain), when(w.HeartbeatUTC), text((*string)(w.Types)), string(w.Capabilities)})
		}
		return s.printRows(rows)
	})
}

type workersDrainCmd struct {
	Workers []string `arg:"" name:"worker" help:"Ids of the workers."`
	access
}

func (c *workersDrainCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		return s.eachWorker(ctx, c.Workers, q.DrainWorker, c.Output, "takes nothing new")
	})
}

type workersResumeCmd struct {
	Workers []string `arg:"" name:"worker" help:"Ids of the workers."`
	access
}

func (c *workersResumeCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		return s.eachWorker(ctx, c.Workers, q.ResumeWorker, c.Output, "takes tasks again")
	})
}

// eachWorker does one thing for all workers, one after the other.
func (s *session) eachWorker(ctx context.Context, ids []string, do func(context.Context, string) (task.Worker, error), output, done string) error {
	for _, id := range ids {
		w, err := do(ctx, id)
		switch {
		case errors.Is(err, task.ErrNotFound):
			err = fmt.Errorf("worker %s %w", id, task.ErrNotFound)
		case err == nil && output == "json":
			err = s.printJSON(w)
		case err == nil:
			_, err = fmt.Fprintf(s.stdout, "%s: %s\n", clean(w.WorkerID), done)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
