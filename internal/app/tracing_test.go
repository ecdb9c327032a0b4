package app

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

const (
	callerTrace = "0af7651916cd43dd8448eb211c80319c"
	callerSpan  = "b7ad6b7169203331"
	caller      = "00-" + callerTrace + "-" + callerSpan + "-01"
)

// spanOf is a span as a collector has got it.
type spanOf struct {
	name, trace, id, parent string
	kind                    traces.Span_SpanKind
	from, to                time.Time
	attributes              map[string]string
	status                  traces.Status_StatusCode
	message, service        string
}

// spans is a collector.
type spans struct {
	t   *testing.T
	url string
	mu  sync.Mutex
	got []spanOf
}

func collect(t *testing.T) *spans {
	t.Helper()
	c := &spans{t: t}
	srv := httptest.NewServer(http.HandlerFunc(c.take))
	t.Cleanup(srv.Close)
	c.url = srv.URL
	return c
}

func (c *spans) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var in collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &in)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		c.t.Errorf("%s: %v", r.URL.Path, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range in.ResourceSpans {
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				c.got = append(c.got, spanOf{
					name: s.Name, trace: hex.EncodeToString(s.TraceId), id: hex.EncodeToString(s.SpanId), parent: hex.EncodeToString(s.ParentSpanId), kind: s.Kind,
					from: time.Unix(0, int64(s.StartTimeUnixNano)), to: time.Unix(0, int64(s.EndTimeUnixNano)), attributes: texts(s.Attributes),
					status: s.GetStatus().GetCode(), message: s.GetStatus().GetMessage(), service: texts(of.Resource.Attributes)["service.name"],
				})
			}
		}
	}
}

func texts(attributes []*common.KeyValue) map[string]string {
	out := map[string]string{}
	for _, a := range attributes {
		switch v := a.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			out[a.Key] = v.StringValue
		case *common.AnyValue_IntValue:
			out[a.Key] = fmt.Sprint(v.IntValue)
		case *common.AnyValue_BoolValue:
			out[a.Key] = fmt.Sprint(v.BoolValue)
		}
	}
	return out
}

// of returns the spans with a name, in the order of their begin.
func (c *spans) of(name string) (out []spanOf) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.got {
		if s.name == name {
			out = append(out, s)
		}
	}
	return out
}

// one returns the only span with a name.
func (c *spans) one(name string) spanOf {
	c.t.Helper()
	got := c.of(name)
	if len(got) != 1 {
		c.t.Fatalf("%d spans %q, want 1, of %v", len(got), name, c.got)
	}
	return got[0]
}

// tracedHandlers are a command that says under which span it runs, one that fails, and a URL that tells heard of it.
func tracedHandlers(t *testing.T) (h config.Handlers, heard <-chan string) {
	t.Helper()
	headers := make(chan string, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { headers <- r.Header.Get("traceparent") }))
	t.Cleanup(srv.Close)
	return config.Handlers{
		Exec: map[string]config.Exec{
			"say":  {Command: []string{"/bin/sh", "-c", `printf '"%s"' "$TRACEPARENT"`}},
			"fail": {Command: []string{"/bin/sh", "-c", "echo no luck >&2; exit 3"}},
		},
		HTTP: map[string]config.HTTP{"call": {URL: srv.URL, AllowNetworks: []string{"127.0.0.0/8"}}},
	}, headers
}

// ended waits until a task has ended, and returns it.
func ended(t *testing.T, c *client.Client, id int64) (got task.Task) {
	t.Helper()
	done := errors.New("done")
	err := c.Events(t.Context(), task.EventFilter{TaskID: id}, 0, func(*task.Event) error {
		var err error
		if got, err = c.Get(t.Context(), id); err == nil && got.Status.Ended() {
			err = done
		}
		return err
	})
	if !errors.Is(err, done) {
		t.Fatal(err)
	}
	return got
}

// enqueueUnder enqueues a task as a caller under a span does, and returns its id.
func enqueueUnder(t *testing.T, addr, traceparent, body string) int64 {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/api/queue/enqueue", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if traceparent != "" {
		req.Header.Set("traceparent", traceparent)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var id int64
	if _, err := fmt.Fscanf(resp.Body, `{"task_id":%d,`, &id); err != nil {
		t.Fatal(resp.Status, err)
	}
	return id
}

