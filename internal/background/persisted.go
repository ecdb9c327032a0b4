package background

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// capability is what the task of a run asks of a worker: to be the process that has started it.
	capability = "background"
	// nothing is the type that a process is entered for between its claims, so that what it has left counts as stranded.
	nothing = "(what it has started)"
	// storedAtOnce is how many runs are being stored at once.
	storedAtOnce = 32
	// firstLook and longestLook bound the pauses between looks at a run that waits for a lease.
	firstLook, longestLook = time.Second, 10 * time.Second
	// lastWord is how long the end of a process waits for a call.
	lastWord = 2 * time.Second
)

// persisted keeps the runs of a manager in a queue.
type persisted struct {
	m       *Manager
	queue   Queue
	id      string        // of this process as a worker
	storing chan struct{} // holds an element for each run that is being stored
	wanted  chan struct{} // holds one element when there may be something to claim
	opened  chan struct{} // closed when what an earlier process held was taken back
	closed  chan struct{} // closed when the queue lets this process do nothing

	mu       sync.Mutex
	waiting  map[*drive]struct{} // runs that are stored and have no lease
	left     map[string]int64    // tasks of earlier processes that wait to be resumed, by type
	offered  []string            // ids whose runs are claimed: our own, and those of processes that are dead
	suspects map[string]bool     // processes that looked dead at the last look
	refusal  error               // why the queue lets this process do nothing
}

func newPersisted(m *Manager) *persisted {
	return &persisted{
		m: m, queue: m.o.Queue, id: m.o.WorkerID, storing: make(chan struct{}, storedAtOnce), wanted: make(chan struct{}, 1), opened: make(chan struct{}),
		closed:  make(chan struct{}),
		waiting: make(map[*drive]struct{}), left: make(map[string]int64),
	}
}

// name gives this process its id. The slot, where there is one, keeps it until it is closed.
func (p *persisted) name() (slot *flock.Flock, err error) {
	if p.id == "" {
		if p.id, slot, err = takeSlot(p.m.o.Name); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offered = []string{p.id}
	return slot, nil
}

func (d *drive) id() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.taskID
}

// drive sees a run to its end, or until ctx ends, when it is handed back.
func (p *persisted) drive(ctx context.Context, d *drive) {
	defer p.want() // one in quarantine waits until this process holds nothing else
	if d.first == nil && !p.store(ctx, d) {
		return
	}
	lease := d.first
	for {
		if lease == nil {
			if lease = p.wait(ctx, d); lease == nil {
				return
			}
		}
		d.mu.Lock()
		d.taskID, d.run.TaskID = lease.ID, lease.ID
		d.mu.Unlock()
		outcome, err := p.under(ctx, d, *lease)
		switch outcome {
		case task.AttemptSucceeded:
			d.end(task.RunCompleted, nil)
			return
		case task.AttemptRejected:
			d.end(task.RunFailed, cmp.Or(err, errors.New("failed")))
			return
		}
		if p.hasEnded(context.WithoutCancel(ctx), d) {
			return
		}
		d.update(func(r *task.Run) { r.Status, r.StartedAt = task.RunQueued, nil })
		if ctx.Err() != nil {
			return
		}
		if outcome != task.AttemptReleased {
			p.m.log.Warn("the lease of the run is lost: it is claimed again", "run_id", d.run.RunID)
		}
		lease = nil
	}
}

