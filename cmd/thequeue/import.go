package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/schollz/progressbar/v3"

	"github.com/prismq/thequeue/internal/app"
	"github.com/prismq/thequeue/internal/config"
)

type importCmd struct {
	File string `arg:"" placeholder:"OLD.db" help:"The database of the older queue, a SQLite file. It is only read."`

	Database string `placeholder:"PATH|URL" help:"Where the tasks go: a SQLite file or a postgres:// URL (PRISMQ_DATABASE_URL, PRISMQ_QUEUE_DB_PATH; default: queue.db in your data directory)."`
	DryRun   bool   `help:"Only say what would become of the tasks."`
	Rejects  string `placeholder:"FILE" help:"Keep rows that cannot be read in this new file, one JSON object a line; without it they refuse the import."`
	Output   string `short:"o" enum:"table,json" default:"table" help:"How to answer: table for people, json for programs."`
}

func (c *importCmd) Run(ctx context.Context, s *session) error {
	if c.DryRun && c.Rejects != "" {
		return usage("--dry-run writes nothing: leave --rejects out; -o json shows the rows")
	}
	cfg, err := s.settings(func(c2 *config.Config) { replace(&c2.Database, c.Database) }, "database")
	if err != nil {
		return err
	}
	var bar *progressbar.ProgressBar
	report, err := app.ImportOld(ctx, cfg, app.Import{File: c.File, DryRun: c.DryRun, Rejects: c.Rejects, Progress: func(done, total int64) {
		if bar == nil {
			bar = s.progress(total, false)
		}
		bar.Set64(done)
	}}, s.logger(cfg))
	if bar != nil {
		bar.Exit()
	}
	refused := errors.Is(err, app.ErrUnreadable)
	if err != nil && !refused {
		return err
	}
	if refused {
		err = &usageError{fmt.Errorf("%w: nothing is imported; `--rejects FILE` keeps them aside and imports the others", err)}
	}
	if c.Output == "json" {
		return errors.Join(s.printJSON(report), err)
	}
	return errors.Join(s.printImport(report, c.Rejects), err)
}

// printImport says what has become of the tasks, or would.
func (s *session) printImport(r app.ImportReport, rejects string) error {
	rows := [][]string{{"OLD STATUS", "TASKS", "BECOME", "KNOWN", "UNREADABLE"}}
	for _, t := range r.Tasks {
		var become []string
		for _, name := range slices.Sorted(maps.Keys(t.Becomes)) {
			become = append(become, fmt.Sprintf("%d %s", t.Becomes[name], name))
		}
		status := t.Status
		if status == "" {
			status = "(another)"
		}
		rows = append(rows, []string{status, fmt.Sprint(t.Tasks), strings.Join(become, ", "), fmt.Sprint(t.Known), fmt.Sprint(t.Unreadable)})
	}
	if err := s.printRows(rows); err != nil {
		return err
	}
	return s.printLines(importLines(r, rejects))
}

func (s *session) printLines(lines []string) error {
	for _, l := range lines {
		if _, err := fmt.Fprintln(s.stdout, clean(l)); err != nil {
			return err
		}
	}
	return nil
}

// importLines is what is to be said beside the table.
func importLines(r app.ImportReport, rejects string) (lines []string) {
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, n := range r.Notes {
		say("%d tasks: %s", n.Tasks, n.Note)
	}
	if r.StillHeld > 0 {
		say("%d tasks were held under leases that have not ended: make sure that no worker of the older queue runs any more, or they may run twice", r.StillHeld)
	}
	for _, b := range r.Rejected {
		say("cannot be read: %s %d: %s", b.Table, b.ID, b.Reason)
	}
	if more := r.RejectedRows - int64(len(r.Rejected)); more > 0 {
		say("and %d more", more)
	}
	switch {
	case r.DryRun:
		say("dry run: nothing was changed; %d of %d tasks would be imported, with %d lines of their logs, and %d workers", r.Imported, r.Total, r.Logs, r.Workers)
	case r.KeptIDs == nil: // refused
	case r.Imported == 0:
		say("nothing to import: all of the %d tasks that can be read are here already", r.Known)
	default:
		ids := "their own ids"
		if !*r.KeptIDs {
			ids = "new ids, since this database has had tasks before"
		}
		say("%d of %d tasks are imported, under %s, with %d lines of their logs, and %d workers; the counts by status agree", r.Imported, r.Total, ids, r.Logs, r.Workers)
	}
	if r.KeptIDs != nil && r.RejectedRows > 0 {
		say("%d rows that cannot be read are in %s", r.RejectedRows, rejects)
	}
	return lines
}
