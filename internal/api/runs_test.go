package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/prismq/thequeue/internal/api"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// line returns the next line of the log of a run.
func (s *stream) line() (l task.RunLog) {
	s.t.Helper()
	got := s.piece()
	if len(got) != 3 || got[0] != "event: log" {
		s.t.Fatalf("got %q (%v)", got, s.lines.Err())
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(got[2], "data: ")), &l); err != nil || got[1] != fmt.Sprintf("id: %d", l.LogID) {
		s.t.Fatalf("%q: %v", got, err)
	}
	return l
}

func TestLogOfARunIsStreamedToItsEnd(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, api.Options{})
		url, _ := serve(t, r)
		r.step("POST", "/api/modules/a/run", `{"run_id":"one"}`)
		s := follow(t, url+"/api/runs/one/logs/stream")
		if got := s.line(); got.Message != "Enqueued" || got.Level != "INFO" {
			t.Errorf("got %+v", got)
		}
		r.step("POST", claim, `{"worker_id":"w"}`)
		claimed := s.line()
		r.step("POST", "/api/queue/tasks/{id}/logs", `{"lease_token":"{token}","level":"warning","message":"two\nlines"}`)
		if got := s.line(); got.Message != "two\nlines" || got.Level != "WARNING" {
			t.Errorf("got %+v", got)
		}
		r.step("POST", "/api/queue/tasks/{id}/complete", `{"lease_token":"{token}"}`)
		done := s.line()
		if done.Message != "Completed by w" {
			t.Errorf("got %+v", done)
		}
		again := follow(t, url+"/api/runs/one/logs/stream", "Last-Event-ID", fmt.Sprint(claimed.LogID))
		if got := again.line(); got.Message != "two\nlines" {
			t.Errorf("after the line of the claim comes %+v", got)
		}
		again.line()
		late := follow(t, url+"/api/runs/one/logs/stream", "Last-Event-ID", fmt.Sprint(done.LogID))
		for _, s := range []*stream{s, again, late} {
			if got := strings.Join(s.piece(), "\n"); got != "event: complete\ndata: {\"status\":\"completed\"}" {
				t.Errorf("the stream ends with %q", got)
			}
			if got := s.piece(); got != nil || s.lines.Err() != nil {
				t.Errorf("after the end: %q, %v", got, s.lines.Err())
			}
		}
	})
}

// A page of runs does not grow with what they were given.
func TestPagesOfRunsLeaveLongParametersOut(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.SQLite(t), api.Options{})
	r.call("POST", "/api/modules/a/run", `{"run_id":"one","parameters":{"text":"`+strings.Repeat("x", 100_000)+`"}}`)
	for range 40 {
		r.call("POST", "/api/modules/a/run", `{"parameters":{"n":1}}`)
	}
	a := r.call("GET", "/api/runs?limit=100", "")
	runs := a.json()["runs"].([]any)
	if len(runs) != 41 || runs[40].(map[string]any)["parameters"] != nil || runs[39].(map[string]any)["parameters"] == nil {
		t.Errorf("got %d runs: %s", len(runs), a.Body)
	}
	if one := r.call("GET", "/api/runs/one", "").json()["parameters"].(map[string]any)["text"].(string); len(one) != 100_000 {
		t.Errorf("the run has %d characters", len(one))
	}
}
