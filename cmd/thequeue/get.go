package main

import "context"

type getCmd struct {
	ID int64 `arg:"" help:"Number of the task."`
	access
}

func (c *getCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		t, err := q.Get(ctx, c.ID)
		if err != nil {
			return about(c.ID, err)
		}
		if c.Output == "json" {
			return s.printJSON(t)
		}
		return s.printTask(t)
	})
}
