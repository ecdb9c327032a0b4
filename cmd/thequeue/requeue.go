package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/prismq/thequeue/internal/task"
)

type requeueCmd struct {
	IDs []int64 `arg:"" name:"id" help:"Numbers of the tasks."`
	access
}

func (c *requeueCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		return each(c.IDs, func(id int64) error { return c.one(ctx, s, q, id) })
	})
}

func (c *requeueCmd) one(ctx context.Context, s *session, q tasks, id int64) error {
	t, err := q.Requeue(ctx, id)
	switch {
	case errors.Is(err, task.ErrConflict):
		return &conflict{fmt.Sprintf("%d: Task has not failed, cannot requeue", id)}
	case err != nil:
		return about(id, err)
	case c.Output == "json":
		return s.printJSON(t)
	}
	_, err = fmt.Fprintf(s.stdout, "%d: Task queued again\n", id)
	return err
}
