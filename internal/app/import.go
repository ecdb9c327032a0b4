package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prismq/thequeue/internal/clock"
	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/sqlite/oldqueue"
	"github.com/prismq/thequeue/internal/task"
)

// Import is an import of the database of the older queue.
type Import struct {
	File     string                  // the older database
	Rejects  string                  // a new file for the rows that cannot be read, one JSON object a line; empty: such rows refuse the import
	DryRun   bool                    // nothing is changed
	Progress func(done, total int64) // told of tasks as they are looked at, each of them twice unless it is a dry run; nil: not called
}

// ErrUnreadable: there are rows that cannot be read, and no file to keep them aside.
var ErrUnreadable = errors.New("rows of the older queue cannot be read")

// maxListed is how many rows that cannot be read a report names.
const maxListed = 20

// ImportReport is what an import has come to, or would come to.
type ImportReport struct {
	DryRun       bool                  `json:"dry_run"`
	Tasks        []ImportedStatus      `json:"tasks"`         // by the status in the older queue, in the order of a task's life, those that there are
	Total        int64                 `json:"total"`         // tasks of the older queue
	Imported     int64                 `json:"imported"`      // of these, those that are new here
	Known        int64                 `json:"known"`         // that were here already, by their idempotency keys
	Unreadable   int64                 `json:"unreadable"`    // that cannot be read
	Stored       map[task.Status]int64 `json:"stored"`        // the imported ones by status, as counted in the database afterwards; null in a dry run
	KeptIDs      *bool                 `json:"kept_ids"`      // they have the ids that they had; null in a dry run
	Logs         int64                 `json:"logs"`          // lines of the logs of imported tasks
	Workers      int64                 `json:"workers"`       // workers that are new here; in a dry run those of the older queue
	StillHeld    int64                 `json:"still_held"`    // imported tasks whose leases had not ended: their workers may still be at it
	Notes        []ImportNote          `json:"notes"`         // what of imported tasks is not as it was
	Rejected     []oldqueue.Rejected   `json:"rejected"`      // the first of the rows that cannot be read, of all tables
	RejectedRows int64                 `json:"rejected_rows"` // all of them
}

// ImportNote is something that was changed, and in how many tasks.
type ImportNote struct {
	Note  string `json:"note"`
	Tasks int64  `json:"tasks"`
}

// ImportedStatus is what becomes of the tasks of one status of the older queue.
type ImportedStatus struct {
	Status     string           `json:"status"` // empty: none of those known
	Tasks      int64            `json:"tasks"`
	Becomes    map[string]int64 `json:"becomes"` // the imported ones by status, with the outcome where it failed: "failed (exhausted)"
	Known      int64            `json:"known"`
	Unreadable int64            `json:"unreadable"`
}

// importing is an import under way.
type importing struct {
	Import
	cfg    config.Config
	log    *slog.Logger
	file   *oldqueue.File
	counts oldqueue.Counts
	report ImportReport
	by     map[string]*ImportedStatus
	notes  map[oldqueue.Note]int64
	rows   []oldqueue.Row // of the batch that is being stored
	aside  *os.File       // Rejects, once there are any
	done   int64
}

// ImportOld brings the tasks of the older queue into the database, all or nothing; those that were brought before not again. It makes the database where there is none. The
// report says what has come of it, also beside ErrUnreadable. A dry run only looks; a database that is not there, or has no schema of this binary, counts as empty.
func ImportOld(ctx context.Context, cfg config.Config, im Import, log *slog.Logger) (report ImportReport, err error) {
	i := &importing{Import: im, cfg: cfg, log: log}
	if im.Rejects != "" {
		if _, err := os.Lstat(im.Rejects); !errors.Is(err, fs.ErrNotExist) {
			return i.report, task.Invalid("rejects", "%s is there already: name another file, or move it away", im.Rejects)
		}
	}
	if i.file, err = oldqueue.Open(ctx, im.File); err != nil {
		return i.report, err
	}
	defer func() { err = errors.Join(err, i.file.Close()) }()
	if i.counts, err = i.file.Count(ctx); err != nil {
		return i.report, err
	}
	err = i.look(ctx)
	if err == nil && !im.DryRun {
		err = i.bring(ctx)
	}
	if err = errors.Join(err, i.closeAside(err != nil)); err != nil && !errors.Is(err, ErrUnreadable) {
		return ImportReport{}, err
	}
	return i.report, err
}

