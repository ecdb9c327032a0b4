package queue_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

func (r rig) metrics(window time.Duration, taskType string) task.Metrics {
	r.Helper()
	m, err := r.Metrics(r.Context(), window, taskType)
	r.ok(err)
	return m
}

// The metrics of a window are what has happened in it, by type and of all.
func TestMetricsCountWhatHasHappened(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		for _, s := range []task.Spec{{}, {}, {MaxAttempts: ptr(1)}, {Type: "other"}} {
			r.enqueue(s)
		}
		for i := range 3 {
			r.clock.advance(time.Second)
			l := r.claimOne()
			r.clock.advance(2 * time.Second)
			if i < 2 {
				r.ok(r.complete(l))
				continue
			}
			_, err := r.Fail(r.Context(), l.ID, l.LeaseToken, task.Failure{Message: "no"})
			r.ok(err)
		}
		all := r.metrics(time.Hour, "")
		if all.Enqueued != 4 || all.Claimed != 3 || all.Completed != 2 || all.Exhausted != 1 || all.Failed != 1 || *all.SuccessRate < 0.66 || *all.SuccessRate > 0.67 {
			r.Errorf("all types: %+v", all.Figures)
		}
		if d := all.Depth; d.QueuedTasks != 1 || d.CompletedTasks != 2 || d.FailedTasks != 1 || *d.OldestQueuedAgeSeconds != 9 {
			r.Errorf("depth: %+v", d)
		}
		if p := all.ProcessingSecs; p.Count != 2 || *p.Mean != 2 || *p.P99 > 2 || *p.P99 < 1.8 {
			r.Errorf("processing: %+v", p)
		}
		if p := all.StartLatencySecs; p.Count != 3 || *p.Mean != 4 || *p.Max != 7 {
			r.Errorf("start latency: %+v", p)
		}
		if len(all.Types) != 2 || all.Types[0].Type != "other" || all.Types[0].Enqueued != 1 || all.Types[0].Depth.ReadyTasks != 1 || all.Types[1].Completed != 2 {
			r.Errorf("types: %+v", all.Types)
		}
		if w := all.Workers; w.Total != 1 || w.Live != 1 || w.Busy != 0 {
			r.Errorf("workers: %+v", w)
		}
		one := r.metrics(time.Hour, "other")
		if *one.Type != "other" || one.Enqueued != 1 || one.Completed != 0 || one.SuccessRate != nil || len(one.Types) != 0 || one.Depth.ReadyTasks != 1 {
			r.Errorf("one type: %+v", one)
		}
		r.clock.advance(10 * time.Minute)
		if late := r.metrics(5*time.Minute, ""); late.Enqueued != 0 || late.SuccessRate != nil || late.Depth.CompletedTasks != 2 {
			r.Errorf("five minutes: %+v", late)
		}
	})
}

// Minutes become hours, and hours go after 90 days; nothing is counted twice or lost on the way.
func TestMetricsStayWhenMinutesBecomeHours(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		total := int64(0)
		for range 30 {
			r.finished()
			total++
			r.clock.advance(17 * time.Minute)
			if m := r.metrics(24*time.Hour, ""); m.Completed != total || m.Types[0].Completed != total {
				r.Fatalf("%d completed, and %d by type, want %d", m.Completed, m.Types[0].Completed, total)
			}
		}
		if m := r.metrics(queue.MaxWindow, "test"); m.Completed != total || m.ProcessingSecs.Count != total {
			r.Errorf("%d completed in 90 days, want %d", m.Completed, total)
		}
		r.clock.advance(20 * 24 * time.Hour)
		r.finished()
		if m := r.metrics(time.Hour, ""); m.Completed != 1 {
			r.Errorf("%d completed in the last hour", m.Completed)
		}
		r.clock.advance(75 * 24 * time.Hour)
		r.finished()
		if m := r.metrics(queue.MaxWindow, ""); m.Completed != 2 {
			r.Errorf("%d completed in 90 days, want the last two", m.Completed)
		}
	})
}

// Two nodes that share a store count for both, and one that starts anew goes on.
func TestMetricsAreOfAllNodes(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		other := queue.New(r.st, queue.Options{Clock: r.clock})
		r.finished()
		if _, _, err := other.Enqueue(r.Context(), task.Spec{Type: "test"}, queue.MaxAttempts); err != nil {
			r.Fatal(err)
		}
		r.ok(other.StoreMeasures(r.Context()))
		again := queue.New(r.st, queue.Options{Clock: r.clock})
		r.ok(r.StoreMeasures(r.Context()))
		m, err := again.Metrics(r.Context(), time.Hour, "")
		if r.ok(err); m.Enqueued != 2 || m.Completed != 1 {
			r.Errorf("%+v", m.Figures)
		}
	})
}

