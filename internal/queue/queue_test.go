package queue_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// start is the first instant of a handClock.
var start = time.Date(2026, 1, 31, 8, 0, 0, 123456000, time.UTC)

// handClock is moved by hand.
type handClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type rig struct {
	*testing.T
	*queue.Queue
	clock *handClock
	st    store.Store
}

// each runs the test on both engines, with a clock that stands still.
func each(t *testing.T, o queue.Options, do func(r rig)) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		clock := &handClock{now: start}
		o := o
		o.Clock, o.Rand, o.Log = clock, rand.New(rand.NewPCG(1, 2)), slog.New(slog.DiscardHandler)
		do(rig{T: t, Queue: queue.New(st, o), clock: clock, st: st})
	})
}

func (r rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r rig) enqueue(s task.Spec) task.Task {
	r.Helper()
	if s.Type == "" {
		s.Type = "test"
	}
	t, _, err := r.Enqueue(r.Context(), s, queue.MaxAttempts)
	r.ok(err)
	return t
}

func (r rig) claim(c task.Claim) []task.Lease {
	r.Helper()
	if c.WorkerID == "" {
		c.WorkerID = "worker-1"
	}
	leases, err := r.Claim(r.Context(), c)
	r.ok(err)
	return leases
}

func (r rig) claimOne() task.Lease {
	r.Helper()
	leases := r.claim(task.Claim{})
	if len(leases) != 1 {
		r.Fatalf("%d leases, want 1", len(leases))
	}
	return leases[0]
}

// upkeep does what is due after the clock has moved on.
func (r rig) upkeep(d time.Duration) {
	r.Helper()
	r.clock.advance(d)
	_, err := r.Upkeep(r.Context())
	r.ok(err)
}

func (r rig) get(id int64) task.Task {
	r.Helper()
	t, err := r.Reader().GetTask(r.Context(), id)
	r.ok(err)
	return t
}

func ptr[T any](v T) *T { return &v }

func TestRetryFollowsThePolicy(t *testing.T) {
	policy := task.Backoff{InitialSeconds: 2, Multiplier: 3, MaxSeconds: 10}
	each(t, queue.Options{Backoff: map[string]task.Backoff{"typed": policy}}, func(r rig) {
		own := task.JSON(`{"initial_seconds": 7, "jitter": 0}`)
		for _, c := range []struct {
			spec task.Spec
			want []float64 // seconds after each failure, ±jitter
			tol  float64
		}{
			{task.Spec{Type: "plain", MaxAttempts: ptr(4)}, []float64{1, 2, 4}, 0.1},
			{task.Spec{Type: "typed", MaxAttempts: ptr(4)}, []float64{2, 6, 10}, 0},
			{task.Spec{Type: "typed", MaxAttempts: ptr(3), RetryPolicy: &own}, []float64{7, 10}, 0},
		} {
			id := r.enqueue(c.spec).ID
			for _, want := range c.want {
				l := r.claimOne()
				got, err := r.Fail(r.Context(), id, l.LeaseToken, task.Failure{Message: "no luck"})
				r.ok(err)
				after := got.RunAfterUTC.Sub(r.clock.Now()).Seconds()
				if got.Status != task.Queued || after < want*(1-c.tol) || after > want*(1+c.tol) {
					r.Fatalf("after attempt %d: %s, due in %v s, want %v ± %v", l.Attempts, got.Status, after, want, c.tol)
				}
				if n := len(r.claim(task.Claim{})); n != 0 {
					r.Fatalf("claimed before its time")
				}
				r.upkeep(time.Duration(after * float64(time.Second)))
			}
			l := r.claimOne()
			got, err := r.Fail(r.Context(), id, l.LeaseToken, task.Failure{Message: "no luck"})
			r.ok(err)
			if got.Status != task.Failed || *got.Outcome != task.Exhausted || *got.ErrorMessage != "no luck" {
				r.Fatalf("after the last attempt: %+v", got)
			}
		}
	})
}

func TestFailAsTheWorkerSays(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		r.enqueue(task.Spec{})
		l := r.claimOne()
		got, err := r.Fail(r.Context(), l.ID, l.LeaseToken, task.Failure{Message: "later", RetryAfter: ptr(90 * time.Second)})
		r.ok(err)
		if want := r.clock.Now().Add(90 * time.Second); !got.RunAfterUTC.Equal(want) {
			r.Fatalf("due at %v, want %v", got.RunAfterUTC, want)
		}
		r.upkeep(90 * time.Second)
		l = r.claimOne()
		got, err = r.Fail(r.Context(), l.ID, l.LeaseToken, task.Failure{NoRetry: true})
		r.ok(err)
		if got.Status != task.Failed || *got.Outcome != task.Rejected || *got.ErrorMessage == "" {
			r.Fatalf("rejected: %+v", got)
		}
		if _, err = r.Fail(r.Context(), l.ID, l.LeaseToken, task.Failure{Message: "again"}); !errors.Is(err, task.ErrLeaseLost) {
			r.Fatalf("second verdict: %v, want ErrLeaseLost", err)
		}
	})
}

