package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/api"
	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// server is the real API on a real connection, whose answers can be lost.
type server struct {
	*httptest.Server
	queue *queue.Queue
	conns atomic.Int64

	mu   sync.Mutex
	lose map[string]int // by the end of the path: how many answers to requests that were carried out are still to be lost
	seen map[string]int // requests by the end of the path
}

func serve(t *testing.T, st store.Store) *server {
	t.Helper()
	s := &server{queue: queue.New(st, queue.Options{}), lose: map[string]int{}, seen: map[string]int{}}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.queue.Run(ctx) }()
	handler := api.New(s.queue, api.Options{})
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.loses(r.URL.Path) {
			handler.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		handler.ServeHTTP(w, r)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.conns.Add(1)
		}
	}
	s.Start()
	t.Cleanup(func() {
		s.Close()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("upkeep: %v", err)
		}
	})
	return s
}

func (s *server) loses(path string) bool {
	last := path[strings.LastIndex(path, "/")+1:]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[last]++
	s.lose[last]--
	return s.lose[last] >= 0
}

func (s *server) loseNext(call string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose[call], s.seen[call] = n, 0
}

func (s *server) requests(call string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[call]
}

func connect(t *testing.T, url string, o client.Options) *client.Client {
	t.Helper()
	c, err := client.New(url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ptr[T any](v T) *T { return &v }

// claimed enqueues a task and claims it.
func claimed(t *testing.T, c *client.Client) task.Lease {
	t.Helper()
	must(c.Enqueue(t.Context(), task.Spec{Type: "a"}))(t)
	leases := must(c.Claim(t.Context(), task.Claim{WorkerID: "w", Wait: 10 * time.Second}))(t)
	if len(leases) != 1 {
		t.Fatalf("claimed %d tasks", len(leases))
	}
	return leases[0]
}

func TestLife(t *testing.T) {
	t.Parallel()
	const payload = `{ "n" : 1.000000000000000000000010 , "html":"<a>&amp;</a>", "u":"\u00e9é" }`
	const result = `[ 1.0 , "<&>" ]`
	testdb.Each(t, func(t *testing.T, st store.Store) {
		c, ctx := connect(t, serve(t, st).URL, client.Options{}), t.Context()
		deadline := task.Time{Time: time.Date(2999, 1, 2, 3, 4, 5, 678901000, time.UTC)}
		r := must(c.Enqueue(ctx, task.Spec{
			Type: "resize", Priority: ptr(7), Payload: payload, Compatibility: `{"gpu":[1,2],"mem":{"min":4}}`, MaxAttempts: ptr(50),
			IdempotencyKey: ptr("k<1>"), DeadlineUTC: &deadline, TimeoutSeconds: ptr(1.5), RetryPolicy: ptr(task.JSON(`{"jitter":0}`)),
		}))(t)
		if !r.Created || r.Status != task.Queued || r.CreatedAtUTC.IsZero() {
			t.Errorf("receipt %+v", r)
		}
		stored := must(st.GetTask(ctx, r.TaskID))(t)
		if stored.Payload != payload || stored.MaxAttempts != 50 || stored.Priority != 7 || *stored.IdempotencyKey != "k<1>" || !stored.DeadlineUTC.Equal(deadline.Time) || *stored.TimeoutSeconds != 1.5 {
			t.Errorf("stored %+v", stored)
		}
		same(ctx, t, c, st, r.TaskID)

		none := must(c.Claim(ctx, task.Claim{WorkerID: "w", Types: []string{}, Capabilities: task.Capabilities{"gpu": []any{1, 2}, "mem": 8}}))(t)
		if len(none) != 0 {
			t.Errorf("claimed %v for a worker that takes no type", none)
		}
		leases := must(c.Claim(ctx, task.Claim{
			WorkerID: "w", Types: []string{"resize"}, Capabilities: task.Capabilities{"gpu": []any{1, 2, 3}, "mem": 8}, Strategy: task.LIFO, Max: 5, Lease: 90 * time.Minute,
		}))(t)
		if len(leases) != 1 || leases[0].Payload != payload || leases[0].Fence != 1 || leases[0].LeaseUntilUTC.Sub(*leases[0].ReservedAtUTC) != 90*time.Minute {
			t.Fatalf("leases %+v", leases)
		}
		token := leases[0].LeaseToken
		must(c.Start(ctx, r.TaskID, token))(t)
		pulse := must(c.Heartbeat(ctx, r.TaskID, token, task.Beat{Lease: 10 * time.Second, Progress: ptr(40), Message: ptr("half")}))(t)
		if pulse.CancelRequested || pulse.Drain || pulse.LeaseUntilUTC == nil {
			t.Errorf("pulse %+v", pulse)
		}
		line := must(c.AppendLog(ctx, r.TaskID, token, task.Log{Level: task.Warning, Message: "slow", Details: ptr(task.JSON(`{"ms":12}`))}))(t)
		if line.LogID == 0 || line.TaskID != r.TaskID || *line.Details != `{"ms":12}` {
			t.Errorf("line %+v", line)
		}
		lines := must(c.Logs(ctx, task.LogFilter{TaskID: r.TaskID, Level: task.Warning, Limit: 5}))(t)
		if diff := cmp.Diff([]task.Log{line}, lines); diff != "" {
			t.Error(diff)
		}
		if after := must(c.Logs(ctx, task.LogFilter{TaskID: r.TaskID, Level: task.Warning, After: line.LogID}))(t); len(after) != 0 {
			t.Errorf("lines after the last: %v", after)
		}
		done := must(c.Complete(ctx, r.TaskID, token, ptr(task.JSON(result))))(t)
		if done.Status != task.Completed || *done.Result != result || *done.Progress != 40 {
			t.Errorf("done %+v", done)
		}
		same(ctx, t, c, st, r.TaskID)
		attempts := must(c.Attempts(ctx, r.TaskID))(t)
		if len(attempts) != 1 || *attempts[0].Outcome != task.AttemptSucceeded || attempts[0].WorkerID != "w" {
			t.Errorf("attempts %+v", attempts)
		}
		if err := c.Delete(ctx, r.TaskID); err != nil {
			t.Error(err)
		}
		if s := must(c.Stats(ctx))(t); s.TotalTasks != 0 || s.DeletedTasks != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}

// same compares the task that the client gets with the one in the store, but for what is never shown.
func same(ctx context.Context, t *testing.T, c *client.Client, st store.Store, id int64) {
	t.Helper()
	want, got := must(st.GetTask(ctx, id))(t), must(c.Get(ctx, id))(t)
	want.LaneID, want.LeaseSecret, want.Ready = 0, nil, false
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("in the store (-), from the client (+):\n%s", diff)
	}
}

// Every call carries the key, those too whose answer is a stream.
func TestEveryCallCarriesTheKey(t *testing.T) {
	t.Parallel()
	s := serve(t, testdb.SQLite(t))
	k, err := s.queue.CreateAPIKey(t.Context(), task.APIKeySpec{Name: "ops", Role: task.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	c := connect(t, s.URL, client.Options{APIKey: k.Key})
	r, err := c.StartRun(t.Context(), "a", "", "r")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CancelRun(t.Context(), r.RunID); err != nil {
		t.Error(err)
	}
	if status, err := c.FollowRun(t.Context(), r.RunID, func(task.RunLog) error { return nil }); err != nil || status != task.RunCancelled {
		t.Errorf("a run is followed: %q, %v", status, err)
	}
	if _, err := c.Reclaim(t.Context()); err != nil {
		t.Errorf("maintenance: %v", err)
	}
	enough := errors.New("enough")
	if err := c.Events(t.Context(), task.EventFilter{}, 1, func(*task.Event) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("events: %v", err)
	}
}

func TestFailReleaseCancelRequeue(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		c, ctx := connect(t, serve(t, st).URL, client.Options{}), t.Context()
		l := claimed(t, c)
		if got := must(c.Release(ctx, l.ID, l.LeaseToken, 0))(t); got.Status != task.Queued || got.Attempts != 0 {
			t.Errorf("released %+v", got)
		}
		l = must(c.Claim(ctx, task.Claim{WorkerID: "w", Wait: 10 * time.Second}))(t)[0]
		later := must(c.Fail(ctx, l.ID, l.LeaseToken, task.Failure{Message: "no route", RetryAfter: ptr(time.Hour)}))(t)
		if later.Status != task.Queued || *later.ErrorMessage != "no route" || later.RunAfterUTC.Sub(later.UpdatedAtUTC) != time.Hour {
			t.Errorf("failed %+v", later)
		}
		status, changed, err := c.Cancel(ctx, l.ID)
		if err != nil || !changed || status != task.Failed {
			t.Errorf("cancelled: %s, %t, %v", status, changed, err)
		}
		if _, changed, err = c.Cancel(ctx, l.ID); err != nil || changed {
			t.Errorf("cancelled twice: %t, %v", changed, err)
		}
		if got := must(c.Requeue(ctx, l.ID))(t); got.Status != task.Queued {
			t.Errorf("requeued %+v", got)
		}
		l = must(c.Claim(ctx, task.Claim{WorkerID: "w", Wait: 10 * time.Second}))(t)[0]
		if got := must(c.Fail(ctx, l.ID, l.LeaseToken, task.Failure{Message: "no such place", NoRetry: true}))(t); *got.Outcome != task.Rejected {
			t.Errorf("rejected %+v", got)
		}
		l = claimed(t, c)
		if _, _, err := c.Cancel(ctx, l.ID); err != nil {
			t.Fatal(err)
		}
		if p := must(c.Heartbeat(ctx, l.ID, l.LeaseToken, task.Beat{}))(t); !p.CancelRequested || p.LeaseUntilUTC != nil {
			t.Errorf("pulse of a cancelled task %+v", p)
		}
	})
}

func TestListPages(t *testing.T) {
	t.Parallel()
	c, ctx := connect(t, serve(t, testdb.SQLite(t)).URL, client.Options{}), t.Context()
	receipts := must(c.EnqueueBatch(ctx, []task.Spec{{Type: "a b"}, {Type: "other"}, {Type: "a b"}, {Type: "a b"}}))(t)
	var got []int64
	for f := (task.Filter{Type: "a b", Status: task.Queued, Limit: 2}); ; {
		page := must(c.List(ctx, f))(t)
		for _, l := range page {
			got = append(got, l.ID)
		}
		if len(page) < f.Limit {
			break
		}
		f.Before = page[len(page)-1].ID
	}
	if diff := cmp.Diff([]int64{receipts[3].TaskID, receipts[2].TaskID, receipts[0].TaskID}, got); diff != "" {
		t.Error(diff)
	}
}

// TestListGoesOnAfterAShortPage has more than a page can hold.
func TestListGoesOnAfterAShortPage(t *testing.T) {
	t.Parallel()
	url := serve(t, testdb.SQLite(t)).URL
	c, ctx := connect(t, url, client.Options{Timeout: time.Minute}), t.Context() // each try reads megabytes
	const tasks = 30
	payload := task.JSON(`{"x":"` + strings.Repeat("x", 1_000_000) + `"}`)
	for range tasks {
		must(c.Enqueue(ctx, task.Spec{Type: "long", Payload: payload}))(t)
	}
	resp, err := http.Get(url + "/api/queue/tasks?limit=1000")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var page []task.Task
	if err := json.Unmarshal(body, &page); err != nil || len(body) > 10<<20 || len(page) != 9 || resp.Header.Get("X-Next-Cursor") != fmt.Sprint(page[8].ID) {
		t.Errorf("%d tasks, %d bytes, cursor %q: %v", len(page), len(body), resp.Header.Get("X-Next-Cursor"), err)
	}
	for limit, want := range map[int]int{1000: tasks, 0: tasks, 20: 20, 5: 5} {
		all := must(c.List(ctx, task.Filter{Limit: limit}))(t)
		if len(all) != want || !slices.IsSortedFunc(all, func(a, b task.Task) int { return int(b.ID - a.ID) }) {
			t.Errorf("limit %d: got %d tasks", limit, len(all))
		}
	}
}

func TestWorkers(t *testing.T) {
	t.Parallel()
	c, ctx := connect(t, serve(t, testdb.SQLite(t)).URL, client.Options{}), t.Context()
	const id = "host/1 ü?#%2F"
	if p := must(c.WorkerHeartbeat(ctx, id, ptr(task.JSON(`{"gpu":true}`)), []string{"a"}))(t); p.Drain {
		t.Errorf("pulse %+v", p)
	}
	w := must(c.Worker(ctx, id))(t)
	if w.WorkerID != id || w.Capabilities != `{"gpu":true}` || *w.Types != `["a"]` {
		t.Errorf("worker %+v", w)
	}
	if diff := cmp.Diff([]task.WorkerStatus{w}, must(c.Workers(ctx))(t)); diff != "" || w.State != task.WorkerLive {
		t.Errorf("%s: %s", w.State, diff)
	}
	if ids := must(c.ReclaimWorker(ctx, id))(t); len(ids) != 0 {
		t.Errorf("reclaimed %v", ids)
	}
	if cleaned := must(c.CleanWorkers(ctx, time.Hour, true))(t); len(cleaned.Deleted)+len(cleaned.Kept) != 0 {
		t.Errorf("cleaned %+v", cleaned)
	}
	if err := c.DeleteWorker(ctx, id); err != nil {
		t.Error(err)
	}
	if _, err := c.Worker(ctx, id); !errors.Is(err, task.ErrNotFound) || err.Error() != "Worker "+id+" not found" {
		t.Error(err)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	s := serve(t, testdb.SQLite(t))
	c, ctx := connect(t, s.URL, client.Options{}), t.Context()
	l := claimed(t, c)
	failed := must(c.Fail(ctx, l.ID, l.LeaseToken, task.Failure{Message: "no user 17", NoRetry: true}))(t)
	f := must(c.Failure(ctx, *failed.ErrorFingerprint))(t)
	if f.Pattern != "no user <n>" || f.Count != 1 || f.FailedTasks != 1 || f.Sample.TaskID != l.ID {
		t.Errorf("failure %+v", f)
	}
	if diff := cmp.Diff([]task.FailureStatus{f}, must(c.Failures(ctx, "a", 5))(t)); diff != "" {
		t.Error(diff)
	}
	if fs := must(c.Failures(ctx, "b", 0))(t); len(fs) != 0 {
		t.Errorf("failures of another type %+v", fs)
	}
	if o := must(c.RequeueFailure(ctx, f.FailureID))(t); o.Action != task.ActionRequeue || o.Filter != "failure:"+f.FailureID {
		t.Errorf("operation %+v", o)
	}
	s.loseNext("dismiss", 1) // the second try finds nothing, and is no error
	if err := c.DismissFailure(ctx, f.FailureID); err != nil {
		t.Error(err)
	}
	if _, err := c.Failure(ctx, f.FailureID); !errors.Is(err, task.ErrNotFound) || err.Error() != "Failure "+f.FailureID+" not found" {
		t.Error(err)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	s := serve(t, testdb.SQLite(t))
	c := connect(t, s.URL, client.Options{})
	for range 50 {
		if err := c.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.conns.Load(); n != 1 {
		t.Errorf("50 calls took %d connections", n)
	}
}

func TestNewRefusesWhatIsNoAddress(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "127.0.0.1:8000", "ftp://x", "http://", "http://x?y=1", "http://x#y", "http://[::1"} {
		if _, err := client.New(url, client.Options{}); err == nil {
			t.Errorf("%q was taken", url)
		}
	}
}
