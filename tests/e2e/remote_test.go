package e2e

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Leases of remote workers: those that a busy machine may not let run out, and those that end soon.
const (
	longLease  = 30 * time.Second
	shortLease = time.Second
)

// remoteWorker starts `work` with a configuration file.
func (m *machine) remoteWorker(s server, id string, lease time.Duration, more string, tasksAtATime int) *process {
	m.t.Helper()
	config := fmt.Sprintf("worker_id: %s\nlease_duration_seconds: %g\npoll_interval_seconds: 0.05\nworkers: %d\n%s", id, lease.Seconds(), tasksAtATime, more)
	return m.start("work", "--server", s.url, "--config", m.write(id+".yaml", config))
}

func TestARemoteWorkerRunsTheTasksThatItsFileHasHandlersFor(t *testing.T) {
	t.Parallel()
	onEachEngine(t, func(t *testing.T, database string) {
		m := newMachine(t)
		s := m.serve(database, "--workers", "0")
		echo, greet, other := s.enqueue("echo", object{"name": "Ada"}), s.enqueue("greet", object{"name": "Ada; $(id)"}), s.enqueue("other", nil)
		w := m.remoteWorker(s, "w1", longLease, `handlers: {exec: {greet: {command: [/bin/sh, -c, 'echo "hello $1"', sh, "{{payload.name}}"]}}}`, 2)
		for id, want := range map[int64]string{echo: `{"name":"Ada"}`, greet: `"hello Ada; $(id)"`} {
			if v := s.reaches(id, "completed"); v.LastWorkerID != "w1" || v.Attempts != 1 || string(v.Result) != want {
				t.Errorf("got %+v with result %s", v, v.Result)
			}
		}
		if v := s.get(other); v.Status != "queued" || v.Attempts != 0 {
			t.Errorf("the task that it has no handler for is %s after %d attempts", v.Status, v.Attempts)
		}
		w.stop(soon)
	})
}

// One holds a task when it is told to drain, the other waits for one.
func TestWorkersThatAreDrainedEnd(t *testing.T) {
	t.Parallel()
	onEachEngine(t, func(t *testing.T, database string) {
		m := newMachine(t)
		s := m.serve(database, "--workers", "0")
		id := s.enqueue("sleep", object{"seconds": 1.5})
		busy := m.remoteWorker(s, "busy", longLease, "", 1)
		s.reaches(id, "processing")
		idle := m.remoteWorker(s, "idle", longLease, "", 2)
		idle.until("it is registered", func() bool { return strings.Contains(m.ok("workers", "list", "--server", s.url), "\nidle ") })
		m.ok("workers", "drain", "busy", "idle", "--server", s.url)
		for name, p := range map[string]*process{"busy": busy, "idle": idle} {
			if code := p.wait(soon); code != 0 {
				t.Errorf("the %s worker ends with %d", name, code)
			}
		}
		if v := s.get(id); v.Status != "completed" || v.Attempts != 1 {
			t.Errorf("what it ran is %s after %d attempts", v.Status, v.Attempts)
		}
		s.call("GET", "/readyz", nil, http.StatusOK, nil)
	})
}

func TestARemoteWorkerHandsItsTaskBackOnSIGTERM(t *testing.T) {
	t.Parallel()
	onEachEngine(t, func(t *testing.T, database string) {
		m := newMachine(t)
		s := m.serve(database, "--workers", "0")
		id := s.enqueue("sleep", object{"seconds": 60})
		w := m.remoteWorker(s, "w1", longLease, "shutdown_grace_seconds: 1\n", 1) // a second one could be given the task again
		s.reaches(id, "processing")
		w.stop(time.Second + soon)
		if v := s.get(id); v.Status != "queued" || v.Attempts != 0 || v.LockedBy != "" {
			t.Errorf("the task is %s, held by %q, after %d attempts", v.Status, v.LockedBy, v.Attempts)
		}
		if got := s.attempts(id); len(got) != 1 || got[0].Outcome != "released" || got[0].WorkerID != "w1" {
			t.Errorf("its history is %+v", got)
		}
	})
}

// TestATaskThatComesWhileTheWorkerStopsIsHandedBack holds up the answer to a claim until the worker has begun to stop.
func TestATaskThatComesWhileTheWorkerStopsIsHandedBack(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	s := m.serve(m.path("queue.db"), "--workers", "0")
	behind, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	claimed, letGo := make(chan struct{}), make(chan struct{})
	var once sync.Once
	proxy := httputil.NewSingleHostReverseProxy(behind)
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.Request.URL.Path == "/api/queue/claim" {
			once.Do(func() { close(claimed) })
			<-letGo
		}
		return nil
	}
	proxy.ErrorLog = log.New(io.Discard, "", 0) // of connections that the worker gives up
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	release := sync.OnceFunc(func() { close(letGo) })
	t.Cleanup(release)

	id := s.enqueue("sleep", object{"seconds": 60})
	w := m.start("work", "--server", front.URL, "--worker-id", "w1", "--count", "1", "--grace", "5s")
	w.until("its claim is answered", func() bool { return isClosed(claimed) })
	w.signal(syscall.SIGTERM)
	w.until("it stops", func() bool { return strings.Contains(w.stderr.String(), "worker stopping") })
	release()
	if code := w.wait(5*time.Second + soon); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	if v := s.get(id); v.Status != "queued" || v.Attempts != 0 {
		t.Errorf("the task is %s, held by %q, after %d attempts", v.Status, v.LockedBy, v.Attempts)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestTheTaskOfAKilledWorkerIsTakenBackAndFinishedByAnother(t *testing.T) {
	t.Parallel()
	onEachEngine(t, func(t *testing.T, database string) {
		m := newMachine(t)
		s := m.serve(database, "--workers", "0")
		id := s.enqueue("sleep", object{"seconds": 2})
		w := m.remoteWorker(s, "w1", shortLease, "", 2)
		s.reaches(id, "processing")
		w.kill()
		lease := s.get(id).LeaseUntilUTC // it grows no more
		w = m.remoteWorker(s, "w2", longLease, "", 2)
		if v := s.reaches(id, "completed"); v.LastWorkerID != "w2" || v.Attempts != 2 {
			t.Errorf("completed by %s after %d attempts", v.LastWorkerID, v.Attempts)
		}
		got := s.attempts(id)
		if len(got) != 2 || got[0].Outcome != "lost" || got[0].WorkerID != "w1" || got[1].Outcome != "succeeded" || got[1].WorkerID != "w2" {
			t.Fatalf("its history is %+v", got)
		}
		if late := got[0].FinishedAtUTC.Sub(lease); late < 0 || late > time.Second+soon {
			t.Errorf("it was taken back %s after the end of the lease", late)
		}
		w.stop(soon)
	})
}

func TestARemoteWorkerOutlivesARestartOfItsServer(t *testing.T) {
	t.Parallel()
	onEachEngine(t, func(t *testing.T, database string) {
		m := newMachine(t)
		s := m.serve(database, "--workers", "0")
		running := s.enqueue("sleep", object{"seconds": 3})
		m.remoteWorker(s, "w1", shortLease, "", 2)
		s.reaches(running, "processing")
		s.kill()
		s = m.serve(database, "--workers", "0", "--addr", strings.TrimPrefix(s.url, "http://"))
		for _, id := range []int64{s.enqueue("echo", nil), running} {
			if v := s.reaches(id, "completed"); v.LastWorkerID != "w1" {
				t.Errorf("task %d was completed by %s", id, v.LastWorkerID)
			}
		}
	})
}
