package simulation

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// lease is how long workers hold a task without a heartbeat, and slots how many they run at a time.
const (
	lease = 30 * time.Second
	slots = 4
)

// worker is a process that claims tasks and runs them.
type worker struct {
	id           string
	types        []string // nil: all
	capabilities task.Capabilities
	gpu          bool
	region       []string
	memory       float64
	strategy     task.Strategy
	life         int // grows when it dies
	dead         bool
	holds        []*hold
}

// hold is a task that a worker believes to have.
type hold struct {
	id    int64
	fence int64
	token string
	kind  *kind
	by    *worker
	life  int
}

// hire starts 8 workers with different offers.
func (w *world) hire() {
	for i := range 8 {
		wk := &worker{id: fmt.Sprint("worker-", i), gpu: i < 4, memory: float64(int(4) << i), strategy: task.Strategies[i%4], region: []string{"us"}}
		if i%2 == 0 {
			wk.region = []string{"eu", "us"}
		}
		if i == 6 {
			wk.types = []string{"t0", "t1", "t2", "t3", poison}
		}
		wk.capabilities = task.Capabilities{"gpu": wk.gpu, "region": list(wk.region), "memory": wk.memory}
		w.workers = append(w.workers, wk)
		w.poll(wk)
	}
}

func list(names []string) (out []any) {
	for _, n := range names {
		out = append(out, n)
	}
	return out
}

// can reports whether a worker may take tasks of a kind.
func (wk *worker) can(k *kind) bool {
	return (wk.types == nil || slices.Contains(wk.types, k.name)) && (!k.gpu || wk.gpu) && (k.region == "" || slices.Contains(wk.region, k.region)) &&
		(k.memory == 0 || k.memory <= wk.memory && wk.memory <= 2*k.memory)
}

// poll lets a worker claim whenever there is something for it, and now and then when there is nothing.
func (w *world) poll(wk *worker) {
	w.after(w.around(time.Second), func() {
		if free := slots - len(wk.holds); !wk.dead && free > 0 {
			strategy := wk.strategy
			if w.chance(0.05) {
				strategy = task.Strategies[w.rng.IntN(4)]
			}
			if len(w.takeable(wk, strategy)) > 0 || len(w.apart(wk)) > 0 || w.chance(0.01) {
				w.claim(wk, strategy, 1+w.rng.IntN(free))
			}
		}
		w.poll(wk)
	})
}

// takeable returns the tasks that a worker may take beside others, in the order of the strategy.
func (w *world) takeable(wk *worker, s task.Strategy) []*record {
	return slices.DeleteFunc(w.within(wk, s), func(r *record) bool { return r.Quarantined() })
}

// apart returns those that it may take alone, by id.
func (w *world) apart(wk *worker) []*record {
	return slices.DeleteFunc(w.within(wk, task.FIFO), func(r *record) bool { return !r.Quarantined() })
}

// heldBy returns the tasks that a worker holds for all that the queue knows.
func (w *world) heldBy(wk *worker) (out []*record) {
	for _, r := range w.alive {
		if r.Status == task.Processing && *r.LockedBy == wk.id {
			out = append(out, r)
		}
	}
	return out
}

// within returns the tasks that are due, for which there is room, and that a worker can run.
func (w *world) within(wk *worker, s task.Strategy) (out []*record) {
	now := w.clock.Now()
	room := make(map[string]int)
	for _, r := range w.alive {
		if !r.ready(now) || !wk.can(kindOf(r.Type)) {
			continue
		}
		if _, known := room[r.Type]; !known {
			room[r.Type] = w.room(r.Type, w.clock.Now())
		}
		if room[r.Type] > 0 && w.roomOfKey(r, now) > 0 {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *record) int {
		switch s {
		case task.LIFO:
			return cmp.Compare(b.ID, a.ID)
		case task.Priority:
			return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.ID, b.ID))
		}
		return cmp.Compare(a.ID, b.ID)
	})
	return out
}

// fitting keeps of tasks in their order those for which there is room.
func (w *world) fitting(tasks []*record) []*record {
	room := w.newRooms()
	return slices.DeleteFunc(tasks, func(r *record) bool { return !room.take(r) })
}

// rooms is how many more tasks of each type and key may be taken.
type rooms struct {
	*world
	left map[string]int
}

func (w *world) newRooms() rooms { return rooms{w, make(map[string]int)} }

// know looks how much room there is for a task.
func (m rooms) know(r *record) {
	now := m.clock.Now()
	if _, known := m.left[r.Type]; !known {
		m.left[r.Type] = m.room(r.Type, now)
	}
	key := r.ofKey()
	if _, known := m.left[key]; key != "" && !known {
		m.left[key] = m.roomOfKey(r, now)
	}
}

// take takes room for a task, and reports whether there was any.
func (m rooms) take(r *record) bool {
	m.know(r)
	key := r.ofKey()
	if m.left[r.Type] <= 0 || key != "" && m.left[key] <= 0 {
		return false
	}
	m.left[r.Type]--
	if key != "" {
		m.left[key]--
	}
	return true
}

