package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/prismq/thequeue/internal/task"
)

// maintenanceCmd looks after the database.
type maintenanceCmd struct {
	Stats      maintenanceStatsCmd      `cmd:"" help:"Show the sizes of the database."`
	Checkpoint maintenanceCheckpointCmd `cmd:"" help:"Copy the write-ahead log of SQLite into the database."`
	Vacuum     maintenanceVacuumCmd     `cmd:"" help:"Give pages back to the disk that hold nothing, beside a server."`
	Analyze    maintenanceAnalyzeCmd    `cmd:"" help:"Renew what the planner of the database knows of its tables."`
	Integrity  maintenanceIntegrityCmd  `cmd:"" help:"Look for what is broken in the database."`
	Optimize   maintenanceOptimizeCmd   `cmd:"" help:"Analyze what has changed much; all that helps with --full."`
	Retention  maintenanceRetentionCmd  `cmd:"" help:"Delete at once what the upkeep would: ended tasks and logs whose retention is over."`
	Reclaim    maintenanceReclaimCmd    `cmd:"" help:"Take back leases that have run out."`
	Stop       maintenanceStopCmd       `cmd:"" help:"End what a server is doing of this, early."`
}

type maintenanceStatsCmd struct{ access }

func (c *maintenanceStatsCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		d, err := q.DatabaseStats(ctx)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return s.printJSON(d)
		}
		return s.printDatabase(d)
	})
}

func (s *session) printDatabase(d task.DatabaseStats) error {
	rows := [][]string{{"engine", d.Engine + " " + d.Version}, {"size", bytesText(d.Bytes)}}
	set := func(name string, n *int64, show func(int64) string) {
		if n != nil {
			rows = append(rows, []string{name, show(*n)})
		}
	}
	plain := func(n int64) string { return fmt.Sprint(n) }
	set("write-ahead log", d.WALBytes, bytesText)
	rows = append(rows, []string{"page size", fmt.Sprint(d.PageBytes)})
	set("pages", d.Pages, plain)
	set("free pages", d.FreePages, plain)
	if d.AutoVacuum != nil {
		rows = append(rows, []string{"auto_vacuum", *d.AutoVacuum})
	}
	set("free on the disk", d.DiskFree, bytesText)
	if r := d.Running; r != nil {
		rows = append(rows, []string{"under way", fmt.Sprintf("%s since %s, %d %%", r.Verb, when(r.Since.Time), r.Progress.Done*100/max(r.Progress.Total, 1))})
	}
	if err := s.printRows(rows); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(s.stdout); err != nil {
		return err
	}
	tables := [][]string{{"TABLE", "ROWS", "SIZE", "DEAD ROWS"}}
	for _, t := range d.Tables {
		row := []string{t.Name, "many", "-", "-"}
		if t.Rows != nil {
			row[1] = strings.Repeat("~", map[bool]int{true: 1}[t.Estimated]) + fmt.Sprint(*t.Rows)
		}
		if t.Bytes != nil {
			row[2] = bytesText(*t.Bytes)
		}
		if t.DeadRows != nil {
			row[3] = fmt.Sprint(*t.DeadRows)
		}
		tables = append(tables, row)
	}
	return s.printRows(tables)
}

// bytesText is a size for people.
func bytesText(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	size, unit := float64(n), 0
	for size >= 1<<10 && unit < 4 {
		size, unit = size/(1<<10), unit+1
	}
	return fmt.Sprintf("%.1f %ciB", size, " KMGT"[unit])
}

type maintenanceCheckpointCmd struct {
	Mode string `default:"passive" enum:"passive,full,restart,truncate" help:"passive: what no reader is in the way of; full: all; restart: and write the log from its start again; truncate: and empty its file (default passive)."`
	access
}

