package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

var concurrencyBehaviours = []behaviour{
	{"ClaimsNoTaskTwiceAndLosesNone", claimsEachOnce},
	{"EndsATaskOnce", endsOnce},
	{"LetsOneOfCompleteCancelAndReapWin", oneEndWins},
	{"SharesUpkeepAmongProcesses", sharesUpkeep},
	{"GivesEachOfManyClaimersItsOwnLease", givesOwnLeases},
	{"AnswersEachOfManyEndsByItself", answersEndsAlone},
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

// givesOwnLeases lets 64 claimers of two sorts claim at once, each under a name and a secret of its own. There is enough for all but the last.
func givesOwnLeases(r *rig) {
	const claimers, each = 64, 2
	for _, kind := range []string{"a", "b"} {
		for _, priority := range []int{1, 5, 5} {
			r.insertMany(21, task.Spec{Type: kind, Priority: &priority})
		}
	}
	var mu sync.Mutex
	taken := make(map[int64]bool)
	r.together(claimers, func(i int) error {
		c := r.ask(task.Claim{
			WorkerID: fmt.Sprintf(`worker "%d\`, i), Secret: scramble(uint64(i)), Types: []string{string(rune('a' + i%2))}, Max: each,
			Strategy: task.Strategies[i/2%4], Lease: time.Duration(i+1) * time.Minute,
		})
		c.Seed = uint64(i)
		got, err := r.st.ClaimTasks(r.Context(), c)
		mu.Lock()
		defer mu.Unlock()
		for _, t := range got {
			if taken[t.ID] || t.Type != c.Types[0] || *t.LockedBy != c.WorkerID || *t.LeaseSecret != c.Secret || !t.LeaseUntilUTC.Equal(start.Add(c.Lease)) {
				return fmt.Errorf("claimer %d was given %+v", i, t)
			}
			taken[t.ID] = true
		}
		if len(got) > each {
			return fmt.Errorf("claimer %d was given %d tasks", i, len(got))
		}
		return err
	})
	r.equal("taken", 126, len(taken))
}

// answersEndsAlone lets 64 workers end their attempts at once, in four ways, every third with a token that is not the live one.
func answersEndsAlone(r *rig) {
	const n = 64
	r.insertMany(n, task.Spec{})
	held := r.claim(task.Claim{Max: n})
	r.equal("held", n, len(held))
	want := []task.Status{task.Completed, task.Queued, task.Failed, task.Queued}
	r.together(n, func(i int) error {
		t, tok := held[i], token(held[i])
		if i%3 == 0 {
			tok.Secret = scramble(uint64(i))
		}
		var got task.Task
		var err error
		switch message := fmt.Sprintf("error \"%d\"\n\\", i); i % 4 {
		case 0:
			got, err = r.st.CompleteTask(r.Context(), t.ID, tok, ptr(task.JSON(fmt.Sprintf(`{"n": "\"%d\\"}`, i))), at(float64(i)))
		case 1:
			got, err = r.st.FailTask(r.Context(), t.ID, tok, store.Verdict{Message: message, RetryAt: ptr(at(500))}, at(float64(i)))
		case 2:
			got, err = r.st.FailTask(r.Context(), t.ID, tok, store.Verdict{Message: message, Outcome: task.Rejected}, at(float64(i)))
		case 3:
			got, err = r.st.ReleaseTask(r.Context(), t.ID, tok, at(0), at(float64(i)))
		}
		if i%3 == 0 {
			if !errors.Is(err, task.ErrLeaseLost) {
				return fmt.Errorf("caller %d with a foreign token: %w", i, errors.Join(err, errors.New("want ErrLeaseLost")))
			}
			return nil
		}
		if err != nil || got.ID != t.ID || got.Status != want[i%4] || !got.UpdatedAtUTC.Equal(at(float64(i))) {
			return fmt.Errorf("caller %d: %+v, error %w", i, got, err)
		}
		r.equal("stored", r.get(t.ID), got)
		return nil
	})
	for i, t := range held {
		got := r.get(t.ID)
		switch {
		case i%3 == 0:
			r.equal("untouched", t, got)
		case i%4 == 0:
			r.equal("result", fmt.Sprintf(`{"n": "\"%d\\"}`, i), string(*got.Result))
		case i%4 == 3:
			r.equal("attempts", 0, got.Attempts)
			r.equal("ready", true, got.Ready)
		default:
			r.equal("error", fmt.Sprintf("error \"%d\"\n\\", i), *got.ErrorMessage)
			r.equal("attempts", 1, len(r.attempts(t.ID)))
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
