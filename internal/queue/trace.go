package queue

import (
	"cmp"
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/prismq/thequeue/internal/span"
	"github.com/prismq/thequeue/internal/task"
)

// enqueues are the spans of tasks that are being enqueued, in their order; nil: none.
type enqueues []trace.Span

// trace begins a span for each of the tasks, under the span that it names or else that of ctx, and has the task name the new one. Without a tracer
// a task that names none is given that of ctx, where there is one.
func (q *Queue) trace(ctx context.Context, ts []task.Task) enqueues {
	if q.o.Tracer == nil {
		if text := span.Text(ctx); text != "" {
			for i := range ts {
				ts[i].Traceparent = cmp.Or(ts[i].Traceparent, new(text))
			}
		}
		return nil
	}
	spans := make(enqueues, len(ts))
	for i := range ts {
		t := &ts[i]
		var under context.Context
		under, spans[i] = q.o.Tracer.Start(span.Under(ctx, t.Traceparent), "enqueue "+t.Type, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
			attribute.String("messaging.system", "thequeue"), attribute.String("messaging.operation.type", "send"), attribute.String("messaging.destination.name", t.Type),
			attribute.Int("thequeue.priority", t.Priority)))
		if text := span.Text(under); text != "" {
			t.Traceparent = &text
		}
	}
	return spans
}

// traceTicks is trace for the tasks of a schedule.
func (q *Queue) traceTicks(ctx context.Context, ticks []task.Tick) (spans enqueues) {
	if q.o.Tracer == nil {
		return nil
	}
	for i := range ticks {
		one := []task.Task{ticks[i].Task}
		spans = append(spans, q.trace(ctx, one)...)
		ticks[i].Task = one[0]
	}
	return spans
}

// end ends the spans: with the tasks that are stored, or with what went wrong.
func (s enqueues) end(stored []task.Task, created []bool, err error) {
	for i, sp := range s {
		if err != nil {
			sp.SetStatus(codes.Error, err.Error())
		} else {
			sp.SetAttributes(attribute.Int64("thequeue.task_id", stored[i].ID), attribute.Bool("thequeue.created", created[i]))
		}
		sp.End()
	}
}

// endMade ends the spans of those tasks that a schedule has made. The others never were.
func (s enqueues) endMade(ticks []task.Tick, made []task.Task) {
	for i, sp := range s {
		for _, t := range made {
			if t.Traceparent != nil && ticks[i].Task.Traceparent != nil && *t.Traceparent == *ticks[i].Task.Traceparent {
				sp.SetAttributes(attribute.Int64("thequeue.task_id", t.ID))
				sp.End()
			}
		}
	}
}

// traceWaits tells how long tasks that have just been claimed were due. Those that are part of no trace are left out.
func (q *Queue) traceWaits(ts []task.Task) {
	if q.o.Tracer == nil {
		return
	}
	for i := range ts {
		t := &ts[i]
		if t.Traceparent == nil || t.ReservedAtUTC == nil {
			continue
		}
		from := t.RunAfterUTC
		if t.CreatedAtUTC.After(from) {
			from = t.CreatedAtUTC
		}
		to := *t.ReservedAtUTC
		if to.Before(from) {
			to = from
		}
		_, sp := q.o.Tracer.Start(span.Under(context.Background(), t.Traceparent), "wait "+t.Type, trace.WithTimestamp(from), trace.WithAttributes(
			attribute.String("messaging.system", "thequeue"), attribute.String("messaging.destination.name", t.Type),
			attribute.Int64("thequeue.task_id", t.ID), attribute.Int("thequeue.attempt", t.Attempts)))
		sp.End(trace.WithTimestamp(to))
	}
}
