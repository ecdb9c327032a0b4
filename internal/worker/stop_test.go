package worker_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/worker"
)

func TestStopLetsHandlersFinishInTheGrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newScript(lease(1, "job"), lease(2, "job"))
		took := runFor(t, 5*time.Second, src, worker.Options{Grace: 20 * time.Second}, wait(15*time.Second))
		said(t, src, "15s complete 1")
		if took != 10*time.Second {
			t.Errorf("stopping took %v, want 10s", took)
		}
	})
}

func TestStopHandsBackWhatIsNotDoneInTheGrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newScript(lease(1, "job"))
		took := runFor(t, 5*time.Second, src, worker.Options{Grace: 20 * time.Second}, wait(time.Hour))
		said(t, src, "20s heartbeat 1", "25s release 1 for 0s")
		if took != 20*time.Second {
			t.Errorf("stopping took %v, want 20s", took)
		}
	})
}

func TestStopCompletesWhatFinishesAllTheSame(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newScript(lease(1, "job"))
		runFor(t, 5*time.Second, src, worker.Options{Grace: -1}, func(ctx context.Context, _ *worker.Attempt) (*task.JSON, error) {
			<-ctx.Done()
			return nil, nil
		})
		said(t, src, "5s complete 1")
	})
}

func TestStopDoesNotWaitForASourceThatIsDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newScript(lease(1, "job"))
		src.report = func(string, int) error { return errDown }
		took := runFor(t, 5*time.Second, src, worker.Options{Grace: time.Second}, wait(time.Hour))
		if took > 2*time.Second {
			t.Errorf("stopping took %v, want at most the grace and a second", took)
		}
		if src.count["release"] < 2 {
			t.Errorf("%d releases, want it tried again", src.count["release"])
		}
	})
}

func TestHurrySkipsTheGrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newScript(lease(1, "job"))
		hurry := make(chan struct{})
		time.AfterFunc(6*time.Second, func() { close(hurry) })
		runFor(t, 5*time.Second, src, worker.Options{Grace: time.Hour, Hurry: hurry}, wait(time.Hour))
		said(t, src, "6s release 1 for 0s")
	})
}

func TestClaimThatAnswersWhileStoppingIsHandedBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newScript(lease(1, "job"))
		src.claim = func(ctx context.Context, _ int) error {
			<-ctx.Done()
			return nil
		}
		ran := false
		runFor(t, 5*time.Second, src, worker.Options{}, func(context.Context, *worker.Attempt) (*task.JSON, error) {
			ran = true
			return nil, nil
		})
		said(t, src, "5.5s release 1 for 0s") // the grace of a claim under way
		if ran {
			t.Error("the handler ran")
		}
	})
}

// A source that gives up at once when it is told to would lose the task that is on its way.
func TestClaimUnderWayIsNotGivenUpAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newScript(lease(1, "job"))
		src.claim = func(ctx context.Context, _ int) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(5100 * time.Millisecond):
				return nil
			}
		}
		runFor(t, 5*time.Second, src, worker.Options{}, wait(time.Hour))
		said(t, src, "5.1s release 1 for 0s")
	})
}

func TestDrainFinishesAndTakesNoOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newScript(lease(1, "job"), lease(2, "job"))
		src.beat = func(int) (task.Pulse, error) { return task.Pulse{Drain: true}, nil }
		left := runFor(t, time.Hour, src, worker.Options{}, wait(30*time.Second))
		said(t, src, "20s heartbeat 1", "30s complete 1")
		if want := 30*time.Second - time.Hour; left != want {
			t.Errorf("Run returned after %v, want 30s", left+time.Hour)
		}
	})
}

func TestFailingClaimsBackOffAndAreLoggedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newScript()
		var at []time.Duration
		src.claim = func(context.Context, int) error {
			at = append(at, time.Since(src.start))
			if time.Since(src.start) < time.Minute {
				return errDown
			}
			return nil
		}
		var log bytes.Buffer
		runFor(t, 100*time.Second, src, worker.Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, wait(0))
		last := at[1] - at[0]
		if last < 100*time.Millisecond || last > 200*time.Millisecond {
			t.Errorf("first pause %v, want 100 to 200 ms", last)
		}
		for i := 8; i < len(at)-2; i++ {
			if d := at[i+1] - at[i]; d < 2500*time.Millisecond || d > 5*time.Second {
				t.Errorf("pause %d is %v, want 2.5 to 5 s", i, d)
			}
		}
		if fails, works := strings.Count(log.String(), "claims fail"), strings.Count(log.String(), "claims work again"); fails != 1 || works != 1 {
			t.Errorf("logged %d and %d times, want once each:\n%s", fails, works, &log)
		}
	})
}

func TestEmptyClaimsAreKeptApart(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		o    worker.Options
		want int
	}{
		"LongPoll":     {worker.Options{Wait: 20 * time.Second}, 4}, // at 0, 20, 40 and 60 s
		"PollInterval": {worker.Options{Wait: -1, PollInterval: 10 * time.Second}, 7},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				src := newScript()
				runFor(t, 65*time.Second, src, test.o, wait(0))
				if n := src.count["claim"]; n != test.want {
					t.Errorf("%d claims, want %d", n, test.want)
				}
			})
		})
	}
}
