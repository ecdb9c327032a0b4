package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// onceRequests is how many requests of each kind are sent, onceKeys under how many unique keys.
const (
	onceRequests = 400
	onceKeys     = 20
)

// TestKeysHoldWhileTheServerIsKilled has every request sent until it is answered, under the header Idempotency-Key or with a unique_key, while the server is
// killed again and again. Each request under a header must have made one task, each unique key one in all, and no key may stay taken for ever.
func TestKeysHoldWhileTheServerIsKilled(t *testing.T) {
	t.Parallel()
	onEachEngine(t, func(t *testing.T, database string) {
		m := newMachine(t)
		s := m.serve(database, "--workers", "0", "--log-level", "error")
		var url atomic.Pointer[string]
		first := s.url // of its own: the server is replaced while clients read this
		url.Store(&first)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()

		var next, answered atomic.Int64
		var byHeader, byUnique sync.Map // the id that was answered, by key
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				for i := next.Add(1); i <= 2*onceRequests && ctx.Err() == nil; i = next.Add(1) {
					ids, key, body, header := &byHeader, fmt.Sprint("request-", i), `{"type":"header"}`, http.Header{"Idempotency-Key": {fmt.Sprint("request-", i)}}
					if i%2 == 0 {
						key = fmt.Sprint("unique-", i/2%onceKeys)
						ids, body, header = &byUnique, fmt.Sprintf(`{"type":"unique","unique_key":%q}`, key), nil
					}
					id := askUntilAnswered(ctx, t, &url, header, body)
					if before, known := ids.LoadOrStore(key, id); known && before != id {
						t.Errorf("%s was answered with task %v and with task %d", key, before, id)
					}
					answered.Add(1)
				}
			})
		}
		for kill := range int64(4) {
			eventually(t, "requests are answered", time.Minute, func() bool { return answered.Load() >= (kill+1)*onceRequests/4 })
			s.kill()
			s = m.serve(database, "--workers", "0", "--log-level", "error")
			fresh := s.url
			url.Store(&fresh)
		}
		clients.Wait()
		if ctx.Err() != nil {
			t.Fatalf("after %d requests some were not answered: a key is taken for ever", answered.Load())
		}
		for taskType, want := range map[string]int{"header": onceRequests, "unique": onceKeys} {
			var list []struct {
				TaskID int64 `json:"task_id"`
			}
			s.call("GET", "/api/queue/tasks?limit=1000&type="+taskType, nil, http.StatusOK, &list)
			if len(list) != want {
				t.Errorf("%d tasks of type %s, want %d", len(list), taskType, want)
			}
		}
		s.stop(soon)
	})
}

// askUntilAnswered enqueues until the answer is 201, and returns the id of the task.
func askUntilAnswered(ctx context.Context, t *testing.T, url *atomic.Pointer[string], header http.Header, body string) int64 {
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, *url.Load()+"/api/queue/enqueue", bytes.NewReader([]byte(body)))
		if err != nil {
			t.Error(err)
			return 0
		}
		req.Header = header.Clone()
		if req.Header == nil {
			req.Header = http.Header{}
		}
		req.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(req)
		if err == nil {
			text, read := io.ReadAll(answer.Body)
			answer.Body.Close()
			var in struct {
				TaskID int64 `json:"task_id"`
			}
			switch {
			case read != nil: // it was killed meanwhile
			case answer.StatusCode == http.StatusCreated:
				if err := json.Unmarshal(text, &in); err != nil || in.TaskID == 0 {
					t.Errorf("answer %s: %v", text, err)
				}
				return in.TaskID
			case answer.StatusCode != http.StatusConflict && answer.StatusCode != http.StatusServiceUnavailable:
				t.Errorf("%s: %d %s", body, answer.StatusCode, text)
				return 0
			}
		}
		pause(ctx, 20*time.Millisecond)
	}
	return 0
}
