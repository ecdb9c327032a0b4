package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// bulkCmd changes every task that a filter finds.
type bulkCmd struct {
	Cancel      bulkCancelCmd      `cmd:"" help:"Cancel queued and running tasks."`
	Requeue     bulkRequeueCmd     `cmd:"" help:"Queue failed tasks again, with all their attempts."`
	Delete      bulkDeleteCmd      `cmd:"" help:"Delete ended tasks with their logs."`
	SetPriority bulkSetPriorityCmd `cmd:"" help:"Give queued tasks another priority."`
}

type (
	bulkCancelCmd      struct{ bulkFlags }
	bulkRequeueCmd     struct{ bulkFlags }
	bulkDeleteCmd      struct{ bulkFlags }
	bulkSetPriorityCmd struct {
		Priority int `arg:"" help:"The new priority, 1 to 1000; the lower runs first."`
		bulkFlags
	}
)

func (c *bulkCancelCmd) Run(ctx context.Context, s *session) error {
	return c.run(ctx, s, task.OperationSpec{Action: task.ActionCancel})
}

func (c *bulkRequeueCmd) Run(ctx context.Context, s *session) error {
	return c.run(ctx, s, task.OperationSpec{Action: task.ActionRequeue})
}

func (c *bulkDeleteCmd) Run(ctx context.Context, s *session) error {
	return c.run(ctx, s, task.OperationSpec{Action: task.ActionDelete})
}

func (c *bulkSetPriorityCmd) Run(ctx context.Context, s *session) error {
	return c.run(ctx, s, task.OperationSpec{Action: task.ActionSetPriority, Priority: &c.Priority})
}

// bulkFlags are those of every bulk command.
type bulkFlags struct {
	Filter string `placeholder:"FILTER" help:"Which tasks, such as 'status:failed type:mail error:\"timed out\" age>1h'."`
	All    bool   `help:"Every task: the filter may be left out."`
	confirming
}

// confirming are the flags of commands that change many tasks.
type confirming struct {
	Yes    bool `short:"y" help:"Do not ask."`
	DryRun bool `help:"Only show what would be changed."`
	access
}

// Validate is called by the parser.
func (c *bulkFlags) Validate() error {
	if c.Filter == "" && !c.All {
		return usage("say which tasks with --filter, or --all")
	}
	return c.confirming.Validate()
}

// Validate is called by the parser.
func (c *confirming) Validate() error {
	if c.DryRun && c.Yes {
		return usage("--dry-run changes nothing: leave --yes out")
	}
	return nil
}

func (c *bulkFlags) run(ctx context.Context, s *session, spec task.OperationSpec) error {
	spec.Filter, spec.All = c.Filter, c.All
	return c.with(ctx, s, func(q tasks) error { return c.operate(ctx, s, q, spec) })
}

// operate shows what would be changed, asks, and follows the operation to its end. For a program it does one of both: what would be changed, or, with --yes,
// the operation that has ended.
func (c *confirming) operate(ctx context.Context, s *session, q tasks, spec task.OperationSpec) error {
	p, err := q.Propose(ctx, spec)
	if err != nil {
		return err
	}
	asJSON := c.Output == "json"
	switch {
	case asJSON && !c.Yes:
		return s.printJSON(p)
	case !asJSON:
		err = s.printProposal(p)
	}
	if err != nil || p.Matched == 0 && !asJSON {
		return err
	}
	if c.DryRun {
		_, err = fmt.Fprintf(s.stdout, "%s would be changed by %s; nothing was\n", matched(p), p.Action)
		return err
	}
	if ok, err := c.confirmed(s, p); err != nil || !ok {
		return err
	}
	o, err := q.StartOperation(ctx, spec, p.ConfirmToken)
	if err != nil {
		return err
	}
	if o, err = s.follow(ctx, q, o); err != nil {
		return err
	}
	return s.printOperation(o, asJSON)
}

// deeds are the actions as a question begins.
var deeds = map[task.Action]string{
	task.ActionCancel: "Cancel", task.ActionRequeue: "Queue again", task.ActionDelete: "Delete", task.ActionSetPriority: "Change the priority of",
}

// confirmed reports whether the answer is yes.
func (c *confirming) confirmed(s *session, p task.Proposal) (bool, error) {
	if c.Yes {
		return true, nil
	}
	fmt.Fprintf(s.stderr, "%s %s? [y/N] ", deeds[p.Action], matched(p))
	answer, err := bufio.NewReader(s.stdin).ReadString('\n')
	if err != nil && answer == "" {
		fmt.Fprintln(s.stderr)
		return false, usage("nobody answers: add --yes to go on without a question")
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	if answer == "y" || answer == "yes" {
		return true, nil
	}
	_, err = fmt.Fprintln(s.stdout, "Nothing was changed")
	return false, err
}

// matched says how many tasks an operation would change.
func matched(p task.Proposal) string {
	text, atLeast := "tasks", ""
	if p.Matched == 1 {
		text = "task"
	}
	if p.AtLeast {
		atLeast = "at least "
	}
	return fmt.Sprintf("%s%d %s", atLeast, p.Matched, text)
}

func (s *session) printProposal(p task.Proposal) error {
	if p.Matched == 0 {
		_, err := fmt.Fprintf(s.stdout, "No task is found that %s could change\n", p.Action)
		return err
	}
	if err := s.printTasks(p.Sample); err != nil {
		return err
	}
	if more := p.Matched - int64(len(p.Sample)); more > 0 {
		atLeast := ""
		if p.AtLeast {
			atLeast = "at least "
		}
		_, err := fmt.Fprintf(s.stdout, "and %s%d more\n", atLeast, more)
		return err
	}
	return nil
}

// operator is a queue in this process, which works on operations only when it is told to.
type operator interface {
	WorkOperation(ctx context.Context) (worked bool, err error)
}

// followEvery is how often a running operation is looked at.
const followEvery = 200 * time.Millisecond

// follow returns the operation when it has ended. Over HTTP the server works on it, and goes on when this process is interrupted.
func (s *session) follow(ctx context.Context, q tasks, o task.Operation) (task.Operation, error) {
	working, stop := context.WithCancel(ctx)
	failed := make(chan error, 1)
	var work sync.WaitGroup
	if w, ok := q.(operator); ok {
		work.Go(func() { failed <- workOn(working, w) })
	}
	defer work.Wait()
	defer stop()
	bar := s.progress(max(o.UpperID, 1), false)
	defer bar.Exit()
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for o.Status == task.OperationRunning {
		select {
		case <-tick.C:
		case err := <-failed:
			return o, err
		case <-ctx.Done():
			return o, fmt.Errorf("operation %d has begun, and a server goes on with it: %w", o.ID, ctx.Err())
		}
		var err error
		if o, err = q.GetOperation(ctx, o.ID); err != nil {
			return o, err
		}
		bar.Set64(o.DoneID)
	}
	return o, nil
}

// workOn works on operations until ctx ends, after which there is no error.
func workOn(ctx context.Context, w operator) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		worked, err := w.WorkOperation(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if !worked {
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}
}

// printOperation says what has become of it. Tasks that could not be changed are an error.
func (s *session) printOperation(o task.Operation, asJSON bool) error {
	var err error
	if asJSON {
		err = s.printJSON(o)
	} else {
		_, err = fmt.Fprintf(s.stdout, "operation %d %s: %d changed, %d skipped, %d failed\n", o.ID, o.Status, o.Changed, o.Skipped, o.Failed)
	}
	if err == nil && o.Failed > 0 {
		err = errors.New("some tasks could not be changed, the last for this reason: " + text(o.ErrorMessage))
	}
	return err
}
