package storetest

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

var typeBehaviours = []behaviour{
	{"AreUnknownBeforeTheirFirstTaskOrRule", unknownType},
	{"AreListedByNameWithTheirCounts", listsTypes},
	{"KeepThePauseUnlessTold", keepsPause},
	{"KeepEveryRule", keepsRules},
	{"GiveNothingWhilePausedByAnyStrategy", pausedGivesNothing},
	{"PauseWhatComesBackToTheQueue", pausesWhatComesBack},
	{"PauseNoOtherType", pausesNoOther},
	{"GiveNothingOnceThePauseIsAnswered", pauseIsExact},
}

func (r *rig) pause(name string, paused bool) task.Type {
	r.Helper()
	t, err := r.st.PauseType(r.Context(), name, paused, at(5))
	r.ok(err)
	return t
}

func (r *rig) kind(name string) task.TypeStatus {
	r.Helper()
	t, err := r.st.GetType(r.Context(), name)
	r.ok(err)
	return t
}

func unknownType(r *rig) {
	_, err := r.st.GetType(r.Context(), "work")
	r.wants(task.ErrNotFound, err)
	none, err := r.st.ListTypes(r.Context())
	r.ok(err)
	r.equal("types", []task.TypeStatus{}, none)
	r.pause("ruled", false)
	r.insert(task.Spec{Type: "used"})
	r.equal("with a rule", task.TypeStatus{Type: task.Type{Type: "ruled", UpdatedAtUTC: ptr(at(5))}}, r.kind("ruled"))
	r.equal("with a task", task.TypeStatus{Type: task.Type{Type: "used"}, TypeCounts: task.TypeCounts{QueuedTasks: 1, ReadyTasks: 1}}, r.kind("used"))
	_, err = r.st.GetType(r.Context(), "Used")
	r.wants(task.ErrNotFound, err)
}

func listsTypes(r *rig) {
	for _, name := range []string{"b", "Ä", "a/b c", "B"} {
		r.insert(task.Spec{Type: name})
		r.insert(task.Spec{Type: name, Priority: ptr(7)})
	}
	done := r.running(task.Spec{Type: "b"})
	r.complete(done, at(1))
	r.running(task.Spec{Type: "b"})
	r.cancel(r.insert(task.Spec{Type: "b"}).ID, at(1))
	r.insert(task.Spec{Type: "b", Compatibility: `{"gpu":true}`, RunAfterUTC: &task.Time{Time: at(50)}})
	r.pause("c", true)
	r.pause("b", true)
	two := task.TypeCounts{QueuedTasks: 2, ReadyTasks: 2}
	want := []task.TypeStatus{
		{Type: task.Type{Type: "B"}, TypeCounts: two},
		{Type: task.Type{Type: "a/b c"}, TypeCounts: two},
		{Type: task.Type{Type: "b", Paused: true, UpdatedAtUTC: ptr(at(5))},
			TypeCounts: task.TypeCounts{QueuedTasks: 3, ReadyTasks: 2, ScheduledTasks: 1, ProcessingTasks: 1, CompletedTasks: 1, FailedTasks: 1}},
		{Type: task.Type{Type: "c", Paused: true, UpdatedAtUTC: ptr(at(5))}},
		{Type: task.Type{Type: "Ä"}, TypeCounts: two},
	}
	got, err := r.st.ListTypes(r.Context())
	r.ok(err)
	r.equal("types", want, got)
	r.equal("one", want[2], r.kind("b"))
}

