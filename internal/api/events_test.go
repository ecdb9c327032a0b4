package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/api"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// stream is one stream of events on a real connection.
type stream struct {
	t     *testing.T
	resp  *http.Response
	lines *bufio.Scanner
}

// follow opens a stream and returns when it has begun.
func follow(t *testing.T, url string, header ...string) *stream {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(stop)
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	s := &stream{t: t, resp: resp, lines: bufio.NewScanner(resp.Body)}
	if got := s.piece(); !cmp.Equal(got, []string{"retry: 1000"}) {
		t.Fatalf("the stream begins with %q", got)
	}
	return s
}

// piece returns the lines up to the next empty one; nil at the end.
func (s *stream) piece() (out []string) {
	s.t.Helper()
	for s.lines.Scan() && s.lines.Text() != "" {
		out = append(out, s.lines.Text())
	}
	return out
}

// next returns the next event, whose name and id stand beside it as well.
func (s *stream) next() (e task.Event) {
	s.t.Helper()
	got := s.piece()
	if len(got) != 3 {
		s.t.Fatalf("got %q (%v)", got, s.lines.Err())
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(got[2], "data: ")), &e); err != nil {
		s.t.Fatalf("%q: %v", got, err)
	}
	if want := []string{"event: " + string(e.Name), fmt.Sprintf("id: %d", e.ID), got[2]}; !cmp.Equal(got, want) {
		s.t.Errorf("got %q, want %q", got, want)
	}
	return e
}

func TestEventsAreStreamed(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, api.Options{})
		url, _ := serve(t, r)
		all := follow(t, url+"/api/queue/events")
		if got := all.resp.Header.Get("Content-Type") + ", " + all.resp.Header.Get("Cache-Control"); got != "text/event-stream, no-store" {
			t.Errorf("got %s", got)
		}
		r.step("POST", enqueue, `{"type":"a","priority":7}`)
		first := r.vars["{id}"]
		own := follow(t, url+"/api/queue/tasks/"+first+"/events")
		ended := follow(t, url+"/api/queue/events?type=a,b&event=completed,failed&status=completed")
		r.step("POST", enqueue, `{"type":"b"}`)
		r.step("POST", claim, `{"worker_id":"w","types":["a"]}`)
		r.step("POST", "/api/queue/tasks/{id}/logs", `{"lease_token":"{token}","level":"info","message":"two\nlines <b>"}`)
		r.step("POST", "/api/queue/tasks/{id}/complete", `{"lease_token":"{token}"}`)
		var got []string
		for range 5 {
			e := all.next()
			got = append(got, fmt.Sprintf("%s %s %s", e.Type, e.Name, e.Status))
		}
		want := []string{"a enqueued queued", "b enqueued queued", "a claimed processing", "a log processing", "a completed completed"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("all (-want +got):\n%s", diff)
		}
		claimed, line, done := own.next(), own.next(), own.next()
		if fmt.Sprint(claimed.TaskID) != first || claimed.Name != task.EventClaimed || claimed.Priority != 7 || *claimed.WorkerID != "w" || claimed.Attempts != 1 || claimed.MaxAttempts != 5 {
			t.Errorf("got %+v", claimed)
		}
		if *line.Message != "two\nlines <b>" || *line.Level != task.Info {
			t.Errorf("got %+v", line)
		}
		if e := ended.next(); e.ID != done.ID || done.Name != task.EventCompleted || *done.Outcome != task.Succeeded {
			t.Errorf("got %+v, want %+v", e, done)
		}
		again := follow(t, url+"/api/queue/events", "Last-Event-ID", fmt.Sprint(claimed.ID))
		if e := again.next(); e.ID != line.ID {
			t.Errorf("after event %d: %d, want %d", claimed.ID, e.ID, line.ID)
		}
		missed := follow(t, url+"/api/queue/events?last_event_id=12")
		if got := missed.piece(); len(got) != 2 || got[0] != "event: missed" {
			t.Errorf("got %q", got)
		}
		r.queue.Drain()
		if got := all.piece(); got != nil {
			t.Errorf("after the end: %q", got)
		}
	})
}

func TestStreamsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.SQLite(t), api.Options{})
	for _, c := range []struct {
		path, header string
		status       int
		detail       string
	}{
		{"/api/queue/tasks/99/events", "", 404, "not found"},
		{"/api/queue/tasks/one/events", "", 422, "task_id: must be an integer"},
		{"/api/queue/events?status=lost", "", 422, "use one of queued, processing, completed, failed"},
		{"/api/queue/events?event=done", "", 422, "use one of enqueued, claimed, started"},
		{"/api/queue/events?task_id=0", "", 422, "task_id: must be an integer between 1"},
		{"/api/queue/events", "last", 422, "Last-Event-ID: must be the id of an event"},
	} {
		a := r.call("GET", c.path, "", "Last-Event-ID", c.header, beyond, "1")
		if a.Code != c.status || !strings.Contains(a.json()["detail"].(string), c.detail) {
			t.Errorf("%s: got %d %s", c.path, a.Code, a.Body)
		}
	}
}
