package queue

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// registerEvery is how often a worker that claims again and again renews its entry.
	registerEvery = 15 * time.Second
	// registerIdleEvery is the same for one that waits for work and finds none, so that a queue at rest writes next to nothing: a third of the time
	// after which a worker is taken for gone.
	registerIdleEvery = 100 * time.Second
)

// registry remembers which workers were registered lately, so that a claim does not cost a write each time.
type registry struct {
	mu       sync.Mutex
	seen     map[string]registration
	draining []string // as the upkeep has seen it last
}

type registration struct {
	capabilities, types string
	at                  time.Time
	drain               bool
	idle                bool // its last claim has waited in vain
}

// fresh reports whether the entry need not be renewed yet.
func (e registration) fresh(now time.Time) bool {
	every := registerEvery
	if e.idle {
		every = registerIdleEvery
	}
	return now.Sub(e.at) < every
}

// rememberAtMost bounds the memory of the registry; beyond it entries that must be renewed anyway are forgotten.
const rememberAtMost = 10_000

func (r *registry) get(workerID string) (registration, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.seen[workerID]
	return e, ok
}

func (r *registry) put(workerID string, e registration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.seen) >= rememberAtMost {
		for id, old := range r.seen {
			if !old.fresh(e.at) {
				delete(r.seen, id)
			}
		}
	}
	r.seen[workerID] = e
}

func (r *registry) forget(workerID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.seen, workerID)
}

// waited notes whether the last claim of a worker has waited in vain.
func (r *registry) waited(workerID string, inVain bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.seen[workerID]; ok && e.idle != inVain {
		e.idle = inVain
		r.seen[workerID] = e
	}
}

// drain notes which workers are to take nothing new, and reports whether they are others than before.
func (r *registry) drain(ids []string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Equal(ids, r.draining) {
		return false
	}
	r.draining = ids
	for id, e := range r.seen {
		_, e.drain = slices.BinarySearch(ids, id)
		r.seen[id] = e
	}
	return true
}

// register enters the worker of a claim, unless the same was entered a moment ago.
func (q *Queue) register(ctx context.Context, c task.Claim) (task.Worker, error) {
	capabilities := task.JSON("{}")
	if len(c.Capabilities) > 0 {
		b, err := json.Marshal(c.Capabilities)
		if err != nil {
			return task.Worker{}, err
		}
		capabilities = task.JSON(b)
	}
	return q.enter(ctx, c.WorkerID, capabilities, c.Types)
}

func (q *Queue) enter(ctx context.Context, workerID string, capabilities task.JSON, types []string) (task.Worker, error) {
	w := task.Worker{WorkerID: workerID, Capabilities: capabilities, HeartbeatUTC: q.Now()}
	text := ""
	if types != nil {
		b, err := json.Marshal(types)
		if err != nil {
			return task.Worker{}, err
		}
		text = string(b)
		w.Types = (*task.JSON)(&text)
	}
	if e, ok := q.workers.get(workerID); ok && e.capabilities == string(capabilities) && e.types == text && e.fresh(w.HeartbeatUTC) {
		w.Drain = e.drain
		return w, nil
	}
	w, err := q.store.UpsertWorker(ctx, w)
	if err != nil {
		return task.Worker{}, err
	}
	q.workers.put(workerID, entryOf(w))
	return w, nil
}

