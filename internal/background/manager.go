package background

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prismq/thequeue/internal/clock"
	"github.com/prismq/thequeue/internal/task"
)

// Work does the work of a run. It must return soon after ctx has ended; context.Cause(ctx) says why that was. An error, or a panic, makes the run failed, and it is not tried again;
// with one a run that was cancelled is cancelled. Its result is kept by a queue, where it is JSON of at most 256 KiB. Where a run is resumed, its work is called again.
type Work func(ctx context.Context, r *Running) (*task.JSON, error)

// Options of a manager. The zero value runs in memory.
type Options struct {
	Queue       Queue           // nil: in memory
	Registry    Registry        // nil: a Memory
	Name        string          // of the application, at most 60 characters, so that several may use one queue; empty: background
	WorkerID    string          // of this process, where its host has another name after each start; no other may have it at the same time. Empty: the name, the host, and a number
	Lease       time.Duration   // how long the queue waits for a process that is silent; 0: task.DefaultLease
	MaxAttempts int             // how many processes may die over a run; 0: 10
	Priority    int             // of the tasks; 0: task.DefaultPriority
	Handlers    map[string]Work // how runs are resumed, by module
	Log         *slog.Logger    // nil: discards
}

// ErrClosed: Run has returned, and nothing is started any more.
var ErrClosed = errors.New("the manager of background runs has ended")

// ErrInterrupted is why a run fails that was executed by a process which has ended, and whose module has no handler.
var ErrInterrupted = errors.New("the process that ran it has ended, and no handler is registered to resume runs of this module: start it again")

// Manager starts functions in the background. Run must be running for them to run. It is safe for concurrent use.
type Manager struct {
	o         Options
	log       *slog.Logger
	persisted *persisted // nil: in memory

	mu      sync.Mutex
	drives  map[string]*drive // that have not ended, by run_id
	pending []*drive          // that Run has not begun with
	started int
	closed  bool
	idle    chan struct{} // closed while nothing is active
	begin   chan struct{} // holds one element when there are pending ones
}

// New returns a manager, or a *task.InvalidError with every option that is wrong.
func New(o Options) (*Manager, error) {
	o.Name = cmp.Or(o.Name, "background")
	o.MaxAttempts = cmp.Or(o.MaxAttempts, 10)
	o.Lease = cmp.Or(o.Lease, task.DefaultLease)
	o.Priority = cmp.Or(o.Priority, task.DefaultPriority)
	var bad task.InvalidError
	if msg := task.CheckName(o.Name, 60); msg != "" {
		bad.Add("name", "%s", msg)
	}
	if o.Lease < task.MinLease || o.Lease > task.MaxLease {
		bad.Add("lease", "must lie between %v and %v", task.MinLease, task.MaxLease)
	}
	if o.MaxAttempts < 1 || o.MaxAttempts > 100 {
		bad.Add("max_attempts", "must lie between 1 and 100")
	}
	if o.Priority < 1 || o.Priority > 1000 {
		bad.Add("priority", "must lie between 1 and 1000, the lower runs first")
	}
	if err := bad.OrNil(); err != nil {
		return nil, fmt.Errorf("background: %w", err)
	}
	if o.Registry == nil {
		o.Registry = new(Memory)
	}
	o.Handlers = maps.Clone(o.Handlers)
	m := &Manager{o: o, log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)), drives: make(map[string]*drive), idle: make(chan struct{}), begin: make(chan struct{}, 1)}
	close(m.idle)
	if o.Queue != nil {
		m.persisted = newPersisted(m)
	}
	return m, nil
}

// StartTask starts a run and returns its id at once. Of r RunID, ModuleID, ModuleName and Parameters are read; without ModuleName it is the module. A run that is active already is not
// started twice. Errors: *task.InvalidError, ErrClosed.
func (m *Manager) StartTask(r task.Run, work Work) (string, error) {
	var bad task.InvalidError
	if msg := task.CheckName(r.RunID, 500); msg != "" {
		bad.Add("run_id", "%s", msg)
	}
	if msg := task.CheckName(r.ModuleID, 200); msg != "" {
		bad.Add("module_id", "%s", msg)
	}
	if r.Parameters = cmp.Or(r.Parameters, "{}"); r.Parameters.CheckObject() != nil {
		bad.Add("parameters", "%s", r.Parameters.CheckObject())
	}
	if work == nil {
		bad.Add("work", "is missing")
	}
	if err := bad.OrNil(); err != nil {
		return "", fmt.Errorf("start a run: %w", err)
	}
	d := newDrive(m, task.Run{RunID: r.RunID, ModuleID: r.ModuleID, ModuleName: cmp.Or(r.ModuleName, r.ModuleID), Parameters: r.Parameters, Status: task.RunQueued, CreatedAt: m.now()}, work)
	started, err := m.add(d, nil)
	if err == nil && !started {
		m.log.Warn("the run is active already", "run_id", r.RunID)
	}
	return r.RunID, err
}

