package tracing_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/prismq/thequeue/internal/span"
	"github.com/prismq/thequeue/internal/tracing"
)

func TestWithoutAnEndpointThereIsNoTracer(t *testing.T) {
	t.Parallel()
	none, err := tracing.New(t.Context(), tracing.Options{SampleRatio: 1})
	if err != nil || none.Tracer() != nil {
		t.Errorf("got %v, error %v", none.Tracer(), err)
	}
	none.Close(t.Context())
}

// What the ratio leaves out is not sent, and a caller who wants its trace gets it.
func TestTheRatioIsForTracesThatBeginHere(t *testing.T) {
	t.Parallel()
	names := make(chan string, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var in collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &in)
		}
		if err != nil || r.URL.Path != "/otlp/traces" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		for _, s := range in.ResourceSpans[0].ScopeSpans[0].Spans {
			names <- s.Name
		}
	}))
	t.Cleanup(srv.Close)
	spans, err := tracing.New(t.Context(), tracing.Options{Endpoint: srv.URL + "/otlp/traces", SampleRatio: 0, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	_, s := spans.Tracer().Start(t.Context(), "begins here")
	s.End()
	wanted, unwanted := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	_, s = spans.Tracer().Start(span.Under(t.Context(), &unwanted), "not wanted")
	s.End()
	_, s = spans.Tracer().Start(span.Under(t.Context(), &wanted), "wanted")
	s.End()
	spans.Close(t.Context())
	close(names)
	for name := range names {
		if name != "wanted" {
			t.Errorf("%q was sent", name)
		}
		wanted = ""
	}
	if wanted != "" {
		t.Error("what is wanted was not sent")
	}
}
