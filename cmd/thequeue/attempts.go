package main

import (
	"context"
	"fmt"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

type attemptsCmd struct {
	ID int64 `arg:"" help:"Number of the task."`
	access
}

func (c *attemptsCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		as, err := q.Attempts(ctx, c.ID)
		if err != nil {
			return about(c.ID, err)
		}
		if c.Output == "json" {
			return s.printJSON(as)
		}
		return s.printAttempts(as)
	})
}

func (s *session) printAttempts(as []task.Attempt) error {
	rows := [][]string{{"ATTEMPT", "WORKER", "STARTED", "TOOK", "OUTCOME", "ERROR"}}
	for _, a := range as {
		took, outcome := "-", "running"
		if d, ended := a.Duration(); ended {
			took = d.Round(time.Millisecond).String()
		}
		if a.Outcome != nil {
			outcome = string(*a.Outcome)
		}
		rows = append(rows, []string{fmt.Sprint(a.Attempt), a.WorkerID, when(a.StartedAtUTC), took, outcome, text(a.ErrorMessage)})
	}
	return s.printRows(rows)
}
