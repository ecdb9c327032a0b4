package queue_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/task"
)

// happened returns the names of the next n events of a stream, with the ids of their tasks.
func (r rig) happened(s *queue.EventStream, n int) (out []told) {
	r.Helper()
	ctx, stop := context.WithTimeout(r.Context(), 10*time.Second)
	defer stop()
	for len(out) < n {
		es, missed, err := s.Next(ctx)
		if err != nil || missed {
			r.Fatalf("after %v: %v, missed %t", out, err, missed)
		}
		for _, e := range es {
			out = append(out, told{e.TaskID, e.Name, e.Status})
		}
	}
	return out
}

// told is what an event says.
type told struct {
	ID     int64
	Name   task.EventName
	Status task.Status
}

// Each thing that becomes of a task is told once, in its order, with the task as it is then.
func TestEveryTransitionIsAnEvent(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		s := r.Events(task.EventFilter{}, 0)
		a := r.enqueue(task.Spec{MaxAttempts: ptr(2)}).ID
		l := r.claimOne()
		_, err := r.Start(r.Context(), a, l.LeaseToken)
		r.ok(err)
		_, err = r.Heartbeat(r.Context(), a, l.LeaseToken, task.Beat{Progress: ptr(40), Message: ptr("half")})
		r.ok(err)
		_, err = r.Heartbeat(r.Context(), a, l.LeaseToken, task.Beat{}) // says nothing new
		r.ok(err)
		_, err = r.AppendLog(r.Context(), a, l.LeaseToken, task.Log{Level: task.Warning, Message: "odd"})
		r.ok(err)
		_, err = r.Release(r.Context(), a, l.LeaseToken, 0)
		r.ok(err)
		l = r.claimOne()
		_, err = r.Fail(r.Context(), a, l.LeaseToken, task.Failure{Message: "no", RetryAfter: new(time.Duration)})
		r.ok(err)
		r.claimOne()
		r.clock.advance(time.Hour)
		_, err = r.Upkeep(r.Context())
		r.ok(err)
		_, err = r.Requeue(r.Context(), a)
		r.ok(err)
		r.ok(r.complete(r.claimOne()))
		r.ok(r.Delete(r.Context(), a))
		b := r.enqueue(task.Spec{}).ID
		_, _, err = r.Cancel(r.Context(), b)
		r.ok(err)
		_, changed, err := r.Cancel(r.Context(), b) // changes nothing
		if r.ok(err); changed {
			r.Error("cancelled twice")
		}
		deadline := task.Time{Time: r.clock.Now().Add(time.Minute)}
		c := r.enqueue(task.Spec{DeadlineUTC: &deadline}).ID
		r.clock.advance(time.Hour)
		_, err = r.Upkeep(r.Context())
		r.ok(err)
		want := []told{
			{a, task.EventEnqueued, task.Queued}, {a, task.EventClaimed, task.Processing}, {a, task.EventStarted, task.Processing}, {a, task.EventProgress, task.Processing},
			{a, task.EventLog, task.Processing}, {a, task.EventReleased, task.Queued}, {a, task.EventClaimed, task.Processing}, {a, task.EventRetry, task.Queued},
			{a, task.EventClaimed, task.Processing}, {a, task.EventLost, task.Failed}, {a, task.EventFailed, task.Failed}, {a, task.EventRequeued, task.Queued}, {a, task.EventClaimed, task.Processing},
			{a, task.EventCompleted, task.Completed}, {a, task.EventDeleted, task.Completed},
			{b, task.EventEnqueued, task.Queued}, {b, task.EventCancelled, task.Failed}, {c, task.EventEnqueued, task.Queued}, {c, task.EventExpired, task.Failed},
		}
		if diff := cmp.Diff(want, r.happened(s, len(want))); diff != "" {
			r.Errorf("(-want +got):\n%s", diff)
		}
		own := r.Events(task.EventFilter{TaskID: b}, 1) // long ago: another server
		if es, missed, err := own.Next(r.Context()); err != nil || !missed || len(es) != 2 {
			r.Errorf("%v, missed %t, %v", es, missed, err)
		}
	})
}