func TestUpkeepTakesExpiredLeasesBack(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		id := r.enqueue(task.Spec{MaxAttempts: ptr(2)}).ID
		l := r.claimOne()
		ended, stop := r.Watch(id)
		defer stop()
		r.upkeep(task.DefaultLease - time.Microsecond)
		if got := r.get(id); got.Status != task.Processing {
			r.Fatalf("before the end of its lease: %s", got.Status)
		}
		r.upkeep(time.Microsecond)
		if got := r.get(id); got.Status != task.Queued || got.Attempts != 1 {
			r.Fatalf("after the end of its lease: %s, %d attempts", got.Status, got.Attempts)
		}
		<-ended
		if _, err := r.Complete(r.Context(), id, l.LeaseToken, nil); !errors.Is(err, task.ErrLeaseLost) {
			r.Fatalf("stale completion: %v, want ErrLeaseLost", err)
		}
		r.claimOne()
		r.upkeep(task.DefaultLease)
		if got := r.get(id); got.Status != task.Failed || *got.Outcome != task.Exhausted {
			r.Fatalf("after the last lease: %s %v", got.Status, got.Outcome)
		}
	})
}

func TestAHeartbeatShowsThatTheWorkerLives(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		r.enqueue(task.Spec{Type: "long"})
		l := r.claim(task.Claim{WorkerID: "w", Lease: time.Hour})[0]
		for _, after := range []time.Duration{time.Minute, time.Second} {
			r.clock.advance(after)
			_, err := r.Heartbeat(r.Context(), l.ID, l.LeaseToken, task.Beat{Lease: time.Hour})
			r.ok(err)
		}
		w, err := r.st.GetWorker(r.Context(), "w")
		r.ok(err)
		if want := start.Add(time.Minute); !w.HeartbeatUTC.Equal(want) {
			t.Errorf("the worker was last alive at %v, want %v: renewed, and not at every heartbeat", w.HeartbeatUTC, want)
		}
	})
}

func TestHeartbeatRenewsAndTells(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		r.enqueue(task.Spec{})
		l := r.claimOne()
		r.clock.advance(50 * time.Second)
		p, err := r.Heartbeat(r.Context(), l.ID, l.LeaseToken, task.Beat{Lease: 2 * time.Minute, Progress: ptr(40), Message: ptr("halfway")})
		r.ok(err)
		if want := r.clock.Now().Add(2 * time.Minute); !p.LeaseUntilUTC.Equal(want) || p.CancelRequested {
			r.Fatalf("pulse %+v, want a lease until %v", p, want)
		}
		if got := r.get(l.ID); *got.Progress != 40 || *got.ProgressMessage != "halfway" {
			r.Fatalf("progress %v %v", *got.Progress, *got.ProgressMessage)
		}
		_, changed, err := r.Cancel(r.Context(), l.ID)
		r.ok(err)
		p, err = r.Heartbeat(r.Context(), l.ID, l.LeaseToken, task.Beat{})
		r.ok(err)
		if !changed || !p.CancelRequested || p.LeaseUntilUTC != nil {
			r.Fatalf("pulse after cancel: %+v", p)
		}
		for _, bad := range []task.Beat{{Lease: time.Millisecond}, {Lease: 13 * time.Hour}, {Progress: ptr(101)}, {Message: ptr("\x00")}} {
			var invalid *task.InvalidError
			if _, err := r.Heartbeat(r.Context(), l.ID, l.LeaseToken, bad); !errors.As(err, &invalid) {
				r.Errorf("%+v: %v, want InvalidError", bad, err)
			}
		}
	})
}

func TestBatchNamesTheBadTask(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		specs := []task.Spec{{Type: "a"}, {Type: "a", Priority: ptr(0)}, {Type: " "}}
		_, _, err := r.EnqueueBatch(r.Context(), specs)
		var invalid *task.InvalidError
		if !errors.As(err, &invalid) || invalid.Fields[0].Field != "tasks[1].priority" || invalid.Fields[1].Field != "tasks[2].type" {
			r.Fatalf("error %v", err)
		}
		stats, err := r.Stats(r.Context())
		r.ok(err)
		if stats.TotalTasks != 0 {
			r.Fatalf("%d tasks stored, want none", stats.TotalTasks)
		}
		for _, n := range []int{0, queue.MaxBatch + 1} {
			if _, _, err := r.EnqueueBatch(r.Context(), make([]task.Spec, n)); !errors.As(err, &invalid) || invalid.Fields[0].Field != "tasks" {
				r.Errorf("batch of %d: %v", n, err)
			}
		}
	})
}

