package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/prismq/thequeue/internal/task"
)

type eventsCmd struct {
	Task   int64    `placeholder:"ID" help:"Only of this task."`
	Type   []string `placeholder:"TYPE" help:"Only of tasks of these types."`
	Status []string `placeholder:"STATUS" help:"Only of tasks that are in one of these statuses then."`
	Event  []string `placeholder:"NAME" help:"Only events of these names, such as completed, retry, failed."`
	After  int64    `placeholder:"ID" help:"Begin after this event; those that the server still has come at once."`
	access
}

func (c *eventsCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		f := task.EventFilter{TaskID: c.Task, Types: c.Type, Statuses: named[task.Status](c.Status), Names: named[task.EventName](c.Event)}
		err := q.Events(ctx, f, c.After, func(e *task.Event) error {
			if e == nil {
				return nil
			}
			return s.printEvent(*e, c.Output)
		})
		if ctx.Err() != nil {
			return nil
		}
		return err
	})
}

func named[T ~string](texts []string) []T {
	out := make([]T, len(texts))
	for i, t := range texts {
		out[i] = T(t)
	}
	return out
}

func (s *session) printEvent(e task.Event, output string) error {
	if output == "json" {
		return s.printJSON(e)
	}
	parts := []string{when(e.AtUTC), fmt.Sprintf("%-16s", e.Name), fmt.Sprintf("%d", e.TaskID), e.Type, fmt.Sprintf("%s %d/%d", e.Status, e.Attempts, e.MaxAttempts)}
	if e.WorkerID != nil {
		parts = append(parts, *e.WorkerID)
	}
	if e.Progress != nil && e.Name == task.EventProgress {
		parts = append(parts, fmt.Sprintf("%d %%", *e.Progress))
	}
	if e.Message != nil && *e.Message != "" {
		parts = append(parts, *e.Message)
	}
	_, err := fmt.Fprintln(s.stdout, clean(strings.Join(parts, "  ")))
	return err
}