// add makes a run active, unless it is already.
func (m *Manager) add(d *drive, lease *task.Lease) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false, ErrClosed
	}
	if m.drives[d.run.RunID] != nil {
		return false, nil
	}
	if len(m.drives) == 0 {
		m.idle = make(chan struct{})
	}
	m.started++
	d.number, d.first = m.started, lease
	m.drives[d.run.RunID] = d
	m.pending = append(m.pending, d)
	m.o.Registry.UpdateRun(d.run)
	select {
	case m.begin <- struct{}{}:
	default:
	}
	return true, nil
}

// CancelTask cancels a run and returns when it has ended; true only if this has cancelled it. With a queue it may be a run of another process. An error: it is not known, or ctx has
// ended first.
func (m *Manager) CancelTask(ctx context.Context, runID string) (bool, error) {
	m.mu.Lock()
	d := m.drives[runID]
	m.mu.Unlock()
	if d == nil {
		if m.persisted == nil {
			return false, nil
		}
		return m.persisted.cancelElsewhere(ctx, runID)
	}
	d.cancel()
	select {
	case <-d.done:
		return d.status() == task.RunCancelled, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// WaitAll waits until no run is active. Failures are in the registry and no error here, which is that of ctx.
func (m *Manager) WaitAll(ctx context.Context) error {
	m.mu.Lock()
	idle := m.idle
	m.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ActiveTaskCount returns how many runs have not ended.
func (m *Manager) ActiveTaskCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.drives)
}

// ActiveTaskIDs returns the ids of the runs that have not ended, in the order in which they were started.
func (m *Manager) ActiveTaskIDs() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	ds := slices.SortedFunc(maps.Values(m.drives), func(a, b *drive) int { return a.number - b.number })
	ids := make([]string, len(ds))
	for i, d := range ds {
		ids[i] = d.run.RunID
	}
	return ids
}

// IsTaskActive reports whether a run has not ended.
func (m *Manager) IsTaskActive(runID string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.drives[runID] != nil
}

// GetRun returns what the registry has of a run; false when it has none of this id.
func (m *Manager) GetRun(runID string) (task.Run, bool) { return m.o.Registry.GetRun(runID) }

// Run executes what was started, and what an earlier process of this name has left, until ctx ends. Then runs are told to stop: with a queue those that do are handed back, so that
// another process resumes them, without one they are cancelled. It returns when the last work has returned, and may be called once.
func (m *Manager) Run(ctx context.Context) error {
	var all sync.WaitGroup
	if m.persisted != nil {
		slot, err := m.persisted.name()
		if err != nil {
			m.close(&all)
			return err
		}
		if slot != nil {
			defer slot.Close()
		}
		all.Go(func() { m.persisted.upkeep(ctx) })
		all.Go(func() { m.persisted.claims(ctx) })
	}
	defer m.close(&all)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.begin:
			for _, d := range m.takePending() {
				all.Go(func() { m.drive(ctx, d) })
			}
		}
	}
}

func (m *Manager) takePending() []*drive {
	m.mu.Lock()
	defer m.mu.Unlock()
	ds := m.pending
	m.pending = nil
	return ds
}

// close ends the manager when all that Run has begun has ended. What it has not begun with ends as cancelled in memory; with a queue it is left to another process.
func (m *Manager) close(all *sync.WaitGroup) {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	all.Wait()
	for _, d := range m.takePending() {
		switch {
		case m.persisted == nil:
			d.end(task.RunCancelled, nil)
		case d.first != nil:
			m.persisted.release(*d.first)
		}
		d.leave()
	}
}

// drive sees a run to its end.
func (m *Manager) drive(ctx context.Context, d *drive) {
	defer d.leave()
	if m.persisted != nil {
		m.persisted.drive(ctx, d)
		return
	}
	if d.cancelled() || ctx.Err() != nil {
		d.end(task.RunCancelled, nil)
		return
	}
	_, err := d.execute(ctx, nil)
	switch {
	case err == nil:
		d.end(task.RunCompleted, nil)
	case d.cancelled() || ctx.Err() != nil:
		d.end(task.RunCancelled, nil)
	default:
		d.end(task.RunFailed, err)
	}
}

func (m *Manager) now() time.Time { return clock.Wall().UTC().Truncate(time.Microsecond) }