func keepsPause(r *rig) {
	put := func(rules task.TypeRules, now float64) task.Type {
		t, err := r.st.PutType(r.Context(), "work", rules, at(now))
		r.ok(err)
		r.equal("stored", t, r.kind("work").Type)
		return t
	}
	r.equal("first", task.Type{Type: "work", UpdatedAtUTC: ptr(at(1))}, put(task.TypeRules{}, 1))
	r.equal("paused", task.Type{Type: "work", Paused: true, UpdatedAtUTC: ptr(at(2))}, put(task.TypeRules{Paused: ptr(true)}, 2))
	r.equal("kept", task.Type{Type: "work", Paused: true, UpdatedAtUTC: ptr(at(3))}, put(task.TypeRules{}, 3))
	r.insert(task.Spec{})
	r.equal("claimed", 0, len(r.claim(task.Claim{})))
	r.equal("resumed", task.Type{Type: "work", UpdatedAtUTC: ptr(at(4))}, put(task.TypeRules{Paused: ptr(false)}, 4))
	r.claimOne(task.Claim{})
}

func keepsRules(r *rig) {
	for n, rules := range []task.TypeRules{
		{MaxConcurrency: ptr(1), MaxAttempts: ptr(100), RetryPolicy: ptr(task.JSON(`{ "jitter" : 0.10 }`)), TimeoutSeconds: ptr(1.5), MaxPayloadBytes: ptr(2), PayloadSchema: ptr(task.JSON(`{ "type" : "object" }`)),
			RateLimit: &task.RateLimit{Tasks: 3, PerSeconds: 0.25, Burst: 7}, Breaker: &task.Breaker{FailureShare: 0.25, MinAttempts: 3, WindowSeconds: 1.5, OpenSeconds: 2.5},
			LeaseSeconds: ptr(1.5), Retention: &task.Retention{CompletedSeconds: ptr(1.5), FailedSeconds: ptr(3e9)},
			PerKey: &task.KeyRules{MaxConcurrency: ptr(2), RateLimit: &task.RateLimit{Tasks: 1, PerSeconds: 2, Burst: 3}, Weights: map[string]int{"a b": 3}}},
		{MaxConcurrency: ptr(1000000), TimeoutSeconds: ptr(3.0), LeaseSeconds: ptr(43200.0), Retention: &task.Retention{FailedSeconds: ptr(1.0)}},
		{},
	} {
		want := task.Type{
			Type: "work", MaxConcurrency: rules.MaxConcurrency, MaxAttempts: rules.MaxAttempts, RetryPolicy: rules.RetryPolicy, TimeoutSeconds: rules.TimeoutSeconds,
			MaxPayloadBytes: rules.MaxPayloadBytes, PayloadSchema: rules.PayloadSchema, UpdatedAtUTC: ptr(at(float64(n))), RateLimit: rules.RateLimit, Breaker: rules.Breaker,
			LeaseSeconds: rules.LeaseSeconds, Retention: rules.Retention, PerKey: rules.PerKey,
		}
		got, err := r.st.PutType(r.Context(), "work", rules, at(float64(n)))
		r.ok(err)
		r.equal("returned", want, got)
		r.equal("stored", want, r.kind("work").Type)
		r.equal("again", rules, got.Rules())
		all, err := r.st.ListRules(r.Context())
		r.ok(err)
		r.equal("rules", []task.Type{want}, all)
	}
}

func pausedGivesNothing(r *rig) {
	r.pause("work", true)
	for _, p := range []int{5, 5, 100} {
		r.insertMany(3, task.Spec{Priority: ptr(p), Payload: task.JSON(fmt.Sprintf(`{"p":%d}`, p))})
	}
	r.insert(task.Spec{Compatibility: `{"gpu":true}`})
	for _, s := range task.Strategies {
		for _, types := range [][]string{nil, {"work"}} {
			c := task.Claim{Strategy: s, Types: types, Capabilities: task.Capabilities{"gpu": true}, Max: 2}
			r.equal("claimed while paused", 0, len(r.claim(c)))
			r.pause("work", false)
			r.pause("work", false)
			held := r.claim(c)
			r.equal("claimed after the pause", 2, len(held))
			r.pause("work", true)
			for _, t := range held {
				r.release(t, start)
			}
		}
	}
}