func TestOverlongAndBrokenInputIsRefused(t *testing.T) {
	each(t, queue.Options{MaxPayloadBytes: 100}, func(r rig) {
		long := task.JSON(`{"x":"` + strings.Repeat("y", 100) + `"}`)
		var invalid *task.InvalidError
		if _, _, err := r.Enqueue(r.Context(), task.Spec{Type: "a", Payload: long}, 5); !errors.As(err, &invalid) || invalid.Fields[0].Field != "payload" {
			r.Errorf("long payload: %v", err)
		}
		r.enqueue(task.Spec{})
		l := r.claimOne()
		for _, bad := range []task.JSON{long, `{`, `{"a":1}x`} {
			if _, err := r.Complete(r.Context(), l.ID, l.LeaseToken, &bad); !errors.As(err, &invalid) || invalid.Fields[0].Field != "result" {
				r.Errorf("result %.20s: %v", bad, err)
			}
		}
		if _, err := r.AppendLog(r.Context(), l.ID, l.LeaseToken, task.Log{Level: "loud", Message: "x"}); !errors.As(err, &invalid) || invalid.Fields[0].Field != "level" {
			r.Errorf("level: %v", err)
		}
		if _, err := r.Release(r.Context(), l.ID, l.LeaseToken, -1); !errors.As(err, &invalid) {
			r.Errorf("negative release: %v", err)
		}
		_, err := r.Complete(r.Context(), l.ID, l.LeaseToken, nil)
		r.ok(err)
	})
}

func TestASnoozedTaskComesAgainWithoutHavingUsedAnAttempt(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		id := r.enqueue(task.Spec{MaxAttempts: ptr(1)}).ID
		for range 3 {
			l := r.claimOne()
			got, err := r.Release(r.Context(), id, l.LeaseToken, time.Minute)
			r.ok(err)
			if want := r.clock.Now().Add(time.Minute); got.Status != task.Queued || got.Attempts != 0 || !got.RunAfterUTC.Equal(want) {
				r.Fatalf("%s after %d attempts, due at %v, want queued, 0, %v", got.Status, got.Attempts, got.RunAfterUTC, want)
			}
			if n := len(r.claim(task.Claim{})); n != 0 {
				r.Fatal("claimed before its time")
			}
			r.upkeep(time.Minute)
		}
		l := r.claimOne()
		_, err := r.Release(r.Context(), id, l.LeaseToken, 0)
		r.ok(err)
		if _, err := r.Release(r.Context(), id, l.LeaseToken, time.Minute); !errors.Is(err, task.ErrLeaseLost) {
			r.Errorf("a stale snooze: %v", err)
		}

		logs, err := r.Reader().ListLogs(r.Context(), task.LogFilter{TaskID: id, Limit: 10})
		r.ok(err)
		if len(logs) != 9 || logs[2].Message != "Snoozed by worker-1" || !strings.Contains(string(*logs[2].Details), `"run_after_utc":"2026-01-31T08:01:00`) || logs[8].Message != "Handed back by worker-1" {
			r.Errorf("the log of three snoozes and one release: %+v", logs)
		}
		attempts, err := r.Reader().ListAttempts(r.Context(), id)
		r.ok(err)
		for _, a := range attempts {
			if *a.Outcome != task.AttemptReleased || a.Attempt != 1 {
				r.Errorf("attempt %+v, want number 1, released", a)
			}
		}
		if len(attempts) != 4 {
			r.Errorf("%d attempts in the history, want 4", len(attempts))
		}
	})
}

func TestATaskThatHasLostTwoWorkersRunsAlone(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		bad := r.enqueue(task.Spec{Type: "poison"}).ID
		for range 2 {
			r.claim(task.Claim{WorkerID: "victim", Lease: time.Second})
			r.upkeep(time.Second)
		}
		fine := r.enqueue(task.Spec{}).ID
		r.wantWhy(bad, []string{"quarantined"}, "lost 2 workers")
		got := r.claim(task.Claim{Max: 10})
		if len(got) != 1 || got[0].ID != bad || !got[0].Quarantined() || !strings.Contains(string(got[0].AppendJSON(nil)), `"lost":2,"quarantined":true`) {
			r.Fatalf("claimed %+v, want task %d alone, and told so", got, bad)
		}
		if n := len(r.claim(task.Claim{Max: 10})); n != 0 {
			r.Fatalf("%d tasks beside it", n)
		}
		_, err := r.Fail(r.Context(), bad, got[0].LeaseToken, task.Failure{Message: "it only failed", NoRetry: true})
		r.ok(err)
		if got := r.claim(task.Claim{Max: 10}); len(got) != 1 || got[0].ID != fine || got[0].Quarantined() {
			r.Fatalf("claimed %+v, want task %d", got, fine)
		}
		if again, err := r.Requeue(r.Context(), bad); err != nil || !again.Quarantined() {
			r.Fatalf("requeued: %+v, %v, want it in quarantine still", again, err)
		}
	})
}