func (c *maintenanceCheckpointCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		d, err := q.Checkpoint(ctx, task.CheckpointMode(c.Mode))
		switch {
		case err != nil:
			return err
		case c.Output == "json":
			return s.printJSON(d)
		case d.LogPages == nil:
			_, err = fmt.Fprintf(s.stdout, "Checkpoint made. %s\n", d.Note)
		case d.Busy:
			_, err = fmt.Fprintf(s.stdout, "%d of %d pages of the log are in the database; a reader or another process is in the way of the rest: try again\n", *d.CheckpointedPages, *d.LogPages)
		default:
			_, err = fmt.Fprintf(s.stdout, "%d of %d pages of the log are in the database\n", *d.CheckpointedPages, *d.LogPages)
		}
		return err
	})
}

type maintenanceVacuumCmd struct {
	Full   bool `help:"Write the whole database anew. It shows first what that takes; no server may run meanwhile."`
	DryRun bool `help:"With --full: only show what it takes."`
	Yes    bool `short:"y" help:"Do not ask."`
	access
}

// Validate is called by the parser.
func (c *maintenanceVacuumCmd) Validate() error {
	switch {
	case c.DryRun && !c.Full:
		return usage("--dry-run goes with --full: the vacuum in steps costs next to nothing")
	case c.DryRun && c.Yes:
		return usage("--dry-run changes nothing: leave --yes out")
	}
	return nil
}

func (c *maintenanceVacuumCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		do := q.Vacuum
		if c.Full {
			cost, err := q.VacuumCost(ctx)
			if err != nil {
				return err
			}
			if c.DryRun && c.Output == "json" {
				return s.printJSON(cost)
			}
			show := s.stdout
			if c.Output == "json" {
				show = s.stderr
			}
			if !c.Yes || !c.DryRun {
				if _, err := fmt.Fprintln(show, costText(cost)); err != nil {
					return err
				}
			}
			if c.DryRun {
				return nil
			}
			if ok, err := s.agreed("Write the whole database anew?", c.Yes); err != nil || !ok {
				return err
			}
			do = q.FullVacuum
		}
		d, err := watched(s, func(tell func(task.Progress)) (task.Vacuum, error) { return do(ctx, tell) })
		if err != nil {
			return err
		}
		return s.ended(ctx, c.Output, d, d.Stopped, vacuumText(d))
	})
}

func costText(c task.VacuumCost) string {
	free := ""
	if c.FreeBytes != nil {
		free = fmt.Sprintf(" of the %s there are", bytesText(*c.FreeBytes))
	}
	return fmt.Sprintf("The database has %s. A full vacuum takes some %s and up to %s of free disk%s. %s", bytesText(c.Bytes), (time.Duration(c.EstimatedSeconds*float64(time.Second)) + time.Second).Round(time.Second), bytesText(c.NeedsBytes), free, c.Message)
}

func vacuumText(d task.Vacuum) string {
	text := fmt.Sprintf("The database had %s and has %s", bytesText(d.BytesBefore), bytesText(d.BytesAfter))
	if d.FreePages != nil && *d.FreePages > 0 {
		text += fmt.Sprintf("; %d pages that hold nothing are left", *d.FreePages)
	}
	if d.Note != "" {
		text += ". " + d.Note
	}
	return text
}

type maintenanceAnalyzeCmd struct {
	Table string `arg:"" optional:"" help:"This table alone."`
	access
}

func (c *maintenanceAnalyzeCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		d, err := watched(s, func(tell func(task.Progress)) (task.Analysis, error) { return q.Analyze(ctx, c.Table, tell) })
		if err != nil {
			return err
		}
		text := fmt.Sprintf("%d tables analyzed", len(d.Tables))
		if len(d.Skipped) > 0 {
			text += fmt.Sprintf("; too large while a server has the file: %s", strings.Join(d.Skipped, ", "))
		}
		return s.ended(ctx, c.Output, d, d.Stopped, text)
	})
}

type maintenanceIntegrityCmd struct{ access }

