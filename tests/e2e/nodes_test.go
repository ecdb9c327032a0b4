package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goclient "github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// cluster are servers on one PostgreSQL database.
type cluster struct {
	*machine
	database string
	nodes    [3]server
}

func newCluster(t *testing.T, args ...string) *cluster {
	t.Helper()
	c := &cluster{machine: newMachine(t), database: testdb.PostgresURL(t)}
	for i := range c.nodes {
		c.startNode(i, args...)
	}
	return c
}

func (c *cluster) startNode(i int, args ...string) {
	c.t.Helper()
	c.env = []string{fmt.Sprintf("PRISMQ_WORKER_ID=node-%d", i)}
	c.nodes[i] = c.serve(c.database, append([]string{"--log-level", "error"}, args...)...)
}

// claimed is what a claim has got.
type claimed struct {
	Tasks []struct {
		TaskID     int64  `json:"task_id"`
		LeaseToken string `json:"lease_token"`
	} `json:"tasks"`
}

// claim asks a node for up to max tasks, and waits for one.
func (c *cluster) claim(ctx context.Context, node int, worker string, max, wait int) (got claimed, err error) {
	var a answer
	a, err = send(ctx, "POST", c.nodes[node].url+"/api/queue/claim", object{"worker_id": worker, "types": []string{"job"}, "max": max, "wait_seconds": wait})
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("claim: %d %s", a.status, a.body)
	}
	if err == nil {
		err = json.Unmarshal(a.body, &got)
	}
	return got, err
}

// TestNodesWakeEachOther: a claim that waits at one node is answered at once when another has got the task. Without the word between nodes it would be found within a second.
func TestNodesWakeEachOther(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "--workers", "0")
	const rounds = 15
	var took []time.Duration
	for n := range rounds {
		type result struct {
			claimed
			at  time.Time
			err error
		}
		got, worker := make(chan result, 1), fmt.Sprintf("w-%d", n)
		go func() {
			g, err := c.claim(t.Context(), 1+n%2, worker, 1, 20)
			got <- result{g, time.Now(), err}
		}()
		eventually(t, "the worker is known, and waits", patience, func() bool {
			a, err := send(t.Context(), "GET", c.nodes[0].url+"/api/queue/workers/"+worker, nil)
			return err == nil && a.status == http.StatusOK
		})
		id := c.nodes[0].enqueue("job", nil)
		stored := time.Now()
		r := <-got
		if r.err != nil || len(r.Tasks) != 1 || r.Tasks[0].TaskID != id {
			t.Fatalf("task %d: %+v, %v", id, r.claimed, r.err)
		}
		took = append(took, r.at.Sub(stored))
		c.nodes[0].call("POST", fmt.Sprintf("/api/queue/tasks/%d/complete", id), object{"lease_token": r.Tasks[0].LeaseToken}, http.StatusOK, nil)
	}
	slices.Sort(took)
	t.Logf("from the answer to the enqueue to the answer to the claim: p50 %s, p95 %s", took[rounds/2], took[rounds-1])
	if took[rounds/2] > 250*time.Millisecond {
		t.Errorf("half of the claims took longer than %s: nodes do not hear of each other's tasks", took[rounds/2])
	}
}

// TestWhatOneNodeForbidsNoneGives: a pause and a limit that one node has acknowledged hold at every other, at once.
func TestWhatOneNodeForbidsNoneGives(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "--workers", "0")
	const tasks, limit = 400, 2
	c.nodes[0].call("POST", "/api/queue/enqueue/batch", object{"tasks": slices.Repeat([]object{{"type": "job"}}, tasks)}, http.StatusCreated, nil)
	c.nodes[1].call("PUT", "/api/queue/types/job", object{"max_concurrency": limit}, http.StatusOK, nil)
	var held, most, done, given atomic.Int64
	var paused atomic.Int64 // the round in which they are, from 1; 0: they are not
	ids := sync.Map{}
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	var workers sync.WaitGroup
	for n := range 6 {
		workers.Go(func() {
			for ctx.Err() == nil && done.Load() < tasks {
				forbidden := paused.Load()
				got, err := c.claim(ctx, n%3, fmt.Sprintf("w-%d", n), 2, 0)
				if err != nil {
					if ctx.Err() == nil {
						t.Error(err)
					}
					return
				}
				if forbidden != 0 && paused.Load() == forbidden && len(got.Tasks) > 0 {
					t.Errorf("node %d gives %d tasks of a paused type", n%3, len(got.Tasks))
				}
				now := held.Add(int64(len(got.Tasks)))
				for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
				}
				for _, k := range got.Tasks {
					if _, twice := ids.LoadOrStore(k.TaskID, true); twice {
						t.Errorf("task %d was given twice", k.TaskID)
					}
					given.Add(1)
					held.Add(-1) // before the node hears of it, which may give the next at once
					a, err := send(ctx, "POST", fmt.Sprintf("%s/api/queue/tasks/%d/complete", c.nodes[(n+1)%3].url, k.TaskID), object{"lease_token": k.LeaseToken})
					if err != nil || a.status != http.StatusOK {
						t.Errorf("complete at another node: %d, %v", a.status, err)
					}
					done.Add(1)
				}
			}
		})
	}
	for round := range 3 {
		before := given.Load()
		eventually(t, "tasks are given", time.Minute, func() bool { return given.Load() > before || done.Load() >= tasks })
		if done.Load() >= tasks {
			t.Error("all tasks are done before the last pause: nothing was tried")
		}
		c.nodes[round].call("POST", "/api/queue/types/job/pause", nil, http.StatusOK, nil)
		paused.Store(int64(round + 1))
		eventually(t, "what was given has ended", time.Minute, func() bool { return held.Load() == 0 && given.Load() == done.Load() })
		paused.Store(0)
		c.nodes[(round+1)%3].call("POST", "/api/queue/types/job/resume", nil, http.StatusOK, nil)
	}
	workers.Wait()
	if most.Load() > limit || done.Load() != tasks {
		t.Errorf("%d were held at a time, of %d allowed; %d of %d are done", most.Load(), limit, done.Load(), tasks)
	}
}

