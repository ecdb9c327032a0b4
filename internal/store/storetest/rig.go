package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// start is the instant at which every test begins.
var start = time.Date(2026, 1, 31, 8, 0, 0, 123456000, time.UTC)

// at returns the instant so many seconds after start.
func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }

// limits bound the tasks of the suite; a payload of one MiB fits.
var limits = task.Limits{MaxAttempts: 100, PayloadBytes: 1 << 20}

func ptr[T any](v T) *T { return &v }

// rig is one test and its store. Its verbs fail the test on an error that the behaviour does not speak of.
type rig struct {
	*testing.T
	st store.Store
}

// ok stops the test unless err is nil.
func (r *rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatalf("unexpected error: %v", err)
	}
}

// wants reports unless err is the error wanted.
func (r *rig) wants(want, err error) {
	r.Helper()
	if !errors.Is(err, want) {
		r.Errorf("got error %v, want %v", err, want)
	}
}

// equal reports the difference between two values.
func (r *rig) equal(what string, want, got any, o ...cmp.Option) {
	r.Helper()
	if d := cmp.Diff(want, got, o...); d != "" {
		r.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// make returns the task that s describes at now, not stored.
func (r *rig) make(s task.Spec, now time.Time) task.Task {
	r.Helper()
	if s.Type == "" {
		s.Type = "work"
	}
	t, err := s.Task(now, limits)
	r.ok(err)
	return t
}

// insert stores the task that s describes, of type work if it names none, at start.
func (r *rig) insert(s task.Spec) task.Task {
	r.Helper()
	return r.insertAt(s, start)
}

func (r *rig) insertAt(s task.Spec, now time.Time) task.Task {
	r.Helper()
	t, created, err := r.st.InsertTask(r.Context(), r.make(s, now))
	r.ok(err)
	if !created {
		r.Fatalf("task %d existed already", t.ID)
	}
	return t
}

// insertMany stores n tasks of one spec in one batch.
func (r *rig) insertMany(n int, s task.Spec) []task.Task {
	r.Helper()
	ts := make([]task.Task, n)
	for i := range ts {
		ts[i] = r.make(s, start)
	}
	stored, _, err := r.st.InsertTasks(r.Context(), ts)
	r.ok(err)
	return stored
}

// ask completes a claim as the service does: defaults, worker w1, now start and a secret.
func (r *rig) ask(c task.Claim) task.Claim {
	r.Helper()
	if c.WorkerID == "" {
		c.WorkerID = "w1"
	}
	if c.Now.IsZero() {
		c.Now = start
	}
	if c.Secret == "" {
		c.Secret = fmt.Sprintf("%032x", c.Now.UnixMicro())
	}
	c, err := c.WithDefaults()
	r.ok(err)
	return c
}

func (r *rig) claim(c task.Claim) []task.Task {
	r.Helper()
	ts, err := r.st.ClaimTasks(r.Context(), r.ask(c))
	r.ok(err)
	return ts
}

// claimOne claims and stops the test unless exactly one task came.
func (r *rig) claimOne(c task.Claim) task.Task {
	r.Helper()
	ts := r.claim(c)
	if len(ts) != 1 {
		r.Fatalf("claimed %d tasks, want 1", len(ts))
	}
	return ts[0]
}

// running stores a task and claims it.
func (r *rig) running(s task.Spec) task.Task {
	r.Helper()
	if s.Type == "" {
		s.Type = "work"
	}
	t := r.insert(s)
	got := r.claimOne(task.Claim{Types: []string{s.Type}, Strategy: task.LIFO})
	if got.ID != t.ID {
		r.Fatalf("claimed task %d, want %d", got.ID, t.ID)
	}
	return got
}

// reaped stores a task, claims it for a second and lets it be taken back.
func (r *rig) reaped(s task.Spec) task.Task {
	r.Helper()
	t := r.insert(s)
	r.claimOne(task.Claim{Types: []string{s.Type}, Strategy: task.LIFO, Lease: time.Second})
	if got := r.reap(at(1)); len(got) != 1 || got[0].ID != t.ID {
		r.Fatalf("reaped %v, want task %d", ids(got), t.ID)
	}
	return r.get(t.ID)
}

func token(t task.Task) task.Token { return task.Token{Fence: t.Fence, Secret: *t.LeaseSecret} }

func (r *rig) get(id int64) task.Task {
	r.Helper()
	t, err := r.st.GetTask(r.Context(), id)
	r.ok(err)
	return t
}

// stored reports unless the task was returned as wanted and is stored as it was returned.
func (r *rig) stored(want, got task.Task) {
	r.Helper()
	r.equal("returned task", want, got)
	r.equal("stored task", want, r.get(want.ID))
}

func (r *rig) complete(t task.Task, now time.Time) task.Task {
	r.Helper()
	done, err := r.st.CompleteTask(r.Context(), t.ID, token(t), nil, now)
	r.ok(err)
	return done
}

func (r *rig) release(t task.Task, now time.Time) task.Task {
	r.Helper()
	t, err := r.st.ReleaseTask(r.Context(), t.ID, token(t), now, now)
	r.ok(err)
	return t
}

func (r *rig) fail(t task.Task, v store.Verdict, now time.Time) task.Task {
	r.Helper()
	t, err := r.st.FailTask(r.Context(), t.ID, token(t), v, now)
	r.ok(err)
	return t
}

func (r *rig) cancel(id int64, now time.Time) task.Task {
	r.Helper()
	t, changed, err := r.st.CancelTask(r.Context(), id, now)
	r.ok(err)
	if !changed {
		r.Fatalf("task %d was not cancelled", id)
	}
	return t
}

func (r *rig) requeue(id int64, now time.Time) task.Task {
	r.Helper()
	t, err := r.st.RequeueTask(r.Context(), id, now)
	r.ok(err)
	return t
}

func (r *rig) reap(now time.Time) []task.Task {
	r.Helper()
	ts, err := r.st.ReapExpiredLeases(r.Context(), now, 1000)
	r.ok(err)
	return byID(ts)
}

func (r *rig) attempts(id int64) []task.Attempt {
	r.Helper()
	as, err := r.st.ListAttempts(r.Context(), id)
	r.ok(err)
	return as
}

func (r *rig) logs(id int64) []task.Log {
	r.Helper()
	ls, err := r.st.ListLogs(r.Context(), task.LogFilter{TaskID: id, Limit: 1000})
	r.ok(err)
	return ls
}

// written returns the lines that workers have written.
func (r *rig) written(id int64) (ls []task.Log) {
	r.Helper()
	for _, l := range r.logs(id) {
		if l.Event == nil {
			ls = append(ls, l)
		}
	}
	return ls
}

// told returns the names of what the log says has happened to a task.
func (r *rig) told(id int64) (names []task.EventName) {
	r.Helper()
	for _, l := range r.logs(id) {
		if l.Event != nil {
			names = append(names, *l.Event)
		}
	}
	return names
}

func (r *rig) list(f task.Filter) []task.Task {
	r.Helper()
	ts, err := r.st.ListTasks(r.Context(), f)
	r.ok(err)
	return ts
}

func (r *rig) stats(now time.Time) task.Stats {
	r.Helper()
	s, err := r.st.Stats(r.Context(), now)
	r.ok(err)
	return s
}

// record is all that the store knows of a task.
type record struct {
	Task     task.Task
	Attempts []task.Attempt
	Logs     []task.Log
}

func (r *rig) record(id int64) record {
	r.Helper()
	return record{r.get(id), r.attempts(id), r.logs(id)}
}

func byID(ts []task.Task) []task.Task {
	return slices.SortedFunc(slices.Values(ts), func(a, b task.Task) int { return int(a.ID - b.ID) })
}

func ids(ts []task.Task) []int64 {
	out := make([]int64, len(ts))
	for i, t := range ts {
		out[i] = t.ID
	}
	return out
}

// scramble returns 32 characters that depend on n and do not compress.
func scramble(n uint64) string {
	rng := rand.New(rand.NewPCG(n, 32))
	return fmt.Sprintf("%016x%016x", rng.Uint64(), rng.Uint64())
}
