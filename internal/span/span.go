package span

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Header is the name of the HTTP header that holds a traceparent.
const Header = "traceparent"

// Text returns the traceparent of the span that ctx is under; empty when there is none.
func Text(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ""
	}
	var c carrier
	propagation.TraceContext{}.Inject(ctx, &c)
	return c.traceparent
}

// Under returns ctx under the span of a traceparent, so that spans that begin there are its children; ctx itself where it is nil.
func Under(ctx context.Context, traceparent *string) context.Context {
	if traceparent == nil {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, &carrier{*traceparent})
}

// carrier holds a traceparent for package propagation, and nothing else.
type carrier struct{ traceparent string }

func (c *carrier) Get(key string) string {
	if key == Header {
		return c.traceparent
	}
	return ""
}

func (c *carrier) Set(key, value string) {
	if key == Header {
		c.traceparent = value
	}
}

func (c *carrier) Keys() []string { return []string{Header} }