// What cannot be stored is kept and stored later.
func TestMeasuresWaitForTheStore(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		f := &forgetful{Store: r.st, fails: 2}
		q := queue.New(f, queue.Options{Clock: r.clock})
		for range 2 {
			if _, _, err := q.Enqueue(r.Context(), task.Spec{Type: "test"}, queue.MaxAttempts); err != nil {
				r.Fatal(err)
			}
			if err := q.StoreMeasures(r.Context()); !errors.Is(err, task.ErrFull) {
				r.Errorf("got %v", err)
			}
			r.clock.advance(time.Minute)
		}
		r.ok(q.StoreMeasures(r.Context()))
		r.ok(q.StoreMeasures(r.Context())) // nothing is left
		if f.puts != 5 {
			r.Errorf("%d writes, want two that failed and one for each minute, the last of which has a depth alone", f.puts)
		}
		if m := r.metrics(time.Hour, ""); m.Enqueued != 2 {
			r.Errorf("%+v", m.Figures)
		}
	})
}

func TestMetricsRefuseWindowsThatAreNotKept(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		for _, window := range []time.Duration{-time.Hour, 0, time.Second, queue.MaxWindow + 1} {
			if _, err := r.Metrics(r.Context(), window, ""); !isInvalid(err, "window") {
				r.Errorf("%s: got %v", window, err)
			}
		}
		if _, err := r.Metrics(r.Context(), time.Hour, "none"); !errors.Is(err, task.ErrNotFound) {
			r.Errorf("got %v", err)
		}
	})
}

func isInvalid(err error, field string) bool {
	invalid, ok := errors.AsType[*task.InvalidError](err)
	return ok && len(invalid.Fields) == 1 && invalid.Fields[0].Field == field
}

// forgetful is a store whose disk is full at first.
type forgetful struct {
	store.Store
	fails, puts int
}

func (f *forgetful) PutRollups(ctx context.Context, rs []task.Rollup) error {
	if f.puts++; f.puts <= f.fails {
		return task.ErrFull
	}
	return f.Store.PutRollups(ctx, rs)
}

// The history has a point for each minute or hour of the window, with what happened in it and the most that was queued.
func TestHistoryTellsTheMinutesAndTheHours(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		r.clock.advance(r.clock.Now().Truncate(time.Hour).Add(time.Hour).Sub(r.clock.Now()))
		begin := r.clock.Now()
		r.enqueue(task.Spec{})
		r.enqueue(task.Spec{Type: "other"})
		r.clock.advance(10 * time.Second)
		r.ok(r.StoreMeasures(r.Context()))
		for range 2 {
			r.ok(r.complete(r.claimOne()))
		}
		r.ok(r.StoreMeasures(r.Context()))
		r.clock.advance(2 * time.Minute)
		r.enqueue(task.Spec{})

		history := func(window time.Duration, taskType string) []task.Point {
			r.Helper()
			ps, err := r.History(r.Context(), window, taskType)
			r.ok(err)
			return ps
		}
		ps := history(time.Hour, "")
		if len(ps) != 60 || ps[0].Seconds != 60 || !ps[59].FromUTC.Equal(begin.Add(2*time.Minute)) || !ps[0].FromUTC.Equal(begin.Add(-57*time.Minute)) {
			r.Fatalf("%d points from %v", len(ps), ps[0].FromUTC)
		}
		if p := ps[57]; p.Enqueued != 2 || p.Completed != 2 || p.Peak != (task.Peak{Ready: 2, OldestSeconds: 10}) || *p.StartLatencySecs.Max != 10 {
			r.Errorf("first minute: %+v", p)
		}
		if p := ps[58]; p.Enqueued != 0 || p.Peak != (task.Peak{}) || p.ProcessingSecs.Mean != nil {
			r.Errorf("a quiet minute: %+v", p)
		}
		if p := ps[59]; p.Enqueued != 1 || p.Ready != 1 {
			r.Errorf("this minute: %+v", p)
		}
		if p := history(time.Hour, "other")[57]; p.Enqueued != 1 || p.Completed != 1 || p.Peak != (task.Peak{}) {
			r.Errorf("one type: %+v", p)
		}
		hours := history(24*time.Hour, "")
		if p := hours[23]; len(hours) != 24 || p.Seconds != 3600 || !p.FromUTC.Equal(begin) || p.Enqueued != 3 || p.Ready != 2 {
			r.Errorf("%d hours, the last %+v", len(hours), p)
		}
		r.clock.advance(5 * time.Hour) // the minutes become an hour
		r.ok(r.StoreMeasures(r.Context()))
		if p := history(24*time.Hour, "")[18]; !p.FromUTC.Equal(begin) || p.Enqueued != 3 || p.Ready != 2 || p.OldestSeconds != 10 {
			r.Errorf("that hour later: %+v", p)
		}
		if _, err := r.History(r.Context(), time.Second, ""); !errors.As(err, new(*task.InvalidError)) {
			r.Errorf("a second: %v", err)
		}
		if _, err := r.History(r.Context(), time.Hour, "nobody"); !errors.Is(err, task.ErrNotFound) {
			r.Errorf("an unknown type: %v", err)
		}
	})
}