// traced runs a server and, where it has no workers, a worker for it, both with traces, while do talks to the server.
func traced(t *testing.T, st store.Store, to *spans, remote bool, do func(addr string, c *client.Client, heard <-chan string)) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var heard <-chan string
	cfg := config.Default(func(string) string { return "" })
	cfg.Server, cfg.WorkerID, cfg.Workers, cfg.Tracing.OTLPEndpoint = "http://"+ln.Addr().String(), "pool", 2, to.url
	cfg.Handlers, heard = tracedHandlers(t)
	server, o := cfg, Options{Log: slog.New(slog.DiscardHandler), Version: "1.2.3"}
	if remote {
		server.Workers = 0
	}
	serving, stopServer := context.WithCancel(t.Context())
	working, stopWorker := context.WithCancel(t.Context())
	served, worked := make(chan error, 1), make(chan error, 1)
	go func() { served <- serve(serving, ln, st, server, o) }()
	if remote {
		go func() { worked <- Work(working, cfg, o) }()
	}
	c, err := client.New(cfg.Server, client.Options{Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		c.Close()
		stopWorker()
		if remote {
			if err := <-worked; err != nil {
				t.Error(err)
			}
		}
		stopServer()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	do(ln.Addr().String(), c, heard)
}

// A task carries the trace of its caller from the enqueue over its wait to its handler, in this process and on another machine.
func TestATraceGoesFromTheCallerToTheHandler(t *testing.T) {
	t.Parallel()
	for _, remote := range []bool{false, true} {
		t.Run(map[bool]string{false: "InTheServer", true: "OnAnotherMachine"}[remote], func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, st store.Store) {
				to := collect(t)
				var said, called task.Task
				var header string
				traced(t, st, to, remote, func(addr string, c *client.Client, heard <-chan string) {
					said = ended(t, c, enqueueUnder(t, addr, caller, `{"type":"say","priority":7}`))
					called = ended(t, c, enqueueUnder(t, addr, "", `{"type":"call","traceparent":"`+caller+`"}`))
					header = <-heard
				})
				enqueued, waited, run := to.one("enqueue say"), to.one("wait say"), to.one("run say")
				for _, s := range []spanOf{enqueued, waited, run} {
					if s.trace != callerTrace || s.service != "thequeue" || s.status != traces.Status_STATUS_CODE_UNSET || s.attributes["messaging.destination.name"] != "say" ||
						s.attributes["thequeue.task_id"] != fmt.Sprint(said.ID) || s.to.Before(s.from) {
						t.Errorf("%+v", s)
					}
				}
				if enqueued.parent != callerSpan || waited.parent != enqueued.id || run.parent != enqueued.id {
					t.Errorf("the span %s of the caller has %s, which has %s and %s; got the parents %s, %s, %s", callerSpan, enqueued.id, waited.id, run.id, enqueued.parent, waited.parent, run.parent)
				}
				if enqueued.kind != traces.Span_SPAN_KIND_PRODUCER || run.kind != traces.Span_SPAN_KIND_CONSUMER || enqueued.attributes["thequeue.priority"] != "7" {
					t.Errorf("%+v\n%+v", enqueued, run)
				}
				if a := run.attributes; a["thequeue.outcome"] != "succeeded" || a["thequeue.attempt"] != "1" || a["thequeue.worker_id"] != "pool" {
					t.Errorf("run: %v", a)
				}
				if !waited.from.Equal(said.RunAfterUTC) || waited.to.Sub(waited.from) > time.Minute {
					t.Errorf("waited from %v to %v, due at %v", waited.from, waited.to, said.RunAfterUTC)
				}
				if want := "00-" + callerTrace + "-" + enqueued.id + "-01"; said.Traceparent == nil || *said.Traceparent != want {
					t.Errorf("the task has %v, want %s", said.Traceparent, want)
				}
				if want := task.JSON(`"00-` + callerTrace + "-" + run.id + `-01"`); said.Result == nil || *said.Result != want {
					t.Errorf("the command was told %v, want %s", said.Result, want)
				}
				if want := "00-" + callerTrace + "-" + to.one("run call").id + "-01"; header != want {
					t.Errorf("the URL of task %d was told %q, want %q", called.ID, header, want)
				}
			})
		})
	}
}

