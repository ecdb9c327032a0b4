package queue_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/task"
)

// Each token wakes the claims that wait, when it comes and not before, and nothing is asked meanwhile.
func TestAClaimWaitsForTheRateOfItsType(t *testing.T) {
	bubble(t, func(r rig, w *watched) {
		_, err := r.PutType(r.Context(), "test", task.TypeRules{RateLimit: &task.RateLimit{Tasks: 2, PerSeconds: 0.6, Burst: 1}})
		r.ok(err)
		for range 3 {
			r.enqueue(task.Spec{})
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
		// Each looks before it waits, when it is entered, and when the token comes; the upkeep, which begins at the same instant, may wake it once more.
		if looks := w.looks["worker-1"]; looks > 12 {
			r.Errorf("three claims looked %d times", looks)
		}
		stop()
		running.Wait()
	})
}

// breaking is a breaker that opens for 20 s when, of four attempts or more within 10 s, half have failed.
var breaking = task.TypeRules{Breaker: &task.Breaker{FailureShare: 0.5, MinAttempts: 4, WindowSeconds: 10, OpenSeconds: 20}}

// attempt claims a task of the type test and reports how it went.
func (r rig) attempt(ok bool) {
	r.Helper()
	l := r.claimOne()
	var err error
	if ok {
		_, err = r.Complete(r.Context(), l.ID, l.LeaseToken, nil)
	} else {
		_, err = r.Fail(r.Context(), l.ID, l.LeaseToken, task.Failure{Message: "no luck", RetryAfter: new(time.Duration)})
	}
	r.ok(err)
}

func (r rig) broken() *time.Time {
	r.Helper()
	t, err := r.Type(r.Context(), "test")
	r.ok(err)
	return t.BreakerUntilUTC
}

func TestABreakerStopsClaimsWhileAttemptsFail(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		for range 10 {
			r.enqueue(task.Spec{MaxAttempts: ptr(50)})
		}
		r.put("test", breaking)
		for _, ok := range []bool{true, true, false} {
			r.attempt(ok)
		}
		if r.broken() != nil {
			r.Fatal("it opens after one failure of three")
		}
		r.attempt(false)
		until := r.clock.Now().Add(20 * time.Second)
		if got := r.broken(); got == nil || !got.Equal(until) {
			r.Fatalf("after two failures of four it is open until %v, want %v", got, until)
		}
		one := r.enqueue(task.Spec{})
		r.wantClaimed(task.Claim{WorkerID: "worker-1"}, 0)
		r.wantWhy(one.ID, []string{"breaker_open", "tasks_ahead"}, "one task at a time is tried")

		r.clock.advance(20 * time.Second)
		r.attempt(false)
		if got := r.broken(); got == nil || !got.Equal(until.Add(20*time.Second)) {
			r.Fatalf("after the trial has failed it is open until %v", got)
		}
		r.wantClaimed(task.Claim{WorkerID: "worker-1"}, 0)

		r.clock.advance(20 * time.Second)
		tried := r.claimOne()
		r.wantClaimed(task.Claim{WorkerID: "worker-1"}, 0)
		r.wantWhy(one.ID, []string{"limit_reached", "tasks_ahead"}, "at most 1 may run at a time")
		r.ok(r.complete(tried))
		if got := r.broken(); got != nil {
			r.Fatalf("after the trial has succeeded it is open until %v", got)
		}
		r.wantClaimed(task.Claim{WorkerID: "worker-1", Max: 5}, 5)
	})
}

func TestWhatABreakerCounts(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		for range 20 {
			r.enqueue(task.Spec{MaxAttempts: ptr(50)})
		}
		r.put("test", breaking)
		for range 3 {
			r.attempt(false)
		}
		r.clock.advance(11 * time.Second) // out of the window
		for range 3 {
			r.attempt(false)
		}
		waiting, err := r.Reader().ListTasks(r.Context(), task.Filter{Status: task.Queued, Limit: 100})
		r.ok(err)
		for _, t := range waiting { // the end of one that waits for its next attempt is no failure again
			if t.AttemptOutcome != nil {
				_, _, err := r.Cancel(r.Context(), t.ID)
				r.ok(err)
			}
		}
		for range 4 { // these say nothing
			l := r.claimOne()
			_, err := r.Fail(r.Context(), l.ID, l.LeaseToken, task.Failure{Message: "bad input", NoRetry: true})
			r.ok(err)
			l = r.claimOne()
			_, err = r.Release(r.Context(), l.ID, l.LeaseToken, 0)
			r.ok(err)
			l = r.claimOne()
			_, _, err = r.Cancel(r.Context(), l.ID)
			r.ok(err)
		}
		if got := r.broken(); got != nil {
			r.Fatalf("it is open until %v", got)
		}
		// A worker that is lost counts.
		r.claim(task.Claim{WorkerID: "lost", Lease: task.MinLease})
		r.upkeep(task.MinLease)
		if r.broken() == nil {
			r.Fatal("it is not open after three failures and a lost worker")
		}
	})
}

// An attempt that was under way when the breaker opened says nothing about the trial.
func TestABreakerJudgesByWhatBeganAfterIt(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		for range 10 {
			r.enqueue(task.Spec{MaxAttempts: ptr(50)})
		}
		r.put("test", breaking)
		old := r.wantClaimed(task.Claim{WorkerID: "slow", Lease: time.Hour}, 1)[0]
		for range 4 {
			r.attempt(false)
		}
		r.clock.advance(20 * time.Second)
		until := r.broken()
		r.ok(r.complete(old))
		if got := r.broken(); got == nil || !got.Equal(*until) {
			r.Errorf("an attempt from before has closed it: %v", got)
		}
		r.attempt(true)
		if got := r.broken(); got != nil {
			r.Errorf("it is open until %v after its trial has succeeded", got)
		}
	})
}

func TestTheChangesOfABreakerAreLogged(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		var log bytes.Buffer
		r.Queue = queue.New(r.st, queue.Options{Clock: r.clock, Log: slog.New(slog.NewTextHandler(&log, nil))})
		for range 6 {
			r.enqueue(task.Spec{MaxAttempts: ptr(50)})
		}
		r.put("test", breaking)
		for range 4 {
			r.attempt(false)
		}
		r.clock.advance(20 * time.Second)
		r.attempt(true)
		for _, want := range []string{
			`level=WARN msg="circuit breaker open: too many attempts of the type fail" type=test until=2026-01-31T08:00:20`,
			`level=INFO msg="circuit breaker closed: a task of the type has succeeded" type=test`,
		} {
			if strings.Count(log.String(), want) != 1 {
				r.Errorf("the log does not say %q once:\n%s", want, log.String())
			}
		}
	})
}
