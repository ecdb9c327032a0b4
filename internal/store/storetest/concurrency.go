package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/prismq/thequeue/internal/task"
)

var concurrencyBehaviours = []behaviour{
	{"ClaimsNoTaskTwiceAndLosesNone", claimsEachOnce},
	{"EndsATaskOnce", endsOnce},
	{"LetsOneOfCompleteCancelAndReapWin", oneEndWins},
	{"SharesUpkeepAmongProcesses", sharesUpkeep},
	{"UndoesABadInsertAloneAmongGoodOnes", undoesBadAlone},
	{"StoresANewTypeFromManyCallers", storesNewTypeFromMany},
	{"RegistersOneWorkerFromManyCallers", registersFromMany},
}

// together runs n callers at once and stops the test on the first error.
func (r *rig) together(n int, call func(i int) error) {
	r.Helper()
	var g errgroup.Group
	begin := make(chan struct{})
	for i := range n {
		g.Go(func() error {
			<-begin
			return call(i)
		})
	}
	close(begin)
	r.ok(g.Wait())
}

// claimsEachOnce fills the store with 10,000 tasks of twelve lanes; 16 claimers of all strategies take and complete them.
func claimsEachOnce(r *rig) {
	const total = 10000
	for n := range total / 1000 {
		batch := make([]task.Task, 1000)
		for i := range batch {
			batch[i] = r.make(task.Spec{Type: fmt.Sprint("type-", i%4), Priority: ptr(1 + (i/4)%3), Payload: task.JSON(fmt.Sprintf(`{"n":%d}`, 1000*n+i))}, start)
		}
		_, _, err := r.st.InsertTasks(r.Context(), batch)
		r.ok(err)
	}
	var taken sync.Map
	var done atomic.Int64
	r.together(16, func(i int) error {
		c := r.ask(task.Claim{WorkerID: fmt.Sprint("w", i), Secret: fmt.Sprint("secret-", i), Strategy: task.Strategies[i%4], Max: 1 + i%10})
		for ; done.Load() < total; c.Seed++ {
			got, err := r.st.ClaimTasks(r.Context(), c)
			if err != nil {
				return err
			}
			for _, t := range got {
				if by, twice := taken.LoadOrStore(t.ID, i); twice || t.Fence != 1 {
					return fmt.Errorf("task %d at fence %d was taken by %v and by %d", t.ID, t.Fence, by, i)
				}
				if _, err := r.st.CompleteTask(r.Context(), t.ID, token(t), &t.Payload, at(1)); err != nil {
					return err
				}
				done.Add(1)
			}
		}
		return nil
	})
	r.equal("stats", task.Stats{TotalTasks: total, CompletedTasks: total}, r.stats(at(2)))
	for i, t := range r.list(task.Filter{Limit: total}) {
		by, ok := taken.Load(t.ID)
		if !ok || t.Result == nil || *t.Result != t.Payload {
			r.Fatalf("task %d, taken by %v, has the result %v", t.ID, by, t.Result)
		}
		if i%100 == 0 {
			r.equal("worker", fmt.Sprint("w", by), r.attemptOf(t.ID))
		}
	}
}

// attemptOf returns the worker of the one attempt of a task.
func (r *rig) attemptOf(id int64) string {
	r.Helper()
	as := r.attempts(id)
	if len(as) != 1 || as[0].Outcome == nil || *as[0].Outcome != task.AttemptSucceeded {
		r.Fatalf("task %d has the attempts %+v", id, as)
	}
	return as[0].WorkerID
}

func endsOnce(r *rig) {
	for range 20 {
		t := r.running(task.Spec{})
		var ended atomic.Int64
		r.together(16, func(i int) error {
			call := calls[4+i%4] // complete, retry, fail, release
			err := call.do(r.Context(), r.st, t.ID, token(t))
			if err == nil {
				ended.Add(1)
			} else if !errors.Is(err, task.ErrLeaseLost) {
				return fmt.Errorf("%s: %w", call.name, err)
			}
			return nil
		})
		r.equal("calls that ended the lease", int64(1), ended.Load())
		r.equal("attempts", 1, len(r.attempts(t.ID)))
		if got := r.get(t.ID); got.Status == task.Queued {
			r.cancel(t.ID, at(200))
		}
	}
}

