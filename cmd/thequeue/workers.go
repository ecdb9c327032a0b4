package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/prismq/thequeue/internal/task"
)

type workersCmd struct {
	List    workersListCmd    `cmd:"" help:"List the workers, by id."`
	Get     workersGetCmd     `cmd:"" help:"Show a worker and the tasks that it holds."`
	Drain   workersDrainCmd   `cmd:"" help:"Have workers take nothing new and end what they run."`
	Resume  workersResumeCmd  `cmd:"" help:"Let them take tasks again."`
	Reclaim workersReclaimCmd `cmd:"" help:"Take the tasks of dead workers back at once, before their leases end."`
	Cleanup workersCleanupCmd `cmd:"" help:"Remove workers that were not heard for long, but for those that hold tasks."`
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
		rows := [][]string{{"WORKER", "STATE", "TASKS", "DONE/MIN", "FAILED/MIN", "HEARD", "TYPES", "CAPABILITIES"}}
		for _, w := range workers {
			rows = append(rows, []string{w.WorkerID, string(w.State), fmt.Sprint(w.HeldTasks), pace(w.CompletedPerMin), pace(w.FailedPerMin), when(w.HeartbeatUTC), text((*string)(w.Types)), string(w.Capabilities)})
		}
		return s.printRows(rows)
	})
}

// pace is a number with three digits at most.
func pace(v float64) string { return fmt.Sprintf("%.3g", v) }

type workersGetCmd struct {
	Worker string `arg:"" help:"Id of the worker."`
	access
}

func (c *workersGetCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		w, err := q.Worker(ctx, c.Worker)
		if err != nil {
			return aboutWorker(c.Worker, err)
		}
		if c.Output == "json" {
			return s.printJSON(w)
		}
		if err := s.printRows([][]string{
			{"worker", w.WorkerID}, {"state", string(w.State)}, {"heard", when(w.HeartbeatUTC)}, {"registered", when(w.RegisteredAtUTC)}, {"types", text((*string)(w.Types))},
			{"capabilities", string(w.Capabilities)}, {"tasks", fmt.Sprint(w.HeldTasks)}, {"completed", pace(w.CompletedPerMin) + " a minute in the last ten minutes"}, {"failed", pace(w.FailedPerMin) + " a minute"},
		}); err != nil || len(w.Tasks) == 0 {
			return err
		}
		rows := [][]string{{"ID", "TYPE", "LEASE UNTIL"}}
		for _, t := range w.Tasks {
			rows = append(rows, []string{fmt.Sprint(t.TaskID), t.Type, instant(t.LeaseUntilUTC)})
		}
		if _, err := fmt.Fprintln(s.stdout); err != nil {
			return err
		}
		return s.printRows(rows)
	})
}

type workersReclaimCmd struct {
	Workers []string `arg:"" name:"worker" help:"Ids of the workers."`
	access
}

func (c *workersReclaimCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		for _, id := range c.Workers {
			ids, err := q.ReclaimWorker(ctx, id)
			switch {
			case err != nil:
				err = aboutWorker(id, err)
			case c.Output == "json":
				err = s.printJSON(map[string]any{"worker_id": id, "task_ids": ids})
			case len(ids) == 1:
				_, err = fmt.Fprintf(s.stdout, "%s: 1 task taken back\n", clean(id))
			default:
				_, err = fmt.Fprintf(s.stdout, "%s: %d tasks taken back\n", clean(id), len(ids))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

type workersCleanupCmd struct {
	OlderThan string `default:"5m" placeholder:"TIME" help:"Those that were not heard for so long (5m)."`
	Force     bool   `help:"Remove those that hold tasks, too; the tasks are not touched."`
	access
}

func (c *workersCleanupCmd) Run(ctx context.Context, s *session) error {
	silent, ok := task.ParseAge(c.OlderThan)
	if !ok {
		return usage("--older-than %s: must be a length of time in w, d, h, m and s, such as 5m or 1d", c.OlderThan)
	}
	return c.with(ctx, s, func(q tasks) error {
		cleaned, err := q.CleanWorkers(ctx, silent, c.Force)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return s.printJSON(cleaned)
		}
		for _, id := range cleaned.Deleted {
			if _, err := fmt.Fprintf(s.stdout, "%s: removed\n", clean(id)); err != nil {
				return err
			}
		}
		for _, id := range cleaned.Kept {
			if _, err := fmt.Fprintf(s.stdout, "%s: kept, it holds tasks\n", clean(id)); err != nil {
				return err
			}
		}
		return nil
	})
}

// aboutWorker names the worker that an error is about.
func aboutWorker(id string, err error) error {
	if errors.Is(err, task.ErrNotFound) {
		return fmt.Errorf("worker %s %w", id, task.ErrNotFound)
	}
	return err
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
		case err != nil:
			err = aboutWorker(id, err)
		case output == "json":
			err = s.printJSON(w)
		default:
			_, err = fmt.Fprintf(s.stdout, "%s: %s\n", clean(w.WorkerID), done)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