// look reads everything once, so that nothing is begun that cannot be ended.
func (i *importing) look(ctx context.Context) (err error) {
	var known func(context.Context, []string) ([]string, error)
	if i.DryRun {
		st, err := i.existing(ctx)
		if err != nil {
			return err
		}
		if st != nil {
			defer func() { err = errors.Join(err, st.Close()) }()
			known = st.KnownKeys
		}
	}
	i.begin()
	rules := i.rules(clock.NewSystem(time.Time{}).Now())
	for b, err := range i.file.Read(ctx, rules) {
		if err != nil {
			return err
		}
		fresh, err := unknown(ctx, b.Rows, known)
		if err != nil {
			return err
		}
		i.count(b.Rows, fresh)
		if err := i.reject(b.Rejected...); err != nil {
			return err
		}
	}
	if err := i.lookBeside(ctx, rules); err != nil {
		return err
	}
	if i.report.RejectedRows > 0 && i.Rejects == "" {
		return fmt.Errorf("%w: %d", ErrUnreadable, i.report.RejectedRows)
	}
	if i.aside != nil {
		return i.aside.Sync()
	}
	return nil
}

// lookBeside reads what is of no task.
func (i *importing) lookBeside(ctx context.Context, rules oldqueue.Rules) error {
	for stray, err := range i.file.Strays(ctx) {
		if err != nil {
			return err
		}
		if err := i.reject(stray); err != nil {
			return err
		}
	}
	workers, bad, err := i.file.Workers(ctx, rules)
	if err != nil {
		return err
	}
	i.report.Workers = int64(len(workers))
	return i.reject(bad...)
}

// existing opens the database, if it is there.
func (i *importing) existing(ctx context.Context) (store.Store, error) {
	if _, err := os.Stat(i.cfg.Database); !config.IsPostgres(i.cfg.Database) && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	st, err := OpenStore(ctx, i.cfg.Database, false, i.log)
	if errors.Is(err, schema.ErrOlder) {
		return nil, nil
	}
	return st, err
}

// unknown tells which of the rows have keys that no task has, nor a row before them.
func unknown(ctx context.Context, rows []oldqueue.Row, known func(context.Context, []string) ([]string, error)) ([]bool, error) {
	seen := make(map[string]bool)
	if known != nil {
		keys := make([]string, len(rows))
		for i, r := range rows {
			keys[i] = *r.IdempotencyKey
		}
		have, err := known(ctx, keys)
		if err != nil {
			return nil, err
		}
		for _, key := range have {
			seen[key] = true
		}
	}
	out := make([]bool, len(rows))
	for i, r := range rows {
		out[i] = !seen[*r.IdempotencyKey]
		seen[*r.IdempotencyKey] = true
	}
	return out, nil
}

