package simulation

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// record is what the model knows of a task.
type record struct {
	task.Task                       // as the queue has shown it last
	past      []task.AttemptOutcome // of every attempt that has ended
	schedule  string                // that has made it; empty: none
	unique    string                // type and unique key; empty: none
	noted     bool                  // it is looked at when another is to be made under the key
}

// ready reports whether a claim may take the task.
func (r *record) ready(now time.Time) bool {
	return r.Status == task.Queued && !r.RunAfterUTC.After(now)
}

// rule is what holds for a type; most 0: no limit.
type rule struct {
	paused bool
	most   int
	bucket *bucket // nil: no rate
	ofKey  keyRule

	breaker *breaker // nil: none
}

// keyRule is what holds for each key of a type; most 0: no limit.
type keyRule struct {
	most    int
	rate    task.RateLimit     // of no tasks: none
	buckets map[string]*bucket // by key; one that is not there is full
}

// bucketOf returns the bucket of a key; nil: there is no rate.
func (k keyRule) bucketOf(key string, now time.Time) *bucket {
	if k.rate.Tasks == 0 {
		return nil
	}
	if k.buckets[key] == nil {
		interval := time.Duration(k.rate.PerSeconds*float64(time.Second)) / time.Duration(k.rate.Tasks)
		full := time.Duration(k.rate.Burst) * interval
		k.buckets[key] = &bucket{interval: interval, full: full, level: full, at: now}
	}
	return k.buckets[key]
}

// bucket is what a rate leaves, counted in the time in which it comes back: a token is worth one interval.
type bucket struct {
	interval, full, level time.Duration
	at                    time.Time // when level was that
}

// tokens returns how many there are at now.
func (b *bucket) tokens(now time.Time) int {
	b.level, b.at = min(b.full, b.level+now.Sub(b.at)), now
	return int(b.level / b.interval)
}

// model is what must be stored.
type model struct {
	tasks   map[int64]*record
	alive   map[int64]*record // those that have not ended
	byKey   map[string]int64
	rules   map[string]rule
	newest  int64 // the greatest id so far
	deleted int64
}

func newModel() model {
	return model{tasks: make(map[int64]*record), alive: make(map[int64]*record), byKey: make(map[string]int64), rules: make(map[string]rule)}
}

// put takes a task as it is now.
func (m *model) put(r *record, t task.Task) {
	r.Task = t
	m.tasks[t.ID] = r
	m.newest = max(m.newest, t.ID)
	if t.Status.Ended() {
		delete(m.alive, t.ID)
	} else {
		m.alive[t.ID] = r
	}
}

// drop forgets a task that was deleted.
func (m *model) drop(r *record) {
	delete(m.tasks, r.ID)
	if r.IdempotencyKey != nil {
		delete(m.byKey, *r.IdempotencyKey)
	}
	m.deleted++
}

// living returns the tasks that have not ended, by id.
func (m *model) living() []*record {
	return slices.SortedFunc(maps.Values(m.alive), func(a, b *record) int { return cmp.Compare(a.ID, b.ID) })
}

// held counts the tasks of a type in processing.
func (m *model) held(taskType string) (n int) {
	for _, r := range m.alive {
		if r.Status == task.Processing && r.Type == taskType {
			n++
		}
	}
	return n
}

// room is how many more tasks of a type may be taken at now.
func (m *model) room(taskType string, now time.Time) int {
	rule, room := m.rules[taskType], len(m.alive)
	if rule.paused {
		return 0
	}
	if rule.most > 0 {
		room = max(0, rule.most-m.held(taskType))
	}
	if rule.bucket != nil {
		room = min(room, rule.bucket.tokens(now))
	}
	return min(room, rule.breaker.room(now, m.held(taskType), room))
}

// roomOfKey is how many more tasks of the key of a task may be taken at now, whatever its type allows.
func (m *model) roomOfKey(r *record, now time.Time) int {
	rule, room := m.rules[r.Type].ofKey, len(m.alive)
	if r.ConcurrencyKey == nil {
		return room
	}
	if rule.most > 0 {
		held := 0
		for _, o := range m.alive {
			if o.Status == task.Processing && o.Type == r.Type && o.ConcurrencyKey != nil && *o.ConcurrencyKey == *r.ConcurrencyKey {
				held++
			}
		}
		room = max(0, rule.most-held)
	}
	if b := rule.bucketOf(*r.ConcurrencyKey, now); b != nil {
		room = min(room, b.tokens(now))
	}
	return room
}

