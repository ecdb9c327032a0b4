package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

func TestErrors(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		c, ctx := connect(t, serve(t, st).URL, client.Options{}), t.Context()
		l := claimed(t, c)
		_, missing := c.Get(ctx, 4_200_000)
		_, stale := c.Complete(ctx, l.ID, "7."+strings.Repeat("0", 32), nil)
		_, state := c.Requeue(ctx, l.ID)
		_, silly := c.Claim(ctx, task.Claim{WorkerID: "w", Strategy: "best"})
		_, one := c.Enqueue(ctx, task.Spec{Type: " ", Priority: ptr(0)})
		_, many := c.EnqueueBatch(ctx, []task.Spec{{Type: "a"}, {Type: "a", MaxAttempts: ptr(101)}})
		_, cut := c.Enqueue(ctx, task.Spec{Type: "a", Payload: `{},"priority":1`})
		for name, c := range map[string]struct {
			err, is error
			text    string
			fields  []string
		}{
			"NotFound":  {missing, task.ErrNotFound, "Task 4200000 not found", nil},
			"LeaseLost": {stale, task.ErrLeaseLost, "The lease is lost: the token is not the one of a live lease; nothing was changed", nil},
			"Conflict":  {state, task.ErrConflict, "is processing", nil},
			"Strategy":  {silly, nil, `strategy: unknown strategy "best": use one of fifo, lifo, priority, weighted_random`, []string{"strategy"}},
			"One":       {one, nil, "type: must not be empty; priority: must lie", []string{"type", "priority"}},
			"Many":      {many, nil, "tasks[1].max_attempts: must lie between 1 and 100", []string{"tasks[1].max_attempts"}},
			"Payload":   {cut, nil, "payload: must be valid JSON", []string{"payload"}},
		} {
			if c.err == nil || !strings.Contains(c.err.Error(), c.text) || (c.is != nil && !errors.Is(c.err, c.is)) {
				t.Errorf("%s: %v", name, c.err)
			}
			bad, ok := errors.AsType[*task.InvalidError](c.err)
			if ok != (c.fields != nil) {
				t.Errorf("%s: %T", name, c.err)
			}
			var fields []string
			for i := 0; ok && i < len(bad.Fields); i++ {
				fields = append(fields, bad.Fields[i].Field)
			}
			if diff := cmp.Diff(c.fields, fields); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		if s := must(c.Stats(ctx))(t); s.TotalTasks != 1 {
			t.Errorf("%d tasks are stored", s.TotalTasks)
		}
	})
}

// What went wrong inside the server is in its log alone; the error says where.
func TestFaultOfTheServer(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		io.WriteString(w, `{"error_code":"internal","detail":"its log has the reason under the request id","request_id":"9d3c"}`)
	}))
	t.Cleanup(srv.Close)
	_, err := connect(t, srv.URL, client.Options{Retries: -1}).Get(t.Context(), 1)
	if err == nil || !strings.HasSuffix(err.Error(), "its log has the reason under the request id 9d3c") {
		t.Error(err)
	}
}

func TestStoppedServer(t *testing.T) {
	t.Parallel()
	st := testdb.SQLite(t)
	s := serve(t, st)
	c := connect(t, s.URL, client.Options{Retries: -1})
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Enqueue(t.Context(), task.Spec{Type: "a"}); !errors.Is(err, task.ErrStopped) {
		t.Error(err)
	}
	if n := s.requests("batch"); n != 1 {
		t.Errorf("%d requests with retries off", n)
	}
	s.Close()
	fresh := connect(t, s.URL, client.Options{Retries: -1}) // without an idle connection whose end it would notice first
	_, err := fresh.Claim(t.Context(), task.Claim{WorkerID: "w"})
	if op, ok := errors.AsType[*net.OpError](err); !ok || op.Op != "dial" {
		t.Error(err)
	}
}