// bring reads everything once more, into the database.
func (i *importing) bring(ctx context.Context) (err error) {
	st, err := OpenStore(ctx, i.cfg.Database, true, i.log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	now := st.Clock().Now()
	workers, _, err := i.file.Workers(ctx, i.rules(now))
	if err != nil {
		return err
	}
	path, err := filepath.Abs(i.File)
	if err != nil {
		return err
	}
	done, err := st.Import(ctx, store.Import{
		Batches: i.batches(ctx, now), FirstID: i.counts.FirstID, LastID: i.counts.LastID, Workers: workers,
		Audit:  task.Audit{AtUTC: now, Actor: "thequeue import", Action: "import", Subject: path, Message: "Imported the older queue"},
		Stored: func(created []bool) { i.count(i.rows, created) },
	})
	if err != nil {
		return fmt.Errorf("nothing was imported: %w", err)
	}
	i.report.Stored, i.report.KeptIDs, i.report.Workers = done.Created, &done.KeptIDs, done.Workers
	return nil
}

// batches are the tasks that can be read. At the end the file must be as it was.
func (i *importing) batches(ctx context.Context, now time.Time) iter.Seq2[[]store.Imported, error] {
	return func(yield func([]store.Imported, error) bool) {
		i.begin()
		for b, err := range i.file.Read(ctx, i.rules(now)) {
			if err != nil {
				yield(nil, err)
				return
			}
			out := make([]store.Imported, len(b.Rows))
			for n, r := range b.Rows {
				out[n] = r.Imported
			}
			if i.rows = b.Rows; !yield(out, nil) {
				return
			}
			for _, r := range b.Rejected {
				i.unreadable(r)
			}
		}
		if err := i.file.Unchanged(); err != nil {
			yield(nil, fmt.Errorf("%s: %w", i.File, err))
		}
	}
}

func (i *importing) rules(now time.Time) oldqueue.Rules {
	return oldqueue.Rules{Now: now, MaxPayloadBytes: i.cfg.MaxPayloadBytes}
}

// begin counts from nothing.
func (i *importing) begin() {
	i.report = ImportReport{
		DryRun: i.DryRun, Workers: i.report.Workers, Notes: []ImportNote{}, Rejected: i.report.Rejected, RejectedRows: i.report.RejectedRows,
	}
	if i.report.Rejected == nil {
		i.report.Rejected = []oldqueue.Rejected{}
	}
	i.report.Tasks = make([]ImportedStatus, 0, len(oldqueue.Statuses)+1)
	i.by, i.notes = make(map[string]*ImportedStatus), make(map[oldqueue.Note]int64)
}

// status is the line of the report for a status of the older queue.
func (i *importing) status(was string) *ImportedStatus {
	s := i.by[was]
	if s == nil {
		s = &ImportedStatus{Status: was, Becomes: make(map[string]int64)}
		i.by[was] = s
	}
	return s
}

// count adds rows to the report.
func (i *importing) count(rows []oldqueue.Row, created []bool) {
	for n, r := range rows {
		s := i.status(r.Was)
		s.Tasks++
		if !created[n] {
			s.Known++
			i.report.Known++
			continue
		}
		i.report.Imported++
		i.report.Logs += int64(len(r.Logs))
		s.Becomes[becomes(r.Task)]++
		if r.Held {
			i.report.StillHeld++
		}
		slices.Sort(r.Notes)
		for _, note := range slices.Compact(r.Notes) {
			i.notes[note]++
		}
	}
	i.report.Total += int64(len(rows))
	i.sort()
	i.went(len(rows))
}

func becomes(t task.Task) string {
	if t.Status == task.Failed {
		return fmt.Sprintf("%s (%s)", t.Status, *t.Outcome)
	}
	return string(t.Status)
}

// unreadable counts a row that cannot be read, if it is a task.
func (i *importing) unreadable(r oldqueue.Rejected) {
	if r.Table != "task_queue" {
		return
	}
	s := i.status(r.Was)
	s.Tasks++
	s.Unreadable++
	i.report.Total++
	i.report.Unreadable++
	i.sort()
	i.went(1)
}

// sort lists the statuses and notes that there are.
func (i *importing) sort() {
	i.report.Tasks, i.report.Notes = i.report.Tasks[:0], i.report.Notes[:0]
	for _, n := range oldqueue.Notes {
		if i.notes[n] > 0 {
			i.report.Notes = append(i.report.Notes, ImportNote{string(n), i.notes[n]})
		}
	}
	for _, was := range append(slices.Clone(oldqueue.Statuses), "") {
		if s := i.by[was]; s != nil {
			i.report.Tasks = append(i.report.Tasks, *s)
		}
	}
}

func (i *importing) went(tasks int) {
	total := 2 * i.counts.Tasks
	if i.DryRun {
		total = i.counts.Tasks
	}
	i.done = min(i.done+int64(tasks), total)
	if i.Progress != nil {
		i.Progress(i.done, total)
	}
}

// reject keeps rows aside that cannot be read.
func (i *importing) reject(rs ...oldqueue.Rejected) error {
	for _, r := range rs {
		i.unreadable(r)
		if i.report.RejectedRows++; len(i.report.Rejected) < maxListed {
			i.report.Rejected = append(i.report.Rejected, r)
		}
		if i.Rejects == "" || i.DryRun {
			continue
		}
		if err := i.keepAside(r); err != nil {
			return fmt.Errorf("keep rows aside: %w", err)
		}
	}
	return nil
}

func (i *importing) keepAside(r oldqueue.Rejected) (err error) {
	if i.aside == nil {
		if i.aside, err = os.OpenFile(i.Rejects, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return err
		}
	}
	enc := json.NewEncoder(i.aside)
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}

// closeAside removes the file where nothing was imported.
func (i *importing) closeAside(failed bool) error {
	if i.aside == nil {
		return nil
	}
	err := i.aside.Close()
	if failed {
		err = errors.Join(err, os.Remove(i.Rejects))
	}
	return err
}