// firstOfKey reports whether a task is the first of its lane and key among these, which are in the order of a strategy.
func firstOfKey(tasks []*record, r *record) bool {
	i := slices.IndexFunc(tasks, func(o *record) bool { return o.LaneID == r.LaneID && o.ofKey() == r.ofKey() })
	return tasks[i].ID == r.ID
}

// claim wants exactly the tasks that come first, or with weighted_random as many of those that may be taken.
func (w *world) claim(wk *worker, s task.Strategy, n int) {
	all := w.takeable(wk, s)
	may := make(map[int64]bool)
	for _, r := range all {
		may[r.ID] = true
	}
	inTurn := slices.ContainsFunc(all, func(r *record) bool { return r.ConcurrencyKey != nil }) // then the order is known within a key alone
	want := w.fitting(slices.Clone(all))
	want = want[:min(n, len(want))]
	standsBy := false // it may be given nothing, so that it takes a task in quarantine next
	held, apart := w.heldBy(wk), w.apart(wk)
	switch {
	case slices.ContainsFunc(held, func(r *record) bool { return r.Quarantined() }):
		want = nil
	case len(apart) > 0 && len(held) == 0:
		want, may[apart[0].ID], s, inTurn = apart[:1], true, task.Priority, false
	case len(apart) > 0:
		standsBy = true
	}
	room := w.newRooms()
	for _, r := range slices.Concat(all, apart) {
		room.know(r)
	}
	got, err := w.q.Claim(w.Context(), task.Claim{WorkerID: wk.id, Types: wk.types, Capabilities: wk.capabilities, Strategy: s, Max: n, Lease: lease})
	w.ok(err)
	w.counts.claims += len(got)
	w.touched = true
	if standsBy && len(got) == 0 {
		return
	}
	if len(got) != len(want) {
		w.broken("I12/I14/I18", "%s by %s of %d got %d tasks, want %d", wk.id, s, n, len(got), len(want))
	}
	for i, l := range got {
		if inTurn && may[l.ID] {
			if r := w.tasks[l.ID]; r.ConcurrencyKey != nil && !firstOfKey(all, r) {
				w.broken("I17", "%s by %s of %d got task %d, which is not the first of key %s", wk.id, s, n, l.ID, *r.ConcurrencyKey)
			}
			all = slices.DeleteFunc(all, func(r *record) bool { return r.ID == l.ID })
		}
		if s != task.WeightedRandom && !inTurn && l.ID != want[i].ID {
			w.broken("I17", "%s by %s of %d got task %d (%+v) as number %d, want %d (%+v)", wk.id, s, n, l.ID, visible(w.tasks[l.ID].Task), i, want[i].ID, visible(want[i].Task))
		}
		if !may[l.ID] || !room.take(w.tasks[l.ID]) {
			w.broken("I12/I14/I18", "%s by %s got task %d, which it may not take", wk.id, s, l.ID)
		}
		w.take(wk, l)
	}
}

// take checks a lease and lets the worker begin.
func (w *world) take(wk *worker, l task.Lease) {
	r, now := w.tasks[l.ID], w.clock.Now()
	if b := w.rules[l.Type].bucket; b != nil {
		b.level -= b.interval
	}
	if r.ConcurrencyKey != nil {
		if b := w.rules[l.Type].ofKey.bucketOf(*r.ConcurrencyKey, now); b != nil {
			b.tokens(now)
			b.level -= b.interval
		}
	}
	if l.Fence != r.Fence+1 || l.Attempts != r.Attempts+1 || l.Attempts > l.MaxAttempts || *l.LockedBy != wk.id || !l.LeaseUntilUTC.Equal(now.Add(lease)) {
		w.broken("I6/I7/I13", "lease %+v of a task that was %+v", visible(l.Task), visible(r.Task))
	}
	if r.DeadlineUTC != nil && !r.DeadlineUTC.After(now) {
		w.broken("I14", "task %d was claimed after its deadline %v", l.ID, *r.DeadlineUTC)
	}
	w.put(r, l.Task)
	h := &hold{id: l.ID, fence: l.Fence, token: l.LeaseToken, kind: kindOf(l.Type), by: wk, life: wk.life}
	wk.holds = append(wk.holds, h)
	w.after(lease/3, func() { w.beat(h) })
	w.after(w.around(h.kind.mean), func() { w.end(h) })
}

// has reports whether the worker of a hold still runs it.
func (h *hold) has() bool {
	return !h.by.dead && h.life == h.by.life && slices.Contains(h.by.holds, h)
}

// letGo ends a hold on the worker's side.
func (w *world) letGo(h *hold) {
	h.by.holds = slices.DeleteFunc(h.by.holds, func(o *hold) bool { return o == h })
	if w.old = append(w.old, h); len(w.old) > 100 {
		w.old = w.old[1:]
	}
}

