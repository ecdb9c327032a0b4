package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/task"
)

type schedulesCmd struct {
	List    schedulesListCmd    `cmd:"" help:"List the schedules, by name."`
	Get     schedulesGetCmd     `cmd:"" help:"Show a schedule."`
	Set     schedulesSetCmd     `cmd:"" help:"Make a schedule, or change it; what no flag names stays."`
	Delete  schedulesDeleteCmd  `cmd:"" help:"Delete schedules; the tasks that they have made stay."`
	Preview schedulesPreviewCmd `cmd:"" help:"Show the next times of a schedule."`
	Pause   schedulesPauseCmd   `cmd:"" help:"Let no tick of these schedules come."`
	Resume  schedulesResumeCmd  `cmd:"" help:"Let their ticks come again, from now on."`
}

type schedulesListCmd struct{ access }

func (c *schedulesListCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		schedules, err := q.Schedules(ctx)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return s.printJSON(schedules)
		}
		return s.printSchedules(schedules)
	})
}

type schedulesGetCmd struct {
	Name string `arg:"" help:"Name of the schedule."`
	access
}

func (c *schedulesGetCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		v, err := q.Schedule(ctx, c.Name)
		if err != nil {
			return aboutSchedule(c.Name, err)
		}
		if c.Output == "json" {
			return s.printJSON(v)
		}
		return s.printSchedule(v)
	})
}

type schedulesSetCmd struct {
	Name        string   `arg:"" help:"Name of the schedule."`
	Cron        string   `placeholder:"EXPRESSION" help:"Minute, hour, day of month, month and day of week, like '30 2 * * *'; six fields have the second in front. Or @hourly, @daily, @weekly, @monthly, @yearly."`
	Timezone    string   `placeholder:"NAME" help:"Whose clocks these are, like Europe/Berlin (default UTC)."`
	Misfire     string   `enum:",skip,once,all" default:"" placeholder:"POLICY" help:"What becomes of ticks missed while no server ran: skip, once or all (default once)."`
	MaxMisfires *int     `placeholder:"N" help:"With all: the newest so many (default 10)."`
	Overlap     string   `enum:",allow,skip,cancel" default:"" placeholder:"POLICY" help:"While a task of an earlier tick has not ended: allow the next, skip it, or cancel the older (default allow)."`
	Jitter      *float64 `placeholder:"SECONDS" help:"Run tasks up to so much after their tick (default 0)."`
	Paused      *bool    `negatable:"" help:"Pause it, or end the pause."`

	Type          string   `placeholder:"TYPE" help:"Type of the tasks; chooses what is run for them."`
	Payload       string   `placeholder:"JSON" help:"A JSON object for the handler; @FILE reads it from a file, @- from standard input."`
	Priority      *int     `placeholder:"N" help:"1 to 1000, the lower runs first (default 100)."`
	Timeout       *float64 `placeholder:"SECONDS" help:"The longest that one attempt may take."`
	MaxAttempts   *int     `placeholder:"N" help:"How often a task is tried, 1 to 100 (default 5)."`
	Compatibility string   `placeholder:"JSON" help:"What a worker must offer, a JSON object; @FILE reads it from a file."`
	RetryPolicy   string   `placeholder:"JSON" help:"initial_seconds, multiplier, max_seconds and jitter, those that shall differ; @FILE reads them from a file."`
	access
}

func (c *schedulesSetCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		now, err := q.Schedule(ctx, c.Name)
		spec := task.ScheduleSpec{}
		if err == nil {
			spec, err = now.Request()
		}
		if err != nil && !errors.Is(err, task.ErrNotFound) {
			return err
		}
		if err := c.change(&spec, s.stdin); err != nil {
			return err
		}
		v, err := q.PutSchedule(ctx, c.Name, spec)
		return s.answerSchedule(v, err, c.Output, "Schedule set")
	})
}

// change replaces what flags name; what is wrong with their values the queue says.
func (c *schedulesSetCmd) change(spec *task.ScheduleSpec, stdin io.Reader) error {
	given := enqueueCmd{
		Type: c.Type, Payload: c.Payload, Priority: c.Priority, Timeout: c.Timeout, MaxAttempts: c.MaxAttempts, Compatibility: c.Compatibility, RetryPolicy: c.RetryPolicy,
	}
	t, err := given.spec(stdin)
	if err != nil {
		return err
	}
	replace(&spec.Cron, c.Cron)
	replace(&spec.Timezone, c.Timezone)
	replace((*string)(&spec.Misfire), c.Misfire)
	replace((*string)(&spec.Overlap), c.Overlap)
	instead(&spec.MaxMisfires, c.MaxMisfires)
	instead(&spec.JitterSeconds, c.Jitter)
	instead(&spec.Paused, c.Paused)
	replace(&spec.Task.Type, t.Type)
	replace((*string)(&spec.Task.Payload), string(t.Payload))
	replace((*string)(&spec.Task.Compatibility), string(t.Compatibility))
	instead(&spec.Task.Priority, t.Priority)
	instead(&spec.Task.TimeoutSeconds, t.TimeoutSeconds)
	instead(&spec.Task.MaxAttempts, t.MaxAttempts)
	instead(&spec.Task.RetryPolicy, t.RetryPolicy)
	return nil
}

