package worker

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/prismq/thequeue/internal/span"
	"github.com/prismq/thequeue/internal/task"
)

// trace begins the span of an attempt, under that of its task, and returns ctx under the new span; without a tracer, under that of the task. end, which must be
// called, ends it.
func (s *slot) trace(ctx context.Context, l task.Lease) (under context.Context, end func(task.AttemptOutcome, error)) {
	ctx = span.Under(ctx, l.Traceparent)
	if s.o.Tracer == nil {
		return ctx, untraced
	}
	ctx, sp := s.o.Tracer.Start(ctx, "run "+l.Type, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		attribute.String("messaging.system", "thequeue"), attribute.String("messaging.operation.type", "process"), attribute.String("messaging.destination.name", l.Type),
		attribute.Int64("thequeue.task_id", l.ID), attribute.Int("thequeue.attempt", l.Attempts), attribute.String("thequeue.worker_id", s.o.ID)))
	return ctx, func(outcome task.AttemptOutcome, err error) {
		sp.SetAttributes(attribute.String("thequeue.outcome", string(outcome)))
		if err != nil && outcome != task.AttemptReleased && outcome != task.AttemptCancelled {
			sp.SetStatus(codes.Error, clean(err.Error(), maxErrorBytes))
		}
		sp.End()
	}
}

func untraced(task.AttemptOutcome, error) {}

// dropped is the outcome of an attempt whose lease has ended before it did, for this reason.
func dropped(reason error) task.AttemptOutcome {
	if errors.Is(reason, ErrCancelled) {
		return task.AttemptCancelled
	}
	return task.AttemptLost
}
