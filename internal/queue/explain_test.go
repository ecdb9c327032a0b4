package queue_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/task"
)

// why returns the reasons of a task: code, and message for the words that must be in it.
func (r rig) why(id int64) []task.Reason {
	r.Helper()
	e, err := r.Explain(r.Context(), id)
	r.ok(err)
	if e.TaskID != id || e.Status != r.get(id).Status || len(e.Reasons) == 0 {
		r.Errorf("task %d is explained as %+v", id, e)
	}
	return e.Reasons
}

// wantWhy wants these codes in this order, and words of the messages.
func (r rig) wantWhy(id int64, codes []string, words ...string) []task.Reason {
	r.Helper()
	reasons := r.why(id)
	var got []string
	var all strings.Builder
	for _, reason := range reasons {
		got = append(got, reason.Code)
		all.WriteString(reason.Message)
		if reason.Details != nil {
			all.WriteString(string(*reason.Details))
		}
	}
	if !slices.Equal(got, codes) {
		r.Errorf("task %d: reasons %v, want %v: %s", id, got, codes, all.String())
	}
	for _, w := range words {
		if !strings.Contains(all.String(), w) {
			r.Errorf("task %d: no %q in %s", id, w, all.String())
		}
	}
	return reasons
}

// wantClaimed claims as a worker that was told of itself, and wants so many tasks.
func (r rig) wantClaimed(c task.Claim, want int) []task.Lease {
	r.Helper()
	got := r.claim(c)
	if len(got) != want {
		r.Errorf("%s is given %d tasks, want %d", c.WorkerID, len(got), want)
	}
	return got
}

