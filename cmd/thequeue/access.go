package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"github.com/prismq/thequeue/internal/app"
	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// access are the flags of commands that talk to a queue.
type access struct {
	Server   string `xor:"where" placeholder:"URL" help:"The server to ask (PRISMQ_SERVER_URL; default http://127.0.0.1:8000)."`
	Database string `xor:"where" placeholder:"PATH|URL" help:"Open this SQLite file or postgres:// database, without a server."`
	Output   string `short:"o" enum:"table,json" default:"table" help:"How to answer: table for people, json for programs."`
}

// tasks is a queue as the commands see it: *client.Client over HTTP, or local on a database.
type tasks interface {
	EnqueueBatch(ctx context.Context, specs []task.Spec) ([]client.Receipt, error)
	Get(ctx context.Context, id int64) (task.Task, error)
	Attempts(ctx context.Context, id int64) ([]task.Attempt, error)
	List(ctx context.Context, f task.Filter) ([]task.Task, error)
	Cancel(ctx context.Context, id int64) (now task.Status, changed bool, err error)
	Requeue(ctx context.Context, id int64) (task.Task, error)
	Stats(ctx context.Context) (task.Stats, error)
	Metrics(ctx context.Context, window time.Duration, taskType string) (task.Metrics, error)
	Logs(ctx context.Context, f task.LogFilter) ([]task.Log, error)
	RecentLogs(ctx context.Context, f task.RecentLogFilter) ([]task.RecentLog, error)
	DeleteLogs(ctx context.Context, before time.Time, dryRun bool) (task.DeletedLogs, error)
	Events(ctx context.Context, f task.EventFilter, after int64, each func(*task.Event) error) error
	Explain(ctx context.Context, id int64) (task.Explanation, error)
	Stranded(ctx context.Context) ([]task.Stranded, error)
	Workers(ctx context.Context) ([]task.WorkerStatus, error)
	Worker(ctx context.Context, workerID string) (task.WorkerStatus, error)
	ReclaimWorker(ctx context.Context, workerID string) ([]int64, error)
	CleanWorkers(ctx context.Context, silent time.Duration, force bool) (task.Cleaned, error)
	DrainWorker(ctx context.Context, workerID string) (task.Worker, error)
	ResumeWorker(ctx context.Context, workerID string) (task.Worker, error)
	Types(ctx context.Context) ([]task.TypeStatus, error)
	Type(ctx context.Context, name string) (task.TypeStatus, error)
	PutType(ctx context.Context, name string, r task.TypeRules) (task.TypeStatus, error)
	PauseType(ctx context.Context, name string) (task.TypeStatus, error)
	ResumeType(ctx context.Context, name string) (task.TypeStatus, error)
	Failures(ctx context.Context, taskType string, limit int) ([]task.FailureStatus, error)
	Failure(ctx context.Context, id string) (task.FailureStatus, error)
	DismissFailure(ctx context.Context, id string) error
	Schedules(ctx context.Context) ([]task.Schedule, error)
	Schedule(ctx context.Context, name string) (task.Schedule, error)
	PutSchedule(ctx context.Context, name string, spec task.ScheduleSpec) (task.Schedule, error)
	DeleteSchedule(ctx context.Context, name string) error
	PauseSchedule(ctx context.Context, name string) (task.Schedule, error)
	ResumeSchedule(ctx context.Context, name string) (task.Schedule, error)
	PreviewSchedule(ctx context.Context, name string, n int) ([]task.Occurrence, error)
	Propose(ctx context.Context, s task.OperationSpec) (task.Proposal, error)
	StartOperation(ctx context.Context, s task.OperationSpec, token string) (task.Operation, error)
	GetOperation(ctx context.Context, id int64) (task.Operation, error)
	ListOperations(ctx context.Context, before int64, limit int) ([]task.Operation, error)
	CancelOperation(ctx context.Context, id int64) (task.Operation, error)
	maintainer
	keys
}

// maintainer is the part of a queue that looks after its database.
type maintainer interface {
	DatabaseStats(ctx context.Context) (task.DatabaseStats, error)
	Checkpoint(ctx context.Context, mode task.CheckpointMode) (task.Checkpoint, error)
	Vacuum(ctx context.Context, tell func(task.Progress)) (task.Vacuum, error)
	VacuumCost(ctx context.Context) (task.VacuumCost, error)
	FullVacuum(ctx context.Context, tell func(task.Progress)) (task.Vacuum, error)
	Analyze(ctx context.Context, table string, tell func(task.Progress)) (task.Analysis, error)
	CheckIntegrity(ctx context.Context, tell func(task.Progress)) (task.Integrity, error)
	Optimize(ctx context.Context, full bool, tell func(task.Progress)) (task.Optimization, error)
	Retain(ctx context.Context, tell func(task.Progress)) (task.Retained, error)
	Reclaim(ctx context.Context) (task.Reclaimed, error)
	StopMaintenance(ctx context.Context) (verb string, err error)
}

