package api_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/prismq/thequeue/internal/api"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// eventually waits until ok is true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(10 * time.Second); !ok(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("still not so: %s", what)
		}
	}
}

// serve runs the API on a real connection. Each handled claim is announced on the channel.
func serve(t *testing.T, r *rig) (url string, claimed <-chan struct{}) {
	done := make(chan struct{}, 8)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.api.ServeHTTP(w, req)
		if strings.HasSuffix(req.URL.Path, "/claim") {
			done <- struct{}{}
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, done
}

// asks starts a claim that waits for 30 seconds, and returns once its worker is registered.
func asks(ctx context.Context, t *testing.T, r *rig, url string) <-chan string {
	t.Helper()
	answers := make(chan string, 1)
	go func() {
		req, err := http.NewRequestWithContext(ctx, "POST", url+claim, strings.NewReader(`{"worker_id":"w","wait_seconds":30}`))
		if err != nil {
			answers <- err.Error()
			return
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			answers <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		answers <- string(b)
		if err != nil {
			t.Error(err)
		}
	}()
	eventually(t, "the worker is registered", func() bool {
		_, err := r.queue.Reader().GetWorker(t.Context(), "w")
		if err != nil && !errors.Is(err, task.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	})
	return answers
}

func TestWaitingClaim(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		t.Run("AnswersWhenATaskComes", func(t *testing.T) {
			r := newRig(t, st, api.Options{})
			url, _ := serve(t, r)
			answers := asks(t.Context(), t, r, url)
			r.call("POST", enqueue, `{"type":"a"}`)
			if got := <-answers; !strings.Contains(got, `"locked_by":"w"`) {
				t.Error(got)
			}
		})
		t.Run("EndsWhenTheClientGoes", func(t *testing.T) {
			if err := st.DeleteWorker(t.Context(), "w"); err != nil {
				t.Fatal(err)
			}
			r := newRig(t, st, api.Options{})
			url, claimed := serve(t, r)
			ctx, leave := context.WithCancel(t.Context())
			answers := asks(ctx, t, r, url)
			leave()
			<-answers
			select {
			case <-claimed:
			case <-time.After(10 * time.Second):
				t.Fatal("the claim still waits for a client that has gone")
			}
			r.step("POST", enqueue, `{"type":"a"}`)
			if m := r.step("GET", "/api/queue/tasks/{id}", "").json(); m["status"] != "queued" || m["attempts"] != 0.0 {
				t.Errorf("the task went to a worker that has gone: %v", m)
			}
		})
		t.Run("EndsWhenTheServiceDrains", func(t *testing.T) {
			if err := st.DeleteWorker(t.Context(), "w"); err != nil {
				t.Fatal(err)
			}
			other := newRig(t, st, api.Options{})
			r := newRig(t, st, api.Options{})
			url, _ := serve(t, r)
			if m := other.step("POST", claim, `{"worker_id":"other","wait_seconds":0}`); m.Code != 200 {
				t.Fatal(m.Body)
			}
			answers := asks(t.Context(), t, r, url)
			r.queue.Drain()
			if got := <-answers; got != `{"tasks":[]}` {
				t.Error(got)
			}
		})
	})
}

func TestBodyThatBreaksOff(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.SQLite(t), api.Options{})
	broken := io.MultiReader(strings.NewReader(`{"type":"a"}`), iotest.ErrReader(io.ErrUnexpectedEOF))
	req := httptest.NewRequestWithContext(t.Context(), "POST", enqueue, broken)
	rec := httptest.NewRecorder()
	r.api.ServeHTTP(rec, req)
	if rec.Code != 422 || !strings.Contains(rec.Body.String(), "could not be read to its end") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}