// Each cause is provoked; a claim then gives nothing, and gives the task when the cause has gone.
func TestEveryCauseIsExplained(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		one := r.enqueue(task.Spec{Type: "a", Compatibility: `{"gpu":true,"memory":{"min":8}}`})
		r.wantWhy(one.ID, []string{"no_worker"})

		r.wantClaimed(task.Claim{WorkerID: "other", Types: []string{"b"}}, 0)
		r.wantWhy(one.ID, []string{"no_worker_for_type"}, "The only live worker does not take tasks of type a")

		small := task.Claim{WorkerID: "small", Capabilities: task.Capabilities{"gpu": true, "memory": 4.0}}
		r.wantClaimed(small, 0)
		r.wantWhy(one.ID, []string{"no_worker_offers"}, `{"memory":{"min":8}} (1 of 1 lacks it)`, `"lacked_by":1`)

		r.wantClaimed(task.Claim{WorkerID: "gpuless", Capabilities: task.Capabilities{"memory": 64.0}}, 0)
		r.wantWhy(one.ID, []string{"no_worker_offers"}, `{"gpu":true} (1 of 2 lack it)`, `{"memory":{"min":8}} (1 of 2 lack it)`)

		big := task.Claim{WorkerID: "big", Capabilities: task.Capabilities{"gpu": true, "memory": 16.0}}
		_, err := r.PauseType(r.Context(), "a")
		r.ok(err)
		r.wantClaimed(big, 0)
		r.wantWhy(one.ID, []string{"type_paused"}, "resume it")
		_, err = r.ResumeType(r.Context(), "a")
		r.ok(err)
		r.wantWhy(one.ID, []string{"next"}, "live workers that may take it: 1")

		held := r.wantClaimed(big, 1)[0]
		reasons := r.wantWhy(one.ID, []string{"held"}, "worker big holds it, attempt 1 of 5")
		if !reasons[0].UntilUTC.Equal(*held.LeaseUntilUTC) {
			r.Errorf("held until %v, want %v", reasons[0].UntilUTC, held.LeaseUntilUTC)
		}

		r.put("a", task.TypeRules{MaxConcurrency: ptr(1)})
		two := r.enqueue(task.Spec{Type: "a"})
		r.wantClaimed(big, 0)
		r.wantWhy(two.ID, []string{"limit_reached"}, "at most 1 may run at a time, and 1 does: "+fmt.Sprint(one.ID), `"worker_id":"big"`)

		failed, err := r.Fail(r.Context(), one.ID, held.LeaseToken, task.Failure{Message: "no luck"})
		r.ok(err)
		reasons = r.wantWhy(one.ID, []string{"waits_for_retry"}, "Attempt 1 of 5 has failed", "no luck")
		if !reasons[0].UntilUTC.Equal(failed.RunAfterUTC) {
			r.Errorf("waits until %v, want %v", reasons[0].UntilUTC, failed.RunAfterUTC)
		}
		r.wantWhy(two.ID, []string{"next"})
		r.ok(r.complete(r.wantClaimed(big, 1)[0]))

		r.put("a", task.TypeRules{RateLimit: &task.RateLimit{Tasks: 1, PerSeconds: 30}})
		spent, starved := r.enqueue(task.Spec{Type: "a"}), r.enqueue(task.Spec{Type: "a"})
		r.wantClaimed(big, 1)
		r.wantClaimed(big, 0)
		r.wantWhy(starved.ID, []string{"rate_limited"}, "Of its type a no more than 1 task may be claimed in 30 s, and that is used up until 2026-01-31T08:00:30Z", `"per_seconds":30`)
		r.put("a", task.TypeRules{})
		for _, id := range []int64{spent.ID, starved.ID} {
			_, _, err = r.Cancel(r.Context(), id)
			r.ok(err)
		}

		later := r.enqueue(task.Spec{Type: "a", RunAfterUTC: &task.Time{Time: r.clock.Now().Add(time.Minute)}})
		r.wantClaimed(big, 0)
		reasons = r.wantWhy(later.ID, []string{"not_due"}, "not to run before 2026-01-31T08:01:00Z")
		if !reasons[0].UntilUTC.Equal(later.RunAfterUTC) {
			r.Errorf("not before %v, want %v", reasons[0].UntilUTC, later.RunAfterUTC)
		}
		_, err = r.PauseType(r.Context(), "a")
		r.ok(err)
		r.wantWhy(later.ID, []string{"type_paused", "not_due"})

		r.clock.advance(6 * time.Minute)
		r.wantWhy(later.ID, []string{"type_paused", "no_worker"})
	})
}

func TestATaskBehindOthersIsToldItsPlace(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		r.claim(task.Claim{WorkerID: "w", Types: []string{"a", "b", "paused"}})
		for i := range 3 {
			r.enqueue(task.Spec{Type: []string{"a", "b", "c"}[i]}) // nobody takes c
			r.enqueue(task.Spec{Type: "paused"})
		}
		r.enqueue(task.Spec{Type: "a", Priority: ptr(1)})
		r.enqueue(task.Spec{Type: "a", Priority: ptr(101)})
		_, err := r.PauseType(r.Context(), "paused")
		r.ok(err)
		last := r.enqueue(task.Spec{Type: "a"})
		r.enqueue(task.Spec{Type: "a"})
		r.wantWhy(last.ID, []string{"tasks_ahead"}, "By priority 3 tasks come before it", "none of their kind was completed lately", `"ahead":3`)

		for range 2 {
			r.ok(r.complete(r.wantClaimed(task.Claim{WorkerID: "w", Types: []string{"a", "b"}}, 1)[0]))
		}
		r.clock.advance(time.Minute)
		r.wantWhy(last.ID, []string{"tasks_ahead"}, "By priority 1 task comes before it; 0.4 a minute were completed lately, so it may begin in about 2m30s.", `"estimate_seconds":150`, `"estimate_by":"completions"`)
	})
}

