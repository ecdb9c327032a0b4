package queue_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/task"
)

// A claim that waits has its task when the rate of a key gives one, and not before.
func TestAClaimWaitsForTheRateOfAKey(t *testing.T) {
	bubble(t, func(r rig, w *watched) {
		_, err := r.PutType(r.Context(), "test", task.TypeRules{PerKey: &task.KeyRules{RateLimit: &task.RateLimit{Tasks: 2, PerSeconds: 0.6, Burst: 1}}})
		r.ok(err)
		for range 3 {
			r.enqueue(task.Spec{ConcurrencyKey: ptr("a")})
		}
		serving, stop := context.WithCancel(r.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = r.Queue.Run(serving) })
		begin := time.Now()
		for n, want := range []time.Duration{0, 300 * time.Millisecond, 600 * time.Millisecond} {
			if got := r.claim(task.Claim{Wait: 10 * time.Second}); len(got) != 1 {
				r.Fatalf("claim %d got %d tasks", n, len(got))
			}
			if took := time.Since(begin); took < want || took > want+20*time.Millisecond {
				r.Errorf("claim %d had its task after %s, want %s", n, took, want)
			}
		}
		if looks := w.looks["worker-1"]; looks > 12 {
			r.Errorf("three claims looked %d times", looks)
		}
		stop()
		running.Wait()
	})
}

// A claim that comes when keys may have tasks again, before the upkeep does, takes one and passes the others on to claims that wait.
func TestAClaimThatOpensKeysPassesThemOn(t *testing.T) {
	bubble(t, func(r rig, _ *watched) {
		_, err := r.PutType(r.Context(), "test", task.TypeRules{PerKey: &task.KeyRules{RateLimit: &task.RateLimit{Tasks: 1, PerSeconds: 0.3}}})
		r.ok(err)
		for range 2 {
			for _, key := range []string{"a", "b", "c"} {
				r.enqueue(task.Spec{ConcurrencyKey: &key})
			}
		}
		if got := r.claim(task.Claim{Max: 10}); len(got) != 3 {
			r.Fatalf("%d tasks at once, want one of each key", len(got))
		}
		begin := time.Now()
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				got := r.claim(task.Claim{Wait: 10 * time.Second})
				if took := time.Since(begin); len(got) != 1 || took > 320*time.Millisecond {
					r.Errorf("a claim that waits was given %d tasks after %s", len(got), took)
				}
			})
		}
		time.Sleep(300 * time.Millisecond)
		if got := r.claim(task.Claim{}); len(got) != 1 {
			r.Errorf("%d tasks, want 1", len(got))
		}
		all.Wait()
	})
}

// A claim that waited and takes a task of a key has one other claim look, and not all.
func TestAClaimThatTakesATaskOfAKeyHasOneOtherLook(t *testing.T) {
	bubble(t, func(r rig, w *watched) {
		_, err := r.PutType(r.Context(), "test", task.TypeRules{PerKey: &task.KeyRules{RateLimit: &task.RateLimit{Tasks: 1, PerSeconds: 60}}})
		r.ok(err)
		const claims = 6
		for i := range claims {
			r.begin(fmt.Sprint("w", i))
		}
		synctest.Wait()
		looks := func() (n int) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, of := range w.looks {
				n += of
			}
			return n
		}
		before := looks()
		r.enqueue(task.Spec{ConcurrencyKey: ptr("a")})
		synctest.Wait()
		if got := looks() - before; got != 2 {
			r.Errorf("%d looks for one task, want that of the claim that takes it and one more", got)
		}
	})
}

// A claim that waits has its task as soon as another one of its key ends.
func TestAClaimWaitsForTheLimitOfAKey(t *testing.T) {
	bubble(t, func(r rig, _ *watched) {
		_, err := r.PutType(r.Context(), "test", task.TypeRules{PerKey: &task.KeyRules{MaxConcurrency: ptr(1)}})
		r.ok(err)
		first, second := r.enqueue(task.Spec{ConcurrencyKey: ptr("a")}), r.enqueue(task.Spec{ConcurrencyKey: ptr("a")})
		l := r.claimOne()
		if l.ID != first.ID {
			r.Fatalf("claimed task %d, want %d", l.ID, first.ID)
		}
		begin := time.Now()
		time.AfterFunc(200*time.Millisecond, func() { r.ok(r.complete(l)) })
		got := r.claim(task.Claim{Wait: 10 * time.Second})
		if took := time.Since(begin); len(got) != 1 || got[0].ID != second.ID || took < 200*time.Millisecond || took > 220*time.Millisecond {
			r.Errorf("after %s it got %v, want task %d after 200 ms", took, got, second.ID)
		}
	})
}

func TestExplainNamesWhatHoldsAKey(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		r.put("test", task.TypeRules{PerKey: &task.KeyRules{MaxConcurrency: ptr(1)}})
		held := r.enqueue(task.Spec{ConcurrencyKey: ptr("tenant-1")})
		waits := r.enqueue(task.Spec{ConcurrencyKey: ptr("tenant-1")})
		other := r.enqueue(task.Spec{ConcurrencyKey: ptr("tenant-2")})
		if l := r.claimOne(); l.ID != held.ID {
			r.Fatalf("claimed task %d, want %d", l.ID, held.ID)
		}
		r.wantWhy(waits.ID, []string{"key_limit_reached"}, "Of its key tenant-1 at most 1 may run at a time, and 1 does: 1.", `"concurrency_key":"tenant-1"`)
		r.wantWhy(other.ID, []string{"next"})
		r.put("test", task.TypeRules{PerKey: &task.KeyRules{RateLimit: &task.RateLimit{Tasks: 1, PerSeconds: 30}}})
		if l := r.claimOne(); l.ID != waits.ID && l.ID != other.ID {
			r.Fatalf("claimed task %d", l.ID)
		}
		third := r.enqueue(task.Spec{ConcurrencyKey: ptr("tenant-1")})
		for _, l := range r.claim(task.Claim{Max: 10}) {
			if l.ID == third.ID {
				r.Fatal("the rate of the key gave two")
			}
		}
		r.wantWhy(third.ID, []string{"key_rate_limited"}, "Of its key tenant-1 no more than 1 task may be claimed in 30 s, and that is used up until")
	})
}

func TestAConcurrencyKeyIsChecked(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		_, _, err := r.Enqueue(r.Context(), task.Spec{Type: "test", ConcurrencyKey: ptr(" ")}, queue.MaxAttempts)
		r.invalid(err, "concurrency_key", "must not be empty")
	})
}
