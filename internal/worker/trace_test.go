package worker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/worker"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// tracedLease is a lease of a task that is part of a trace.
func tracedLease() task.Lease {
	l := lease(1, "job")
	l.Traceparent = new(parent)
	return l
}

func TestTheSpanOfAnAttemptSaysHowItEnded(t *testing.T) {
	t.Parallel()
	fails := func(err error) do {
		return func(context.Context, *worker.Attempt) (*task.JSON, error) { return nil, err }
	}
	beat := func(p task.Pulse, err error) func(s *script) {
		return func(s *script) { s.beat = func(int) (task.Pulse, error) { return p, err } }
	}
	report := func(verb string, err error) func(s *script) {
		return func(s *script) {
			s.report = func(v string, _ int) error {
				if v == verb {
					return err
				}
				return nil
			}
		}
	}
	asIs := func(*script) {}
	for name, test := range map[string]struct {
		handle  do
		source  func(s *script)
		outcome task.AttemptOutcome
		status  codes.Code
	}{
		"Success":      {fails(nil), asIs, task.AttemptSucceeded, codes.Unset},
		"Error":        {fails(errors.New("no luck")), asIs, task.AttemptFailed, codes.Error},
		"Reject":       {fails(worker.Reject(errors.New("no luck"))), asIs, task.AttemptRejected, codes.Error},
		"Panic":        {func(context.Context, *worker.Attempt) (*task.JSON, error) { panic("no luck") }, asIs, task.AttemptFailed, codes.Error},
		"Snooze":       {fails(worker.Snooze(time.Second)), asIs, task.AttemptReleased, codes.Unset},
		"Stop":         {wait(time.Hour), asIs, task.AttemptReleased, codes.Unset},
		"Cancel":       {wait(time.Hour), beat(task.Pulse{CancelRequested: true}, nil), task.AttemptCancelled, codes.Unset},
		"Loss":         {wait(time.Hour), beat(task.Pulse{}, task.ErrLeaseLost), task.AttemptLost, codes.Error},
		"LateReport":   {fails(nil), report("complete", task.ErrLeaseLost), task.AttemptLost, codes.Error},
		"LateFailure":  {fails(errors.New("no luck")), report("fail", task.ErrLeaseLost), task.AttemptLost, codes.Error},
		"BadResult":    {func(context.Context, *worker.Attempt) (*task.JSON, error) { return new(task.JSON(`{`)), nil }, asIs, task.AttemptRejected, codes.Error},
		"RefusedByAll": {fails(nil), report("complete", task.Invalid("result", "is too long")), task.AttemptRejected, codes.Error},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				spans := tracetest.NewSpanRecorder()
				src := newScript(tracedLease())
				test.source(src)
				runFor(t, time.Minute, src, worker.Options{Tracer: sdk.NewTracerProvider(sdk.WithSpanProcessor(spans)).Tracer("test")}, test.handle)
				if len(spans.Started()) != 1 || len(spans.Ended()) != 1 {
					t.Fatalf("%d spans began, %d ended", len(spans.Started()), len(spans.Ended()))
				}
				s, got := spans.Ended()[0], map[string]string{}
				for _, a := range s.Attributes() {
					got[string(a.Key)] = a.Value.String()
				}
				if got["thequeue.outcome"] != string(test.outcome) || s.Status().Code != test.status || (s.Status().Description != "") != (test.status == codes.Error) {
					t.Errorf("got %s, %v", got["thequeue.outcome"], s.Status())
				}
				if s.Name() != "run job" || s.Parent().TraceID() != s.SpanContext().TraceID() || s.Parent().SpanID().String() != "b7ad6b7169203331" ||
					got["thequeue.worker_id"] != "w" || got["thequeue.attempt"] != "1" || got["thequeue.task_id"] != "1" {
					t.Errorf("%s under %v: %v", s.Name(), s.Parent(), got)
				}
			})
		})
	}
}

// A handler in Go is called under the span of the attempt; where none is made, under that of the task.
func TestAHandlerIsCalledUnderASpan(t *testing.T) {
	t.Parallel()
	tracer := sdk.NewTracerProvider().Tracer("test")
	for name, test := range map[string]struct {
		tracer        trace.Tracer
		lease         task.Lease
		span, inTrace bool // under a span of its own; in the trace of the task
	}{
		"Both": {tracer, tracedLease(), true, true}, "Attempt": {tracer, lease(1, "job"), true, false}, "Task": {nil, tracedLease(), false, true}, "None": {nil, lease(1, "job"), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var got trace.SpanContext
				runFor(t, time.Minute, newScript(test.lease), worker.Options{Tracer: test.tracer}, func(ctx context.Context, _ *worker.Attempt) (*task.JSON, error) {
					got = trace.SpanContextFromContext(ctx)
					return nil, nil
				})
				inTrace, isTask := got.TraceID().String() == "0af7651916cd43dd8448eb211c80319c", got.SpanID().String() == "b7ad6b7169203331"
				if got.IsValid() != (test.span || test.inTrace) || inTrace != test.inTrace || isTask != (test.inTrace && !test.span) {
					t.Errorf("got %+v", got)
				}
			})
		})
	}
}
