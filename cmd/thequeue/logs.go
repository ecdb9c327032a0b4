package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/prismq/thequeue/internal/task"
)

type logsCmd struct {
	Show   logsShowCmd   `cmd:"" default:"withargs" help:"Show the log of a task, or the newest lines of all tasks; logs alone does the same."`
	Delete logsDeleteCmd `cmd:"" help:"Delete old lines of all tasks."`
}

type logsShowCmd struct {
	ID     int64  `arg:"" optional:"" help:"Number of the task; without one: what workers write and what goes wrong, of all tasks."`
	Level  string `enum:",debug,info,warning,error" default:"" placeholder:"LEVEL" help:"Only lines of this level: debug, info, warning or error."`
	Type   string `placeholder:"TYPE" help:"Only lines of tasks of this type."`
	Since  string `placeholder:"TIME" help:"Only lines of the last 90s, 2h, 7d."`
	Count  int    `short:"n" default:"100" help:"How many of the newest lines of all tasks."`
	Follow bool   `short:"f" help:"Go on with what is written from now on, until the task has ended."`
	access
}

// logPage is how many lines are asked for at a time.
const logPage = 1000

func (c *logsShowCmd) Run(ctx context.Context, s *session) error {
	if c.Count < 1 || c.Count > 10_000 {
		return usage("-n must lie between 1 and 10000")
	}
	if c.ID != 0 && (c.Type != "" || c.Since != "") {
		return usage("--type and --since are for the lines of all tasks, not of one")
	}
	return c.with(ctx, s, func(q tasks) error {
		if c.ID == 0 {
			return c.recent(ctx, s, q)
		}
		p := &logPrinter{session: s, command: c, filter: task.LogFilter{TaskID: c.ID, Level: task.Level(c.Level), Limit: logPage}}
		if !c.Follow {
			return p.more(ctx, q)
		}
		return p.follow(ctx, q)
	})
}

// logPrinter writes the log of a task, each line once.
type logPrinter struct {
	*session
	command *logsShowCmd
	filter  task.LogFilter
}

// more writes the lines that were not written yet.
func (p *logPrinter) more(ctx context.Context, q tasks) error {
	for {
		lines, err := q.Logs(ctx, p.filter)
		if err != nil {
			return about(p.filter.TaskID, err)
		}
		for _, l := range lines {
			if err := p.print(l); err != nil {
				return err
			}
			p.filter.After = l.LogID
		}
		if len(lines) < p.filter.Limit {
			return nil
		}
	}
}

func (p *logPrinter) print(l task.Log) error {
	if p.command.Output == "json" {
		return p.printJSON(l)
	}
	_, err := fmt.Fprintf(p.stdout, "%s %-7s %s\n", when(l.AtUTC), l.Level, clean(withDetails(l)))
	return err
}

func withDetails(l task.Log) string {
	if l.Details == nil {
		return l.Message
	}
	return l.Message + " " + string(*l.Details)
}

// errEnded ends the following of a task.
var errEnded = errors.New("the task has ended")

func (p *logPrinter) follow(ctx context.Context, q tasks) error {
	names := []task.EventName{task.EventLog, task.EventCompleted, task.EventFailed, task.EventLost, task.EventCancelled, task.EventExpired, task.EventRequeued, task.EventRetry, task.EventDeleted}
	err := q.Events(ctx, task.EventFilter{TaskID: p.filter.TaskID, Names: names}, 0, func(e *task.Event) error {
		if e != nil && e.Name == task.EventDeleted {
			return errEnded
		}
		if err := p.more(ctx, q); err != nil {
			return err
		}
		if e != nil {
			return endedWith(e.Status)
		}
		t, err := q.Get(ctx, p.filter.TaskID) // it may have ended before
		if err != nil {
			return about(p.filter.TaskID, err)
		}
		return endedWith(t.Status)
	})
	if errors.Is(err, errEnded) || ctx.Err() != nil {
		return nil
	}
	return about(p.filter.TaskID, err)
}

func endedWith(s task.Status) error {
	if s == task.Completed || s == task.Failed {
		return errEnded
	}
	return nil
}