func oneEndWins(r *rig) {
	for range 30 {
		t := r.running(task.Spec{MaxAttempts: ptr(1)})
		var won [3]bool
		r.together(3, func(i int) error {
			var err error
			switch i {
			case 0:
				_, err = r.st.CompleteTask(r.Context(), t.ID, token(t), nil, at(60))
				won[0] = err == nil
			case 1:
				_, won[1], err = r.st.CancelTask(r.Context(), t.ID, at(60))
			case 2:
				var ts []task.Task
				ts, err = r.st.ReapExpiredLeases(r.Context(), at(60), 10)
				won[2] = len(ts) == 1
			}
			if errors.Is(err, task.ErrLeaseLost) {
				return nil
			}
			return err
		})
		outcome := *r.get(t.ID).Outcome
		r.equal("who won", [3]bool{outcome == task.Succeeded, outcome == task.Cancelled, outcome == task.Exhausted}, won)
		r.equal("attempts", 1, len(r.attempts(t.ID)))
	}
}

func sharesUpkeep(r *rig) {
	const each = 120
	r.insertMany(each, task.Spec{Type: "held"})
	for len(r.claim(task.Claim{Max: 100})) > 0 {
	}
	r.insertMany(each, task.Spec{RunAfterUTC: &task.Time{Time: at(50)}})
	r.insertMany(each, task.Spec{DeadlineUTC: &task.Time{Time: at(50)}})
	for _, do := range r.duties() {
		var seen sync.Map
		var n atomic.Int64
		r.together(8, func(int) error {
			for n.Load() < each {
				ts, err := do(r.Context(), at(100), 7)
				if err != nil {
					return err
				}
				for _, t := range ts {
					if _, twice := seen.LoadOrStore(t.ID, true); twice {
						return fmt.Errorf("task %d was changed twice", t.ID)
					}
					n.Add(1)
				}
			}
			return nil
		})
		r.equal("tasks", int64(each), n.Load())
	}
	r.equal("stats", r.count(0, at(100)), r.stats(at(100)))
}

func undoesBadAlone(r *rig) {
	r.together(64, func(i int) error {
		t := r.make(task.Spec{Type: fmt.Sprint("type-", i/2)}, start)
		if i%2 == 1 {
			t.MaxAttempts = 101
		}
		var err error
		if i%4 < 2 {
			_, _, err = r.st.InsertTask(r.Context(), t)
		} else {
			_, _, err = r.st.InsertTasks(r.Context(), []task.Task{r.make(task.Spec{Type: t.Type}, start), t})
		}
		if bad := i%2 == 1; bad != (err != nil) {
			return fmt.Errorf("caller %d: %w", i, errors.Join(err, errors.New("answered wrongly")))
		}
		return nil
	})
	r.equal("tasks", 16+2*16, len(r.list(task.Filter{Limit: 1000})))
	r.equal("claimed", 48, len(r.claim(task.Claim{Max: 100})))
}

func storesNewTypeFromMany(r *rig) {
	r.together(32, func(i int) error {
		t := r.make(task.Spec{Type: "new", Compatibility: `{"gpu":true}`}, start)
		if i%2 == 0 {
			_, _, err := r.st.InsertTask(r.Context(), t)
			return err
		}
		other := r.make(task.Spec{Type: strings.Repeat("n", 1+i)}, start)
		batch := []task.Task{t, other}
		if i%4 == 1 {
			batch = []task.Task{other, t}
		}
		_, _, err := r.st.InsertTasks(r.Context(), batch)
		return err
	})
	r.equal("claimed", 32, len(r.claim(task.Claim{Types: []string{"new"}, Capabilities: task.Capabilities{"gpu": true}, Max: 100})))
	r.equal("stats", r.count(0, start), r.stats(start))
}

func registersFromMany(r *rig) {
	r.together(32, func(i int) error {
		_, err := r.st.UpsertWorker(r.Context(), worker(fmt.Sprint("w", i%2), float64(i)))
		return err
	})
	list, err := r.st.ListWorkers(context.WithoutCancel(r.Context()))
	r.ok(err)
	r.equal("workers", 2, len(list))
}