// ofKey names a type and a key; tasks without one have none.
func (r *record) ofKey() string {
	if r.ConcurrencyKey == nil {
		return ""
	}
	return r.Type + "/" + *r.ConcurrencyKey
}

// stored reads a task.
func (w *world) stored(id int64) task.Task {
	w.Helper()
	t, err := w.st.GetTask(w.Context(), id)
	w.ok(err)
	return t
}

// same wants a task to be as the model has it.
func (w *world) same(invariant string, r *record, got task.Task) {
	w.Helper()
	if a, b := visible(r.Task), visible(got); a != b {
		w.broken(invariant, "task %d is\n%+v\nwant\n%+v", r.ID, b, a)
	}
}

// facts are the columns that the model follows, comparable.
type facts struct {
	status                    task.Status
	outcome, lockedBy         string
	attempts, most, priority  int
	lost                      int
	fence                     int64
	runAfter, lease, deadline time.Time
}

func visible(t task.Task) facts {
	f := facts{status: t.Status, attempts: t.Attempts, most: t.MaxAttempts, priority: t.Priority, lost: t.Lost, fence: t.Fence, runAfter: t.RunAfterUTC.UTC()}
	if t.Outcome != nil {
		f.outcome = string(*t.Outcome)
	}
	if t.LockedBy != nil {
		f.lockedBy = *t.LockedBy
	}
	if t.LeaseUntilUTC != nil {
		f.lease = t.LeaseUntilUTC.UTC()
	}
	if t.DeadlineUTC != nil {
		f.deadline = t.DeadlineUTC.UTC()
	}
	return f
}

// check compares all rows and the counters with the model.
func (w *world) check() {
	w.Helper()
	seen := 0
	for before := int64(0); ; {
		rows, err := w.st.ListTasks(w.Context(), task.Filter{Before: before, Limit: 1000})
		w.ok(err)
		for _, t := range rows {
			r := w.tasks[t.ID]
			if r == nil {
				w.broken("I15", "task %d is stored and should not be", t.ID)
			}
			w.same("I2", r, t)
		}
		if seen += len(rows); len(rows) == 0 {
			break
		}
		before = rows[len(rows)-1].ID
	}
	if seen != len(w.tasks) {
		w.broken("I1", "%d tasks are stored, want %d", seen, len(w.tasks))
	}
	w.checkCounters()
}

func (w *world) checkCounters() {
	w.Helper()
	want := make(map[task.Status]int64)
	for _, r := range w.tasks {
		want[r.Status]++
	}
	got, err := w.q.Stats(w.Context())
	w.ok(err)
	if got.QueuedTasks != want[task.Queued] || got.ProcessingTasks != want[task.Processing] || got.CompletedTasks != want[task.Completed] ||
		got.FailedTasks != want[task.Failed] || got.DeletedTasks != w.deleted {
		w.broken("I15", "the counters are %+v, want %v and %d deleted", got, want, w.deleted)
	}
	w.checkBreaker()
}

// checkHistories compares the attempts of every task with what has happened.
func (w *world) checkHistories() {
	for _, r := range w.tasks {
		attempts, err := w.st.ListAttempts(w.Context(), r.ID)
		w.ok(err)
		got := make([]task.AttemptOutcome, len(attempts))
		for i, a := range attempts {
			if a.Outcome == nil || i > 0 && a.Fence <= attempts[i-1].Fence {
				w.broken("I7", "attempts of task %d: %+v", r.ID, attempts)
			}
			got[i] = *a.Outcome
		}
		if !slices.Equal(got, r.past) {
			w.broken("I13", "attempts of task %d ended %v, want %v", r.ID, got, r.past)
		}
		if r.Type == poison && *r.Outcome == task.Exhausted && r.Attempts != r.MaxAttempts {
			w.broken("I13", "task %d killed %d workers, want %d", r.ID, r.Attempts, r.MaxAttempts)
		}
	}
}

// refused wants the error of a call under a token that is not the live one, and the task as it was.
func (w *world) refused(r *record, id int64, err error) {
	w.Helper()
	w.counts.stale++
	switch {
	case r == nil && !errors.Is(err, task.ErrNotFound):
		w.broken("I8", "a call for task %d, which was deleted, got %v", id, err)
	case r != nil && !errors.Is(err, task.ErrLeaseLost):
		w.broken("I8", "a stale token of task %d got %v", id, err)
	case r != nil:
		w.same("I8", r, w.stored(id))
	}
}
