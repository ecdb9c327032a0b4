package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ncruces/go-sqlite3"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// TestStateIsWhatIsStored runs random operations through two stores on one file and compares, after each, what the writer of each knows
// with what is in the file.
func TestStateIsWhatIsStored(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{1, 2} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "queue.db")
			w := walk{rng: rand.New(rand.NewPCG(seed, 0)), now: time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)}
			w.stores = []*Store{openAt(t, path, Options{Migrate: true}), openAt(t, path, Options{})}
			for step := range 300 {
				what, err := w.step(t.Context())
				if err != nil && !errors.Is(err, task.ErrNotFound) && !errors.Is(err, task.ErrLeaseLost) && !errors.Is(err, task.ErrConflict) && !errors.Is(err, errPlanned) {
					t.Fatalf("step %d, %s: %v", step, what, err)
				}
				for i, st := range w.stores {
					if err := compare(t.Context(), st); err != nil {
						t.Fatalf("step %d, %s, store %d: %v", step, what, i, err)
					}
				}
			}
			if in, err := Inspect(t.Context(), path, 10); err != nil || len(in.Damages) > 0 {
				t.Errorf("after all of it fsck finds %+v, %v", in.Damages, err)
			}
			if w.claimed < 50 {
				t.Errorf("only %d tasks were claimed: the walk tries nothing", w.claimed)
			}
		})
	}
}

var errPlanned = errors.New("planned")

// walk does random things.
type walk struct {
	stores  []*Store
	rng     *rand.Rand
	now     time.Time
	held    []task.Task
	ids     []int64
	claimed int
}

func (w *walk) spec() task.Task {
	s := task.Spec{Type: fmt.Sprint("t", w.rng.IntN(3)), Priority: new(int)}
	*s.Priority = 1 + w.rng.IntN(3)
	if w.rng.IntN(4) == 0 {
		s.Compatibility = task.JSON(fmt.Sprintf(`{"gpu":%d}`, w.rng.IntN(2)))
	}
	if w.rng.IntN(3) == 0 {
		s.RunAfterUTC = &task.Time{Time: w.now.Add(time.Duration(w.rng.IntN(20)) * time.Second)}
	}
	if w.rng.IntN(6) == 0 {
		s.DeadlineUTC = &task.Time{Time: w.now.Add(time.Duration(21+w.rng.IntN(20)) * time.Second)}
	}
	if w.rng.IntN(4) == 0 {
		key := fmt.Sprint("k", w.rng.IntN(40))
		s.IdempotencyKey = &key
	}
	if w.rng.IntN(20) == 0 {
		s.Payload = task.JSON(fmt.Sprintf(`{"x":"%020000d"}`, 0))
	}
	t, err := s.Task(w.now, task.Limits{MaxAttempts: 3, PayloadBytes: 1 << 20})
	if err != nil {
		panic(err)
	}
	return t
}

func (w *walk) step(ctx context.Context) (what string, err error) {
	w.now = w.now.Add(time.Duration(w.rng.IntN(2000)) * time.Millisecond)
	st := w.stores[w.rng.IntN(len(w.stores))]
	id := int64(1)
	if len(w.ids) > 0 {
		id = w.ids[w.rng.IntN(len(w.ids))]
	}
	switch n := w.rng.IntN(19); n {
	case 0, 1, 2:
		t, _, err := st.InsertTask(ctx, w.spec())
		w.ids = append(w.ids, t.ID)
		return "insert", err
	case 3:
		ts := make([]task.Task, 1+w.rng.IntN(100))
		for i := range ts {
			ts[i] = w.spec()
		}
		stored, _, err := st.InsertTasks(ctx, ts)
		for _, t := range stored {
			w.ids = append(w.ids, t.ID)
		}
		return "insert many", err
	case 4, 5, 6, 7:
		c := task.Claim{WorkerID: "w", Strategy: task.Strategies[w.rng.IntN(4)], Max: 1 + w.rng.IntN(4), Lease: time.Duration(1+w.rng.IntN(60)) * time.Second,
			Now: w.now, Secret: fmt.Sprintf("%032x", w.rng.Uint64()), Seed: w.rng.Uint64()}
		if w.rng.IntN(2) == 0 {
			c.Types = []string{fmt.Sprint("t", w.rng.IntN(3))}
		}
		if w.rng.IntN(2) == 0 {
			c.Capabilities = task.Capabilities{"gpu": 1}
		}
		ts, err := st.ClaimTasks(ctx, c)
		w.held, w.claimed = append(w.held, ts...), w.claimed+len(ts)
		return "claim " + string(c.Strategy), err
	case 8:
		_, _, err := st.CancelTask(ctx, id, w.now)
		return "cancel", err
	case 9:
		_, err := st.RequeueTask(ctx, id, w.now)
		return "requeue", err
	case 10:
		return "delete", st.DeleteTask(ctx, id)
	case 11:
		if _, err := st.ReapExpiredLeases(ctx, w.now, 1+w.rng.IntN(20)); err != nil {
			return "reap", err
		}
		if _, err := st.PromoteDue(ctx, w.now, 1+w.rng.IntN(20)); err != nil {
			return "promote", err
		}
		_, err := st.ExpireTasks(ctx, w.now, 1+w.rng.IntN(20))
		return "expire", err
	case 12:
		return "fail after an insert", w.failing(ctx, st)
	case 13:
		return "put a type", w.put(ctx, st)
	case 14:
		return "fail after a change of rules", w.failingRule(ctx, st)
	case 15:
		return w.operate(ctx, st)
	}
	return w.finish(ctx, st)
}

