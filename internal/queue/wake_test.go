package queue_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/sqlite"
	"github.com/prismq/thequeue/internal/task"
)

// soon is far more than a wake-up takes, and less than a claim would wait.
const soon = 10 * time.Second

// watched is a store whose claims can be looked at and held up.
type watched struct {
	store.Store
	before func(look int, c task.Claim) error // nil: nothing; an error is the answer. look counts the looks of a worker from 1
	after  func(look int, c task.Claim)       // nil: nothing
	events func()                             // called by NextEvent; nil: nothing

	mu    sync.Mutex
	looks map[string]int
}

func (w *watched) ClaimTasks(ctx context.Context, c task.Claim) ([]task.Task, error) {
	w.mu.Lock()
	w.looks[c.WorkerID]++
	look := w.looks[c.WorkerID]
	w.mu.Unlock()
	if w.before != nil {
		if err := w.before(look, c); err != nil {
			return nil, err
		}
	}
	ts, err := w.Store.ClaimTasks(ctx, c)
	if w.after != nil {
		w.after(look, c)
	}
	return ts, err
}

func (w *watched) NextEvent(ctx context.Context) (*time.Time, error) {
	if w.events != nil {
		w.events()
	}
	return w.Store.NextEvent(ctx)
}

// watch returns the rig with a queue whose claims are seen; its upkeep does not run.
func (r rig) watch(w *watched) rig {
	w.Store, w.looks = r.st, make(map[string]int)
	r.Queue = queue.New(w, queue.Options{Clock: r.clock})
	return r
}

// waiting is a claim that waits.
type waiting struct {
	answer chan answer
	leave  context.CancelFunc
}

type answer struct {
	leases []task.Lease
	err    error
}

// wait starts a claim for one task and returns when it waits: it has looked twice in vain, and only a wake-up makes it look again.
func (r rig) wait(w *watched, workerID string) waiting {
	r.Helper()
	twice := make(chan struct{})
	after := w.after
	w.after = func(look int, c task.Claim) {
		if after != nil {
			after(look, c)
		}
		if c.WorkerID == workerID && look == 2 {
			close(twice)
		}
	}
	out := r.begin(workerID)
	select {
	case <-twice:
	case a := <-out.answer:
		r.Fatalf("the claim of %s did not wait: %+v", workerID, a)
	case <-time.After(soon):
		r.Fatalf("the claim of %s does not look a second time", workerID)
	}
	return out
}

// begin starts a claim that waits for one task.
func (r rig) begin(workerID string) waiting {
	ctx, cancel := context.WithCancel(r.Context())
	out := waiting{answer: make(chan answer, 1), leave: cancel}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		leases, err := r.Claim(ctx, task.Claim{WorkerID: workerID, Wait: task.MaxWait})
		out.answer <- answer{leases, err}
	}()
	r.Cleanup(func() { cancel(); <-ended })
	return out
}

// gets returns what the claim was given, which must come soon.
func (r rig) gets(w waiting) task.Lease {
	r.Helper()
	select {
	case a := <-w.answer:
		r.ok(a.err)
		if len(a.leases) == 1 {
			return a.leases[0]
		}
		r.Fatalf("%d leases, want 1", len(a.leases))
	case <-time.After(soon):
		r.Fatal("the waiting claim was not woken")
	}
	return task.Lease{}
}

// ends returns the error of the claim, which must come soon.
func (r rig) ends(w waiting) error {
	r.Helper()
	select {
	case a := <-w.answer:
		return a.err
	case <-time.After(soon):
		r.Fatal("the claim does not end")
		return nil
	}
}