// Each attempt has a span with its outcome, and each wait for one from when it was due.
func TestEachAttemptIsASpan(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		to := collect(t)
		traced(t, st, to, false, func(addr string, c *client.Client, _ <-chan string) {
			ended(t, c, enqueueUnder(t, addr, "", `{"type":"fail","max_attempts":2,"retry_policy":{"initial_seconds":0.01,"jitter":0}}`))
		})
		enqueued, runs, waits := to.one("enqueue fail"), to.of("run fail"), to.of("wait fail")
		if len(runs) != 2 || len(waits) != 2 || enqueued.parent != "" {
			t.Fatalf("%d runs, %d waits, enqueued %+v", len(runs), len(waits), enqueued)
		}
		for i, s := range runs {
			if s.trace != enqueued.trace || s.parent != enqueued.id || s.attributes["thequeue.attempt"] != fmt.Sprint(i+1) || s.attributes["thequeue.outcome"] != "failed" ||
				s.status != traces.Status_STATUS_CODE_ERROR || !strings.Contains(s.message, "no luck") {
				t.Errorf("attempt %d: %+v", i+1, s)
			}
			if w := waits[i]; w.attributes["thequeue.attempt"] != fmt.Sprint(i+1) || w.parent != enqueued.id || i > 0 && w.from.Before(waits[i-1].to) {
				t.Errorf("wait %d: %+v", i+1, w)
			}
		}
	})
}

// Who began the trace says whether it is sent. What it says reaches the handler in any case.
func TestATraceThatIsNotWantedIsNotSent(t *testing.T) {
	t.Parallel()
	to := collect(t)
	traced(t, testdb.SQLite(t), to, false, func(addr string, c *client.Client, _ <-chan string) {
		got := ended(t, c, enqueueUnder(t, addr, strings.TrimSuffix(caller, "1")+"0", `{"type":"say"}`))
		if got.Result == nil || !strings.HasPrefix(string(*got.Result), `"00-`+callerTrace) || !strings.HasSuffix(string(*got.Result), `-00"`) {
			t.Errorf("the command was told %v", got.Result)
		}
	})
	if len(to.got) != 0 {
		t.Errorf("sent: %+v", to.got)
	}
}

// Without a collector a trace goes from the caller to the handler as it came.
func TestATraceGoesThroughAQueueWithoutTracing(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		traced(t, st, &spans{t: t}, true, func(addr string, c *client.Client, heard <-chan string) {
			got := ended(t, c, enqueueUnder(t, addr, caller, `{"type":"say"}`))
			if got.Result == nil || *got.Result != `"`+caller+`"` || got.Traceparent == nil || *got.Traceparent != caller {
				t.Errorf("the command was told %v, the task has %v", got.Result, got.Traceparent)
			}
			ended(t, c, enqueueUnder(t, addr, caller, `{"type":"call"}`))
			if header := <-heard; header != caller {
				t.Errorf("the URL was told %q", header)
			}
			none := ended(t, c, enqueueUnder(t, addr, "", `{"type":"say"}`))
			if none.Traceparent != nil || none.Result == nil || *none.Result != `""` {
				t.Errorf("without a trace: %v, %v", none.Traceparent, none.Result)
			}
		})
	})
}

// A collector that cannot be reached is a line in the log, and nothing else.
func TestACollectorThatIsNotThereIsLogged(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(srv.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Default(func(string) string { return "" })
	cfg.WorkerID, cfg.Tracing.OTLPEndpoint = "pool", srv.URL
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var log lines
	st, served := testdb.SQLite(t), make(chan error, 1)
	go func() { served <- serve(ctx, ln, st, cfg, Options{Log: slog.New(slog.NewTextHandler(&log, nil))}) }()
	c, err := client.New("http://"+ln.Addr().String(), client.Options{Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := ended(t, c, enqueueUnder(t, ln.Addr().String(), "", `{"type":"echo"}`)); got.Status != task.Completed {
		t.Error(got.Status)
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), `level=WARN msg="spans cannot be sent"`); n != 1 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}