// operate does a random action to some tasks, and in one case of three undoes it all.
func (w *walk) operate(ctx context.Context, st *Store) (what string, err error) {
	o := task.Operation{Action: task.Actions[w.rng.IntN(4)], Priority: new(1 + w.rng.IntN(3))}
	if w.rng.IntN(4) == 0 {
		*o.Priority = 4 + w.rng.IntN(900) // a lane of its own
	}
	m, _ := task.Match{}.In(o.Action.Statuses()...)
	var ids []int64
	for _, id := range w.ids {
		if w.rng.IntN(8) == 0 {
			ids = append(ids, id)
		}
	}
	_, err = write(ctx, st, func(ctx context.Context, x tx) (struct{}, error) {
		for _, id := range ids {
			if _, _, err := x.act(ctx, task.Step{Operation: o, Match: m, Now: w.now}, id); err != nil {
				return struct{}{}, err
			}
		}
		if w.rng.IntN(3) == 0 {
			return struct{}{}, errPlanned
		}
		return struct{}{}, nil
	})
	return string(o.Action), err
}

// failing inserts in an operation that then fails.
func (w *walk) failing(ctx context.Context, st *Store) error {
	t := w.spec()
	if w.rng.IntN(3) == 0 {
		t.Priority = 4 + w.rng.IntN(900) // a lane of its own
	}
	t.IdempotencyKey = nil
	key, err := keyOf(t)
	if err != nil {
		return err
	}
	_, err = write(ctx, st, func(ctx context.Context, x tx) (struct{}, error) {
		a := &arrival{key, t}
		if err := x.enter(ctx, a); err != nil {
			return struct{}{}, err
		}
		if err := x.insertAll(ctx, []*task.Task{&a.Task}); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, errPlanned
	})
	return err
}

// put sets the rules of a type: half the time as it was before there were any.
func (w *walk) put(ctx context.Context, st *Store) error {
	paused := w.rng.IntN(2) == 0
	rules := task.TypeRules{Paused: &paused}
	if w.rng.IntN(2) == 0 {
		most := 1 + w.rng.IntN(4)
		rules.MaxConcurrency = &most
	}
	_, err := st.PutType(ctx, fmt.Sprint("t", w.rng.IntN(3)), rules, w.now)
	return err
}

// failingRule pauses or resumes in an operation that then fails.
func (w *walk) failingRule(ctx context.Context, st *Store) error {
	_, err := write(ctx, st, func(ctx context.Context, x tx) (struct{}, error) {
		row, err := x.PauseType(ctx, sqlitedb.PauseTypeParams{Type: fmt.Sprint("t", w.rng.IntN(4)), Paused: w.rng.IntN(2) == 0, UpdatedAtUTC: &w.now})
		if err == nil {
			x.put(row)
			err = errPlanned
		}
		return struct{}{}, err
	})
	return err
}

// finish does something with a lease that somebody holds, or has lost.
func (w *walk) finish(ctx context.Context, st *Store) (what string, err error) {
	if len(w.held) == 0 {
		return "nothing", nil
	}
	i := w.rng.IntN(len(w.held))
	t := w.held[i]
	tok := task.Token{Fence: t.Fence, Secret: *t.LeaseSecret}
	n := w.rng.IntN(6)
	if n > 1 {
		w.held = slices.Delete(w.held, i, i+1)
	}
	at := w.now.Add(time.Duration(w.rng.IntN(3)) * time.Second)
	switch n {
	case 0:
		_, err = st.ExtendLease(ctx, t.ID, tok, task.Beat{}, w.now.Add(30*time.Second), w.now)
		return "extend", err
	case 1:
		_, err = st.StartTask(ctx, t.ID, tok, w.now)
		return "start", err
	case 2:
		v := store.Verdict{Message: "no", Outcome: task.Rejected}
		if t.Attempts < t.MaxAttempts {
			v.RetryAt = &at
		}
		_, err = st.FailTask(ctx, t.ID, tok, v, w.now)
		return "fail", err
	case 3:
		_, err = st.ReleaseTask(ctx, t.ID, tok, at, w.now)
		return "release", err
	}
	_, err = st.CompleteTask(ctx, t.ID, tok, nil, w.now)
	return "complete", err
}