func TestEveryWayIntoTheQueueWakesAWaitingClaim(t *testing.T) {
	for _, way := range []struct {
		name    string
		prepare func(r rig) (enter func() error)
	}{
		{"Enqueue", func(r rig) func() error {
			return func() error {
				_, _, err := r.Enqueue(r.Context(), task.Spec{Type: "test"}, 5)
				return err
			}
		}},
		{"Release", func(r rig) func() error {
			r.enqueue(task.Spec{})
			l := r.claimOne()
			return func() error {
				_, err := r.Release(r.Context(), l.ID, l.LeaseToken, 0)
				return err
			}
		}},
		{"Fail", func(r rig) func() error {
			r.enqueue(task.Spec{})
			l := r.claimOne()
			return func() error {
				_, err := r.Fail(r.Context(), l.ID, l.LeaseToken, task.Failure{RetryAfter: new(time.Duration)})
				return err
			}
		}},
		{"Requeue", func(r rig) func() error {
			id := r.enqueue(task.Spec{}).ID
			_, _, err := r.Cancel(r.Context(), id)
			r.ok(err)
			return func() error {
				_, err := r.Requeue(r.Context(), id)
				return err
			}
		}},
		{"Resume", func(r rig) func() error {
			_, err := r.PauseType(r.Context(), "test")
			r.ok(err)
			r.enqueue(task.Spec{})
			return func() error {
				_, err := r.ResumeType(r.Context(), " test ")
				return err
			}
		}},
		{"PutType", func(r rig) func() error {
			_, err := r.PutType(r.Context(), "test", task.TypeRules{Paused: ptr(true)})
			r.ok(err)
			r.enqueue(task.Spec{})
			return func() error {
				_, err := r.PutType(r.Context(), "test", task.TypeRules{Paused: new(bool)})
				return err
			}
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			each(t, queue.Options{}, func(r rig) {
				var w watched
				r = r.watch(&w)
				enter := way.prepare(r)
				claim := r.wait(&w, "waits")
				r.ok(enter())
				r.gets(claim)
			})
		})
	}
}

// Where a type has a limit, a claim that waits has work before it and no room.
func TestEveryEndOfALimitedTaskWakesAWaitingClaim(t *testing.T) {
	for name, end := range map[string]func(r rig, l task.Lease) error{
		"Complete": func(r rig, l task.Lease) error {
			_, err := r.Complete(r.Context(), l.ID, l.LeaseToken, nil)
			return err
		},
		"Fail": func(r rig, l task.Lease) error {
			_, err := r.Fail(r.Context(), l.ID, l.LeaseToken, task.Failure{NoRetry: true})
			return err
		},
		"Release": func(r rig, l task.Lease) error {
			_, err := r.Release(r.Context(), l.ID, l.LeaseToken, time.Hour)
			return err
		},
		"Cancel": func(r rig, l task.Lease) error {
			_, _, err := r.Cancel(r.Context(), l.ID)
			return err
		},
		"Raise": func(r rig, _ task.Lease) error {
			_, err := r.PutType(r.Context(), "test", task.TypeRules{MaxConcurrency: ptr(2)})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, queue.Options{}, func(r rig) {
				var w watched
				r = r.watch(&w)
				_, err := r.PutType(r.Context(), "test", task.TypeRules{MaxConcurrency: ptr(1)})
				r.ok(err)
				r.enqueue(task.Spec{})
				held, next := r.claimOne(), r.enqueue(task.Spec{})
				claim := r.wait(&w, "waits")
				r.ok(end(r, held))
				if got := r.gets(claim); got.ID != next.ID {
					r.Errorf("got task %d, want %d", got.ID, next.ID)
				}
			})
		})
	}
}

func TestABatchWakesAClaimForEachTask(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		var w watched
		r = r.watch(&w)
		first, second := r.wait(&w, "first"), r.wait(&w, "second")
		_, _, err := r.EnqueueBatch(r.Context(), []task.Spec{{Type: "test"}, {Type: "test"}})
		r.ok(err)
		if a, b := r.gets(first), r.gets(second); a.ID == b.ID {
			r.Fatalf("both were given task %d", a.ID)
		}
	})
}

// The upkeep is what sees the tasks of other processes.
func TestTheUpkeepWakesAllClaimsForTasksThatNobodyAnnounced(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		var w watched
		r = r.watch(&w)
		first, second := r.wait(&w, "first"), r.wait(&w, "second")
		r.insertUnannounced(task.Spec{Type: "test"})
		r.insertUnannounced(task.Spec{Type: "test"})
		r.upkeep(0)
		if a, b := r.gets(first), r.gets(second); a.ID == b.ID {
			r.Fatalf("both were given task %d", a.ID)
		}
	})
}

