package queue_test

import (
	"context"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/span"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

const (
	caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	other  = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
)

// traced runs the test on both engines, each with spans of its own.
func traced(t *testing.T, do func(r rig, spans *tracetest.SpanRecorder)) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		clock, spans := &handClock{now: start}, tracetest.NewSpanRecorder()
		tracer := sdk.NewTracerProvider(sdk.WithSpanProcessor(spans)).Tracer("test")
		do(rig{T: t, Queue: queue.New(st, queue.Options{Clock: clock, Tracer: tracer}), clock: clock, st: st}, spans)
	})
}

// under is the traceparent of a span.
func under(s sdk.ReadOnlySpan) string {
	return span.Text(trace.ContextWithSpanContext(context.Background(), s.SpanContext()))
}

func attributes(s sdk.ReadOnlySpan) map[string]string {
	out := map[string]string{}
	for _, a := range s.Attributes() {
		out[string(a.Key)] = a.Value.String()
	}
	return out
}

func TestEachTaskOfABatchHasASpan(t *testing.T) {
	traced(t, func(r rig, spans *tracetest.SpanRecorder) {
		known := r.enqueue(task.Spec{IdempotencyKey: ptr("a")})
		stored, created, err := r.EnqueueBatch(r.Context(), []task.Spec{{Type: "b", Traceparent: ptr(caller)}, {Type: "b", IdempotencyKey: ptr("a"), Traceparent: ptr(other)}, {Type: "b"}})
		r.ok(err)
		got := spans.Ended()
		if len(got) != 4 || created[1] || *stored[1].Traceparent != *known.Traceparent || under(got[0]) != *known.Traceparent {
			r.Fatalf("%d spans, created %v, tasks %+v", len(got), created, stored)
		}
		for i, s := range got[1:] {
			if a := attributes(s); s.Name() != "enqueue b" || a["thequeue.created"] != map[bool]string{true: "true", false: "false"}[created[i]] {
				r.Errorf("span %d: %s %v", i, s.Name(), a)
			}
			if created[i] && *stored[i].Traceparent != under(s) {
				r.Errorf("task %d is under %s, want %s", i, *stored[i].Traceparent, under(s))
			}
		}
		if got[1].Parent().SpanID().String() != "b7ad6b7169203331" || got[2].Parent().SpanID().String() != "00f067aa0ba902b7" || got[3].Parent().IsValid() {
			r.Errorf("parents %v, %v, %v", got[1].Parent(), got[2].Parent(), got[3].Parent())
		}
	})
}

func TestAnEnqueueThatFailsIsASpanWithTheError(t *testing.T) {
	traced(t, func(r rig, spans *tracetest.SpanRecorder) {
		r.ok(r.st.Close())
		if _, _, err := r.Enqueue(r.Context(), task.Spec{Type: "a"}, queue.MaxAttempts); err == nil {
			r.Fatal("it is stored")
		}
		for _, s := range spans.Ended() {
			if s.Status().Code != codes.Error {
				r.Errorf("%s: %v", s.Name(), s.Status())
			}
		}
		if len(spans.Ended()) != len(spans.Started()) {
			r.Errorf("%d spans began, %d ended", len(spans.Started()), len(spans.Ended()))
		}
	})
}

// A wait is from when the task was due to its claim, by the clock of the store.
func TestAWaitIsFromWhenTheTaskWasDue(t *testing.T) {
	traced(t, func(r rig, spans *tracetest.SpanRecorder) {
		r.enqueue(task.Spec{RunAfterUTC: &task.Time{Time: start.Add(10 * time.Second)}})
		r.enqueue(task.Spec{RunAfterUTC: &task.Time{Time: start.Add(-time.Hour)}, Priority: ptr(1)})
		r.upkeep(13 * time.Second)
		for n, want := range []time.Duration{13 * time.Second, 3 * time.Second} {
			l, before := r.claimOne(), len(spans.Ended())
			s := spans.Ended()[before-1]
			if took := s.EndTime().Sub(s.StartTime()); s.Name() != "wait test" || took != want || !s.EndTime().Equal(*l.ReservedAtUTC) || s.Parent().SpanID() != spans.Ended()[1-n].SpanContext().SpanID() {
				r.Errorf("%s under %v from %v to %v, want %v", s.Name(), s.Parent(), s.StartTime(), s.EndTime(), want)
			}
		}
	})
}

// Every tick begins a trace of its own, and one that makes no task is none.
func TestEachTickBeginsATrace(t *testing.T) {
	traced(t, func(r rig, spans *tracetest.SpanRecorder) {
		spec := every("*/5 * * * * *")
		spec.Overlap = task.OverlapSkip
		r.putSchedule("a", spec)
		r.upkeep(5 * time.Second)
		first := r.claimOne()
		r.upkeep(5 * time.Second) // skipped: the first is live
		r.ok(r.complete(first))
		r.upkeep(5 * time.Second)
		second := r.claimOne()
		var made []string
		for _, s := range spans.Ended() {
			if s.Name() == "enqueue tick" {
				made = append(made, under(s))
			}
		}
		if len(made) != 2 || made[0] != *first.Traceparent || made[1] != *second.Traceparent || made[0][:35] == made[1][:35] {
			r.Errorf("spans %v, tasks under %s and %s", made, *first.Traceparent, *second.Traceparent)
		}
	})
}

// A program that traces by itself and has the queue inside needs to say nothing for its tasks to be part of what it does.
func TestATaskIsUnderTheSpanOfItsContext(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		ctx := span.Under(r.Context(), ptr(caller))
		one, _, err := r.Enqueue(ctx, task.Spec{Type: "a"}, queue.MaxAttempts)
		r.ok(err)
		many, _, err := r.EnqueueBatch(ctx, []task.Spec{{Type: "a"}, {Type: "a", Traceparent: ptr(other)}})
		r.ok(err)
		for i, want := range []string{caller, caller, other} {
			if got := append([]task.Task{one}, many...)[i].Traceparent; got == nil || *got != want {
				r.Errorf("task %d is under %v, want %s", i, got, want)
			}
		}
		if none := r.enqueue(task.Spec{}); none.Traceparent != nil || r.get(none.ID).Traceparent != nil {
			r.Errorf("without a span: %s", *none.Traceparent)
		}
	})
}
