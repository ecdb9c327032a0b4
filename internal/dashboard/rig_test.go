package dashboard_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/api"
	"github.com/prismq/thequeue/internal/dashboard"
	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// handClock is moved by hand.
type handClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// rig is a server with its pages over a real store.
type rig struct {
	*testing.T
	*queue.Queue
	clock   *handClock
	url     string
	lease   time.Duration // of claims; 0: the default
	streams *atomic.Int64 // of events that are open
}

// each runs the test on both engines, with a clock that stands still.
func each(t *testing.T, do func(r rig)) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		clock := &handClock{now: time.Date(2026, 3, 1, 12, 0, 30, 0, time.UTC)}
		do(serve(t, st, clock, queue.Options{Clock: clock}))
	})
}

func serve(t *testing.T, st store.Store, clock *handClock, o queue.Options) rig {
	t.Helper()
	backups := keeper(t, st)
	o.Problems = backups.Problems
	q := queue.New(st, o)
	handler := api.New(q, api.Options{Pages: dashboard.New(q, dashboard.Options{Version: "v1", Database: "queue.db", Backups: backups})})
	streams := new(atomic.Int64)
	url := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/events") {
			streams.Add(1)
			defer streams.Add(-1)
		}
		handler.ServeHTTP(w, r)
	}))
	return rig{T: t, Queue: q, clock: clock, url: url, streams: streams}
}

// server serves until the test ends, and returns its URL.
func server(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// running serves with the clock of the store and its upkeep, until the test ends.
func running(t *testing.T, st store.Store) rig {
	t.Helper()
	r := serve(t, st, nil, queue.Options{})
	r.lease = time.Hour
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Queue.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("upkeep: %v", err)
		}
	})
	return r
}

func (r rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r rig) enqueue(s task.Spec) task.Task {
	r.Helper()
	t, _, err := r.Enqueue(r.Context(), s, queue.MaxAttempts)
	r.ok(err)
	return t
}

func (r rig) claim(worker string, types ...string) task.Lease {
	r.Helper()
	ls, err := r.Claim(r.Context(), task.Claim{WorkerID: worker, Types: types, Lease: r.lease})
	r.ok(err)
	if len(ls) != 1 {
		r.Fatalf("worker %s got %d tasks of %v", worker, len(ls), types)
	}
	return ls[0]
}

// get reads a page as a browser does, without following where it leads.
func (r rig) get(path string) (status int, body string) {
	r.Helper()
	return r.ask(http.MethodGet, path, nil)
}

func (r rig) post(path string, form url.Values) (status int, body string) {
	r.Helper()
	return r.ask(http.MethodPost, path, form)
}

func (r rig) ask(method, path string, form url.Values) (status int, body string) {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), method, r.url+path, strings.NewReader(form.Encode()))
	r.ok(err)
	req.Header.Set("Accept", "text/html")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.Do(req)
	r.ok(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	r.ok(err)
	if resp.StatusCode == http.StatusSeeOther {
		return resp.StatusCode, resp.Header.Get("Location")
	}
	return resp.StatusCode, string(b)
}

// await waits for what the server does by itself.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	end, again := time.After(patience), time.NewTicker(20*time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-end:
			t.Fatalf("waited until %s", what)
		case <-again.C:
		}
	}
}
