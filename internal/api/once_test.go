package api_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/api"
	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

const idempotent = "Idempotency-Key"

// replayed wants the answer of the first again, marked as such.
func (a answer) replayed(first answer) {
	a.t.Helper()
	if a.Code != first.Code || a.Body.String() != first.Body.String() || a.Header().Get("Content-Type") != first.Header().Get("Content-Type") {
		a.t.Errorf("got %d %s, want %d %s", a.Code, a.Body, first.Code, first.Body)
	}
	if first.Header().Get("Idempotent-Replayed") != "" || a.Header().Get("Idempotent-Replayed") != "true" {
		a.t.Error("the second answer, and only that, must be marked as repeated")
	}
}

func (a answer) wants(status int, code string) {
	a.t.Helper()
	if a.Code != status || a.json()["error_code"] != code {
		a.t.Errorf("got %d %s, want %d %s", a.Code, a.Body, status, code)
	}
}

func TestAKeyGetsTheFirstAnswerAgain(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, api.Options{})
		twice := func(path, body string) answer {
			t.Helper()
			first := r.call("POST", path, body, idempotent, "key of "+path)
			r.call("POST", path, body, idempotent, `"key of `+path+`"`).replayed(first)
			r.call("POST", path+"?n=1", body, idempotent, "key of "+path).wants(422, "idempotency_key_reused")
			return first
		}
		twice("/api/queue/enqueue", `{"type":"a"}`)
		twice("/api/queue/enqueue/batch", `{"tasks":[{"type":"a"},{"type":"b"}]}`)
		twice("/api/queue/tasks/1/cancel", "") // without the key the second would say that it was cancelled already
		twice("/api/queue/tasks/1/requeue", "")
		claimed := twice("/api/queue/claim", `{"worker_id":"w","types":["b"]}`)
		token := claimed.json()["tasks"].([]any)[0].(map[string]any)["lease_token"]
		twice("/api/queue/tasks/3/complete", fmt.Sprintf(`{"lease_token":%q}`, token))
		twice("/api/queue/tasks/99/cancel", "")
		r.call("POST", "/api/queue/enqueue", `{"type":"z"}`, idempotent, "key of /api/queue/claim").wants(422, "idempotency_key_reused")
		if stats := r.call("GET", "/api/queue/stats", "").json(); stats["total_tasks"] != 3.0 {
			t.Errorf("tasks: %v, want 3", stats["total_tasks"])
		}
	})
}

func TestARefusedRequestLeavesItsKeyToTheCorrectedOne(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, api.Options{MaxBodyBytes: 1000})
		r.call("POST", "/api/queue/enqueue", `{"type":""}`, idempotent, "k").wants(422, "invalid")
		r.call("POST", "/api/queue/enqueue", `{"type":"a"`+strings.Repeat(" ", 1000)+`}`, idempotent, "k").wants(413, "body_too_large")
		first := r.call("POST", "/api/queue/enqueue", `{"type":"a"}`, idempotent, "k")
		if first.Code != 201 {
			t.Errorf("the corrected request: %d %s", first.Code, first.Body)
		}
		r.call("POST", "/api/queue/enqueue", `{"type":"a"}`, idempotent, "k").replayed(first)
	})
}

func TestAMalformedKeyIsRefused(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, api.Options{})
		for _, key := range []string{"", " ", `"`, `""`, `"open`, strings.Repeat("k", 501)} {
			a := r.call("POST", "/api/queue/enqueue", `{"type":"a"}`, idempotent, key)
			a.wants(422, "invalid")
			if !strings.Contains(a.Body.String(), idempotent) {
				t.Errorf("%q: the answer does not name the header: %s", key, a.Body)
			}
		}
	})
}

// mortal is a store whose server is killed at a point: from then on nothing of the request reaches it, and nothing of it is answered.
type mortal struct {
	store.Store
	beforeWork bool // else before the answer is kept
}

var errKilled = errors.New("killed")

func (m *mortal) InsertTask(ctx context.Context, t task.Task) (task.Task, bool, error) {
	if m.beforeWork {
		return task.Task{}, false, errKilled
	}
	return m.Store.InsertTask(ctx, t)
}

