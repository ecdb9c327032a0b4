package span_test

import (
	"testing"

	"github.com/prismq/thequeue/internal/span"
)

func TestATraceparentGoesThroughAContext(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"} {
		if got := span.Text(span.Under(t.Context(), &text)); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
	}
	if got := span.Text(span.Under(t.Context(), nil)); got != "" {
		t.Errorf("without a span: %q", got)
	}
	nonsense := "nonsense"
	if ctx := span.Under(t.Context(), &nonsense); ctx != t.Context() {
		t.Error("nonsense is taken for a span")
	}
}

// Without traces it is asked of every task.
func TestNoSpanCostsNothing(t *testing.T) {
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		if span.Text(span.Under(ctx, nil)) != "" {
			t.Error("there is no span")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