// store stores a run; false when it has ended with that.
func (p *persisted) store(ctx context.Context, d *drive) bool {
	select {
	case p.storing <- struct{}{}:
		defer func() { <-p.storing }()
	case <-ctx.Done():
		return false
	}
	compatibility, err := json.Marshal(map[string]string{capability: p.id})
	if err != nil {
		panic(err) // of texts
	}
	s := task.Spec{
		Type: d.run.ModuleID, Payload: d.run.Parameters, IdempotencyKey: &d.run.RunID, Compatibility: task.JSON(compatibility), MaxAttempts: &p.m.o.MaxAttempts, Priority: &p.m.o.Priority,
	}
	for n := 0; ; n++ {
		if err := p.refused(); err != nil {
			d.end(task.RunFailed, err)
			return false
		}
		if d.cancelled() && n == 0 { // nothing was sent
			d.end(task.RunCancelled, nil)
			return false
		}
		id, status, created, err := p.queue.Put(ctx, s)
		if err == nil && !created && status.Ended() { // an id that is used again replaces the run before
			if err = p.queue.Delete(ctx, id); err == nil || errors.Is(err, task.ErrNotFound) || errors.Is(err, task.ErrConflict) {
				id, _, _, err = p.queue.Put(ctx, s)
			}
		}
		if err == nil {
			d.mu.Lock()
			d.taskID, d.run.TaskID = id, id
			d.mu.Unlock()
			return true
		}
		if _, invalid := errors.AsType[*task.InvalidError](err); invalid || denied(err) {
			d.end(task.RunFailed, fmt.Errorf("the queue did not take the run: %w", err))
			return false
		}
		if n == 0 {
			p.m.log.Warn("the run is not stored yet", "run_id", d.run.RunID, "error", err)
		}
		if !pause(ctx, backoff(n)) {
			return false
		}
	}
}

// wait waits until a stored run is claimed; nil when it has ended without, or ctx has.
func (p *persisted) wait(ctx context.Context, d *drive) *task.Lease {
	p.mu.Lock()
	p.waiting[d] = struct{}{}
	p.mu.Unlock()
	defer p.waits(d)
	p.want()
	for look := firstLook; ; look = min(look*3/2, longestLook) {
		t := time.NewTimer(look)
		select {
		case l := <-d.leases:
			t.Stop()
			return &l
		case <-d.asked:
			t.Stop()
			for n := 0; ; n++ {
				_, err := p.queue.CancelTask(ctx, d.id())
				if (err == nil || errors.Is(err, task.ErrNotFound)) && p.hasEnded(ctx, d) {
					return nil
				}
				if denied(err) {
					p.refuse(err)
					d.end(task.RunFailed, p.refused())
					return nil
				}
				if !pause(ctx, backoff(n)) {
					return nil
				}
			}
		case <-p.closed:
			t.Stop()
			if p.hasEnded(ctx, d) {
				return nil
			}
			if _, err := p.queue.CancelTask(ctx, d.id()); err != nil {
				p.m.log.Info("the task of a run that has failed stays in the queue", "task_id", d.id(), "error", err)
			}
			d.end(task.RunFailed, p.refused())
			return nil
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
			if p.hasEnded(ctx, d) {
				return nil
			}
		}
	}
}

func (p *persisted) waits(d *drive) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, d)
}

// release hands a task back. Where that does not get through its lease ends by itself.
func (p *persisted) release(l task.Lease) {
	ctx, stop := context.WithTimeout(context.Background(), lastWord)
	defer stop()
	if _, err := p.queue.Release(ctx, l.ID, l.LeaseToken, 0); err != nil {
		p.m.log.Info("a task was not handed back", "task_id", l.ID, "error", err)
	}
}

// hasEnded looks at the task of a run that has no lease here. When it has ended, the registry is told how.
func (p *persisted) hasEnded(ctx context.Context, d *drive) bool {
	t, err := p.queue.Get(ctx, d.id())
	switch {
	case errors.Is(err, task.ErrNotFound):
		d.end(task.RunFailed, errors.New("the task of the run was deleted"))
		return true
	case err != nil || !t.Status.Ended():
		return false
	case t.RunStatus() != task.RunFailed:
		d.end(t.RunStatus(), nil)
		return true
	}
	d.end(task.RunFailed, errors.New(*cmp.Or(t.ErrorMessage, (*string)(t.Outcome))))
	return true
}

