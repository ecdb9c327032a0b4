package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/prismq/thequeue/internal/task"
)

// operationsCmd looks after what bulk commands have started.
type operationsCmd struct {
	List   operationsListCmd   `cmd:"" help:"List the operations, newest first."`
	Get    operationsGetCmd    `cmd:"" help:"Show an operation and how far it has come."`
	Cancel operationsCancelCmd `cmd:"" help:"End a running operation; what it has changed stays."`
}

type operationsListCmd struct {
	Limit int `default:"100" placeholder:"N" help:"How many at most, 1 to 1000 (default 100)."`
	access
}

// Validate is called by the parser.
func (c *operationsListCmd) Validate() error {
	if c.Limit < 1 || c.Limit > 1000 {
		return usage("--limit must lie between 1 and 1000")
	}
	return nil
}

func (c *operationsListCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		operations, err := q.ListOperations(ctx, 0, c.Limit)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return s.printJSON(operations)
		}
		return s.printOperations(operations)
	})
}

type operationsGetCmd struct {
	ID int64 `arg:"" help:"Id of the operation."`
	access
}

func (c *operationsGetCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		o, err := q.GetOperation(ctx, c.ID)
		return s.answerOperation(o, aboutOperation(c.ID, err), c.Output)
	})
}

type operationsCancelCmd struct {
	ID int64 `arg:"" help:"Id of the operation."`
	access
}

func (c *operationsCancelCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		o, err := q.CancelOperation(ctx, c.ID)
		return s.answerOperation(o, aboutOperation(c.ID, err), c.Output)
	})
}

func (s *session) answerOperation(o task.Operation, err error, output string) error {
	switch {
	case err != nil:
		return err
	case output == "json":
		return s.printJSON(o)
	}
	rows := [][]string{
		{"operation", fmt.Sprint(o.ID)}, {"action", string(o.Action)}, {"filter", o.Filter}, {"status", string(o.Status)}, {"come to", fmt.Sprintf("task %d of %d", o.DoneID, o.UpperID)},
		{"changed", fmt.Sprint(o.Changed)}, {"skipped", fmt.Sprint(o.Skipped)}, {"failed", fmt.Sprint(o.Failed)}, {"begun", instant(&o.CreatedAtUTC)},
	}
	if o.Priority != nil {
		rows = append(rows, []string{"priority", fmt.Sprint(*o.Priority)})
	}
	if o.ErrorMessage != nil {
		rows = append(rows, []string{"error", *o.ErrorMessage})
	}
	return s.printRows(rows)
}

func (s *session) printOperations(operations []task.Operation) error {
	rows := [][]string{{"ID", "ACTION", "STATUS", "CHANGED", "SKIPPED", "FAILED", "BEGUN", "FILTER"}}
	for _, o := range operations {
		rows = append(rows, []string{
			fmt.Sprint(o.ID), string(o.Action), string(o.Status), fmt.Sprint(o.Changed), fmt.Sprint(o.Skipped), fmt.Sprint(o.Failed), instant(&o.CreatedAtUTC), o.Filter,
		})
	}
	return s.printRows(rows)
}

// aboutOperation names the operation that an error is about.
func aboutOperation(id int64, err error) error {
	if errors.Is(err, task.ErrNotFound) {
		return fmt.Errorf("operation %d %w", id, task.ErrNotFound)
	}
	return err
}
