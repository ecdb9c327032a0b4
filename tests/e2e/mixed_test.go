package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// mixedConfig has eight workers and the handlers of a mixture; the URL is that of a hook.
const mixedConfig = `{
	"workers": 8,
	"log_level": "error",
	"handlers": {
		"exec": {
			"flaky": {"command": ["/bin/sh", "-c", "test \"$THEQUEUE_ATTEMPT\" -ge 3"]},
			"broken": {"command": ["/bin/sh", "-c", "echo no luck >&2; exit 7"]},
			"named": {"command": ["/bin/sh", "-c", "exit 0", "{{payload.name}}"]}
		},
		"http": {"hook": {"url": %q}}
	}
}`

// TestAFileOfManyKindsOfTasksRunsDry enqueues thousands of tasks from a file, and compares what became of each with what its kind demands.
func TestAFileOfManyKindsOfTasksRunsDry(t *testing.T) {
	t.Parallel()
	onEachEngine(t, func(t *testing.T, database string) {
		m, calls := newMachine(t), new(hook)
		url := httptest.NewServer(calls)
		t.Cleanup(url.Close)
		s := m.serve(database, "--config", m.write("config.json", fmt.Sprintf(mixedConfig, url.URL)))
		lines := 5000
		if testing.Short() {
			lines = 1000
		}
		in := mix(t, lines, 2026, time.Now().UTC())

		said := m.ok("enqueue", "--server", s.url, "--file", m.write("tasks.jsonl", string(in.file)))
		if want := fmt.Sprintf("%d tasks enqueued, %d known by their keys\n", len(in.fates), in.known); said != want || in.known == 0 {
			t.Errorf("enqueue said %q, want %q", said, want)
		}
		want := countsOf(in.fates)
		eventually(t, "the queue has run dry", 3*time.Minute, func() bool {
			got := s.stats()
			return got.Processing == 0 && got.Queued == want.Queued
		})
		compare(t, in, s, want)
		calls.check(t, totals(in.fates)["hook: completed succeeded after 3 attempts"])
		s.stop(soon)
	})
}

func countsOf(fates map[int]fate) stats {
	s := stats{Total: len(fates)}
	for _, f := range fates {
		switch f.Status {
		case "queued":
			s.Queued++
		case "completed":
			s.Completed++
		case "failed":
			s.Failed++
		}
	}
	return s
}

func compare(t *testing.T, in mixture, s server, want stats) {
	t.Helper()
	if diff := cmp.Diff(want, s.stats()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	got, failed := fatesOf(t, s.list(""), in.notYet), s.list("status=failed")
	if diff := cmp.Diff(totals(in.fates), totals(got)); diff != "" {
		t.Fatalf("tasks of each kind (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(in.fates, got); diff != "" {
		t.Errorf("single tasks (-want +got):\n%s", diff)
	}
	if len(failed) != want.Failed {
		t.Errorf("the list of failed tasks has %d, want %d", len(failed), want.Failed)
	}
	for _, v := range failed {
		if v.ErrorMessage == "" {
			t.Errorf("task %d failed and nobody knows why", v.TaskID)
		}
	}
}

// fatesOf returns what became of the tasks, by their numbers, and reports those that were run before their time.
func fatesOf(t *testing.T, stored []view, notYet map[int]time.Time) map[int]fate {
	t.Helper()
	out := map[int]fate{}
	for _, v := range stored {
		var p struct{ N int }
		if err := json.Unmarshal(v.Payload, &p); err != nil {
			t.Fatal(err)
		}
		if _, twice := out[p.N]; twice {
			t.Errorf("line %d was stored twice", p.N)
		}
		if at := notYet[p.N]; v.ProcessingStartedUTC.Before(at.Truncate(time.Microsecond)) {
			t.Errorf("task %d was run at %s, before %s", v.TaskID, v.ProcessingStartedUTC, at)
		}
		out[p.N] = fate{v.Type, v.Status, v.Outcome, v.Attempts, v.Priority, string(v.Payload), string(v.Result)}
	}
	return out
}

// hook answers the first two calls for each task with 500, and the third with success.
type hook struct {
	mu    sync.Mutex
	calls map[string]int // by task
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.calls == nil {
		h.calls = map[string]int{}
	}
	id := r.Header.Get("X-Thequeue-Task-Id")
	if h.calls[id]++; h.calls[id] < 3 {
		http.Error(w, "not yet", http.StatusInternalServerError)
		return
	}
	fmt.Fprint(w, `{"ok":true}`)
}

// check demands three calls for each of so many tasks.
func (h *hook) check(t *testing.T, tasks int) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.calls) != tasks || tasks == 0 {
		t.Errorf("%d tasks called the hook, want %d", len(h.calls), tasks)
	}
	for id, n := range h.calls {
		if n != 3 {
			t.Errorf("task %s called the hook %d times", id, n)
		}
	}
}