// alive renews the entry of a worker that holds a task, unless that was done a moment ago, and reports whether it is to take nothing new. One
// that has been removed from the registry stays so until it claims again.
func (q *Queue) alive(ctx context.Context, workerID string) (drain bool, err error) {
	now := q.Now()
	if e, ok := q.workers.get(workerID); ok && now.Sub(e.at) < registerEvery {
		return e.drain, nil
	}
	w, err := q.store.TouchWorker(ctx, workerID, now)
	if errors.Is(err, task.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	q.workers.put(workerID, entryOf(w))
	return w.Drain, nil
}

func entryOf(w task.Worker) registration {
	e := registration{capabilities: string(w.Capabilities), at: w.HeartbeatUTC, drain: w.Drain}
	if w.Types != nil {
		e.types = string(*w.Types)
	}
	return e
}

// WorkerHeartbeat registers a worker or renews its entry. Nil capabilities and types leave those of a known worker as they are; a new
// one then offers nothing and takes every type. The answer says whether the worker is to take nothing new.
func (q *Queue) WorkerHeartbeat(ctx context.Context, workerID string, capabilities *task.JSON, types []string) (task.Pulse, error) {
	if err := checkWorker(workerID, capabilities, types); err != nil {
		return task.Pulse{}, err
	}
	offered, err := q.offered(ctx, workerID, capabilities, &types)
	if err != nil {
		return task.Pulse{}, err
	}
	q.workers.forget(workerID)
	w, err := q.enter(ctx, workerID, offered, types)
	if err != nil {
		return task.Pulse{}, fmt.Errorf("register worker: %w", err)
	}
	return task.Pulse{Drain: w.Drain}, nil
}

func checkWorker(workerID string, capabilities *task.JSON, types []string) error {
	var bad task.InvalidError
	if msg := task.CheckName(workerID, 200); msg != "" {
		bad.Add("worker_id", "%s", msg)
	}
	if capabilities != nil {
		if _, err := task.ParseCapabilities(*capabilities); err != nil {
			bad.Add("capabilities", "%s", err)
		}
	}
	for i, t := range types {
		if msg := task.CheckName(t, 200); msg != "" {
			bad.Add(fmt.Sprintf("types[%d]", i), "%s", msg)
		}
	}
	return bad.OrNil()
}

// offered fills what a heartbeat leaves out from the entry of the worker.
func (q *Queue) offered(ctx context.Context, workerID string, capabilities *task.JSON, types *[]string) (task.JSON, error) {
	if capabilities != nil && *types != nil {
		return *capabilities, nil
	}
	known, err := q.store.GetWorker(ctx, workerID)
	if errors.Is(err, task.ErrNotFound) {
		known.Capabilities, err = "{}", nil
	}
	if err != nil {
		return "", fmt.Errorf("register worker: %w", err)
	}
	if *types == nil && known.Types != nil {
		if err := json.Unmarshal([]byte(*known.Types), types); err != nil {
			return "", fmt.Errorf("register worker: %w", err)
		}
	}
	if capabilities == nil {
		capabilities = &known.Capabilities
	}
	return *capabilities, nil
}

// heldShown is how many tasks of a worker are listed.
const heldShown = 100

// Workers returns the registry, ordered by id, with what each does.
func (q *Queue) Workers(ctx context.Context) ([]task.WorkerStatus, error) {
	workers, err := q.store.ListWorkers(ctx)
	if err != nil {
		return nil, err
	}
	held, err := q.store.CountHeld(ctx)
	if err != nil {
		return nil, err
	}
	now, out := q.Now(), make([]task.WorkerStatus, len(workers))
	for i, w := range workers {
		out[i] = task.WorkerStatus{Worker: w, State: stateOf(w, now), HeldTasks: held[w.WorkerID]}
		q.paces.fill(now, &out[i])
	}
	return out, nil
}

// Worker returns one worker with the first of the tasks that it holds. Error: task.ErrNotFound.
func (q *Queue) Worker(ctx context.Context, workerID string) (task.WorkerStatus, error) {
	w, err := q.store.GetWorker(ctx, workerID)
	if err != nil {
		return task.WorkerStatus{}, fmt.Errorf("get worker %s: %w", workerID, err)
	}
	held, err := q.store.CountHeld(ctx)
	if err != nil {
		return task.WorkerStatus{}, err
	}
	s := task.WorkerStatus{Worker: w, State: stateOf(w, q.Now()), HeldTasks: held[workerID]}
	q.paces.fill(q.Now(), &s)
	s.Tasks, err = q.store.ListHeldBy(ctx, workerID, heldShown)
	return s, err
}

func stateOf(w task.Worker, now time.Time) task.WorkerState {
	switch {
	case now.Sub(w.HeartbeatUTC) > aliveFor:
		return task.WorkerStale
	case w.Drain:
		return task.WorkerDraining
	}
	return task.WorkerLive
}

// CleanWorkers removes the workers that were not heard for silent, 0 standing for five minutes. Those that hold tasks are kept unless forced; the tasks are not touched in any case. Error: *task.InvalidError.
func (q *Queue) CleanWorkers(ctx context.Context, silent time.Duration, force bool) (task.Cleaned, error) {
	if silent < 0 || silent > task.MaxTimeout {
		return task.Cleaned{}, task.Invalid("older_than_seconds", "must lie between 0 and %.0f", task.MaxTimeout.Seconds())
	}
	before := q.Now().Add(-cmp.Or(silent, aliveFor))
	deleted, err := q.store.DeleteStaleWorkers(ctx, before, force)
	if err != nil {
		return task.Cleaned{}, fmt.Errorf("clean workers: %w", err)
	}
	for _, id := range deleted {
		q.workers.forget(id)
	}
	c := task.Cleaned{Deleted: append([]string{}, deleted...), Kept: []string{}}
	left, err := q.store.ListWorkers(ctx)
	for _, w := range left {
		if w.HeartbeatUTC.Before(before) {
			c.Kept = append(c.Kept, w.WorkerID)
		}
	}
	return c, err
}

// ReclaimWorker takes the tasks of a worker back at once, as when their leases have run out: those with attempts left are queued again. It returns their ids, ordered. A worker that lives
// after all has lost them. A worker that is not in the registry may hold tasks, too; where it holds none there is no such worker. Errors: task.ErrNotFound, *task.InvalidError.
func (q *Queue) ReclaimWorker(ctx context.Context, workerID string) ([]int64, error) {
	if msg := task.CheckName(workerID, 200); msg != "" {
		return nil, task.Invalid("worker_id", "%s", msg)
	}
	ids := []int64{}
	for {
		now := q.Now()
		ended, err := q.store.EndLeases(ctx, workerID, now, upkeepBatch)
		if err != nil {
			return nil, fmt.Errorf("reclaim tasks of worker %s: %w", workerID, err)
		}
		for n := upkeepBatch; n == upkeepBatch && len(ended) > 0; {
			lost, err := q.reap(ctx, now, upkeepBatch)
			if err != nil {
				return nil, fmt.Errorf("reclaim tasks of worker %s: %w", workerID, err)
			}
			q.queued(lost...)
			n = len(lost)
		}
		if ids = append(ids, ended...); len(ended) < upkeepBatch {
			break
		}
	}
	if len(ids) == 0 {
		if _, err := q.store.GetWorker(ctx, workerID); err != nil {
			return nil, fmt.Errorf("reclaim tasks of worker %s: %w", workerID, err)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// DrainWorker has a worker take nothing new: its claims get nothing, those that wait end, and the answer to its next heartbeat says drain, on which the engine of this program ends what it runs and
// stops. Other nodes learn of it within a second. Error: task.ErrNotFound.
func (q *Queue) DrainWorker(ctx context.Context, workerID string) (task.Worker, error) {
	return q.setDrain(ctx, "drain", workerID, true)
}

// ResumeWorker lets a worker take tasks again. Error: task.ErrNotFound.
func (q *Queue) ResumeWorker(ctx context.Context, workerID string) (task.Worker, error) {
	return q.setDrain(ctx, "resume", workerID, false)
}

func (q *Queue) setDrain(ctx context.Context, verb, workerID string, drain bool) (task.Worker, error) {
	w, err := q.store.DrainWorker(ctx, workerID, drain)
	if err != nil {
		return task.Worker{}, fmt.Errorf("%s worker %s: %w", verb, workerID, err)
	}
	q.workers.put(workerID, entryOf(w))
	q.waiters.wakeAll()
	return w, nil
}

// DeleteWorker removes a worker from the registry; tasks that it holds are not touched. Error: task.ErrNotFound.
func (q *Queue) DeleteWorker(ctx context.Context, workerID string) error {
	if err := q.store.DeleteWorker(ctx, workerID); err != nil {
		return fmt.Errorf("delete worker %s: %w", workerID, err)
	}
	q.workers.forget(workerID)
	return nil
}
