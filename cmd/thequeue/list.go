package main

import (
	"context"

	"github.com/prismq/thequeue/internal/task"
)

type listCmd struct {
	Status string `enum:",queued,processing,completed,failed" default:"" placeholder:"STATUS" help:"Only queued, processing, completed or failed ones."`
	Type   string `placeholder:"TYPE" help:"Only those of this type."`
	Filter string `placeholder:"FILTER" help:"Only those that match, such as 'status:failed error:\"timed out\" age>1h'."`
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
	m, err := task.ParseMatch(c.Filter)
	if err != nil {
		return err
	}
	return c.with(ctx, s, func(q tasks) error {
		found, err := q.List(ctx, task.Filter{Status: task.Status(c.Status), Type: c.Type, Match: m, Limit: c.Limit})
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return s.printTasksJSON(found)
		}
		return s.printTasks(found)
	})
}
