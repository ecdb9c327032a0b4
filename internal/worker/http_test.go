package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/worker"
)

// endpoint serves the function and returns the handler that calls it.
func endpoint(t *testing.T, c worker.HTTPCall, serve http.HandlerFunc) worker.Handler {
	t.Helper()
	srv := httptest.NewServer(serve)
	t.Cleanup(srv.Close)
	c.Type, c.URL = "job", srv.URL+"/hook"
	h, err := worker.HTTP(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHTTPPostsThePayload(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	h := endpoint(t, worker.HTTPCall{Headers: map[string]string{"Authorization": "Bearer x", "X-Thequeue-Task-Id": "1"}}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got["request"], got["body"] = r.Method+" "+r.URL.Path, string(body)
		for _, name := range []string{"Content-Type", "Authorization", "Idempotency-Key", "X-Thequeue-Task-Id", "X-Thequeue-Fence", "X-Thequeue-Attempt"} {
			got[name] = r.Header.Get(name)
		}
	})
	if _, err := h.Handle(t.Context(), attempt(`{"a": 1.50}`)); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"request": "POST /hook", "body": `{"a": 1.50}`, "Content-Type": "application/json", "Authorization": "Bearer x",
		"Idempotency-Key": "42-7", "X-Thequeue-Task-Id": "42", "X-Thequeue-Fence": "7", "X-Thequeue-Attempt": "3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestHTTPAnswers(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3000)
	for name, test := range map[string]struct {
		status  int
		headers map[string]string
		body    string
		result  string
		err     string
		retry   string
	}{
		"JSON":           {status: 200, body: ` {"a": 1} `, result: `{"a": 1}`},
		"Text":           {status: 202, body: "done\n", result: `"done"`},
		"Empty":          {status: 204, result: "none"},
		"NotFound":       {status: 404, body: "no such hook", err: "HTTP status 404 Not Found: no such hook"},
		"LongError":      {status: 500, body: long, err: "HTTP status 500 Internal Server Error: " + long[:2048]},
		"Redirect":       {status: 302, headers: map[string]string{"Location": "/elsewhere"}, err: "HTTP status 302 Found"},
		"Seconds":        {status: 429, headers: map[string]string{"Retry-After": "90"}, err: "HTTP status 429 Too Many Requests", retry: "1m30s"},
		"Date":           {status: 503, headers: map[string]string{"Date": "Fri, 31 Dec 1999 23:59:00 GMT", "Retry-After": "Sat, 01 Jan 2000 00:00:00 GMT"}, err: "HTTP status 503 Service Unavailable", retry: "1m0s"},
		"Century":        {status: 503, headers: map[string]string{"Retry-After": "2000000000"}, err: "HTTP status 503 Service Unavailable", retry: "24h0m0s"},
		"Nonsense":       {status: 503, headers: map[string]string{"Retry-After": "soon"}, err: "HTTP status 503 Service Unavailable"},
		"OtherRetryText": {status: 500, headers: map[string]string{"Retry-After": "90"}, err: "HTTP status 500 Internal Server Error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := endpoint(t, worker.HTTPCall{}, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/hook" {
					t.Errorf("followed to %s", r.URL.Path)
				}
				for name, value := range test.headers {
					w.Header().Set(name, value)
				}
				w.WriteHeader(test.status)
				io.WriteString(w, test.body)
			})
			result, err := h.Handle(t.Context(), attempt("{}"))
			if test.err == "" {
				if err != nil || text(result) != test.result {
					t.Errorf("%s, %v, want %s", text(result), err, test.result)
				}
				return
			}
			if err == nil || err.Error() != test.err || worker.Rejected(err) {
				t.Errorf("%v, want %s, not rejected", err, test.err)
			}
			retry := ""
			if d, ok := worker.RetryIn(err); ok {
				retry = d.String()
			}
			if retry != test.retry {
				t.Errorf("retry after %q, want %q", retry, test.retry)
			}
		})
	}
}

func TestHTTPCutsALongAnswer(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	h := endpoint(t, worker.HTTPCall{}, func(w http.ResponseWriter, _ *http.Request) {
		defer close(gone)
		for { // until the caller hangs up
			if _, err := io.WriteString(w, strings.Repeat("<ab>", 1024)); err != nil {
				return
			}
		}
	})
	result, err := h.Handle(t.Context(), attempt("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if len(*result) > 1<<20 || len(*result) < 1<<19 || !strings.HasSuffix(string(*result), `\n[cut: a result holds 1048576 bytes]"`) {
		t.Errorf("%d bytes, ends in %s", len(*result), (*result)[len(*result)-60:])
	}
	<-gone
}

func TestHTTPEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		limit time.Duration
		body  bool // the server hangs in the body, not before the header
		want  error
	}{
		"Timeout":       {limit: 50 * time.Millisecond, want: worker.ErrTimeout},
		"TimeoutInBody": {limit: 50 * time.Millisecond, body: true, want: worker.ErrTimeout},
		"Cancelled":     {want: worker.ErrCancelled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			called, over := make(chan struct{}), make(chan struct{})
			h := endpoint(t, worker.HTTPCall{Timeout: test.limit}, func(w http.ResponseWriter, _ *http.Request) {
				if test.body {
					w.(http.Flusher).Flush()
				}
				close(called)
				<-over
			})
			t.Cleanup(func() { close(over) })
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			if test.limit == 0 {
				go func() { <-called; cancel(worker.ErrCancelled) }()
			}
			if _, err := h.Handle(ctx, attempt("{}")); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

func TestHTTPRefusesWhatIsNoURL(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"", "localhost:80/x", "ftp://host/x", "http:///x", "http://%zz"} {
		if _, err := worker.HTTP(worker.HTTPCall{Type: "job", URL: u}); err == nil {
			t.Errorf("%q was taken", u)
		}
	}
}

func TestSleep(t *testing.T) {
	t.Parallel()
	for payload, want := range map[task.JSON]string{
		`{}`:                            "1s <nil>",
		`{"seconds": 0.5}`:              "500ms <nil>",
		`{"seconds": 0, "fail": "bad"}`: "0s bad",
		`{"seconds": 3601}`:             "0s payload: seconds must lie between 0 and 3600",
		`{"seconds": 30}`:               "20s timed out after 20s",
	} {
		t.Run(string(payload), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				start := time.Now()
				ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Second, fmt.Errorf("%w after 20s", worker.ErrTimeout))
				defer cancel()
				_, err := worker.Sleep.Handle(ctx, attempt(payload))
				if got := fmt.Sprint(time.Since(start), " ", err); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		})
	}
	if _, err := worker.Sleep.Handle(t.Context(), attempt(`{"seconds": "x"}`)); !worker.Rejected(err) {
		t.Errorf("%v, want it rejected", err)
	}
}

func TestEcho(t *testing.T) {
	t.Parallel()
	if result, err := worker.Echo.Handle(t.Context(), attempt(`{"a": 1.0}`)); err != nil || text(result) != `{"a": 1.0}` {
		t.Errorf("%s, %v", text(result), errors.Unwrap(err))
	}
}
