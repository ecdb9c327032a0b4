package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/prismq/thequeue/internal/clock"
	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/runfile"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// ErrUnreadableRuns: there are runs that cannot be read, so nothing is imported.
var ErrUnreadableRuns = errors.New("runs cannot be read")

// RunsReport is what an import of runs has come to, or would come to.
type RunsReport struct {
	DryRun     bool                     `json:"dry_run"`
	Total      int64                    `json:"total"`      // runs of the registry that can be read
	Statuses   map[task.RunStatus]int64 `json:"statuses"`   // these by status
	Imported   int64                    `json:"imported"`   // queued and running ones that are new here
	Restarted  int64                    `json:"restarted"`  // of these, those that were running: they begin anew
	Known      int64                    `json:"known"`      // queued and running ones that were here already, by their ids
	Ended      int64                    `json:"ended"`      // that have ended: they are left where they are
	Unreadable int64                    `json:"unreadable"` // that cannot be read
	Bad        []runfile.Bad            `json:"bad"`        // the first of these
}

// ImportRuns brings the queued and the running runs of a registry of the older task manager into the database, all or nothing; those that were brought before not again. path names it in
// the audit. The report says what has come of it, also beside ErrUnreadableRuns.
func ImportRuns(ctx context.Context, cfg config.Config, path string, registry io.Reader, dryRun bool, log *slog.Logger) (report RunsReport, err error) {
	report = RunsReport{DryRun: dryRun, Statuses: make(map[task.RunStatus]int64), Bad: []runfile.Bad{}}
	runs, bad, err := runfile.Read(registry)
	if err != nil {
		return report, err
	}
	i := &importing{Import: Import{DryRun: dryRun}, cfg: cfg, log: log}
	now := clock.NewSystem(time.Time{}).Now()
	var live []task.Run
	for _, r := range runs {
		if _, err := runTask(r, cfg, now); err != nil {
			bad = append(bad, runfile.Bad{RunID: r.RunID, Reason: err.Error()})
			continue
		}
		report.Total++
		report.Statuses[r.Status]++
		if r.Status == task.RunQueued || r.Status == task.RunRunning {
			live = append(live, r)
		} else {
			report.Ended++
		}
	}
	report.Unreadable, report.Bad = int64(len(bad)), append(report.Bad, bad[:min(len(bad), maxListed)]...)
	if len(bad) > 0 {
		return report, fmt.Errorf("%w: %d", ErrUnreadableRuns, len(bad))
	}
	if dryRun {
		var st store.Store
		if st, err = i.existing(ctx); err != nil {
			return report, err
		}
		known := []string{}
		if st != nil {
			defer func() { err = errors.Join(err, st.Close()) }()
			keys := make([]string, len(live))
			for n, r := range live {
				keys[n] = r.RunID
			}
			if known, err = st.KnownKeys(ctx, keys); err != nil {
				return report, err
			}
		}
		have := make(map[string]bool, len(known))
		for _, key := range known {
			have[key] = true
		}
		for _, r := range live {
			report.add(r, !have[r.RunID])
		}
		return report, nil
	}
	return report, report.bring(ctx, cfg, path, live, log)
}

func (r *RunsReport) add(run task.Run, created bool) {
	switch {
	case !created:
		r.Known++
	default:
		r.Imported++
		if run.Status == task.RunRunning {
			r.Restarted++
		}
	}
}

// runsAtOnce is how many runs are stored by one statement.
const runsAtOnce = 500

func (r *RunsReport) bring(ctx context.Context, cfg config.Config, path string, live []task.Run, log *slog.Logger) (err error) {
	st, err := OpenStore(ctx, cfg.Database, true, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	now, at := st.Clock().Now(), 0
	batches := iter.Seq2[[]store.Imported, error](func(yield func([]store.Imported, error) bool) {
		at, r.Imported, r.Known, r.Restarted = 0, 0, 0, 0
		for from := 0; from < len(live); from += runsAtOnce {
			var batch []store.Imported
			for _, run := range live[from:min(from+runsAtOnce, len(live))] {
				t, err := runTask(run, cfg, now)
				if err != nil {
					yield(nil, fmt.Errorf("run %s: %w", run.RunID, err))
					return
				}
				line := task.Log{LogID: now.UnixMicro() + 1, AtUTC: now, Level: task.Info, Message: "Imported from a registry of runs, where it was " + string(run.Status)}
				batch = append(batch, store.Imported{Task: t, Logs: []task.Log{line}})
			}
			if !yield(batch, nil) {
				return
			}
		}
	})
	_, err = st.Import(ctx, store.Import{
		Batches: batches,
		Audit:   task.Audit{AtUTC: now, Actor: "thequeue runs import", Action: "import", Subject: path, Message: "Imported a registry of runs"},
		Stored: func(created []bool) {
			for n, ok := range created {
				r.add(live[at+n], ok)
			}
			at += len(created)
		},
	})
	if err != nil {
		return fmt.Errorf("nothing was imported: %w", err)
	}
	return nil
}

// runTask returns the task that a run becomes: queued and due, since when the run was made.
func runTask(r task.Run, cfg config.Config, now time.Time) (task.Task, error) {
	s := task.Spec{Type: r.ModuleID, Payload: r.Parameters, IdempotencyKey: &r.RunID}
	t, err := s.Task(now, task.Limits{MaxAttempts: 100, PayloadBytes: cfg.MaxPayloadBytes})
	if bad, ok := errors.AsType[*task.InvalidError](err); ok {
		names := map[string]string{"type": "module_id", "payload": "parameters", "idempotency_key": "run_id"}
		for i, f := range bad.Fields {
			if name := names[f.Field]; name != "" {
				bad.Fields[i].Field = name
			}
		}
	}
	if !r.CreatedAt.IsZero() && r.CreatedAt.Before(now) {
		t.CreatedAtUTC = r.CreatedAt.Truncate(time.Microsecond)
	}
	return t, err
}