// TestLostAnswers loses the answers to calls that the server has carried out.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	s := serve(t, testdb.SQLite(t))
	c := connect(t, s.URL, client.Options{})

	t.Run("EnqueueMakesNoTwins", func(t *testing.T) {
		before := must(c.Stats(t.Context()))(t).TotalTasks
		s.loseNext("batch", 2)
		r := must(c.EnqueueBatch(t.Context(), []task.Spec{{Type: "x"}, {Type: "x"}, {Type: "x", IdempotencyKey: ptr("own")}}))(t)
		if n := must(c.Stats(t.Context()))(t).TotalTasks - before; n != 3 || s.requests("batch") != 3 {
			t.Errorf("%d tasks of %d requests", n, s.requests("batch"))
		}
		if !r[0].Created || !r[1].Created || r[2].Created || r[0].TaskID == r[1].TaskID {
			t.Errorf("receipts %+v", r)
		}
	})
	t.Run("EndsOfLeasesAreSettled", func(t *testing.T) {
		for verb, end := range map[string]func(ctx context.Context, l task.Lease) (task.Task, error){
			"complete": func(ctx context.Context, l task.Lease) (task.Task, error) {
				return c.Complete(ctx, l.ID, l.LeaseToken, nil)
			},
			"fail": func(ctx context.Context, l task.Lease) (task.Task, error) {
				return c.Fail(ctx, l.ID, l.LeaseToken, task.Failure{Message: "x", NoRetry: true})
			},
			"release": func(ctx context.Context, l task.Lease) (task.Task, error) {
				return c.Release(ctx, l.ID, l.LeaseToken, time.Hour)
			},
		} {
			l := claimed(t, c)
			s.loseNext(verb, 1)
			got, err := end(t.Context(), l)
			if err != nil || got.ID != l.ID || got.LockedBy != nil || s.requests(verb) != 2 {
				t.Errorf("%s: %v after %d requests: %+v", verb, err, s.requests(verb), got)
			}
			if _, err := end(t.Context(), l); !errors.Is(err, task.ErrLeaseLost) {
				t.Errorf("%s again: %v", verb, err)
			}
		}
	})
	t.Run("AnotherEndIsALostLease", func(t *testing.T) {
		l := claimed(t, c)
		must(c.Release(t.Context(), l.ID, l.LeaseToken, time.Hour))(t)
		s.loseNext("complete", 1)
		if _, err := c.Complete(t.Context(), l.ID, l.LeaseToken, nil); !errors.Is(err, task.ErrLeaseLost) || s.requests("complete") != 2 {
			t.Errorf("%v after %d requests", err, s.requests("complete"))
		}
	})
	t.Run("DeleteIsDone", func(t *testing.T) {
		l := claimed(t, c)
		must(c.Complete(t.Context(), l.ID, l.LeaseToken, nil))(t)
		s.loseNext(strconv.FormatInt(l.ID, 10), 1)
		if err := c.Delete(t.Context(), l.ID); err != nil {
			t.Error(err)
		}
		if err := c.Delete(t.Context(), l.ID); !errors.Is(err, task.ErrNotFound) {
			t.Error(err)
		}
	})
	t.Run("LogsAndClaimsAreNotSentTwice", func(t *testing.T) {
		l := claimed(t, c)
		s.loseNext("logs", 1)
		if _, err := c.AppendLog(t.Context(), l.ID, l.LeaseToken, task.Log{Level: task.Info, Message: "once"}); err == nil || s.requests("logs") != 1 {
			t.Errorf("%v after %d requests", err, s.requests("logs"))
		}
		s.loseNext("claim", 1)
		if _, err := c.Claim(t.Context(), task.Claim{WorkerID: "w"}); err == nil || s.requests("claim") != 1 {
			t.Errorf("%v after %d requests", err, s.requests("claim"))
		}
	})
	t.Run("GivesUp", func(t *testing.T) {
		s.loseNext("stats", 100)
		if _, err := c.Stats(t.Context()); err == nil || s.requests("stats") != 5 {
			t.Errorf("%v after %d requests", err, s.requests("stats"))
		}
		s.loseNext("stats", 0)
	})
}

// transport answers without a network, so that the clock can be the test's.
type transport func(r *http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func reply(status int, header http.Header, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}
}

func TestPausesBetweenTries(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		retryAfter string
		want       []time.Duration // before each further try
	}{
		"Doubling":       {"", []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond}},
		"AsTheServerAsk": {"3", []time.Duration{3 * time.Second, 3 * time.Second, 3 * time.Second, 3 * time.Second}},
		"AtMost30s":      {"86400", []time.Duration{30 * time.Second, 30 * time.Second, 30 * time.Second, 30 * time.Second}},
		"Nonsense":       {"soon", []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				last := time.Now()
				var got []time.Duration
				cl := connect(t, "http://queue", client.Options{HTTP: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
					got = append(got, time.Since(last))
					last = time.Now()
					return reply(503, http.Header{"Retry-After": {c.retryAfter}}, `{"error_code":"busy","detail":"The store is busy"}`), nil
				})}})
				// Not even a claim is unclear here: busy means that nothing was changed.
				if _, err := cl.Claim(t.Context(), task.Claim{WorkerID: "w"}); !errors.Is(err, task.ErrBusy) || err.Error() != "The store is busy" {
					t.Error(err)
				}
				if diff := cmp.Diff(append([]time.Duration{0}, c.want...), got); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestAnUnknownResultIsTriedAgainOnlyWhereTwiceIsSafe(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		call func(context.Context, *client.Client) error
		want int
	}{
		"Claim": {func(ctx context.Context, cl *client.Client) error {
			_, err := cl.Claim(ctx, task.Claim{WorkerID: "w"})
			return err
		}, 1},
		"Enqueue": {func(ctx context.Context, cl *client.Client) error {
			_, err := cl.Enqueue(ctx, task.Spec{Type: "a"})
			return err
		}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				cl := connect(t, "http://queue", client.Options{Retries: 2, HTTP: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
					calls++
					return reply(503, http.Header{"Retry-After": {"1"}}, `{"error_code":"result_unknown","detail":"It is not known"}`), nil
				})}})
				if err := c.call(t.Context(), cl); !errors.Is(err, task.ErrUnknown) || calls != c.want {
					t.Errorf("%d calls, want %d, error %v", calls, c.want, err)
				}
			})
		})
	}
}

