package e2e

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// soon is far below the 60 s of the tasks that are stopped, and leaves room for a busy machine.
const soon = 10 * time.Second

func TestTheFirstMinute(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.env = []string{"XDG_DATA_HOME=" + m.path("data")}
	s := m.serve("")

	var created struct {
		TaskID  int64  `json:"task_id"`
		Status  string `json:"status"`
		Message string `json:"message"`
	}
	s.call("POST", "/api/queue/enqueue", object{"type": "echo", "payload": object{"name": "Ada"}}, http.StatusCreated, &created)
	if created.Status != "queued" || created.Message != "Task enqueued successfully" {
		t.Errorf("got %+v", created)
	}
	if v := s.reaches(created.TaskID, "completed"); string(v.Result) != `{"name":"Ada"}` || v.Attempts != 1 {
		t.Errorf("got result %s after %d attempts", v.Result, v.Attempts)
	}
	cancelRunning(s)

	s.stop(soon)
	found := greeting.FindStringSubmatch(s.stdout.String())[2]
	want := m.path("data/thequeue/queue.db")
	if runtime.GOOS == "darwin" {
		want = m.path("Library/Application Support/thequeue/queue.db")
	}
	if info, err := os.Stat(want); found != want || err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the tasks are in %s, want %s, for the user alone: %v", found, want, err)
	}
	if m.serve("").get(created.TaskID).Status != "completed" {
		t.Error("the task is gone after a restart")
	}
}

// cancelRunning fills all workers with tasks of a minute, cancels them, and sees that the workers are free again.
func cancelRunning(s server) {
	s.t.Helper()
	var ids []int64
	for range 4 { // the default number of workers
		ids = append(ids, s.enqueue("sleep", object{"seconds": 60}))
	}
	for _, id := range ids {
		s.reaches(id, "processing")
	}
	begun := time.Now()
	for _, id := range ids {
		var got struct{ Status, Message string }
		s.call("POST", fmt.Sprintf("/api/queue/tasks/%d/cancel", id), nil, http.StatusOK, &got)
		if got.Status != "failed" || got.Message != "Task cancelled successfully" {
			s.t.Errorf("got %+v", got)
		}
		if v := s.get(id); v.Status != "failed" || v.Outcome != "cancelled" || v.ErrorMessage != "Cancelled by user" {
			s.t.Errorf("got %+v", v)
		}
	}
	s.reaches(s.enqueue("echo", nil), "completed")
	if took := time.Since(begun); took > soon {
		s.t.Errorf("the workers were busy with cancelled tasks for %s", took)
	}
}

func TestSIGTERMLetsShortTasksEndAndHandsLongOnesBack(t *testing.T) {
	t.Parallel()
	onEachEngine(t, func(t *testing.T, database string) {
		m := newMachine(t)
		s := m.serve(database, "--grace", "3s")
		short, long := s.enqueue("sleep", object{"seconds": 1}), s.enqueue("sleep", object{"seconds": 60})
		s.reaches(short, "processing")
		s.reaches(long, "processing")
		s.signal(syscall.SIGTERM)
		s.until("it gives no more claims", func() bool {
			a, err := send(t.Context(), "GET", s.url+"/readyz", nil)
			return err == nil && a.status == http.StatusServiceUnavailable
		})
		if code := s.wait(3*time.Second + soon); code != 0 {
			t.Errorf("it ended with %d", code)
		}
		after := m.serve(database, "--workers", "0")
		if v := after.get(short); v.Status != "completed" || v.Attempts != 1 {
			t.Errorf("the task that could end is %s after %d attempts", v.Status, v.Attempts)
		}
		if v := after.get(long); v.Status != "queued" || v.Attempts != 0 {
			t.Errorf("the task that could not end is %s after %d attempts", v.Status, v.Attempts)
		}
		if got := after.attempts(long); len(got) != 1 || got[0].Outcome != "released" {
			t.Errorf("its history is %+v", got)
		}
	})
}

func TestATaskThatRunsWhenTheServerIsKilledIsRunAgain(t *testing.T) {
	t.Parallel()
	onEachEngine(t, func(t *testing.T, database string) {
		m := newMachine(t)
		config := m.write("config.yaml", "lease_duration_seconds: 1\npoll_interval_seconds: 0.05\nworkers: 1\n")
		s := m.serve(database, "--config", config)
		running := s.enqueue("sleep", object{"seconds": 2})
		s.reaches(running, "processing")
		var waiting []int64
		for n := range 20 {
			waiting = append(waiting, s.enqueue("echo", object{"n": n}))
		}
		s.kill()

		s = m.serve(database, "--config", config)
		if v := s.reaches(running, "completed"); v.Attempts != 2 {
			t.Errorf("completed after %d attempts", v.Attempts)
		}
		if got := s.attempts(running); len(got) != 2 || got[0].Outcome != "lost" || got[1].Outcome != "succeeded" {
			t.Errorf("its history is %+v", got)
		}
		for _, id := range waiting {
			if v := s.reaches(id, "completed"); v.Attempts != 1 {
				t.Errorf("task %d was completed after %d attempts", id, v.Attempts)
			}
		}
		s.stop(soon)
	})
}