// insertUnannounced stores a task as another process does.
func (r rig) insertUnannounced(s task.Spec) task.Task {
	r.Helper()
	t, err := s.Task(r.clock.Now(), task.Limits{MaxAttempts: 5, PayloadBytes: 100})
	r.ok(err)
	t, _, err = r.st.InsertTask(r.Context(), t)
	r.ok(err)
	return t
}

func TestATaskBetweenTheFirstLookAndTheWaitIsSeen(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		var w watched
		r = r.watch(&w)
		w.after = func(look int, _ task.Claim) {
			if look == 1 {
				r.enqueue(task.Spec{})
			}
		}
		r.gets(r.begin("w"))
	})
}

// Of two waiting claims the first is woken, and then something else happens to it: the second must get the task.
func TestAWakeUpThatIsNotUsedIsPassedOn(t *testing.T) {
	errBroken := errors.New("broken")
	for _, c := range []struct {
		name string
		// spoil arranges what happens to the first claim in its third look, for which it was woken. It may make the look fail.
		before func(r rig, first waiting) error
		after  func(r rig, first waiting)
		want   error // of the first claim
	}{
		{name: "ItsLookFails", before: func(rig, waiting) error { return errBroken }, want: errBroken},
		{name: "ItsCallerLeavesBeforeTheLook", before: func(_ rig, first waiting) error { first.leave(); return nil }, want: context.Canceled},
		{name: "ItsCallerLeavesWithTheTask", after: func(_ rig, first waiting) { first.leave() }, want: context.Canceled},
		{name: "AnotherTaskCameMeanwhile", before: func(r rig, _ waiting) error { r.enqueue(task.Spec{}); return nil }},
		{name: "ItTakesAnotherTask", before: func(r rig, _ waiting) error {
			r.insertUnannounced(task.Spec{Type: "test", Priority: ptr(1)})
			return nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, queue.Options{}, func(r rig) {
				var w watched
				var first waiting
				r = r.watch(&w)
				w.before = func(look int, by task.Claim) error {
					if by.WorkerID == "first" && look == 3 && c.before != nil {
						return c.before(r, first)
					}
					return nil
				}
				w.after = func(look int, by task.Claim) {
					if by.WorkerID == "first" && look == 3 && c.after != nil {
						c.after(r, first)
					}
				}
				first = r.wait(&w, "first")
				second := r.wait(&w, "second")
				r.enqueue(task.Spec{})
				if err := r.ends(first); !errors.Is(err, c.want) {
					r.Errorf("the first claim ends with %v, want %v", err, c.want)
				}
				if l := r.gets(second); l.Attempts != 1 {
					r.Errorf("attempt %d, want 1: what a caller who has gone did not see does not count", l.Attempts)
				}
			})
		})
	}
}

// Whether the claim sees the wake-up first or the end of its caller is chance: several rounds see both.
func TestAWakeUpThatComesWithTheEndOfTheCallerIsPassedOn(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		for round := range 10 {
			var w watched
			r := r.watch(&w)
			workerID := fmt.Sprint("leaves-", round)
			looked, goOn := make(chan struct{}), make(chan struct{})
			w.after = func(look int, c task.Claim) {
				if c.WorkerID == workerID && look == 2 {
					close(looked)
					<-goOn
				}
			}
			first := r.begin(workerID)
			<-looked
			w.after = nil
			second := r.wait(&w, fmt.Sprint("stays-", round))
			want := r.enqueue(task.Spec{})
			first.leave()
			close(goOn)
			if err := r.ends(first); !errors.Is(err, context.Canceled) {
				r.Fatalf("the first claim ends with %v", err)
			}
			if l := r.gets(second); l.ID != want.ID {
				r.Fatalf("given task %d, want %d", l.ID, want.ID)
			}
		}
	})
}

// bubble runs do in a bubble of synctest, where time passes when everybody waits, with a queue on SQLite.
func bubble(t *testing.T, do func(r rig, w *watched)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "queue.db"), sqlite.Options{Migrate: true})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		w := &watched{Store: st, looks: make(map[string]int)}
		do(rig{T: t, Queue: queue.New(w, queue.Options{}), st: st}, w)
	})
}

