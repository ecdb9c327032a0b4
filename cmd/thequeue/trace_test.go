package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prismq/thequeue/internal/task"
)

func TestATaskIsEnqueuedUnderASpan(t *testing.T) {
	t.Parallel()
	const span = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	both(t, func(t *testing.T, r *rig, where []string) {
		q := func(args ...string) []string { return append(args, where...) }
		id := fmt.Sprint(parse[struct {
			TaskID int64 `json:"task_id"`
		}](t, r.ok(q("enqueue", "mail", "--traceparent", span, "-o", "json")...)).TaskID)
		if got := parse[task.Task](t, r.ok(q("get", id, "-o", "json")...)); got.Traceparent == nil || *got.Traceparent != span {
			t.Errorf("got %v", got.Traceparent)
		}
		if out := r.ok(q("get", id)...); !strings.Contains(out, span) {
			t.Errorf("got %s", out)
		}
		r.fails(2, []string{"traceparent: must have the form of W3C Trace Context"}, q("enqueue", "mail", "--traceparent", "nonsense")...)
	})
}

func TestWhereTracesGoIsChecked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fails(2, []string{"tracing.otlp_endpoint: must be a URL"}, "serve", "--otlp-endpoint", "collector:4318")
	r.fails(2, []string{"tracing.sample_ratio: must lie between 0 and 1"}, "serve", "--trace-sample-ratio", "2")
	r.fails(2, []string{"tracing.otlp_endpoint: must be a URL"}, "work", "--worker-id", "w", "--otlp-endpoint", "collector:4318")
}
