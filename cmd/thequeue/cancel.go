package main

import (
	"context"
	"fmt"

	"github.com/prismq/thequeue/internal/task"
)

type cancelCmd struct {
	IDs []int64 `arg:"" name:"id" help:"Numbers of the tasks."`
	access
}

// cancelled is the answer of the API.
type cancelled struct {
	TaskID  int64       `json:"task_id"`
	Status  task.Status `json:"status"`
	Message string      `json:"message"`
}

func (c *cancelCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		return each(c.IDs, func(id int64) error { return c.one(ctx, s, q, id) })
	})
}

// one cancels a task. One that has ended already is a conflict here, so that a script can tell.
func (c *cancelCmd) one(ctx context.Context, s *session, q tasks, id int64) error {
	status, changed, err := q.Cancel(ctx, id)
	if err != nil {
		return about(id, err)
	}
	answer := cancelled{id, status, "Task cancelled successfully"}
	if !changed {
		answer.Message = fmt.Sprintf("Task already %s, cannot cancel", status)
	}
	switch {
	case c.Output == "json":
		err = s.printJSON(answer)
	case changed:
		_, err = fmt.Fprintf(s.stdout, "%d: %s\n", id, answer.Message)
	}
	if err == nil && !changed {
		err = &conflict{fmt.Sprintf("%d: %s", id, answer.Message)}
	}
	return err
}

// conflict is a task.ErrConflict in the words of the API.
type conflict struct{ message string }

func (c *conflict) Error() string { return c.message }

func (c *conflict) Is(target error) bool { return target == task.ErrConflict }