func TestContextEndsThePause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := connect(t, "http://queue", client.Options{HTTP: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
			return reply(503, http.Header{"Retry-After": {"20"}}, `{"error_code":"stopping"}`), nil
		})}})
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		began := time.Now()
		_, err := cl.Stats(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, task.ErrStopped) || time.Since(began) != 5*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

func TestTimeoutOfATry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lengths []time.Duration
		cl := connect(t, "http://queue", client.Options{Timeout: 2 * time.Second, Retries: 1, HTTP: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			began := time.Now()
			<-r.Context().Done()
			lengths = append(lengths, time.Since(began))
			return nil, r.Context().Err()
		})}})
		if _, err := cl.Stats(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if _, err := cl.Claim(t.Context(), task.Claim{WorkerID: "w", Wait: 30 * time.Second}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if diff := cmp.Diff([]time.Duration{2 * time.Second, 2 * time.Second, 32 * time.Second}, lengths); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAnswersOfOthers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status     int
		body, text string
		is         error
	}{
		"DiskFull":   {507, `{"error_code":"disk_full","detail":"The disk is full"}`, "The disk is full", task.ErrFull},
		"Proxy":      {502, "<html>bad gateway</html>", "the server answered 502 Bad Gateway", nil},
		"Internal":   {500, `{"error_code":"internal","detail":"The server made a mistake"}`, "The server made a mistake", nil},
		"NotTheAPI":  {200, "<html>hello</html>", "read the answer of the server", nil},
		"OtherError": {422, `{"detail":[{"loc":["body"]}]}`, "the server answered 422", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cl := connect(t, "http://queue", client.Options{HTTP: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
				return reply(c.status, http.Header{}, c.body), nil
			})}})
			_, err := cl.Get(t.Context(), 1)
			if err == nil || !strings.Contains(err.Error(), c.text) || (c.is != nil && !errors.Is(err, c.is)) {
				t.Error(err)
			}
			if e, ok := errors.AsType[*client.Error](err); ok != (c.status >= 300) || (ok && e.Status != c.status) {
				t.Errorf("%#v", err)
			}
		})
	}
}

// A server that is started again finds its streams waiting for it; one that was never there does not, and one that stays away is given up.
func TestStreamsWaitForAServerThatIsStartedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("connection refused")
		var asked []string // Last-Event-ID of each request
		follow := func(answer func(n int) bool) error {
			asked = nil
			cl := connect(t, "http://queue", client.Options{Retries: 1, HTTP: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
				if asked = append(asked, r.Header.Get("Last-Event-ID")); !answer(len(asked)) {
					return nil, down
				}
				body := "event: log\ndata: {\"event_id\":" + strconv.Itoa(len(asked)) + ",\"event\":\"log\"}\n\n"
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
			})}})
			return cl.Events(t.Context(), task.EventFilter{}, 0, func(e *task.Event) error {
				if e != nil && e.ID > 1 {
					return io.EOF
				}
				return nil
			})
		}
		if err := follow(func(n int) bool { return n == 1 || n == 22 }); err != io.EOF || len(asked) != 22 || asked[21] != "1" {
			t.Errorf("back after 20 tries: %v, asked %q", err, asked)
		}
		if err := follow(func(int) bool { return false }); !errors.Is(err, down) || len(asked) != 2 {
			t.Errorf("never there: %v after %d tries", err, len(asked))
		}
		begin := time.Now()
		if err := follow(func(n int) bool { return n == 1 }); !errors.Is(err, down) {
			t.Errorf("gone for good: %v", err)
		}
		if took := time.Since(begin); took < 50*time.Second || took > 70*time.Second {
			t.Errorf("given up after %v", took)
		}
	})
}