// valid returns the task of a hold, and whether its lease is the live one.
func (w *world) valid(h *hold) (*record, bool) {
	r := w.tasks[h.id]
	return r, r != nil && r.Status == task.Processing && r.Fence == h.fence
}

// beat is the heartbeat of a task that runs.
func (w *world) beat(h *hold) {
	if !h.has() {
		return
	}
	r, valid := w.valid(h)
	pulse, err := w.q.Heartbeat(w.Context(), h.id, h.token, task.Beat{Lease: lease})
	w.touched = true
	switch {
	case valid:
		w.ok(err)
		if until := w.clock.Now().Add(lease); pulse.CancelRequested || !pulse.LeaseUntilUTC.Equal(until) {
			w.broken("I6", "a heartbeat of task %d got %+v, want a lease until %v", h.id, pulse, until)
		}
		w.put(r, w.stored(h.id))
		w.after(lease/3, func() { w.beat(h) })
	case r != nil && err == nil && pulse.CancelRequested && *r.Outcome == task.Cancelled && r.Fence == h.fence:
		w.letGo(h)
	default:
		w.refused(r, h.id, err)
		w.letGo(h)
	}
}

// end is what happens when a task has run for its time.
func (w *world) end(h *hold) {
	if !h.has() {
		return
	}
	p := w.rng.Float64()
	switch k := h.kind; {
	case k.name == poison || !w.quiet && p < 0.003:
		w.kill(h.by)
	case w.quiet || p > 0.02+k.failing:
		w.complete(h)
	case p < 0.006: // it hangs: no more heartbeats
		w.letGo(h)
	case p < 0.014:
		w.release(h)
	case p < 0.02:
		w.fail(h, true)
	default:
		w.fail(h, false)
	}
}

// kill ends a worker without a word, and starts it again a while later.
func (w *world) kill(wk *worker) {
	wk.dead = true
	for len(wk.holds) > 0 {
		w.letGo(wk.holds[0])
	}
	w.after(w.around(20*time.Second), func() { w.revive(wk) })
}

func (w *world) revive(wk *worker) {
	if wk.dead {
		wk.dead = false
		wk.life++
	}
}

// late uses a token whose holder has let it go: that of a worker that was thought dead, or of an attempt long over.
func (w *world) late() {
	if len(w.old) == 0 {
		return
	}
	h := w.old[w.rng.IntN(len(w.old))]
	switch w.rng.IntN(3) {
	case 0:
		w.complete(h)
	case 1:
		w.fail(h, false)
	case 2:
		w.release(h)
	}
}

// handIn compares the end of an attempt under a token with what the token is worth.
func (w *world) handIn(h *hold, as task.AttemptOutcome, do func() (task.Task, error), want func(r *record, got task.Task) bool) {
	w.letGo(h)
	r, valid := w.valid(h)
	got, err := do()
	w.touched = true
	if !valid {
		w.refused(r, h.id, err)
		return
	}
	w.ok(err)
	if got.Fence != r.Fence || got.LockedBy != nil || !want(r, got) {
		w.broken("I10", "task %d has become %+v by %s, after %+v", h.id, visible(got), as, visible(r.Task))
	}
	r.past = append(r.past, as)
	w.judge(r.Type, as, got.ProcessingStartedUTC, w.opens(r.Type))
	w.put(r, got)
	w.same("I2", r, w.stored(h.id))
}

func (w *world) complete(h *hold) {
	w.handIn(h, task.AttemptSucceeded, func() (task.Task, error) { return w.q.Complete(w.Context(), h.id, h.token, nil) }, func(r *record, got task.Task) bool {
		return got.Status == task.Completed && *got.Outcome == task.Succeeded && got.Attempts == r.Attempts
	})
}

func (w *world) release(h *hold) {
	wait := time.Duration(w.rng.IntN(30)) * time.Second
	w.handIn(h, task.AttemptReleased, func() (task.Task, error) { return w.q.Release(w.Context(), h.id, h.token, wait) }, func(r *record, got task.Task) bool {
		return got.Status == task.Queued && got.Attempts == r.Attempts-1 && got.RunAfterUTC.Equal(w.clock.Now().Add(wait))
	})
}

func (w *world) fail(h *hold, reject bool) {
	as, ends := task.AttemptFailed, task.Exhausted
	if reject {
		as, ends = task.AttemptRejected, task.Rejected
	}
	w.handIn(h, as, func() (task.Task, error) {
		return w.q.Fail(w.Context(), h.id, h.token, task.Failure{Message: "no luck", NoRetry: reject})
	}, func(r *record, got task.Task) bool {
		if !reject && r.Attempts < r.MaxAttempts {
			wait := got.RunAfterUTC.Sub(w.clock.Now())
			return got.Status == task.Queued && got.Attempts == r.Attempts && wait >= 900*time.Millisecond && wait <= 330*time.Second
		}
		return got.Status == task.Failed && *got.Outcome == ends
	})
}
