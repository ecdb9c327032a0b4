package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	// tracesPath is where a collector takes spans, when the endpoint does not say.
	tracesPath = "/v1/traces"
	// closeTimeout bounds the wait for the collector at the end.
	closeTimeout = 5 * time.Second
	// Spans wait in memory until they are sent. What comes when queueSize of them wait is left out: nothing else waits for a collector.
	queueSize = 16384
	batchSize = 2048
)

// Options say where spans go.
type Options struct {
	Endpoint    string       // http or https URL of the collector; without a path /v1/traces is added. Empty: no spans are made
	SampleRatio float64      // of the traces that begin here, 0 to 1; others are sent when who began them wants it
	Version     string       // of this program
	Instance    string       // names this process; empty: nothing does
	Log         *slog.Logger // of what goes wrong with the collector; required
}

// Tracing makes spans and sends them. Nil makes none.
type Tracing struct{ provider *sdk.TracerProvider }

// New returns nil without an endpoint. It does not ask whether the collector is there. Settings of OpenTelemetry in the environment hold where the
// options do not say: OTEL_EXPORTER_OTLP_HEADERS, OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME.
func New(ctx context.Context, o Options) (*Tracing, error) {
	if o.Endpoint == "" {
		return nil, nil
	}
	to, err := url.Parse(o.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	if to.Path == "" || to.Path == "/" {
		to.Path = tracesPath
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(to.String()))
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	about, err := resource.New(ctx, resource.WithAttributes(o.attributes()...), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	return &Tracing{sdk.NewTracerProvider(
		sdk.WithBatcher(&teller{SpanExporter: exporter, log: o.Log}, sdk.WithMaxQueueSize(queueSize), sdk.WithMaxExportBatchSize(batchSize)),
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(o.SampleRatio))),
		sdk.WithResource(about),
	)}, nil
}

func (o Options) attributes() []attribute.KeyValue {
	out := []attribute.KeyValue{attribute.String("service.name", "thequeue")}
	if o.Version != "" {
		out = append(out, attribute.String("service.version", o.Version))
	}
	if o.Instance != "" {
		out = append(out, attribute.String("service.instance.id", o.Instance))
	}
	return out
}

// Tracer returns what makes the spans; nil when there are to be none.
func (t *Tracing) Tracer() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.provider.Tracer("github.com/prismq/thequeue")
}

// Close sends what has not been sent, and gives up after five seconds. The log tells when spans could not be sent: that is no reason for a process to fail.
func (t *Tracing) Close(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // the exporter has told what was wrong
}

// teller tells when spans cannot be sent, and when they can be again.
type teller struct {
	sdk.SpanExporter
	log     *slog.Logger
	failing atomic.Bool
}

// ExportSpans sends spans. Its error is in the log already.
func (t *teller) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := t.SpanExporter.ExportSpans(ctx, spans)
	if was := t.failing.Swap(err != nil); err != nil && !was {
		t.log.Warn("spans cannot be sent", "error", err)
	} else if err == nil && was {
		t.log.Info("spans are sent again")
	}
	return nil
}