// instead sets a value when there is a new one.
func instead[T any](dst **T, v *T) {
	if v != nil {
		*dst = v
	}
}

type schedulesDeleteCmd struct {
	Names []string `arg:"" name:"name" help:"Names of the schedules."`
	access
}

func (c *schedulesDeleteCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		for _, name := range c.Names {
			err := q.DeleteSchedule(ctx, name)
			if err == nil && c.Output == "table" {
				_, err = fmt.Fprintf(s.stdout, "%s: Schedule deleted\n", clean(name))
			}
			if err != nil {
				return aboutSchedule(name, err)
			}
		}
		return nil
	})
}

type schedulesPreviewCmd struct {
	Name  string `arg:"" help:"Name of the schedule."`
	Count int    `short:"n" default:"10" placeholder:"N" help:"How many, 1 to 1000 (default 10)."`
	access
}

// Validate is called by the parser.
func (c *schedulesPreviewCmd) Validate() error {
	if c.Count < 1 || c.Count > queue.MaxPreview {
		return usage("--count must lie between 1 and %d", queue.MaxPreview)
	}
	return nil
}

func (c *schedulesPreviewCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		times, err := q.PreviewSchedule(ctx, c.Name, c.Count)
		if err != nil {
			return aboutSchedule(c.Name, err)
		}
		if c.Output == "json" {
			return s.printJSON(times)
		}
		rows := [][]string{{"LOCAL", "UTC", "RUNS AFTER"}}
		for _, t := range times {
			rows = append(rows, []string{t.Local, when(t.TickUTC), when(t.RunAfterUTC)})
		}
		return s.printRows(rows)
	})
}

type schedulesPauseCmd struct {
	Names []string `arg:"" name:"name" help:"Names of the schedules."`
	access
}

func (c *schedulesPauseCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		return s.eachSchedule(ctx, c.Names, q.PauseSchedule, c.Output, "Schedule paused")
	})
}

type schedulesResumeCmd struct {
	Names []string `arg:"" name:"name" help:"Names of the schedules."`
	access
}

func (c *schedulesResumeCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		return s.eachSchedule(ctx, c.Names, q.ResumeSchedule, c.Output, "Schedule resumed")
	})
}

// eachSchedule does one thing for all schedules, one after the other.
func (s *session) eachSchedule(ctx context.Context, names []string, do func(context.Context, string) (task.Schedule, error), output, done string) error {
	for _, name := range names {
		v, err := do(ctx, name)
		if err := s.answerSchedule(v, aboutSchedule(name, err), output, done); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) answerSchedule(v task.Schedule, err error, output, done string) error {
	switch {
	case err != nil:
		return err
	case output == "json":
		return s.printJSON(v)
	}
	_, err = fmt.Fprintf(s.stdout, "%s: %s, next tick %s\n", clean(v.Name), done, instant(v.NextTickUTC))
	return err
}

func (s *session) printSchedules(schedules []task.Schedule) error {
	rows := [][]string{{"NAME", "CRON", "TIMEZONE", "TYPE", "PAUSED", "NEXT", "LAST", "TASK"}}
	for _, v := range schedules {
		spec, err := v.Spec()
		if err != nil {
			return err
		}
		rows = append(rows, []string{v.Name, v.Cron, v.Timezone, spec.Type, yes(v.Paused), instant(v.NextTickUTC), instant(v.LastTickUTC), number(v.LastTaskID)})
	}
	return s.printRows(rows)
}

func (s *session) printSchedule(v task.Schedule) error {
	rows := [][]string{
		{"schedule", v.Name}, {"cron", v.Cron}, {"timezone", v.Timezone}, {"task", string(v.Task)}, {"misfire", string(v.Misfire)}, {"overlap", string(v.Overlap)},
		{"jitter", fmt.Sprintf("%g s", v.JitterSeconds)}, {"paused", yes(v.Paused)}, {"next tick", instant(v.NextTickUTC)}, {"last tick", instant(v.LastTickUTC)},
		{"last task", number(v.LastTaskID)},
	}
	if v.Misfire == task.MisfireAll {
		rows[4][1] = fmt.Sprintf("all, at most %d", v.MaxMisfires)
	}
	if v.LastSkipped != nil {
		rows = append(rows, []string{"skipped", *v.LastSkipped})
	}
	return s.printRows(rows)
}

// number is the id of a task, or a dash for none.
func number(id *int64) string {
	if id == nil {
		return "-"
	}
	return fmt.Sprint(*id)
}

// aboutSchedule names the schedule that an error is about.
func aboutSchedule(name string, err error) error {
	if errors.Is(err, task.ErrNotFound) {
		return fmt.Errorf("schedule %s %w", name, task.ErrNotFound)
	}
	return err
}
