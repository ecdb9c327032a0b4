package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// view is a task as the API shows it, in the words of the contract.
type view struct {
	TaskID               int64           `json:"task_id"`
	Type                 string          `json:"type"`
	Priority             int             `json:"priority"`
	Payload              json.RawMessage `json:"payload"`
	Status               string          `json:"status"`
	Outcome              string          `json:"outcome"` // empty while live
	Attempts             int             `json:"attempts"`
	Fence                int64           `json:"fence"`
	LockedBy             string          `json:"locked_by"`
	LastWorkerID         string          `json:"last_worker_id"`
	LeaseUntilUTC        time.Time       `json:"lease_until_utc"`
	ProcessingStartedUTC time.Time       `json:"processing_started_utc"`
	ErrorMessage         string          `json:"error_message"`
	Result               json.RawMessage `json:"result"`
	IdempotencyKey       string          `json:"idempotency_key"`
	LeaseToken           string          `json:"lease_token"` // in the answer to a claim alone
}

// attempt is one entry of the history of a task.
type attempt struct {
	Attempt       int       `json:"attempt"`
	Fence         int64     `json:"fence"`
	WorkerID      string    `json:"worker_id"`
	FinishedAtUTC time.Time `json:"finished_at_utc"`
	Outcome       string    `json:"outcome"`
}

// stats are the counts that the API gives.
type stats struct {
	Total      int `json:"total_tasks"`
	Queued     int `json:"queued_tasks"`
	Processing int `json:"processing_tasks"`
	Completed  int `json:"completed_tasks"`
	Failed     int `json:"failed_tasks"`
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

var web = &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// send makes one request. An error means that it was not answered, and nobody knows whether it was carried out.
func send(ctx context.Context, method, url string, body any) (answer, error) {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, in)
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := web.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, b}, err
}

// rest is the client of one server in one test; a call that is not answered as it must be ends the test.
type rest struct {
	t   *testing.T
	url string
}

// object is a JSON object on its way out.
type object = map[string]any

func (r rest) call(method, path string, body any, wantStatus int, into any) http.Header {
	r.t.Helper()
	a, err := send(r.t.Context(), method, r.url+path, body)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	if a.status != wantStatus {
		r.t.Fatalf("%s %s: status %d, want %d: %s", method, path, a.status, wantStatus, a.body)
	}
	if into != nil {
		if err := json.Unmarshal(a.body, into); err != nil {
			r.t.Fatalf("%s %s: %v: %s", method, path, err, a.body)
		}
	}
	return a.header
}

// enqueue stores a task and returns its id.
func (r rest) enqueue(taskType string, payload object) int64 {
	r.t.Helper()
	var got view
	r.call("POST", "/api/queue/enqueue", object{"type": taskType, "payload": payload}, http.StatusCreated, &got)
	return got.TaskID
}

func (r rest) get(id int64) (v view) {
	r.t.Helper()
	r.call("GET", fmt.Sprintf("/api/queue/tasks/%d", id), nil, http.StatusOK, &v)
	return v
}

func (r rest) attempts(id int64) (list []attempt) {
	r.t.Helper()
	r.call("GET", fmt.Sprintf("/api/queue/tasks/%d/attempts", id), nil, http.StatusOK, &list)
	return list
}

func (r rest) stats() (s stats) {
	r.t.Helper()
	r.call("GET", "/api/queue/stats", nil, http.StatusOK, &s)
	return s
}

// reaches waits until the task has the status and returns it then.
func (r rest) reaches(id int64, status string) (v view) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("task %d is %s", id, status), patience, func() bool {
		v = r.get(id)
		return v.Status == status
	})
	return v
}

// list reads all tasks that the query chooses, page by page.
func (r rest) list(query string) (all []view) {
	r.t.Helper()
	for path, last := "/api/queue/tasks?limit=1000&"+query, int64(1<<62); ; {
		var page []view
		header := r.call("GET", path, nil, http.StatusOK, &page)
		for _, v := range page {
			if v.TaskID >= last {
				r.t.Fatalf("the list shows task %d after task %d", v.TaskID, last)
			}
			last = v.TaskID
		}
		all = append(all, page...)
		cursor := header.Get("X-Next-Cursor")
		if cursor == "" {
			return all
		}
		path = "/api/queue/tasks?limit=1000&cursor=" + cursor + "&" + query
	}
}