// TestNodesAreRestartedOneAfterTheOther: clients that try again, as ours does, notice nothing of it behind a proxy that knows which nodes are there.
func TestNodesAreRestartedOneAfterTheOther(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	var at atomic.Pointer[[3]string]
	note := func() {
		var urls [3]string
		for i := range c.nodes {
			urls[i] = c.nodes[i].url
		}
		at.Store(&urls)
	}
	note()
	var turn atomic.Int64
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			u, err := url.Parse(at.Load()[turn.Add(1)%3])
			if err != nil {
				t.Error(err)
				return
			}
			r.SetURL(u)
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { // the node is not there
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
		},
	})
	defer front.Close()
	q, err := goclient.New(front.URL, goclient.Options{Retries: 8})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var acked atomic.Int64
	var clients sync.WaitGroup
	for n := range 4 {
		clients.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if _, err := q.Enqueue(t.Context(), task.Spec{Type: "echo", IdempotencyKey: new(fmt.Sprintf("%d-%d", n, i))}); err != nil {
					t.Errorf("enqueue: %v", err)
					return
				}
				acked.Add(1)
				if _, err := q.Stats(t.Context()); err != nil {
					t.Errorf("stats: %v", err)
					return
				}
			}
		})
	}
	for i := range c.nodes {
		before := acked.Load()
		eventually(t, "tasks come in", patience, func() bool { return acked.Load() > before+10 || t.Failed() })
		c.nodes[i].stop(patience)
		c.startNode(i)
		note()
	}
	stop()
	clients.Wait()
	eventually(t, "all tasks have ended", time.Minute, func() bool {
		s := c.nodes[0].stats()
		return s.Queued+s.Processing == 0
	})
	if s := c.nodes[2].stats(); int64(s.Total) != acked.Load() || s.Completed != s.Total {
		t.Errorf("%d were acknowledged: %+v", acked.Load(), s)
	}
}

// TestANodeIsKilled: the tasks that its workers were running are run by the others, and it stays away.
func TestANodeIsKilled(t *testing.T) {
	t.Parallel()
	c := &cluster{machine: newMachine(t), database: testdb.PostgresURL(t)}
	config := c.write("node.yaml", "lease_duration_seconds: 1\npoll_interval_seconds: 0.05\nworkers: 2\n")
	for i := range c.nodes {
		c.startNode(i, "--config", config)
	}
	var ids []int64
	for range 6 { // as many as there are workers
		ids = append(ids, c.nodes[1].enqueue("sleep", object{"seconds": 3}))
	}
	var lost []int64
	eventually(t, "the node that will be killed runs two", patience, func() bool {
		lost = nil
		for _, v := range c.nodes[1].list("?status=processing") {
			if v.LastWorkerID == "node-0" {
				lost = append(lost, v.TaskID)
			}
		}
		return len(lost) == 2
	})
	c.nodes[0].kill()
	for _, id := range ids {
		v := c.nodes[2].reaches(id, "completed")
		if slices.Contains(lost, id) && (v.Attempts < 2 || v.LastWorkerID == "node-0") {
			t.Errorf("task %d of the node that was killed: %d attempts, the last by %s", id, v.Attempts, v.LastWorkerID)
		}
	}
	for _, id := range lost {
		if got := c.nodes[1].attempts(id); got[0].Outcome != "lost" {
			t.Errorf("the history of task %d is %+v", id, got)
		}
	}
}
