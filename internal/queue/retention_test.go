package queue_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/task"
)

// finished enqueues a task and completes it.
func (r rig) finished() int64 {
	r.Helper()
	r.enqueue(task.Spec{})
	l := r.claimOne()
	r.ok(r.complete(l))
	return l.ID
}

// purged purges after the clock has moved on.
func (r rig) purged(d time.Duration) {
	r.Helper()
	r.clock.advance(d)
	next, err := r.PurgeEnded(r.Context())
	r.ok(err)
	if wait := next.Sub(r.clock.Now()); wait <= 0 || wait > time.Second {
		r.Errorf("it is to be called again after %s, want within a second", wait)
	}
}

func (r rig) gone(id int64) bool {
	r.Helper()
	_, err := r.Reader().GetTask(r.Context(), id)
	if err != nil && !errors.Is(err, task.ErrNotFound) {
		r.Fatal(err)
	}
	return err != nil
}

func TestEndedTasksGoWhenTheirRetentionIsOver(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		first := r.finished()
		r.purged(24 * time.Hour)
		if r.gone(first) {
			r.Fatal("a task of a type without retention is gone")
		}
		r.put("test", task.TypeRules{Retention: &task.Retention{CompletedSeconds: ptr(100.0)}})
		r.purged(time.Second)
		if !r.gone(first) {
			r.Error("what had ended before the rule was set stays")
		}
		second, failed := r.finished(), r.enqueue(task.Spec{}).ID
		_, _, err := r.Cancel(r.Context(), failed)
		r.ok(err)
		r.purged(99 * time.Second)
		if r.gone(second) {
			r.Error("a task is gone a second before its time")
		}
		r.purged(3 * time.Second) // a fiftieth of the retention later at most
		if !r.gone(second) {
			r.Error("a task is still there after its retention")
		}
		if r.gone(failed) {
			r.Error("failed tasks are gone, which are to be kept for good")
		}
		third := r.finished()
		r.put("test", task.TypeRules{Retention: &task.Retention{CompletedSeconds: ptr(1.0), FailedSeconds: ptr(1.0)}})
		r.purged(2 * time.Second)
		if !r.gone(third) || !r.gone(failed) {
			r.Error("a shorter retention does not hold at once")
		}
		fourth := r.finished()
		r.put("test", task.TypeRules{})
		r.purged(time.Hour)
		if r.gone(fourth) {
			r.Error("a retention that was lifted holds on")
		}
	})
}

func TestRunPurges(t *testing.T) {
	bubble(t, func(r rig, _ *watched) {
		_, err := r.PutType(r.Context(), "test", task.TypeRules{Retention: &task.Retention{CompletedSeconds: ptr(10.0)}})
		r.ok(err)
		r.enqueue(task.Spec{})
		l := r.claimOne()
		r.ok(r.complete(l))
		serving, stop := context.WithCancel(r.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = r.Queue.Run(serving) })
		time.Sleep(9 * time.Second)
		if r.gone(l.ID) {
			r.Error("the task is gone before its time")
		}
		time.Sleep(3 * time.Second)
		if !r.gone(l.ID) {
			r.Error("the task is still there")
		}
		stop()
		running.Wait()
	})
}

func TestAHeartbeatRenewsForAsLongAsTheTypeSays(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		beat := func(id int64, token string, lease, want time.Duration) {
			t.Helper()
			p, err := r.Heartbeat(r.Context(), id, token, task.Beat{Lease: lease})
			r.ok(err)
			if got := p.LeaseUntilUTC.Sub(r.clock.Now()); got != want {
				t.Errorf("the lease was renewed for %s, want %s", got, want)
			}
		}
		r.enqueue(task.Spec{})
		l := r.claimOne()
		beat(l.ID, l.LeaseToken, 0, time.Minute)
		r.put("test", task.TypeRules{LeaseSeconds: ptr(300.5)})
		beat(l.ID, l.LeaseToken, 0, 300500*time.Millisecond)
		beat(l.ID, l.LeaseToken, 7*time.Second, 7*time.Second)
		r.put("other", task.TypeRules{LeaseSeconds: ptr(2.0)})
		r.put("test", task.TypeRules{})
		beat(l.ID, l.LeaseToken, 0, time.Minute)
	})
}

func TestLinesGoWhenTheirRetentionIsOver(t *testing.T) {
	each(t, queue.Options{LogRetention: 100 * time.Second}, func(r rig) {
		id := r.enqueue(task.Spec{}).ID
		l := r.claimOne()
		_, err := r.AppendLog(r.Context(), id, l.LeaseToken, task.Log{Level: task.Info, Message: "hello"})
		r.ok(err)
		lines := func(want int) {
			r.Helper()
			ls, err := r.Reader().ListLogs(r.Context(), task.LogFilter{TaskID: id, Limit: 10})
			if r.ok(err); len(ls) != want {
				r.Errorf("%d lines, want %d: %+v", len(ls), want, ls)
			}
		}
		r.purged(90 * time.Second)
		lines(3)
		r.purged(15 * time.Second)
		lines(2)
		if _, err := r.DeleteLogs(r.Context(), r.clock.Now().Add(time.Second), true); err == nil {
			r.Error("lines of the future can be deleted")
		}
	})
}
