package queue_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/task"
)

// One long piece of maintenance is done at a time; it can be seen, and stopped by somebody else, without an error.
func TestMaintenanceIsDoneOneByOneAndStopped(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		told := false
		a, err := r.Analyze(r.Context(), "", func(task.Progress) {
			if told {
				return
			}
			told = true
			if _, err := r.Optimize(r.Context(), false, nil); !errors.Is(err, task.ErrConflict) || !strings.Contains(err.Error(), "analyze") {
				r.Errorf("beside it: %v", err)
			}
			d, err := r.DatabaseStats(r.Context())
			if r.ok(err); d.Running == nil || d.Running.Verb != "analyze" || d.Running.Progress.Step == "" || !d.Running.Since.Equal(start) {
				r.Errorf("under way: %+v", d.Running)
			}
			if verb, err := r.StopMaintenance(); err != nil || verb != "analyze" {
				r.Errorf("stopped %q, %v", verb, err)
			}
		})
		r.ok(err)
		if !told || !a.Stopped {
			r.Errorf("told %v, got %+v", told, a)
		}
		if _, err := r.StopMaintenance(); !errors.Is(err, task.ErrNotFound) {
			r.Errorf("nothing is under way: %v", err)
		}
		if o, err := r.Optimize(r.Context(), true, nil); err != nil || o.Stopped || len(o.Analyzed) == 0 || o.Checkpoint == nil || o.Vacuum == nil {
			r.Errorf("after it: %+v, %v", o, err)
		}
	})
}

// A server that stops does not wait for the end of what may take long.
func TestMaintenanceEndsWithTheQueue(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		a, err := r.Analyze(r.Context(), "", func(task.Progress) { r.Drain() })
		if err != nil || !a.Stopped {
			r.Errorf("got %+v, %v", a, err)
		}
	})
}

func TestRetentionIsOverOnDemand(t *testing.T) {
	each(t, queue.Options{LogRetention: time.Hour}, func(r rig) {
		_, err := r.PutType(r.Context(), "short", task.TypeRules{Retention: &task.Retention{CompletedSeconds: ptr(60.0)}})
		r.ok(err)
		for _, name := range []string{"short", "short", "long"} {
			r.enqueue(task.Spec{Type: name})
			l := r.claimOne()
			_, err := r.AppendLog(r.Context(), l.ID, l.LeaseToken, task.Log{Level: task.Info, Message: "done"})
			r.ok(err)
			_, err = r.Complete(r.Context(), l.ID, l.LeaseToken, nil)
			r.ok(err)
		}
		if got, err := r.Retain(r.Context(), nil); err != nil || got.Tasks != 0 || got.Lines != 0 {
			r.Errorf("too early: %+v, %v", got, err)
		}
		r.clock.advance(2 * time.Hour)
		if got, err := r.Retain(r.Context(), nil); err != nil || got.Tasks != 2 || got.Types["short"] != 2 || len(got.Types) != 1 || got.Lines != 1 || got.Stopped {
			r.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestLeasesAreReclaimedOnDemand(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		r.enqueue(task.Spec{MaxAttempts: ptr(1)})
		r.enqueue(task.Spec{MaxAttempts: ptr(2)})
		if got := len(r.claim(task.Claim{Max: 2, Lease: time.Minute})); got != 2 {
			r.Fatalf("%d leases", got)
		}
		if got, err := r.Reclaim(r.Context()); err != nil || got != (task.Reclaimed{}) {
			r.Errorf("too early: %+v, %v", got, err)
		}
		r.clock.advance(time.Minute)
		if got, err := r.Reclaim(r.Context()); err != nil || got != (task.Reclaimed{Requeued: 1, Failed: 1}) {
			r.Errorf("got %+v, %v", got, err)
		}
	})
}

// The upkeep analyzes what has changed, and gives back what has been free for two looks.
func TestTheUpkeepCaresForTheDatabase(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		_, err := r.PutType(r.Context(), "gone", task.TypeRules{Retention: &task.Retention{FailedSeconds: ptr(1.0)}})
		r.ok(err)
		before := r.size()
		var specs []task.Spec
		for range 100 {
			specs = append(specs, task.Spec{Type: "gone", Payload: task.JSON(`{"x":"` + strings.Repeat("x", 200_000) + `"}`)})
		}
		ts, _, err := r.EnqueueBatch(r.Context(), specs)
		r.ok(err)
		for _, t := range ts {
			_, _, err := r.Cancel(r.Context(), t.ID)
			r.ok(err)
		}
		r.ok(r.Care(r.Context()))
		r.clock.advance(time.Minute)
		_, err = r.PurgeEnded(r.Context())
		r.ok(err)
		full := r.size()
		r.ok(r.Care(r.Context()))
		if r.size() < full {
			r.Error("what was free for a moment is given back")
		}
		r.ok(r.Care(r.Context()))
		if d, err := r.DatabaseStats(context.Background()); err == nil && d.Engine == "sqlite" && (d.Bytes > before+4<<20 || *d.FreePages > 0) {
			r.Errorf("the file had %d bytes, then %d, and has %d", before, full, d.Bytes)
		}
	})
}

func (r rig) size() int64 {
	r.Helper()
	d, err := r.DatabaseStats(r.Context())
	r.ok(err)
	return d.Bytes
}
