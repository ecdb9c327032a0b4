package queue

import (
	"testing"

	"github.com/prismq/thequeue/internal/task"
)

// Without a tracer no task pays for traces.
func TestNoTracerAllocatesNothing(t *testing.T) {
	q, ctx := new(Queue), t.Context()
	if n := testing.AllocsPerRun(100, func() {
		one := [1]task.Task{{Type: "a"}}
		q.trace(ctx, one[:]).end(one[:], []bool{true}, nil)
		q.traceWaits(one[:])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
