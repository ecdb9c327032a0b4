package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/prismq/thequeue/internal/app"
	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/runfile"
	"github.com/prismq/thequeue/internal/task"
)

type runsCmd struct {
	Import importRunsCmd `cmd:"" help:"Bring in the queued and running runs of a registry of the older task manager, a JSON file."`
	Export exportRunsCmd `cmd:"" help:"Write tasks as such a registry, for the way back."`
}

type importRunsCmd struct {
	File string `arg:"" placeholder:"REGISTRY.json" help:"The registry of the older task manager; - is the input."`

	Database string `placeholder:"PATH|URL" help:"Where the runs go: a SQLite file or a postgres:// URL (PRISMQ_DATABASE_URL, PRISMQ_QUEUE_DB_PATH; default: queue.db in your data directory)."`
	DryRun   bool   `help:"Only say what would become of the runs."`
	Output   string `short:"o" enum:"table,json" default:"table" help:"How to answer: table for people, json for programs."`
}

func (c *importRunsCmd) Run(ctx context.Context, s *session) error {
	cfg, err := s.settings(func(c2 *config.Config) { replace(&c2.Database, c.Database) }, "database")
	if err != nil {
		return err
	}
	in := s.stdin
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return &usageError{err}
		}
		defer f.Close()
		in = f
	}
	report, err := app.ImportRuns(ctx, cfg, c.File, in, c.DryRun, s.logger(cfg))
	refused := errors.Is(err, app.ErrUnreadableRuns)
	if err != nil && !refused {
		return err
	}
	if refused {
		err = &usageError{fmt.Errorf("%w: nothing is imported; put them right in a copy of the file, or take them out of it", err)}
	}
	if c.Output == "json" {
		return errors.Join(s.printJSON(report), err)
	}
	return errors.Join(s.printLines(runsLines(report)), err)
}

// runsLines says what has become of runs, or would.
func runsLines(r app.RunsReport) (lines []string) {
	for _, status := range task.RunStatuses {
		if n := r.Statuses[status]; n > 0 {
			lines = append(lines, fmt.Sprintf("%d %s", n, status))
		}
	}
	for _, b := range r.Bad {
		lines = append(lines, fmt.Sprintf("cannot be read: run %s: %s", b.RunID, b.Reason))
	}
	if more := r.Unreadable - int64(len(r.Bad)); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	if r.Unreadable > 0 {
		return lines
	}
	what := "imported"
	if r.DryRun {
		what = "dry run: nothing was changed; would be imported"
	}
	return append(lines, fmt.Sprintf("%s: %d, of which %d were running and begin anew; known already: %d; ended, and left where they are: %d", what, r.Imported, r.Restarted, r.Known, r.Ended))
}

type exportRunsCmd struct {
	File       string `arg:"" optional:"" placeholder:"REGISTRY.json" help:"A new file; without it they go to the output."`
	Unfinished bool   `help:"Only runs that have not ended, as queued, so that the older task manager begins them anew."`
	Filter     string `placeholder:"FILTER" help:"Only tasks that match, such as 'type:video age<7d'."`

	Server   string `xor:"where" placeholder:"URL" help:"The server to ask (PRISMQ_SERVER_URL; default http://127.0.0.1:8000)."`
	Database string `xor:"where" placeholder:"PATH|URL" help:"Open this SQLite file or postgres:// database, without a server."`
}

func (c *exportRunsCmd) Run(ctx context.Context, s *session) error {
	m, err := task.ParseMatch(c.Filter)
	if err != nil {
		return err
	}
	return access{Server: c.Server, Database: c.Database, Output: "json"}.with(ctx, s, func(q tasks) error {
		if c.File == "" {
			_, err := c.write(ctx, q, m, s.stdout)
			return err
		}
		n, err := c.toFile(ctx, q, m)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(s.stdout, "%d runs are in %s\n", n, c.File)
		return err
	})
}

// toFile writes a new file whole or not at all.
func (c *exportRunsCmd) toFile(ctx context.Context, q tasks, m task.Match) (n int, err error) {
	if _, err := os.Lstat(c.File); err == nil {
		return 0, usage("%s is there already: name another file, or move it away", c.File)
	}
	f, err := os.CreateTemp(filepath.Dir(c.File), filepath.Base(c.File)+".*.new")
	if err != nil {
		return 0, &usageError{err}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if n, err = c.write(ctx, q, m, f); err != nil {
		return 0, errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	return n, os.Rename(f.Name(), c.File)
}

// exportPage is how many tasks are asked for at once.
const exportPage = 500

func (c *exportRunsCmd) write(ctx context.Context, q tasks, m task.Match, to io.Writer) (n int, err error) {
	w := runfile.NewWriter(to)
	if c.Unfinished { // in one pass: over two, a task that is claimed meanwhile is in neither or in both
		live := []task.Status{task.Queued, task.Processing}
		if m.Statuses != nil {
			live = slices.DeleteFunc(live, func(s task.Status) bool { return !slices.Contains(m.Statuses, s) })
		}
		if m.Statuses = live; len(live) == 0 {
			return 0, w.Close()
		}
	}
	for f, more := (task.Filter{Match: m, Limit: exportPage}), true; more; {
		found, err := q.List(ctx, f)
		if err != nil {
			return n, err
		}
		for _, t := range found {
			f.Before = t.ID
			r := t.Run()
			if c.Unfinished {
				r.Status, r.StartedAt, r.ProgressPercent, r.ItemsProcessed, r.ItemsTotal, r.ErrorMessage = task.RunQueued, nil, nil, nil, nil, nil
			}
			if err := w.Write(r); err != nil {
				return n, err
			}
		}
		n, more = n+len(found), len(found) == f.Limit
	}
	return n, w.Close()
}