// with gives do the queue that the flags name. Only the flag opens a database: a variable in the environment may be the server's.
func (a access) with(ctx context.Context, s *session, do func(tasks) error) error {
	cfg, err := s.settings(func(c *config.Config) {
		replace(&c.Server, a.Server)
		replace(&c.Database, a.Database)
	})
	if err != nil {
		return err
	}
	if a.Database == "" {
		c, err := app.Dial(cfg)
		if err != nil {
			return err
		}
		defer c.Close()
		err = do(c)
		if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
			err = fmt.Errorf("%w: no server answers at %s: start one with thequeue serve, or name another with --server", err, config.Redact(cfg.Server))
		}
		return err
	}
	return a.withStore(ctx, s, cfg, do)
}

func (a access) withStore(ctx context.Context, s *session, cfg config.Config, do func(tasks) error) (err error) {
	if err := mustExist(cfg.Database); err != nil {
		return err
	}
	st, err := app.OpenStore(ctx, cfg.Database, false, s.logger(cfg))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	q := queue.New(st, queue.Options{Backoff: cfg.Retry, MaxPayloadBytes: cfg.MaxPayloadBytes, LogRetention: cfg.Logs.Retention()})
	defer func() { err = errors.Join(err, q.StoreMeasures(context.WithoutCancel(ctx))) }()
	return do(local{q, st})
}

// mustExist keeps a mistyped path from becoming an empty database.
func mustExist(database string) error {
	if _, err := os.Stat(database); !config.IsPostgres(database) && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s does not exist: `thequeue migrate up --database %s` makes it", database, database)
	}
	return nil
}

// local is a queue in this process.
type local struct {
	*queue.Queue
	store store.Reader
}

func (l local) Get(ctx context.Context, id int64) (task.Task, error) { return l.store.GetTask(ctx, id) }

func (l local) Attempts(ctx context.Context, id int64) ([]task.Attempt, error) {
	return l.store.ListAttempts(ctx, id)
}

func (l local) Logs(ctx context.Context, f task.LogFilter) ([]task.Log, error) {
	return l.store.ListLogs(ctx, f)
}

func (l local) RecentLogs(ctx context.Context, f task.RecentLogFilter) (out []task.RecentLog, err error) {
	for want := f.Limit; len(out) < want; {
		f.Limit = want - len(out)
		page, next, err := l.store.ListRecentLogs(ctx, f)
		if err != nil {
			return nil, err
		}
		if out = append(out, page...); next == nil {
			break
		}
		f.Before = *next
	}
	return out, nil
}

// Events is what only a server knows.
func (l local) Events(context.Context, task.EventFilter, int64, func(*task.Event) error) error {
	return usage("what happens is known to a server: name one with --server instead of --database")
}

// StopMaintenance is for what a server does.
func (l local) StopMaintenance(context.Context) (string, error) {
	return "", usage("a server is told to stop what it does: name it with --server instead of --database; what a command does is stopped with Ctrl-C")
}

func (l local) EnqueueBatch(ctx context.Context, specs []task.Spec) ([]client.Receipt, error) {
	stored, created, err := l.Queue.EnqueueBatch(ctx, specs)
	receipts := make([]client.Receipt, len(stored))
	for i, t := range stored {
		receipts[i] = client.Receipt{TaskID: t.ID, Status: t.Status, CreatedAtUTC: t.CreatedAtUTC, Created: created[i]}
	}
	return receipts, err
}

func (l local) Cancel(ctx context.Context, id int64) (task.Status, bool, error) {
	t, changed, err := l.Queue.Cancel(ctx, id)
	return t.Status, changed, err
}

func (l local) List(ctx context.Context, f task.Filter) ([]task.Task, error) {
	if !f.Match.Asks() {
		return l.store.ListTasks(ctx, f)
	}
	m, ok := f.Narrowed()
	now := l.Now()
	var out []task.Task
	for more := ok; more && len(out) < f.Limit; more = f.Before > 0 {
		ts, next, err := l.store.ListMatching(ctx, m, now, f.Before, f.Limit-len(out))
		if err != nil {
			return nil, err
		}
		out, f.Before = append(out, ts...), next
	}
	return out, nil
}

func (l local) GetOperation(ctx context.Context, id int64) (task.Operation, error) {
	return l.store.GetOperation(ctx, id)
}

func (l local) ListOperations(ctx context.Context, before int64, limit int) ([]task.Operation, error) {
	return l.store.ListOperations(ctx, before, limit)
}

func (l local) Schedules(ctx context.Context) ([]task.Schedule, error) {
	return l.store.ListSchedules(ctx)
}

func (l local) Schedule(ctx context.Context, name string) (task.Schedule, error) {
	return l.store.GetSchedule(ctx, name)
}

func (l local) PutSchedule(ctx context.Context, name string, spec task.ScheduleSpec) (task.Schedule, error) {
	s, _, err := l.Queue.PutSchedule(ctx, name, spec)
	return s, err
}

// about names the task that an error is about.
func about(id int64, err error) error {
	if errors.Is(err, task.ErrNotFound) {
		return fmt.Errorf("task %d %w", id, task.ErrNotFound)
	}
	return err
}

// each does one thing for all ids and joins the errors. When the queue cannot be reached it stops at the first.
func each(ids []int64, do func(id int64) error) error {
	var errs []error
	for _, id := range ids {
		err := do(id)
		errs = append(errs, err)
		if code := exitCode(err); err != nil && code != exitNotFound && code != exitConflict {
			break
		}
	}
	return errors.Join(errs...)
}
