package main

import (
	"context"
	"fmt"

	"github.com/prismq/thequeue/internal/task"
)

type explainCmd struct {
	ID int64 `arg:"" help:"Number of the task."`
	access
}

func (c *explainCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		e, err := q.Explain(ctx, c.ID)
		if err != nil {
			return about(c.ID, err)
		}
		if c.Output == "json" {
			return s.printJSON(e)
		}
		if _, err := fmt.Fprintf(s.stdout, "task %d is %s\n", e.TaskID, e.Status); err != nil {
			return err
		}
		return s.printReasons(e.Reasons)
	})
}

func (s *session) printReasons(reasons []task.Reason) error {
	rows := make([][]string, len(reasons))
	for i, r := range reasons {
		rows[i] = []string{r.Code, r.Message}
	}
	return s.printRows(rows)
}

type strandedCmd struct{ access }

func (c *strandedCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		lanes, err := q.Stranded(ctx)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return s.printJSON(lanes)
		}
		rows := [][]string{{"TYPE", "REQUIRES", "PRIORITY", "READY", "LATER", "WHY"}}
		for _, l := range lanes {
			rows = append(rows, []string{l.Type, string(l.Compatibility), fmt.Sprint(l.Priority), fmt.Sprint(l.ReadyTasks), fmt.Sprint(l.ScheduledTasks), l.Reason.Message})
		}
		return s.printRows(rows)
	})
}