func pausesWhatComesBack(r *rig) {
	held, lost := r.running(task.Spec{}), r.running(task.Spec{})
	failed := r.running(task.Spec{MaxAttempts: ptr(1)})
	r.insert(task.Spec{RunAfterUTC: &task.Time{Time: at(10)}})
	r.pause("work", true)
	r.equal("held", int64(3), r.kind("work").ProcessingTasks)
	r.release(held, at(1))
	r.equal("taken back", 2, len(r.reap(at(100))))
	r.requeue(failed.ID, at(101))
	_, err := r.st.PromoteDue(r.Context(), at(102), 10)
	r.ok(err)
	r.equal("status", task.Queued, r.get(lost.ID).Status)
	c := task.Claim{Max: 10, Now: at(103)}
	r.equal("ready", int64(4), r.kind("work").ReadyTasks)
	r.equal("claimed while paused", 0, len(r.claim(c)))
	r.pause("work", false)
	r.equal("claimed after the pause", 4, len(r.claim(c)))
}

func pausesNoOther(r *rig) {
	for range 3 {
		for _, name := range []string{"a", "b", "c"} {
			r.insert(task.Spec{Type: name, Priority: ptr(1)})
		}
	}
	r.pause("a", true)
	r.pause("c", true)
	for _, s := range task.Strategies {
		if s != task.LIFO {
			r.equal("type", "b", r.claimOne(task.Claim{Strategy: s}).Type)
		}
	}
	r.pause("c", false)
	r.equal("claimed", 3, len(r.claim(task.Claim{Max: 10})))
	r.insert(task.Spec{Type: "a", Priority: ptr(2)}) // a new lane
	r.equal("claimed", 0, len(r.claim(task.Claim{Max: 10, Strategy: task.FIFO})))
}

// pauseIsExact lets claimers take as much as they can while a type is paused and resumed. From the answer of a pause on, no more tasks are held.
func pauseIsExact(r *rig) {
	const rounds, claimers = 30, 8
	r.insertMany(1000, task.Spec{})
	r.insertMany(1000, task.Spec{Priority: ptr(5)})
	var stop atomic.Bool
	var claimed atomic.Int64
	r.together(claimers+1, func(i int) error {
		defer stop.Store(true)
		if i == claimers {
			return r.pauseAgainAndAgain(rounds, &claimed, &stop)
		}
		for n := 0; !stop.Load(); n++ {
			c := r.ask(task.Claim{WorkerID: fmt.Sprint("w", i), Strategy: task.Strategies[n%4], Secret: scramble(uint64(i)), Lease: time.Hour})
			c.Seed = uint64(n)
			ts, err := r.st.ClaimTasks(r.Context(), c)
			if err != nil {
				return err
			}
			claimed.Add(int64(len(ts)))
		}
		return nil
	})
}

func (r *rig) pauseAgainAndAgain(rounds int, claimed *atomic.Int64, stop *atomic.Bool) error {
	for n := range rounds {
		if _, err := r.st.PauseType(r.Context(), "work", true, at(float64(n))); err != nil {
			return err
		}
		first, err := r.st.GetType(r.Context(), "work")
		if err != nil {
			return err
		}
		for range 5 { // claims go on meanwhile
			if _, err := r.st.ListTypes(r.Context()); err != nil {
				return err
			}
		}
		again, err := r.st.GetType(r.Context(), "work")
		if err != nil {
			return err
		}
		if again.ProcessingTasks != first.ProcessingTasks {
			return fmt.Errorf("I12: %d tasks were held when the pause was answered, %d later", first.ProcessingTasks, again.ProcessingTasks)
		}
		before := claimed.Load()
		if _, err := r.st.PauseType(r.Context(), "work", false, at(float64(n))); err != nil {
			return err
		}
		for again.ReadyTasks > 0 && claimed.Load() <= before && !stop.Load() { // the claimers go on
			if _, err := r.st.GetType(r.Context(), "work"); err != nil {
				return err
			}
		}
	}
	return nil
}