// cancelElsewhere cancels a run that is not active in this process.
func (p *persisted) cancelElsewhere(ctx context.Context, runID string) (bool, error) {
	id, err := p.queue.Find(ctx, runID)
	changed := false
	if err == nil {
		changed, err = p.queue.CancelTask(ctx, id)
	}
	if errors.Is(err, task.ErrNotFound) {
		return false, nil
	}
	if err != nil || !changed {
		return false, err
	}
	if r, ok := p.m.o.Registry.GetRun(runID); ok {
		r.Status, r.CompletedAt = task.RunCancelled, new(p.m.now())
		p.m.o.Registry.UpdateRun(r)
	}
	return true, nil
}

// want has the queue asked for leases.
func (p *persisted) want() {
	select {
	case p.wanted <- struct{}{}:
	default:
	}
}

// upkeep takes over what the last process of this id has left, then looks now and then for what is left over.
func (p *persisted) upkeep(ctx context.Context) {
	for n := 0; ; n++ {
		_, err := p.queue.ReclaimWorker(ctx, p.id)
		if errors.Is(err, task.ErrNotFound) {
			err = nil
		}
		if err == nil {
			err = p.look(ctx)
		}
		if err == nil {
			break
		}
		if denied(err) {
			p.refuse(err)
			return
		}
		if n == 0 && ctx.Err() == nil {
			p.m.log.Warn("the queue cannot be used yet", "error", err)
		}
		if !pause(ctx, backoff(n)) {
			return
		}
	}
	close(p.opened)
	for pause(ctx, min(p.m.o.Lease, time.Minute)) {
		err := p.look(ctx)
		if denied(err) {
			p.refuse(err)
			return
		}
		if err != nil && ctx.Err() == nil {
			p.m.log.Warn("what is left over cannot be seen", "error", err)
		}
	}
}

// look says that this process lives, and finds runs that nobody takes: our own, and those of processes of this name that were silent for five minutes. Those of others must be found
// twice: when the queue was away for long everybody seems dead at first.
func (p *persisted) look(ctx context.Context) error {
	p.mu.Lock()
	offer, err := json.Marshal(map[string][]string{capability: p.offered})
	p.mu.Unlock()
	if err != nil {
		panic(err) // of texts
	}
	if _, err := p.queue.WorkerHeartbeat(ctx, p.id, new(task.JSON(offer)), []string{nothing}); err != nil {
		return err
	}
	lanes, err := p.queue.Stranded(ctx)
	if err != nil {
		return err
	}
	found := make(map[string]map[string]int64) // by owner and type
	for _, l := range lanes {
		owner := ownerOf(l.Compatibility)
		if owner == "" || owner != p.id && !strings.HasPrefix(owner, p.m.o.Name+"@") {
			continue
		}
		if found[owner] == nil {
			found[owner] = make(map[string]int64)
		}
		found[owner][l.Type] += l.ReadyTasks + l.ScheduledTasks
	}
	p.mu.Lock()
	left, offered, suspects := maps.Clone(found[p.id]), []string{p.id}, make(map[string]bool)
	if left == nil {
		left = make(map[string]int64)
	}
	delete(found, p.id)
	for _, owner := range slices.Sorted(maps.Keys(found)) {
		suspects[owner] = true
		if p.suspects[owner] {
			offered = append(offered, owner)
			for t, n := range found[owner] {
				left[t] += n
			}
		}
	}
	p.left, p.offered, p.suspects = left, offered, suspects
	p.mu.Unlock()
	p.want()
	return nil
}

// ownerOf returns the process that a task is of; empty when it is of none.
func ownerOf(compatibility task.JSON) string {
	var c map[string]json.RawMessage
	var owner string
	if json.Unmarshal([]byte(compatibility), &c) != nil || json.Unmarshal(c[capability], &owner) != nil {
		return ""
	}
	return owner
}