func (m *mortal) InsertTasks(ctx context.Context, ts []task.Task) ([]task.Task, []bool, error) {
	if m.beforeWork {
		return nil, nil, errKilled
	}
	return m.Store.InsertTasks(ctx, ts)
}

func (m *mortal) KeepAnswer(context.Context, task.Answer) error      { return errKilled }
func (m *mortal) ForgetAnswer(context.Context, string, string) error { return errKilled }

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

// TestAKilledServerLeavesNoTwin kills the server between the reservation of the key and the work, and between the work and the answer. The client
// that sends its request again gets an answer in the end, and there is one task of each.
func TestAKilledServerLeavesNoTwin(t *testing.T) {
	t.Parallel()
	for point, dying := range map[string]mortal{"BeforeTheWork": {beforeWork: true}, "BeforeTheAnswer": {}} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, st store.Store) {
				clock := &handClock{now: time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)}
				serve := func(st store.Store) *rig {
					q := queue.New(st, queue.Options{Clock: clock})
					return &rig{t: t, api: api.New(q, api.Options{}), queue: q, vars: map[string]string{}, ids: map[string]string{}}
				}
				killed := dying
				killed.Store = st
				for path, body := range map[string]string{"/api/queue/enqueue": `{"type":"a"}`, "/api/queue/enqueue/batch": `{"tasks":[{"type":"b"},{"type":"b"}]}`} {
					serve(&killed).call("POST", path, body, idempotent, path)
					r := serve(st)
					again := r.call("POST", path, body, idempotent, path)
					again.wants(409, "idempotency_in_flight")
					if again.Header().Get("Retry-After") == "" {
						t.Error("no Retry-After")
					}
					clock.advance(15 * time.Second)
					r.call("POST", path, `{"type":"other"}`, idempotent, path).wants(422, "idempotency_key_reused")
					settled := r.call("POST", path, body, idempotent, path)
					if settled.Code != 201 {
						t.Errorf("after the recovery: %d %s", settled.Code, settled.Body)
					}
					r.call("POST", path, body, idempotent, path).replayed(settled)
				}
				if stats := serve(st).call("GET", "/api/queue/stats", "").json(); stats["total_tasks"] != 3.0 {
					t.Errorf("tasks: %v, want 3", stats["total_tasks"])
				}
			})
		})
	}
}

func TestRacingRequestsWithOneKeyAreExecutedOnce(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, api.Options{})
		var racing sync.WaitGroup
		for range 64 {
			racing.Go(func() {
				a := r.call("POST", "/api/queue/enqueue", `{"type":"a"}`, idempotent, "k")
				if a.Code == 409 {
					a.wants(409, "idempotency_in_flight")
				} else if a.Code != 201 || a.json()["message"] != "Task enqueued successfully" {
					t.Errorf("%d %s", a.Code, a.Body)
				}
			})
		}
		racing.Wait()
		if stats := r.call("GET", "/api/queue/stats", "").json(); stats["total_tasks"] != 1.0 {
			t.Errorf("tasks: %v, want 1", stats["total_tasks"])
		}
	})
}

func TestAnswersAreForgottenAfterTheirLifetime(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		clock := &handClock{now: time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)}
		q := queue.New(st, queue.Options{Clock: clock, AnswerLifetime: time.Hour})
		r := &rig{t: t, api: api.New(q, api.Options{}), queue: q, vars: map[string]string{}, ids: map[string]string{}}
		r.call("POST", "/api/queue/tasks/1/cancel", "", idempotent, "k").wants(404, "not_found")
		clock.advance(time.Hour - time.Microsecond)
		r.call("POST", "/api/queue/tasks/2/cancel", "", idempotent, "k").wants(422, "idempotency_key_reused")
		clock.advance(time.Microsecond)
		if _, err := q.Upkeep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n, err := st.PurgeAnswers(t.Context(), clock.Now(), 10); n != 0 || err != nil {
			t.Errorf("the upkeep has left %d (%v)", n, err)
		}
		r.call("POST", "/api/queue/tasks/2/cancel", "", idempotent, "k").wants(404, "not_found")
	})
}
