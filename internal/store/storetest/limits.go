package storetest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

var limitBehaviours = []behaviour{
	{"HoldForEveryStrategyAndSize", limitsEveryClaim},
	{"GiveRoomWithEveryEnd", everyEndGivesRoom},
	{"StopNewClaimsAloneWhenLowered", lowersLimit},
	{"HoldForEachTypeOfOneClaim", limitsEachType},
	{"KeepTheOrder", limitsInOrder},
	{"HoldForManyClaimers", func(r *rig) { r.neverExceeded(r.st) }},
}

// CheckLimit reports unless a limit holds for claimers on all these stores, which are of one database.
func CheckLimit(t *testing.T, stores ...store.Store) {
	t.Helper()
	r := &rig{T: t, st: stores[0]}
	r.neverExceeded(stores...)
}

func (r *rig) limit(name string, most *int) {
	r.Helper()
	got, err := r.st.PutType(r.Context(), name, task.TypeRules{MaxConcurrency: most}, at(5))
	r.ok(err)
	r.equal("rules", task.Type{Type: name, MaxConcurrency: most, UpdatedAtUTC: ptr(at(5))}, got)
	r.equal("stored", got, r.kind(name).Type)
}

func limitsEveryClaim(r *rig) {
	for _, p := range []int{5, 5, 100} {
		r.insertMany(4, task.Spec{Priority: ptr(p), Payload: task.JSON(fmt.Sprintf(`{"p":%d}`, p))})
	}
	r.insert(task.Spec{Compatibility: `{"gpu":true}`})
	r.limit("work", ptr(3))
	for _, s := range task.Strategies {
		for _, size := range []int{1, 2, 10} {
			c := task.Claim{Strategy: s, Max: size, Capabilities: task.Capabilities{"gpu": true}}
			var held []task.Task
			for range 5 {
				held = append(held, r.claim(c)...)
			}
			r.equal(fmt.Sprintf("held by %s, %d at a time", s, size), 3, len(held))
			r.equal("processing", int64(3), r.kind("work").ProcessingTasks)
			for _, t := range held {
				r.release(t, start)
			}
		}
	}
	r.limit("work", nil)
	r.equal("claimed without a limit", 13, len(r.claim(task.Claim{Max: 100, Capabilities: task.Capabilities{"gpu": true}})))
}

func everyEndGivesRoom(r *rig) {
	r.limit("work", ptr(1))
	r.insertMany(10, task.Spec{MaxAttempts: ptr(2)})
	now := 0.0
	next := func() task.Task {
		r.Helper()
		now += 100
		t := r.claimOne(task.Claim{Now: at(now), Lease: time.Second})
		r.equal("claimed beyond the limit", 0, len(r.claim(task.Claim{Now: at(now)})))
		return t
	}
	r.complete(next(), at(now))
	r.fail(next(), store.Verdict{Message: "no", Outcome: task.Rejected}, at(now))
	r.fail(next(), store.Verdict{Message: "no", RetryAt: ptr(at(now))}, at(now))
	r.release(next(), at(now))
	r.cancel(next().ID, at(now))
	next()
	r.equal("taken back", 1, len(r.reap(at(now+1))))
	next()
}

func lowersLimit(r *rig) {
	r.insertMany(10, task.Spec{})
	r.limit("work", ptr(5))
	held := r.claim(task.Claim{Max: 10})
	r.equal("held", 5, len(held))
	r.limit("work", ptr(2))
	for i, t := range held {
		r.equal("claimed", 0, len(r.claim(task.Claim{Max: 10})))
		r.equal("held still", task.Processing, r.get(t.ID).Status)
		if i == 3 {
			break
		}
		r.complete(t, at(1))
	}
	r.complete(held[3], at(1))
	r.equal("claimed", 1, len(r.claim(task.Claim{Max: 10})))
	r.limit("work", ptr(4))
	r.equal("claimed after it was raised", 2, len(r.claim(task.Claim{Max: 10})))
}

func limitsEachType(r *rig) {
	for range 5 {
		for _, name := range []string{"a", "b", "c", "d"} {
			r.insert(task.Spec{Type: name})
		}
	}
	r.limit("a", ptr(2))
	r.limit("b", ptr(1))
	r.pause("d", true)
	for _, s := range task.Strategies {
		held := r.claim(task.Claim{Strategy: s, Max: 100})
		n := map[string]int{}
		for _, t := range held {
			n[t.Type]++
		}
		r.equal(string(s), map[string]int{"a": 2, "b": 1, "c": 5}, n)
		r.equal("claimed beyond", 0, len(r.claim(task.Claim{Strategy: s, Max: 100})))
		for _, t := range held {
			r.release(t, start)
		}
	}
}

func limitsInOrder(r *rig) {
	r.limit("a", ptr(1))
	for _, name := range []string{"a", "a", "b", "a", "b"} {
		r.insert(task.Spec{Type: name})
	}
	all := r.list(task.Filter{Limit: 5}) // newest first
	for s, want := range map[task.Strategy][]int64{
		task.FIFO: {all[4].ID, all[2].ID, all[0].ID}, task.Priority: {all[4].ID, all[2].ID, all[0].ID}, task.LIFO: {all[0].ID, all[1].ID, all[2].ID},
	} {
		held := r.claim(task.Claim{Strategy: s, Max: 5})
		r.equal(string(s), want, ids(held))
		for _, t := range held {
			r.release(t, start)
		}
	}
}

// neverExceeded lets 64 claimers on the stores take and complete tasks of a type of which three may be held.
func (r *rig) neverExceeded(stores ...store.Store) {
	r.Helper()
	const total, most, claimers = 400, 3, 64
	r.insertMany(total/2, task.Spec{})
	r.insertMany(total/2, task.Spec{Priority: ptr(7)})
	r.limit("work", ptr(most))
	var held, done, full atomic.Int64
	var failed atomic.Bool
	r.together(claimers+1, func(i int) (err error) {
		defer func() {
			if err != nil {
				failed.Store(true) // nobody will end what this one holds
			}
		}()
		if i == claimers {
			for done.Load() < total && !failed.Load() {
				if t, err := r.st.GetType(r.Context(), "work"); err != nil || t.ProcessingTasks > most {
					return errors.Join(err, fmt.Errorf("I18: %d tasks are held, allowed are %d", t.ProcessingTasks, most))
				}
			}
			return nil
		}
		st := stores[i%len(stores)]
		busy := 0
		for n := uint64(0); done.Load() < total && !failed.Load(); n++ {
			c := r.ask(task.Claim{WorkerID: fmt.Sprint("w", i), Secret: scramble(uint64(i)), Strategy: task.Strategies[i%4], Max: 1 + i%5})
			c.Seed = n
			got, err := st.ClaimTasks(r.Context(), c)
			if busy++; errors.Is(err, task.ErrBusy) && busy < 20 {
				continue // nothing was changed: on a slow machine so many wait for one lock that one gives up
			}
			if busy = 0; err != nil {
				return err
			}
			now := held.Add(int64(len(got)))
			if now > most {
				return fmt.Errorf("I18: %d tasks are held, allowed are %d", now, most)
			}
			if now == most && len(got) > 0 {
				full.Add(1)
			}
			for _, t := range got {
				held.Add(-1)
				if _, err := st.CompleteTask(r.Context(), t.ID, token(t), nil, at(1)); err != nil {
					return err
				}
				done.Add(1)
			}
		}
		return nil
	})
	r.equal("stats", task.Stats{TotalTasks: total, CompletedTasks: total}, r.stats(at(2)))
	if full.Load() == 0 {
		r.Error("the limit was never reached: nothing was tried")
	}
}