// A task that waits for the rate of its type, or of its key, is not told a time before that; what other types may not have now does not stand before it.
func TestEstimatesKeepToRates(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		w := task.Claim{WorkerID: "w"}
		last := func(n int, s task.Spec) int64 {
			var id int64
			for range n {
				id = r.enqueue(s).ID
			}
			return id
		}
		r.put("slow", task.TypeRules{RateLimit: &task.RateLimit{Tasks: 1, PerSeconds: 60, Burst: 2}})
		id := last(5, task.Spec{Type: "slow"})
		r.wantClaimed(w, 1)
		r.wantWhy(id, []string{"tasks_ahead"}, "By priority 3 tasks come before it; of its type 1 task may be claimed in 60 s, so it may begin in about 3m0s.", `"estimate_by":"rate_limit"`, `"estimate_seconds":180`)
		for range 10 { // which come every half minute, as far as is known
			r.enqueue(task.Spec{Type: "slow", Priority: ptr(1)})
		}
		r.put("slow", task.TypeRules{})
		for range 10 {
			r.ok(r.complete(r.wantClaimed(w, 1)[0]))
		}
		r.wantWhy(id, []string{"tasks_ahead"}, "2 a minute were completed lately, so it may begin in about 1m30s", `"estimate_by":"completions"`)
		r.put("slow", task.TypeRules{RateLimit: &task.RateLimit{Tasks: 1, PerSeconds: 1_000_000}})
		r.wantClaimed(w, 1)
		r.wantWhy(id, []string{"rate_limited", "tasks_ahead"}, "Of its type slow no more than 1 task may be claimed in 1000000 s", "By priority 2 tasks come before it; of its type 1 task may be claimed in 1000000 s, so it may begin in about 35 days.", `"estimate_seconds":3000000`)
		r.wantWhy(last(1, task.Spec{Type: "slow", Priority: ptr(101)}), []string{"rate_limited", "tasks_ahead"}, "By priority 3 tasks")

		r.wantWhy(last(1, task.Spec{Type: "other", Priority: ptr(101)}), []string{"next"}) // none of the slow ones may run before it
		r.ok(r.complete(r.wantClaimed(w, 1)[0]))
		_, err := r.PauseType(r.Context(), "slow")
		r.ok(err)
		r.wantWhy(id, []string{"type_paused", "rate_limited"}) // and no time

		r.put("keyed", task.TypeRules{PerKey: &task.KeyRules{RateLimit: &task.RateLimit{Tasks: 2, PerSeconds: 3600, Burst: 1}}})
		id = last(4, task.Spec{Type: "keyed", ConcurrencyKey: ptr("a")})
		r.wantClaimed(task.Claim{WorkerID: "w", Types: []string{"keyed"}}, 1)
		r.wantWhy(id, []string{"key_rate_limited", "tasks_ahead"}, "By priority 2 tasks come before it; of its key 2 tasks may be claimed in 3600 s, so it may begin in about 1h30m.", `"estimate_by":"key_rate_limit"`)
	})
}

func TestWhatHasBecomeOfAnEndedTaskIsExplained(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		end := func(spec task.Spec, how func(l task.Lease) error) int64 {
			r.Helper()
			r.enqueue(spec)
			l := r.claimOne()
			r.ok(how(l))
			return l.ID
		}
		done := end(task.Spec{}, r.complete)
		r.wantWhy(done, []string{"succeeded"}, "completed at 2026-01-31T08:00:00Z")
		cancelled := end(task.Spec{}, func(l task.Lease) error { _, _, err := r.Cancel(r.Context(), l.ID); return err })
		r.wantWhy(cancelled, []string{"cancelled"}, "Cancelled by user", "Requeue it")
		fail := func(noRetry bool) func(l task.Lease) error {
			return func(l task.Lease) error {
				_, err := r.Fail(r.Context(), l.ID, l.LeaseToken, task.Failure{Message: "no luck", NoRetry: noRetry})
				return err
			}
		}
		r.wantWhy(end(task.Spec{MaxAttempts: ptr(1)}, fail(false)), []string{"exhausted"}, "Its only attempt is used up", "no luck")
		r.wantWhy(end(task.Spec{}, fail(true)), []string{"rejected"}, "no luck")
		expired := r.enqueue(task.Spec{DeadlineUTC: &task.Time{Time: r.clock.Now().Add(time.Second)}})
		r.upkeep(2 * time.Second)
		r.wantWhy(expired.ID, []string{"expired"}, "Its deadline passed")
		if _, err := r.Explain(r.Context(), 999); err == nil {
			r.Error("a task that is not there is explained")
		}
	})
}

