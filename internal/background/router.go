package background

import (
	"cmp"
	"context"
	"errors"
	"os"
	"sync"

	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/task"
)

// shadowed stands before the module and the id of a run in its shadow.
const shadowed = "shadow:"

// maxDifferences is how many differences a router keeps.
const maxDifferences = 1_000

// Difference is a run whose shadow has ended differently.
type Difference struct {
	RunID  string
	Run    task.RunStatus
	Shadow task.RunStatus
	Reason string // why the shadow failed
}

// Router has the methods of Manager, over a backend for each module. A module on shadow runs in memory, and a task beside each run, of the type shadow:MODULE, is stored, claimed, and ends
// as the run does. A queue that is away does not hold the run up. It is safe for concurrent use.
type Router struct {
	routes                Routes
	memory, queue, shadow *Manager // queue and shadow are nil where nothing goes there
	shadows               *Memory  // the registry of shadow: those that were not compared yet

	mu          sync.Mutex
	differences []Difference
	comparing   sync.WaitGroup
	client      *client.Client // that this has made; nil: none
}

// keyVariable has the key for a server that the routes name. The package for Python reads it too.
const keyVariable = "PRISMQ_API_KEY"

// NewRouter returns a router; o are the options of its managers. Where o.Queue is nil the queue is that of the server which the routes name, with the key of PRISMQ_API_KEY.
func NewRouter(r Routes, o Options) (*Router, error) {
	if r.Default = cmp.Or(r.Default, InMemory); o.Queue != nil {
		r.Queue = cmp.Or(r.Queue, "given")
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	if o.Registry == nil {
		o.Registry = new(Memory)
	}
	x := &Router{routes: r}
	if o.Queue == nil && r.Queue != "" {
		c, err := client.New(r.Queue, client.Options{APIKey: os.Getenv(keyVariable)})
		if err != nil {
			return nil, err
		}
		x.client, o.Queue = c, Remote(c)
	}
	inMemory := o
	inMemory.Queue = nil
	var err error
	if x.memory, err = New(inMemory); err != nil {
		return nil, err
	}
	if r.goes(InQueue) {
		if x.queue, err = New(o); err != nil {
			return nil, err
		}
	}
	if !r.goes(Shadow) {
		return x, nil
	}
	x.shadows = new(Memory)
	o.Registry, o.Handlers, o.Name = x.shadows, nil, cmp.Or(o.Name, "background")+"-shadow"
	if o.WorkerID != "" {
		o.WorkerID += "-shadow"
	}
	if x.shadow, err = New(o); err != nil {
		return nil, err
	}
	return x, nil
}

// StartTask starts a run where its module goes, as Manager does.
func (x *Router) StartTask(r task.Run, work Work) (string, error) {
	if x.IsTaskActive(r.RunID) {
		return r.RunID, nil
	}
	to := x.routes.Route(r.ModuleID)
	if to == InQueue {
		return x.queue.StartTask(r, work)
	}
	id, err := x.memory.StartTask(r, work)
	if err == nil && to == Shadow {
		x.castShadow(r)
	}
	return id, err
}

// castShadow has the queue do what it would have done with a run that was just started.
func (x *Router) castShadow(r task.Run) {
	ended := x.memory.ended(r.RunID)
	shadow := task.Run{RunID: shadowed + r.RunID, ModuleID: shadowed + r.ModuleID, Parameters: r.Parameters}
	_, err := x.shadow.StartTask(shadow, func(ctx context.Context, _ *Running) (*task.JSON, error) {
		select {
		case <-ended:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		switch run, _ := x.memory.GetRun(r.RunID); run.Status {
		case task.RunFailed:
			return nil, errors.New(*run.ErrorMessage)
		case task.RunCancelled:
			x.comparing.Go(func() { _, _ = x.shadow.CancelTask(context.WithoutCancel(ctx), shadow.RunID) }) // which waits for this
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return nil, nil
	})
	if err != nil {
		x.differ(Difference{RunID: r.RunID, Shadow: task.RunFailed, Reason: err.Error()})
		return
	}
	gone := x.shadow.ended(shadow.RunID)
	x.comparing.Go(func() {
		<-gone
		<-ended // a shadow that the queue refuses ends before its run
		x.compare(r.RunID, shadow.RunID)
	})
}

func (x *Router) compare(runID, shadowID string) {
	run, _ := x.memory.GetRun(runID)
	shadow := x.shadows.take(shadowID)
	if shadow.CompletedAt == nil || shadow.Status == run.Status {
		return
	}
	d := Difference{RunID: runID, Run: run.Status, Shadow: shadow.Status}
	if shadow.ErrorMessage != nil {
		d.Reason = *shadow.ErrorMessage
	}
	x.differ(d)
}

func (x *Router) differ(d Difference) {
	x.memory.log.Warn("in the queue the run would have ended differently", "run_id", d.RunID, "run", d.Run, "shadow", d.Shadow, "reason", d.Reason)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.differences = append(x.differences[max(0, len(x.differences)+1-maxDifferences):], d)
}

// Differences returns the last 1,000 runs whose shadows have ended differently, the oldest first.
func (x *Router) Differences() []Difference {
	x.mu.Lock()
	defer x.mu.Unlock()
	return append([]Difference(nil), x.differences...)
}

// real are the managers of runs, not of shadows.
func (x *Router) real() []*Manager {
	if x.queue == nil {
		return []*Manager{x.memory}
	}
	return []*Manager{x.memory, x.queue}
}

// CancelTask cancels a run, as Manager does.
func (x *Router) CancelTask(ctx context.Context, runID string) (bool, error) {
	if x.queue == nil || x.memory.IsTaskActive(runID) {
		return x.memory.CancelTask(ctx, runID)
	}
	return x.queue.CancelTask(ctx, runID)
}

// WaitAll waits until no run is active. Shadows are not waited for.
func (x *Router) WaitAll(ctx context.Context) error {
	for x.ActiveTaskCount() > 0 {
		for _, m := range x.real() {
			if err := m.WaitAll(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// WaitShadows waits until no shadow is active.
func (x *Router) WaitShadows(ctx context.Context) error {
	if x.shadow == nil {
		return nil
	}
	return x.shadow.WaitAll(ctx)
}

// ActiveTaskCount returns how many runs have not ended.
func (x *Router) ActiveTaskCount() (n int) {
	for _, m := range x.real() {
		n += m.ActiveTaskCount()
	}
	return n
}

// ActiveTaskIDs returns the ids of the runs that have not ended: those in memory, then those in the queue.
func (x *Router) ActiveTaskIDs() (ids []string) {
	for _, m := range x.real() {
		ids = append(ids, m.ActiveTaskIDs()...)
	}
	return ids
}

// IsTaskActive reports whether a run has not ended.
func (x *Router) IsTaskActive(runID string) bool {
	for _, m := range x.real() {
		if m.IsTaskActive(runID) {
			return true
		}
	}
	return false
}

// GetRun returns what the registry has of a run; false when it has none of this id.
func (x *Router) GetRun(runID string) (task.Run, bool) { return x.memory.GetRun(runID) }

// Run executes what was started until ctx ends, as Manager does. A manager of the queue that cannot begin ends it with its error; one of the shadows does not, as they must not hold runs up:
// that is logged, and is the error of the end.
func (x *Router) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	managers := x.real()
	if x.shadow != nil {
		managers = append(managers, x.shadow)
	}
	errs := make([]error, len(managers))
	var all sync.WaitGroup
	for i, m := range managers {
		all.Go(func() {
			if errs[i] = m.Run(ctx); errs[i] == nil {
				return
			}
			if m == x.shadow {
				x.memory.log.Error("runs have no shadows", "error", errs[i])
				return
			}
			stop()
		})
	}
	all.Wait()
	x.comparing.Wait()
	if x.client != nil {
		x.client.Close()
	}
	return errors.Join(errs...)
}

// ended is closed when a run is active no more.
func (m *Manager) ended(runID string) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if d := m.drives[runID]; d != nil {
		return d.done
	}
	done := make(chan struct{})
	close(done)
	return done
}
