package background

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/worker"
)

// Running is a run as its work sees it.
type Running struct {
	task.Run
	drive   *drive
	attempt *worker.Attempt // nil: in memory
}

// Progress reports how far the run is, 0 to 100, with a short message; one that begins like 120/400 tells the items as well. It does not block.
func (r *Running) Progress(percent int, message string) {
	if r.attempt != nil {
		r.attempt.Progress(percent, message)
	}
	percent = min(max(percent, 0), 100)
	r.drive.update(func(run *task.Run) {
		run.ProgressPercent = &percent
		if done, all := task.Items(message); done != nil {
			run.ItemsProcessed, run.ItemsTotal = done, all
		}
	})
}

// drive is a run that has not ended, and its work.
type drive struct {
	m      *Manager
	work   Work
	number int           // in the order of starts
	first  *task.Lease   // of one that is resumed
	asked  chan struct{} // closed when it is to be cancelled
	done   chan struct{} // closed when it has ended, or was handed back
	leases chan task.Lease

	mu     sync.Mutex
	run    task.Run // RunID and what else is given at the start never change
	ended  bool
	taskID int64
	stop   sync.Once
}

func newDrive(m *Manager, r task.Run, work Work) *drive {
	return &drive{m: m, work: work, run: r, asked: make(chan struct{}), done: make(chan struct{}), leases: make(chan task.Lease, 1)}
}

// cancel asks the work to stop.
func (d *drive) cancel() { d.stop.Do(func() { close(d.asked) }) }

func (d *drive) cancelled() bool {
	select {
	case <-d.asked:
		return true
	default:
		return false
	}
}

func (d *drive) status() task.RunStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.run.Status
}

// update changes the run and tells the registry, unless it has ended.
func (d *drive) update(change func(r *task.Run)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return
	}
	change(&d.run)
	d.m.o.Registry.UpdateRun(d.run)
}

// end notes how the run has ended; err is why it failed.
func (d *drive) end(status task.RunStatus, err error) {
	d.update(func(r *task.Run) {
		r.Status, r.CompletedAt = status, new(d.m.now())
		switch status {
		case task.RunCompleted:
			r.ExitCode, r.ErrorMessage = new(0), nil
		case task.RunFailed:
			r.ExitCode, r.ErrorMessage = new(1), new(err.Error())
		}
		if r.StartedAt != nil {
			r.DurationSeconds = new(int64(r.CompletedAt.Sub(*r.StartedAt).Seconds()))
		}
		d.ended = true
	})
}

// leave makes the run inactive, and hands back a lease that has come when it needed none any more.
func (d *drive) leave() {
	m := d.m
	var late []task.Lease
	m.mu.Lock()
	delete(m.drives, d.run.RunID) // from here on none comes
	select {
	case l := <-d.leases:
		late = append(late, l)
	default:
	}
	if len(m.drives) == 0 {
		close(m.idle)
	}
	m.mu.Unlock()
	for _, l := range late {
		m.persisted.release(l)
	}
	close(d.done)
}

// execute does the work, and returns soon after it is to be cancelled or ctx has ended, if the work does.
func (d *drive) execute(ctx context.Context, a *worker.Attempt) (result *task.JSON, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-d.asked:
			cancel(worker.ErrCancelled)
		case <-ctx.Done():
		}
	}()
	d.update(func(r *task.Run) { r.Status, r.StartedAt = task.RunRunning, new(d.m.now()) })
	defer func() {
		if p := recover(); p != nil {
			d.m.log.Error("background run panicked", "run_id", d.run.RunID, "panic", p, "stack", string(debug.Stack()))
			result, err = nil, fmt.Errorf("panic: %v", p)
		}
	}()
	d.mu.Lock()
	r := d.run
	d.mu.Unlock()
	if result, err = d.work(ctx, &Running{Run: r, drive: d, attempt: a}); err != nil && errors.Is(err, ctx.Err()) {
		err = context.Cause(ctx)
	}
	return result, err
}