// claims claims what waits for a lease: runs that were just stored at once, what is left over now and then.
func (p *persisted) claims(ctx context.Context) {
	select {
	case <-p.opened:
	case <-p.closed:
		return
	case <-ctx.Done():
		return
	}
	failures, lull, foreign := 0, firstLook, false
	for ctx.Err() == nil {
		c := p.next(foreign)
		if len(c.Types) == 0 {
			select {
			case <-p.wanted:
			case <-p.closed:
				return
			case <-ctx.Done():
			}
			continue
		}
		leases, err := p.claim(ctx, c)
		if denied(err) {
			p.refuse(err)
			return
		}
		if err != nil {
			if failures == 0 && ctx.Err() == nil {
				p.m.log.Warn("background runs cannot be claimed", "error", err)
			}
			pause(ctx, backoff(failures))
			failures++
			continue
		}
		failures, foreign = 0, false
		ours := 0
		for _, l := range leases {
			if ownerOf(l.Compatibility) == "" || ctx.Err() != nil { // a task of the same type that asks for nothing: it is left to the workers
				foreign = true
				p.release(l)
				continue
			}
			ours++
			p.got(l)
		}
		if ours > 0 {
			lull = firstLook
			continue
		}
		t := time.NewTimer(lull) // what waits is paused, limited, in quarantine, or held elsewhere
		select {
		case <-p.wanted:
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
		lull = min(lull*3/2, longestLook)
	}
}

// claim claims, and waits a little for the answer when ctx has ended: what was claimed is to be handed back.
func (p *persisted) claim(ctx context.Context, c task.Claim) ([]task.Lease, error) {
	within, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		pause(within, lastWord)
		stop()
	})()
	return p.queue.Claim(within, c)
}

// next is the claim to be made now; without types there is nothing to claim.
func (p *persisted) next(foreign bool) task.Claim {
	p.mu.Lock()
	defer p.mu.Unlock()
	types := make(map[string]bool)
	for d := range p.waiting {
		types[d.run.ModuleID] = true
	}
	for t, n := range p.left {
		if n > 0 {
			types[t] = true
		}
	}
	offered := make([]any, len(p.offered))
	for i, id := range p.offered {
		offered[i] = id
	}
	c := task.Claim{
		WorkerID: p.id, Types: slices.Sorted(maps.Keys(types)), Capabilities: task.Capabilities{capability: offered}, Strategy: task.FIFO, Max: task.MaxClaim, Lease: p.m.o.Lease,
	}
	if foreign {
		c.Strategy = task.LIFO
	}
	return c
}

// got gives a lease to the run that it is of, or resumes what another process has begun.
func (p *persisted) got(l task.Lease) {
	m, runID := p.m, l.RunID()
	m.mu.Lock()
	d := m.drives[runID]
	if d != nil {
		select {
		case d.leases <- l:
			m.mu.Unlock()
			return
		default:
		}
	}
	m.mu.Unlock()
	if d != nil { // it has one already, and goes on when that is over
		p.release(l)
		return
	}
	p.mu.Lock()
	p.left[l.Type]--
	p.mu.Unlock()
	r, ok := m.o.Registry.GetRun(runID)
	if !ok {
		r = l.Run()
	}
	r.Status, r.StartedAt, r.CompletedAt = task.RunQueued, nil, nil
	work := m.o.Handlers[l.Type]
	if work == nil {
		work = func(context.Context, *Running) (*task.JSON, error) { return nil, ErrInterrupted }
	} else {
		m.log.Info("run resumed", "run_id", runID)
	}
	if started, err := m.add(newDrive(m, r, work), &l); err != nil || !started {
		p.release(l)
	}
}

// denied reports whether the queue wants another key: the same call would be answered in the same way.
func denied(err error) bool {
	return errors.Is(err, task.ErrUnauthenticated) || errors.Is(err, task.ErrForbidden)
}

// refuse ends what waits for the queue: it lets this process do nothing.
func (p *persisted) refuse(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refusal != nil {
		return
	}
	p.refusal = fmt.Errorf("the queue refuses the key of this manager, which must be that of an admin: %w", err)
	p.m.log.Error("background runs fail from now on", "error", p.refusal)
	close(p.closed)
}

// refused returns why the queue lets this process do nothing; nil while it does.
func (p *persisted) refused() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refusal
}

// backoff is the pause after the n-th failure in a row, counted from 0.
func backoff(n int) time.Duration { return min(50*time.Millisecond<<min(n, 10), 2*time.Second) }

// pause waits for d, and reports whether that came before the end of ctx.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