// Both the end of the wait and the wake-up are there when the claim looks; chance decides which it sees first.
func TestAWakeUpThatComesWithTheEndOfTheWaitIsUsed(t *testing.T) {
	bubble(t, func(r rig, w *watched) {
		for round := range 10 {
			workerID := fmt.Sprint("w-", round)
			var want task.Task
			w.after = func(look int, c task.Claim) {
				if look == 2 {
					time.Sleep(2 * time.Second)
					want = r.enqueue(task.Spec{})
				}
			}
			leases := r.claim(task.Claim{WorkerID: workerID, Wait: time.Second})
			if len(leases) != 1 || leases[0].ID != want.ID {
				r.Fatalf("given %d tasks, want task %d", len(leases), want.ID)
			}
		}
	})
}

// The upkeep looks every second by itself. What falls due earlier must not wait for that.
func TestRunLooksWhenSomethingFallsDue(t *testing.T) {
	bubble(t, func(r rig, _ *watched) {
		ctx, cancel := context.WithCancel(r.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Queue.Run(ctx) }()
		defer func() { cancel(); r.ok(<-ended) }()
		for _, after := range []time.Duration{100 * time.Millisecond, 700 * time.Millisecond} {
			synctest.Wait()
			due := r.Now().Add(after)
			r.enqueue(task.Spec{RunAfterUTC: &task.Time{Time: due}})
			l := r.claim(task.Claim{Wait: task.MaxWait})
			if len(l) != 1 || l[0].ReservedAtUTC.Sub(due).Abs() > 5*time.Millisecond {
				r.Errorf("due after %v: %d tasks at %v, want one at %v", after, len(l), r.Now(), due)
			}
			time.Sleep(time.Second) // the looks at the second are not in step with the rounds
			synctest.Wait()
			due = r.Now().Add(after)
			late := r.enqueue(task.Spec{DeadlineUTC: &task.Time{Time: due}, Compatibility: `{"nobody":true}`})
			time.Sleep(2 * time.Second)
			if got := r.get(late.ID); got.Status != task.Failed || *got.Outcome != task.Expired || got.FinishedAtUTC.Sub(due).Abs() > 5*time.Millisecond {
				r.Errorf("deadline after %v, at %v: %s at %v", after, due, got.Status, got.FinishedAtUTC)
			}
		}
	})
}

// A worker whose heartbeats were not answered, as nobody ran to answer them, has some time to try again. One that has gone loses its task after that.
func TestLeasesThatEndWhileNothingMovesHaveAGrace(t *testing.T) {
	bubble(t, func(r rig, w *watched) {
		r.enqueue(task.Spec{})
		r.enqueue(task.Spec{})
		alive, dead := r.claim(task.Claim{Lease: 2 * time.Second})[0], r.claim(task.Claim{Lease: 2 * time.Second})[0]
		standing := true
		w.events = func() {
			if standing {
				standing = false
				time.Sleep(30 * time.Second)
			}
		}
		ctx, cancel := context.WithCancel(r.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Queue.Run(ctx) }()
		defer func() { cancel(); r.ok(<-ended) }()
		time.Sleep(32 * time.Second)
		if _, err := r.Heartbeat(r.Context(), alive.ID, alive.LeaseToken, task.Beat{}); err != nil {
			r.Errorf("a heartbeat 2 s later: %v", err)
		}
		time.Sleep(5 * time.Second)
		if got := r.get(alive.ID); got.Status != task.Processing {
			r.Errorf("the task that was held on to is %s", got.Status)
		}
		if got := r.get(dead.ID); got.Status != task.Queued {
			r.Errorf("the task that nobody holds is %s", got.Status)
		}
	})
}

func TestADrainEndsTheWaitOfAClaim(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		var w watched
		r = r.watch(&w)
		claim := r.wait(&w, "w")
		r.Drain()
		r.ok(r.ends(claim))
	})
}

