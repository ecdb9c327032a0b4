package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/worker"
)

var errDown = errors.New("connection refused")

func said(t *testing.T, s *script, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, s.said); diff != "" {
		t.Errorf("what the source was told (-want +got):\n%s", diff)
	}
}

func TestNewNamesEveryWrongOption(t *testing.T) {
	t.Parallel()
	_, err := worker.New(newScript(), worker.Options{Count: -1, Strategy: "newest", Lease: time.Millisecond, Wait: time.Hour, PollInterval: -1})
	var bad *task.InvalidError
	if !errors.As(err, &bad) {
		t.Fatalf("New: %v, want an InvalidError", err)
	}
	got := map[string]bool{}
	for _, f := range bad.Fields {
		got[f.Field] = true
	}
	want := map[string]bool{"count": true, "poll_interval_seconds": true, "handlers": true, "worker_id": true, "strategy": true, "lease_seconds": true, "wait_seconds": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestClaimsTheHandledTypesUnlessToldAll(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		all  bool
		want []string
	}{"Handled": {false, []string{"a", "b"}}, "All": {true, nil}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				src := &claims{newScript(), nil}
				handlers := map[string]worker.Handler{"b": worker.Echo, "a": worker.Echo}
				runFor(t, time.Second, src, worker.Options{Handlers: handlers, AllTypes: test.all, Strategy: task.LIFO, Lease: 7 * time.Second, Wait: 3 * time.Second}, nil)
				want := task.Claim{WorkerID: "w", Types: test.want, Strategy: task.LIFO, Max: 1, Lease: 7 * time.Second, Wait: 3 * time.Second}
				if diff := cmp.Diff([]task.Claim{want}, src.got); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// claims keeps the claims themselves.
type claims struct {
	*script
	got []task.Claim
}

func (c *claims) Claim(ctx context.Context, claim task.Claim) ([]task.Lease, error) {
	c.got = append(c.got, claim)
	return c.script.Claim(ctx, claim)
}

func TestHowAnAttemptEnds(t *testing.T) {
	t.Parallel()
	result := func(j task.JSON) do {
		return func(context.Context, *worker.Attempt) (*task.JSON, error) { return &j, nil }
	}
	fails := func(err error) do {
		return func(context.Context, *worker.Attempt) (*task.JSON, error) { return nil, err }
	}
	for name, test := range map[string]struct {
		handle do
		want   string
	}{
		"Result":             {result(`{"a":1}`), `0s complete 1 {"a":1}`},
		"NoResult":           {fails(nil), "0s complete 1"},
		"BrokenResult":       {result(`{"a":`), "0s fail 1 for good: result must be valid JSON"},
		"Error":              {fails(errors.New("no\x00 luck\xff")), "0s fail 1: no luck"},
		"LongError":          {fails(errors.New(strings.Repeat("é", 5000))), "0s fail 1: " + strings.Repeat("é", 4096)},
		"Reject":             {fails(worker.Reject(errors.New("no such file"))), "0s fail 1 for good: no such file"},
		"RetryAfter":         {fails(worker.RetryAfter(time.Minute, errors.New("later"))), "0s fail 1 until 1m0s later: later"},
		"Snooze":             {fails(worker.Snooze(time.Second)), "0s release 1 for 1s"},
		"SnoozeWrapped":      {fails(fmt.Errorf("closed: %w", worker.Snooze(time.Hour))), "0s release 1 for 1h0m0s"},
		"SnoozeForNoTime":    {fails(worker.Snooze(-time.Second)), "0s release 1 for 0s"},
		"SnoozeTooLong":      {fails(worker.Snooze(1000 * time.Hour)), "0s release 1 for 720h0m0s"},
		"Panic":              {func(context.Context, *worker.Attempt) (*task.JSON, error) { panic("oh") }, "0s fail 1: panic: oh"},
		"HandlersOwnTimeout": {fails(context.DeadlineExceeded), "0s fail 1: context deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				src := newScript(lease(1, "job"))
				runFor(t, time.Minute, src, worker.Options{}, test.handle)
				said(t, src, test.want)
			})
		})
	}
}

func TestTypeWithoutHandlerIsRejected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newScript(lease(1, "stray"))
		runFor(t, time.Second, src, worker.Options{AllTypes: true}, wait(0))
		said(t, src, `0s fail 1 for good: worker w has no handler for task type "stray"`)
	})
}

func TestPanicLogsTheStack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log bytes.Buffer
		o := worker.Options{Log: slog.New(slog.NewTextHandler(&log, nil))}
		runFor(t, time.Second, newScript(lease(1, "job")), o, func(context.Context, *worker.Attempt) (*task.JSON, error) { panic("oh") })
		if !strings.Contains(log.String(), "TestPanicLogsTheStack") {
			t.Errorf("the log does not show where the panic was:\n%s", &log)
		}
	})
}

func TestTimeoutOfTheTaskFailsTheAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, limit := lease(1, "job"), 2.5
		l.TimeoutSeconds = &limit
		src := newScript(l)
		runFor(t, time.Minute, src, worker.Options{}, func(ctx context.Context, _ *worker.Attempt) (*task.JSON, error) {
			<-ctx.Done()
			return nil, errors.New("stopped half way")
		})
		said(t, src, "2.5s fail 1: timed out after 2.5s: stopped half way")
	})
}

func TestHeartbeatsAtAThirdOfTheLease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newScript(lease(1, "job"))
		runFor(t, 10*time.Minute, src, worker.Options{}, wait(70*time.Second))
		said(t, src, "20s heartbeat 1", "40s heartbeat 1", "1m0s heartbeat 1", "1m10s complete 1")
	})
}