func (c *maintenanceIntegrityCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		d, err := watched(s, func(tell func(task.Progress)) (task.Integrity, error) { return q.CheckIntegrity(ctx, tell) })
		if err != nil {
			return err
		}
		text := fmt.Sprintf("Nothing is broken in %d tables", len(d.Checked))
		switch {
		case d.Note != "":
			text = d.Note
		case len(d.Problems) > 0:
			text = strings.Join(d.Problems, "\n")
		case d.OK == nil:
			text = fmt.Sprintf("Nothing is broken in the %d tables that were checked", len(d.Checked))
		}
		if err := s.ended(ctx, c.Output, d, d.Stopped, text); err != nil {
			return err
		}
		if len(d.Problems) > 0 {
			return errors.New("the database is broken: stop the server, keep a copy of the file, and go back to the last good backup")
		}
		return nil
	})
}

type maintenanceOptimizeCmd struct {
	Full bool `help:"Vacuum in steps, analyze every table, and empty the write-ahead log."`
	access
}

func (c *maintenanceOptimizeCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		d, err := watched(s, func(tell func(task.Progress)) (task.Optimization, error) { return q.Optimize(ctx, c.Full, tell) })
		if err != nil {
			return err
		}
		text := fmt.Sprintf("%d tables analyzed", len(d.Analyzed))
		if d.Vacuum != nil {
			text += ". " + vacuumText(*d.Vacuum)
		}
		return s.ended(ctx, c.Output, d, d.Stopped, text)
	})
}

type maintenanceRetentionCmd struct{ access }

func (c *maintenanceRetentionCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		d, err := watched(s, func(tell func(task.Progress)) (task.Retained, error) { return q.Retain(ctx, tell) })
		if err != nil {
			return err
		}
		return s.ended(ctx, c.Output, d, d.Stopped, fmt.Sprintf("%d tasks and %d lines of logs deleted", d.Tasks, d.Lines))
	})
}

type maintenanceReclaimCmd struct{ access }

func (c *maintenanceReclaimCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		d, err := q.Reclaim(ctx)
		if err != nil {
			return err
		}
		return s.ended(ctx, c.Output, d, false, fmt.Sprintf("%d tasks queued again, %d failed", d.Requeued, d.Failed))
	})
}

type maintenanceStopCmd struct{ access }

func (c *maintenanceStopCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		verb, err := q.StopMaintenance(ctx)
		if errors.Is(err, task.ErrNotFound) {
			return fmt.Errorf("no maintenance is under way: %w", err)
		}
		if err != nil {
			return err
		}
		return s.ended(ctx, c.Output, map[string]string{"verb": verb}, false, verb+": stopped")
	})
}

// ended says what has become of a piece of maintenance; one that was interrupted ends so after that.
func (s *session) ended(ctx context.Context, output string, v any, stopped bool, text string) (err error) {
	if output == "json" {
		err = s.printJSON(v)
	} else {
		if stopped {
			text = "Stopped before its end. " + text
		}
		for line := range strings.Lines(text) {
			if _, err = fmt.Fprintln(s.stdout, clean(strings.TrimSuffix(line, "\n"))); err != nil {
				break
			}
		}
	}
	if err == nil && stopped {
		err = ctx.Err()
	}
	return err
}

// watched shows on a terminal how far something has come.
func watched[T any](s *session, do func(tell func(task.Progress)) (T, error)) (T, error) {
	var bar *progressbar.ProgressBar
	out, err := do(func(p task.Progress) {
		if bar == nil {
			bar = s.progress(p.Total, false)
		}
		if bar.GetMax64() != p.Total { // another part of the whole
			bar.ChangeMax64(p.Total)
		}
		bar.Describe(p.Step)
		bar.Set64(p.Done)
	})
	if bar != nil {
		bar.Exit()
	}
	return out, err
}

// agreed reports whether the answer to a question is yes.
func (s *session) agreed(question string, yes bool) (bool, error) {
	if yes {
		return true, nil
	}
	fmt.Fprintf(s.stderr, "%s [y/N] ", question)
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