func TestWeightedRandomIsSeededForEachClaim(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		var w watched
		r = r.watch(&w)
		seeds := make(map[uint64]int)
		w.after = func(_ int, c task.Claim) { seeds[c.Seed]++ }
		for range 20 {
			r.claim(task.Claim{Strategy: task.WeightedRandom})
		}
		if len(seeds) != 20 {
			r.Errorf("20 claims have %d seeds", len(seeds))
		}
		clear(seeds)
		again := r.watch(&w)
		for range 20 {
			again.claim(task.Claim{Strategy: task.FIFO})
		}
		if d := cmp.Diff(map[uint64]int{0: 20}, seeds); d != "" {
			r.Errorf("seeds of claims that draw nothing (-want +got):\n%s", d)
		}
	})
}

// A worker that hangs with a task in one slot has claims of other slots that wait. None of them is given the task back when its lease has run out, on whichever node that is seen: the worker may be gone, and
// one worker would count for two that are lost. One that lives asks again.
func TestAWorkerThatHangsIsNotGivenItsTaskBack(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		other := queue.New(r.st, queue.Options{Clock: r.clock})
		for _, c := range []struct {
			name     string
			reap     func(context.Context) (time.Time, error)
			attempts []task.AttemptOutcome // in its history then: where the loss is seen the claim is not given it at all
		}{{"here", r.Upkeep, []task.AttemptOutcome{task.AttemptLost}}, {"on another node", other.Upkeep, []task.AttemptOutcome{task.AttemptLost, task.AttemptReleased}}} {
			w := &watched{}
			r := r.watch(w)
			if c.name == "here" {
				c.reap = r.Upkeep
			}
			one := r.enqueue(task.Spec{Type: "poison " + c.name})
			r.wantClaimed(task.Claim{WorkerID: "hangs", Lease: time.Second}, 1)
			w.looks["hangs"] = 0
			waiting := r.wait(w, "hangs")
			r.clock.advance(2 * time.Second)
			_, err := c.reap(r.Context())
			r.ok(err)
			_, err = r.Upkeep(r.Context()) // has claims look that wait, too
			r.ok(err)
			select {
			case a := <-waiting.answer:
				if r.ok(a.err); len(a.leases) != 0 {
					r.Errorf("%s: the worker that hangs is given %v", c.name, a.leases)
				}
			case <-time.After(soon):
				r.Fatalf("%s: the claim of the worker that hangs still waits", c.name)
			}
			if got := r.get(one.ID); got.Status != task.Queued || got.Lost != 1 || got.Attempts != 1 {
				r.Errorf("%s: the task is %s, lost %d, attempts %d", c.name, got.Status, got.Lost, got.Attempts)
			}
			attempts, err := r.st.ListAttempts(r.Context(), one.ID)
			r.ok(err)
			var ended []task.AttemptOutcome
			for _, a := range attempts {
				ended = append(ended, *a.Outcome)
			}
			if d := cmp.Diff(c.attempts, ended); d != "" {
				r.Errorf("%s: attempts (-want +got):\n%s", c.name, d)
			}
			r.clock.advance(time.Second)
			for _, again := range r.wantClaimed(task.Claim{WorkerID: "hangs"}, 1) { // which comes after the loss
				if r.ok(r.complete(again)); again.ID != one.ID {
					r.Errorf("%s: a new claim is given task %d, want %d", c.name, again.ID, one.ID)
				}
			}
		}
	})
}

// A claim is woken for one task and hands another one back, which its worker has lost: both are there for others.
func TestATaskThatIsHandedBackUsesUpNoWakeUp(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		other := queue.New(r.st, queue.Options{Clock: r.clock})
		var w watched
		r = r.watch(&w)
		lost := r.enqueue(task.Spec{})
		r.wantClaimed(task.Claim{WorkerID: "hangs", Lease: time.Second}, 1)
		w.looks["hangs"] = 0
		r.wait(&w, "hangs")
		a, b := r.wait(&w, "a"), r.wait(&w, "b")
		r.clock.advance(2 * time.Second)
		_, err := other.Upkeep(r.Context()) // of which this node is told nothing
		r.ok(err)
		came := r.enqueue(task.Spec{})
		got := []int64{r.gets(a).ID, r.gets(b).ID}
		slices.Sort(got)
		if d := cmp.Diff([]int64{lost.ID, came.ID}, got); d != "" {
			r.Errorf("tasks that the others are given (-want +got):\n%s", d)
		}
	})
}
