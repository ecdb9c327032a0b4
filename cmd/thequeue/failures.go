package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/prismq/thequeue/internal/task"
)

// failuresCmd looks at what goes wrong, by its reason.
type failuresCmd struct {
	List    failuresListCmd    `cmd:"" help:"List failures by their reason, those first that were seen last."`
	Get     failuresGetCmd     `cmd:"" help:"Show one of them."`
	Requeue failuresRequeueCmd `cmd:"" help:"Queue the tasks again that have failed for it, with all their attempts."`
	Dismiss failuresDismissCmd `cmd:"" help:"Forget it until it happens again; the tasks are not touched."`
}

type failuresListCmd struct {
	Type  string `placeholder:"TYPE" help:"Only those that tasks of this type have had."`
	Limit int    `default:"100" placeholder:"N" help:"How many at most, 1 to 1000 (default 100)."`
	access
}

// Validate is called by the parser.
func (c *failuresListCmd) Validate() error {
	if c.Limit < 1 || c.Limit > 1000 {
		return usage("--limit must lie between 1 and 1000")
	}
	return nil
}

func (c *failuresListCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		failures, err := q.Failures(ctx, c.Type, c.Limit)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return s.printJSON(failures)
		}
		rows := [][]string{{"ID", "COUNT", "FAILED NOW", "LAST SEEN", "TYPES", "ERROR"}}
		for _, f := range failures {
			rows = append(rows, []string{f.FailureID, fmt.Sprint(f.Count), failedNow(f), when(f.LastSeenUTC), strings.Join(f.Types, ","), f.Pattern})
		}
		return s.printRows(rows)
	})
}

// failedNow is how many tasks are failed, like 1000+ where there are more.
func failedNow(f task.FailureStatus) string {
	if f.AtLeast {
		return fmt.Sprintf("%d+", f.FailedTasks)
	}
	return fmt.Sprint(f.FailedTasks)
}

type failuresGetCmd struct {
	Failure string `arg:"" help:"Id of the failure."`
	access
}

func (c *failuresGetCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		f, err := q.Failure(ctx, c.Failure)
		switch {
		case err != nil:
			return aboutFailure(c.Failure, err)
		case c.Output == "json":
			return s.printJSON(f)
		}
		return s.printRows([][]string{
			{"failure", f.FailureID}, {"error", f.Pattern}, {"count", fmt.Sprint(f.Count)}, {"failed now", failedNow(f)}, {"first seen", when(f.FirstSeenUTC)}, {"last seen", when(f.LastSeenUTC)},
			{"types", strings.Join(f.Types, ",")}, {"last task", fmt.Sprint(f.Sample.TaskID)}, {"last error", f.Sample.ErrorMessage},
		})
	})
}

type failuresRequeueCmd struct {
	Failure string `arg:"" help:"Id of the failure."`
	confirming
}

func (c *failuresRequeueCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		if _, err := q.Failure(ctx, c.Failure); err != nil {
			return aboutFailure(c.Failure, err)
		}
		return c.operate(ctx, s, q, task.OperationSpec{Action: task.ActionRequeue, Filter: "failure:" + c.Failure})
	})
}

type failuresDismissCmd struct {
	Failures []string `arg:"" name:"failure" help:"Ids of the failures."`
	access
}

func (c *failuresDismissCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		for _, id := range c.Failures {
			err := aboutFailure(id, q.DismissFailure(ctx, id))
			if err == nil && c.Output == "json" {
				err = s.printJSON(map[string]string{"failure_id": id})
			} else if err == nil {
				_, err = fmt.Fprintf(s.stdout, "%s: forgotten until it happens again\n", clean(id))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// aboutFailure names the failure that an error is about.
func aboutFailure(id string, err error) error {
	if errors.Is(err, task.ErrNotFound) {
		return fmt.Errorf("failure %s %w", id, task.ErrNotFound)
	}
	return err
}