func TestWorkersAreRegisteredByClaiming(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		r.claim(task.Claim{WorkerID: "w", Types: []string{"a"}, Capabilities: task.Capabilities{"gpu": true}})
		w, err := r.Reader().GetWorker(r.Context(), "w")
		r.ok(err)
		if w.Capabilities != `{"gpu":true}` || *w.Types != `["a"]` || !w.HeartbeatUTC.Equal(start) {
			r.Fatalf("worker %+v", w)
		}
		r.clock.advance(time.Minute)
		_, err = r.WorkerHeartbeat(r.Context(), "w", nil, nil)
		r.ok(err)
		w, err = r.Reader().GetWorker(r.Context(), "w")
		r.ok(err)
		if w.Capabilities != `{"gpu":true}` || *w.Types != `["a"]` || !w.HeartbeatUTC.Equal(start.Add(time.Minute)) || !w.RegisteredAtUTC.Equal(start) {
			r.Fatalf("worker after its heartbeat %+v", w)
		}
		r.ok(r.DeleteWorker(r.Context(), "w"))
		if err := r.DeleteWorker(r.Context(), "w"); !errors.Is(err, task.ErrNotFound) {
			r.Fatalf("second delete: %v", err)
		}
	})
}

func TestWaitingClaimIsWokenByItsTaskAlone(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		got := make(chan task.Lease, 2)
		var wg sync.WaitGroup
		for _, kind := range []string{"a", "b"} {
			wg.Go(func() {
				for _, l := range r.claim(task.Claim{WorkerID: kind, Types: []string{kind}, Wait: task.MaxWait}) {
					got <- l
				}
			})
		}
		b := r.enqueue(task.Spec{Type: "b"})
		if l := <-got; l.ID != b.ID || *l.LockedBy != "b" {
			r.Fatalf("%d went to %s", l.ID, *l.LockedBy)
		}
		later := r.clock.Now().Add(time.Hour)
		a := r.enqueue(task.Spec{Type: "a", RunAfterUTC: &task.Time{Time: later}})
		r.upkeep(time.Hour)
		if l := <-got; l.ID != a.ID || *l.LockedBy != "a" {
			r.Fatalf("%d went to %s", l.ID, *l.LockedBy)
		}
		wg.Wait()
	})
}

func TestWaitingEndsWithContextAndDrain(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		ctx, cancel := context.WithCancel(r.Context())
		done := make(chan error, 1)
		go func() {
			_, err := r.Claim(ctx, task.Claim{WorkerID: "w", Wait: task.MaxWait})
			done <- err
		}()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			r.Fatalf("cancelled claim: %v", err)
		}
		go func() {
			_, err := r.Claim(r.Context(), task.Claim{WorkerID: "w", Wait: task.MaxWait})
			done <- err
		}()
		r.Drain()
		r.Drain()
		r.ok(<-done)
		r.enqueue(task.Spec{})
		if n := len(r.claim(task.Claim{})); n != 0 {
			r.Fatalf("%d claimed while draining", n)
		}
	})
}

// TestRunKeepsItsOwnTime lets the service run by the clock of the store.
func TestRunKeepsItsOwnTime(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		q := queue.New(st, queue.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := q.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		defer wg.Wait()
		defer cancel()
		r := rig{T: t, Queue: q, st: st}
		due := q.Now().Add(300 * time.Millisecond)
		r.enqueue(task.Spec{Type: "due", RunAfterUTC: &task.Time{Time: due}})
		deadline := q.Now().Add(400 * time.Millisecond)
		late := r.enqueue(task.Spec{Type: "late", DeadlineUTC: &task.Time{Time: deadline}, Compatibility: `{"nobody":true}`})
		leases := r.claim(task.Claim{Wait: task.MaxWait, Lease: time.Second})
		if len(leases) != 1 || leases[0].Type != "due" || leases[0].ReservedAtUTC.Before(due) || leases[0].ReservedAtUTC.Sub(due) > task.MaxWait/2 {
			t.Fatalf("claimed %+v, due at %v", leases, due)
		}
		again := r.claim(task.Claim{WorkerID: "second", Wait: task.MaxWait})
		if len(again) != 1 || again[0].Fence != 2 || again[0].Attempts != 2 {
			t.Fatalf("after the lease: %+v", again)
		}
		if got := r.get(late.ID); got.Status != task.Failed || *got.Outcome != task.Expired {
			t.Fatalf("past its deadline: %+v", got)
		}
	})
}
