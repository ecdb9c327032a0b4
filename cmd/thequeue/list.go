package main

import (
	"context"

	"github.com/prismq/thequeue/internal/task"
)

type listCmd struct {
	Status string `enum:",queued,processing,completed,failed" default:"" placeholder:"STATUS" help:"Only queued, processing, completed or failed ones."`
	Type   string `placeholder:"TYPE" help:"Only those of this type."`
	Limit  int    `default:"100" help:"At most so many, 1 to 1000."`
	access
}

// Validate is called by the parser.
func (c *listCmd) Validate() error {
	if c.Limit < 1 || c.Limit > 1000 {
		return usage("--limit must lie between 1 and 1000")
	}
	return nil
}

func (c *listCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		found, err := q.List(ctx, task.Filter{Status: task.Status(c.Status), Type: c.Type, Limit: c.Limit})
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return s.printTasksJSON(found)
		}
		return s.printTasks(found)
	})
}
