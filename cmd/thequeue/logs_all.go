package main

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/clock"
	"github.com/prismq/thequeue/internal/task"
)

// recent shows the newest lines of all tasks, in the order of time, and goes on with what comes.
func (c *logsShowCmd) recent(ctx context.Context, s *session, q tasks) error {
	f := task.RecentLogFilter{Level: task.Level(c.Level), Type: c.Type, Limit: c.Count}
	if c.Since != "" {
		age, ok := task.ParseAge(c.Since)
		if !ok {
			return usage("--since %s: must be a length of time in w, d, h, m and s, such as 90s or 2h", c.Since)
		}
		f.Since = clock.Wall().Add(-age)
	}
	p := &recentPrinter{session: s, command: c, seen: make(map[task.LogPlace]bool)}
	lines, err := q.RecentLogs(ctx, f)
	if err != nil {
		return err
	}
	if err := p.print(lines); err != nil || !c.Follow {
		return err
	}
	names := []task.EventName{
		task.EventLog, task.EventStarted, task.EventRetry, task.EventFailed, task.EventReleased, task.EventLost, task.EventCancelled, task.EventExpired, task.EventRequeued, task.EventPriority,
	}
	ef := task.EventFilter{Names: names}
	if c.Type != "" {
		ef.Types = []string{c.Type}
	}
	err = q.Events(ctx, ef, 0, func(e *task.Event) error {
		if e == nil && p.newest.IsZero() {
			return nil
		}
		f.Limit = logPage
		if f.Since = p.newest.Add(-logSlack); p.newest.IsZero() {
			f.Since = e.AtUTC.Add(-logSlack)
		}
		lines, err := fresh(ctx, q, f)
		if err != nil {
			return err
		}
		return p.print(lines)
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// logSlack is by how much a line may come later than one that counts as newer: servers of one database tell the time a little differently.
const logSlack = 5 * time.Second

// recentPrinter writes lines of all tasks, each once.
type recentPrinter struct {
	*session
	command *logsShowCmd
	seen    map[task.LogPlace]bool // of the last logSlack
	newest  time.Time
}

// fresh returns all lines that f chooses, newest first, page after page.
func fresh(ctx context.Context, q tasks, f task.RecentLogFilter) (all []task.RecentLog, err error) {
	for {
		lines, err := q.RecentLogs(ctx, f)
		if err != nil {
			return nil, err
		}
		all = append(all, lines...)
		if len(lines) < f.Limit {
			return all, nil
		}
		last := lines[len(lines)-1]
		f.Before = task.LogPlace{LogID: last.LogID, TaskID: last.TaskID}
	}
}

func (p *recentPrinter) print(newestFirst []task.RecentLog) error {
	for _, l := range slices.Backward(newestFirst) {
		place := task.LogPlace{LogID: l.LogID, TaskID: l.TaskID}
		if p.seen[place] {
			continue
		}
		p.seen[place] = true
		if at := time.UnixMicro(l.LogID); at.After(p.newest) {
			p.newest = at
		}
		if err := p.line(l); err != nil {
			return err
		}
	}
	old := p.newest.Add(-2 * logSlack).UnixMicro()
	for place := range p.seen {
		if place.LogID < old {
			delete(p.seen, place)
		}
	}
	return nil
}

func (p *recentPrinter) line(l task.RecentLog) error {
	if p.command.Output == "json" {
		return p.printJSON(l)
	}
	_, err := fmt.Fprintf(p.stdout, "%s %-7s %d %s %s\n", when(l.AtUTC), l.Level, l.TaskID, clean(l.Type), clean(withDetails(l.Log)))
	return err
}

type logsDeleteCmd struct {
	OlderThan string `required:"" placeholder:"TIME" help:"Lines from before so long ago, such as 30d."`
	DryRun    bool   `help:"Count them and do nothing."`
	Yes       bool   `short:"y" help:"Do not ask."`
	access
}

func (c *logsDeleteCmd) Run(ctx context.Context, s *session) error {
	age, ok := task.ParseAge(c.OlderThan)
	if !ok {
		return usage("--older-than %s: must be a length of time in w, d, h, m and s, such as 12h or 30d", c.OlderThan)
	}
	before := clock.Wall().Add(-age)
	return c.with(ctx, s, func(q tasks) error {
		done, err := q.DeleteLogs(ctx, before, true)
		if err != nil {
			return err
		}
		if !c.DryRun && done.Lines > 0 {
			if ok, err := c.confirmed(s, done.Lines); err != nil || !ok {
				return err
			}
			done = task.DeletedLogs{More: true}
			for total := int64(0); done.More; done.Lines = total {
				if done, err = q.DeleteLogs(ctx, before, false); err != nil {
					return err
				}
				total += done.Lines
			}
		}
		if c.Output == "json" {
			return s.printJSON(done)
		}
		verb := "deleted"
		if c.DryRun {
			verb = "would be deleted"
		}
		_, err = fmt.Fprintf(s.stdout, "%d lines %s\n", done.Lines, verb)
		return err
	})
}

// confirmed reports whether the answer is yes.
func (c *logsDeleteCmd) confirmed(s *session, lines int64) (bool, error) {
	if c.Yes {
		return true, nil
	}
	fmt.Fprintf(s.stderr, "Delete %d lines? [y/N] ", lines)
	answer, err := bufio.NewReader(s.stdin).ReadString('\n')
	if err != nil && answer == "" {
		fmt.Fprintln(s.stderr)
		return false, usage("nobody answers: add --yes to go on without a question")
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer == "y" || answer == "yes" {
		return true, nil
	}
	_, err = fmt.Fprintln(s.stdout, "Nothing was changed")
	return false, err
}