func TestProgressIsSentAtOnceAndThenEverySecond(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newScript(lease(1, "job"))
		runFor(t, time.Minute, src, worker.Options{}, func(_ context.Context, a *worker.Attempt) (*task.JSON, error) {
			a.Progress(-5, "start")
			synctest.Wait()
			for i := range 15 {
				a.Progress(i, "")
				time.Sleep(100 * time.Millisecond)
			}
			return nil, nil
		})
		said(t, src, "0s heartbeat 1", "1s heartbeat 1", "1.5s complete 1")
		if got := *src.beats[0].Progress; got != 0 {
			t.Errorf("first progress %d, want 0", got)
		}
		last := src.beats[1]
		if *last.Progress < 9 || *last.Message != "start" || last.Lease != task.DefaultLease {
			t.Errorf("second beat: progress %d, message %q, lease %v", *last.Progress, *last.Message, last.Lease)
		}
	})
}

func TestLostAndCancelledAttemptsAreStoppedAndDropped(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		pulse task.Pulse
		err   error
		want  error
	}{
		"Cancelled": {pulse: task.Pulse{CancelRequested: true}, want: worker.ErrCancelled},
		"Lost":      {err: task.ErrLeaseLost, want: task.ErrLeaseLost},
		"Deleted":   {err: task.ErrNotFound, want: task.ErrLeaseLost},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				src := newScript(lease(1, "job"))
				src.beat = func(int) (task.Pulse, error) { return test.pulse, test.err }
				var cause error
				runFor(t, 5*time.Minute, src, worker.Options{}, func(ctx context.Context, _ *worker.Attempt) (*task.JSON, error) {
					<-ctx.Done()
					cause = context.Cause(ctx)
					return nil, nil
				})
				said(t, src, "20s heartbeat 1")
				if !errors.Is(cause, test.want) {
					t.Errorf("cause %v, want %v", cause, test.want)
				}
			})
		})
	}
}

func TestWatchStopsAtOnceAndAsksWhy(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ answer, want error }{
		"Cancelled": {nil, worker.ErrCancelled}, "Lost": {task.ErrLeaseLost, task.ErrLeaseLost}, "NoAnswer": {errDown, worker.ErrCancelled},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				src := newScript(lease(1, "job"))
				src.beat = func(int) (task.Pulse, error) { return task.Pulse{CancelRequested: test.answer == nil}, test.answer }
				stopped := 0
				src.watch = func(int64) (<-chan struct{}, func()) {
					ended := make(chan struct{})
					time.AfterFunc(time.Second, func() { close(ended) })
					return ended, func() { stopped++ }
				}
				var cause error
				runFor(t, time.Minute, watched{src}, worker.Options{}, func(ctx context.Context, _ *worker.Attempt) (*task.JSON, error) {
					<-ctx.Done()
					cause = context.Cause(ctx)
					return nil, cause
				})
				said(t, src, "1s heartbeat 1")
				if !errors.Is(cause, test.want) || stopped != 1 {
					t.Errorf("cause %v, want %v; watch ended %d times, want 1", cause, test.want, stopped)
				}
			})
		})
	}
}

func TestHandlerRunsOnWithoutAnswersUntilTheLeaseIsOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newScript(lease(1, "job"))
		src.beat = func(n int) (task.Pulse, error) {
			if n == 1 {
				return task.Pulse{}, nil // at 20 s, so the lease ends at 80 s
			}
			return task.Pulse{}, errDown
		}
		var stopped time.Duration
		runFor(t, 5*time.Minute, src, worker.Options{}, func(ctx context.Context, _ *worker.Attempt) (*task.JSON, error) {
			<-ctx.Done()
			stopped = time.Since(src.start)
			return nil, context.Cause(ctx)
		})
		if stopped != 80*time.Second {
			t.Errorf("stopped after %v, want 80s", stopped)
		}
		if n := src.count["heartbeat"]; n < 9 { // at 20, 40, and then every 5 seconds
			t.Errorf("%d heartbeats, want 9 or more", n)
		}
	})
}

func TestReportIsRepeatedWhileTheLeaseLasts(t *testing.T) {
	t.Parallel()
	t.Run("UntilTaken", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			src := newScript(lease(1, "job"))
			src.report = func(_ string, n int) error {
				if n < 4 {
					return task.ErrBusy
				}
				return nil
			}
			runFor(t, time.Minute, src, worker.Options{}, wait(0))
			if n := src.count["complete"]; n != 4 {
				t.Errorf("%d tries, want 4", n)
			}
		})
	})
	t.Run("UntilItsEnd", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			src := newScript(lease(1, "job"), lease(2, "job"))
			src.report = func(string, int) error { return errDown }
			runFor(t, 100*time.Second, src, worker.Options{Grace: -1}, wait(10*time.Second))
			var second time.Duration
			for _, s := range src.said {
				if strings.HasSuffix(s, "complete 2") {
					second, _ = time.ParseDuration(strings.Fields(s)[0])
					break
				}
			}
			if second != 70*time.Second { // 60 s of the first lease and 10 s of work
				t.Errorf("the second report began after %v, want 70s", second)
			}
		})
	})
	t.Run("NotWhenLost", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			src := newScript(lease(1, "job"))
			src.report = func(string, int) error { return task.ErrLeaseLost }
			runFor(t, time.Minute, src, worker.Options{}, wait(0))
			said(t, src, "0s complete 1")
		})
	})
	t.Run("RefusedResultRejects", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			src := newScript(lease(1, "job"))
			src.report = func(verb string, _ int) error {
				if verb == "complete" {
					return task.Invalid("result", "is too long")
				}
				return nil
			}
			runFor(t, time.Minute, src, worker.Options{}, wait(0))
			said(t, src, "0s complete 1", "0s fail 1 for good: complete: result: is too long")
		})
	})
}