// A batch, an operation and a schedule tell of each of their tasks.
func TestManyTasksAreManyEvents(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		s := r.Events(task.EventFilter{Names: []task.EventName{task.EventEnqueued, task.EventCancelled, task.EventRequeued, task.EventPriority}}, 0)
		_, _, err := r.EnqueueBatch(r.Context(), []task.Spec{{Type: "test"}, {Type: "test"}})
		r.ok(err)
		for _, o := range []task.OperationSpec{
			{Action: task.ActionSetPriority, Filter: "type:test", Priority: ptr(7)}, {Action: task.ActionCancel, Filter: "type:test"}, {Action: task.ActionRequeue, Filter: "type:test"},
		} {
			p, err := r.Propose(r.Context(), o)
			r.ok(err)
			_, err = r.StartOperation(r.Context(), o, p.ConfirmToken)
			r.ok(err)
			_, err = r.WorkOperation(r.Context())
			r.ok(err)
		}
		got := map[task.EventName]int{}
		for _, e := range r.happened(s, 8) {
			got[e.Name]++
		}
		want := map[task.EventName]int{task.EventEnqueued: 2, task.EventPriority: 2, task.EventCancelled: 2, task.EventRequeued: 2}
		if diff := cmp.Diff(want, got); diff != "" {
			r.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// A stream goes on after the event that it is given, and says when those after it are not kept any more.
func TestStreamsGoOnWhereTheyEnded(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		s := r.Events(task.EventFilter{}, 0)
		first := r.enqueue(task.Spec{}).ID
		es, _, err := s.Next(r.Context())
		r.ok(err)
		second := r.enqueue(task.Spec{}).ID
		if got := r.happened(r.Events(task.EventFilter{}, es[0].ID), 1); got[0].ID != second || first == second {
			r.Errorf("got %v, want the one of task %d", got, second)
		}
		for range 9 {
			_, _, err := r.EnqueueBatch(r.Context(), make1000("other"))
			r.ok(err)
		}
		late := r.Events(task.EventFilter{}, es[0].ID)
		got, missed, err := late.Next(r.Context())
		if r.ok(err); !missed || len(got) == 0 {
			r.Errorf("%d events, missed %t", len(got), missed)
		}
		last := got[len(got)-1].ID
		for {
			ctx, stop := context.WithTimeout(r.Context(), 10*time.Millisecond)
			more, missed, err := late.Next(ctx)
			stop()
			if errors.Is(err, context.DeadlineExceeded) {
				break
			}
			if r.ok(err); missed || more[0].ID != last+1 {
				r.Fatalf("after event %d: %d, missed %t", last, more[0].ID, missed)
			}
			last = more[len(more)-1].ID
		}
		if want := es[0].ID + 1 + 9000; last != want {
			r.Errorf("the last event is %d, want %d", last, want)
		}
	})
}

func make1000(taskType string) []task.Spec {
	specs := make([]task.Spec, 1000)
	for i := range specs {
		specs[i].Type = taskType
	}
	return specs
}

// A message of 64 KiB is told in part: thousands of events are kept.
func TestLongMessagesAreCutInEvents(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		s := r.Events(task.EventFilter{Names: []task.EventName{task.EventRetry}}, 0)
		r.enqueue(task.Spec{})
		l := r.claimOne()
		text := "x" + strings.Repeat("é", 20<<10)
		failed, err := r.Fail(r.Context(), l.ID, l.LeaseToken, task.Failure{Message: text})
		if r.ok(err); *failed.ErrorMessage != text {
			r.Error("the task has not the whole")
		}
		es, _, err := s.Next(r.Context())
		r.ok(err)
		if got := *es[0].Message; !strings.HasPrefix(text, strings.TrimSuffix(got, "…")) || len(got) < 2<<10 || len(got) > 2<<10+3 {
			r.Errorf("%d bytes: %q", len(got), got[len(got)-8:])
		}
	})
}

func TestStreamsEndWithTheQueue(t *testing.T) {
	bubble(t, func(r rig, _ *watched) {
		s := r.Events(task.EventFilter{}, 0)
		var ended sync.WaitGroup
		ended.Go(func() {
			if _, _, err := s.Next(context.Background()); !errors.Is(err, task.ErrStopped) {
				r.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		r.Drain()
		ended.Wait()
	})
}