// compare reports what the writer knows and is not so.
func compare(ctx context.Context, st *Store) error {
	_, err := write(ctx, st, func(ctx context.Context, x tx) (struct{}, error) { return struct{}{}, check(ctx, x) })
	return err
}

func check(ctx context.Context, x tx) error {
	lanes, err := x.ListLanes(ctx)
	if err != nil {
		return err
	}
	if len(lanes) != len(x.lanes) || len(lanes) != len(x.byKey) {
		return fmt.Errorf("%d lanes are stored, %d and %d known", len(lanes), len(x.lanes), len(x.byKey))
	}
	types, err := x.ListTypes(ctx, "")
	if err != nil {
		return err
	}
	stored := make(map[string]settings)
	for _, t := range types {
		stored[t.Type] = settingsOf(t)
	}
	for name, r := range x.rules {
		if r.settings != stored[name] {
			return fmt.Errorf("of type %s %+v is known, stored is %+v", name, r.settings, stored[name])
		}
		delete(stored, name)
	}
	for name, s := range stored {
		if s != (settings{}) {
			return fmt.Errorf("of type %s nothing is known", name)
		}
	}
	held := make(map[string]int64)
	for _, l := range lanes {
		held[l.Type] += l.Processing
	}
	for name, r := range x.rules {
		if r.held != held[name] {
			return fmt.Errorf("%d tasks of type %s are held, known are %d", held[name], name, r.held)
		}
	}
	for _, l := range x.lanes {
		if l.rule != x.rules[l.Type] || !slices.Contains(l.rule.lanes, l) {
			return fmt.Errorf("lane %d has not the rule of its type", l.ID)
		}
	}
	for _, r := range lanes {
		if err := checkLane(ctx, x, x.lanes[r.ID], r.Ready); err != nil {
			return fmt.Errorf("lane %d: %w", r.ID, err)
		}
	}
	for id, known := range x.rows {
		row, err := x.GetTask(ctx, id)
		if d := cmp.Diff(task.Task(row), *known); err != nil || d != "" {
			return fmt.Errorf("task %d is known otherwise (%v): %s", id, err, d)
		}
	}
	for profile, v := range x.views {
		for _, l := range x.lanes {
			if want := l.Ready > 0 && !l.rule.paused && (l.rule.most == 0 || l.rule.held < l.rule.most) && v.claim.MayTake(l.Lane); want != slices.Contains(v.lanes, l) {
				return fmt.Errorf("view %q: lane %d in it: %v", profile, l.ID, !want)
			}
		}
		if !slices.IsSortedFunc(v.lanes, byPriority) {
			return fmt.Errorf("view %q is not in order", profile)
		}
	}
	return nil
}

// checkLane compares a lane with the rows of the index, which are what can be claimed.
func checkLane(ctx context.Context, x tx, l *lane, counted int64) error {
	rows, err := x.ListOldestReady(ctx, sqlitedb.ListOldestReadyParams{LaneID: l.ID, Max: math.MaxInt64})
	if err != nil {
		return err
	}
	ids := make([]int64, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	if n := int64(len(ids)); n != l.Ready || n != counted {
		return fmt.Errorf("%d tasks are ready, known are %d, counted %d", n, l.Ready, counted)
	}
	if n := len(l.oldest); n > len(ids) || !slices.Equal(ids[:n], l.oldest) {
		return fmt.Errorf("oldest %v of %v", l.oldest, ids)
	}
	if n := len(l.newest); n > len(ids) || !slices.Equal(ids[len(ids)-n:], l.newest) {
		return fmt.Errorf("newest %v of %v", l.newest, ids)
	}
	return nil
}

// TestAForeignWriterIsNoticed changes the file as an operator with another SQL tool would; the triggers keep the counters.
func TestAForeignWriterIsNoticed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	st := openAt(t, path, Options{Migrate: true})
	first, second := insert(t, st, ""), insert(t, st, "")
	foreign, err := sqlite3.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	const cancel = `UPDATE task_queue SET status = 'failed', outcome = 'cancelled', ready = 0, finished_at_utc = 1, updated_at_utc = 1 WHERE id = %d`
	if err := foreign.Exec(fmt.Sprintf(cancel, first.ID)); err != nil {
		t.Fatal(err)
	}
	got, err := st.ClaimTasks(t.Context(), task.Claim{WorkerID: "w", Max: 5, Lease: time.Minute, Now: st.Clock().Now(), Secret: "s"})
	if err != nil || len(got) != 1 || got[0].ID != second.ID {
		t.Fatalf("claimed %v, %v: want task %d alone", got, err, second.ID)
	}
	if err := compare(t.Context(), st); err != nil {
		t.Error(err)
	}
	if err := foreign.Exec(`UPDATE task_queue SET status = 'completed' WHERE status = 'failed'`); err == nil {
		t.Error("a change that is not allowed was taken")
	}
}