func TestWorkersThatDrainAreNotCounted(t *testing.T) {
	eachWithSQL(t, func(r rig, sql func(string)) {
		r.claim(task.Claim{WorkerID: "w"})
		one := r.enqueue(task.Spec{})
		sql(`UPDATE workers SET drain = TRUE`)
		r.wantWhy(one.ID, []string{"no_worker"}, "1 drains")
	})
}

// Lanes are stranded if and only if no claim of a live worker gives their tasks.
func TestStrandedIsWhatNoLiveWorkerIsGiven(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		rapid.Check(r.T, func(rt *rapid.T) {
			values := rapid.SampledFrom([]string{`true`, `"x"`, `5`, `["x"]`, `["x","y"]`, `{"min":3}`, `{"min":1,"max":4}`})
			offers := rapid.SampledFrom([]string{`true`, `"x"`, `5`, `2`, `["x"]`, `["y","x",5]`})
			object := func(label string, of *rapid.Generator[string]) task.JSON {
				m := map[string]json.RawMessage{}
				for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b"}), 0, 2, rapid.ID).Draw(rt, label) {
					m[name] = json.RawMessage(of.Draw(rt, label+name))
				}
				b, _ := json.Marshal(m)
				return task.JSON(b)
			}
			types := rapid.SampledFrom([]string{"s", "t"})
			var claims []task.Claim
			for i := range rapid.IntRange(1, 3).Draw(rt, "workers") {
				c := task.Claim{WorkerID: fmt.Sprint("w", i), Max: 100}
				var err error
				if c.Capabilities, err = task.ParseCapabilities(object("offers", offers)); err != nil {
					rt.Fatal(err)
				}
				if rapid.Bool().Draw(rt, "picky") {
					c.Types = []string{types.Draw(rt, "takes")}
				}
				r.claim(c) // the queue is empty
				claims = append(claims, c)
			}
			for range rapid.IntRange(1, 5).Draw(rt, "tasks") {
				r.enqueue(task.Spec{Type: types.Draw(rt, "type"), Compatibility: object("requires", values), Priority: ptr(rapid.IntRange(1, 2).Draw(rt, "priority"))})
			}
			stranded, err := r.Stranded(r.Context())
			r.ok(err)
			for _, c := range claims {
				for _, l := range r.claim(c) {
					r.ok(r.complete(l))
				}
			}
			left, err := r.Reader().ListTasks(r.Context(), task.Filter{Status: task.Queued, Limit: 100})
			r.ok(err)
			want, got := map[string]int64{}, map[string]int64{}
			for _, x := range left {
				requires, err := task.ParseRequirements(x.Compatibility)
				r.ok(err)
				want[fmt.Sprint(x.Type, requires.Canonical(), x.Priority)]++
				if _, _, err := r.Cancel(r.Context(), x.ID); err != nil {
					rt.Fatal(err)
				}
			}
			for _, s := range stranded {
				got[fmt.Sprint(s.Type, s.Compatibility, s.Priority)] = s.ReadyTasks
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				rt.Fatalf("stranded are %v, want %v", got, want)
			}
			for _, c := range claims { // the next round has other workers
				if err := r.DeleteWorker(r.Context(), c.WorkerID); err != nil {
					rt.Fatal(err)
				}
			}
		})
	})
}

func (r rig) complete(l task.Lease) error {
	_, err := r.Complete(r.Context(), l.ID, l.LeaseToken, nil)
	return err
}
