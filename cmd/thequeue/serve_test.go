package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

func TestServeTellsWhereItIsAndEndsWith0(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	url, stop := r.serve()
	if out := r.ok("stats", "--server", url); !strings.HasPrefix(out, "total          0\n") {
		t.Errorf("got %s", out)
	}
	if got := stop(); got.code != 0 || strings.Contains(got.err, "level=ERROR") {
		t.Errorf("got %+v", got)
	}
	if _, stop := r.serve(); stop().code != 0 {
		t.Error("it does not start again")
	}
}

func TestAnAddressInUseIsNamedWithTheRemedy(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	url, _ := r.serve()
	addr := strings.TrimPrefix(url, "http://")
	got := r.run("", "serve", "--addr", addr, "--database", r.path("second.db"))
	if got.code != 1 || !strings.Contains(got.err, "thequeue: "+addr+" is in use: stop what listens there, or choose another address with --addr\n") {
		t.Errorf("got %+v", got)
	}
}

func TestASecondServerOfAFileIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve("--database", r.path("q.db"))
	got := r.run("", "serve", "--addr", "127.0.0.1:0", "--database", r.path("q.db"))
	if got.code != 1 || !strings.Contains(got.err, r.path("q.db")) || !strings.Contains(got.err, "another server") {
		t.Errorf("got %+v", got)
	}
}

// eventually asks until the answer is yes.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !is() {
		select {
		case <-deadline:
			t.Fatalf("%s: not within 20 s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (r *rig) statusOf(url, id string) string {
	r.t.Helper()
	return parse[struct{ Status string }](r.t, r.ok("get", id, "--server", url, "-o", "json")).Status
}

func TestServeRunsTasksAndTheirResultsCanBeRead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	config := r.write("c.json", `{"handlers": {"exec": {"shout": {"command": [`+strconv.Quote(self(t))+`, "shout"], "env": {"THEQUEUE_TEST_COMMAND": "1"}}}}}`)
	url, _ := r.serve("--config", config)
	r.ok("enqueue", "echo", "--payload", `{"name":"Ada"}`, "--server", url)
	r.ok("enqueue", "shout", "--payload", `{"name":"Ada"}`, "--server", url)
	for id, want := range map[string]string{"1": `{"name":"Ada"}`, "2": `{"NAME":"ADA"}`} {
		eventually(t, "task "+id+" is completed", func() bool { return r.statusOf(url, id) == "completed" })
		if out := r.ok("get", id, "--server", url); !strings.Contains(out, "result         "+want+"\n") {
			t.Errorf("got %s", out)
		}
	}
}

func TestASecondSignalEndsTheGrace(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.hurry = make(chan struct{})
	db := r.path("q.db")
	url, stop := r.serve("--database", db, "--grace", "1h")
	r.ok("enqueue", "sleep", "--payload", `{"seconds":3600}`, "--server", url)
	eventually(t, "the task runs", func() bool { return r.statusOf(url, "1") == "processing" })
	close(r.hurry)
	if got := stop(); got.code != 0 {
		t.Errorf("got %+v", got)
	}
	if got := parse[task.Task](t, r.ok("get", "1", "--database", db, "-o", "json")); got.Status != task.Queued || got.Attempts != 0 {
		t.Errorf("the task was not handed back: %s after %d attempts", got.Status, got.Attempts)
	}
}

func TestWorkRunsTheTasksOfAServer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	url, _ := r.serve("--workers", "0")
	r.ok("enqueue", "echo", "--server", url)
	r.env["PRISMQ_SERVER_URL"] = url
	config := r.write("worker.toml", "worker_id = \"w7\"\npoll_interval_seconds = 0.05\n")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, nil, "", []string{"work", "--config", config, "--count", "1"}, r.getenv, strings.NewReader(""), io.Discard, io.Discard)
	}()
	eventually(t, "the task is completed", func() bool { return r.statusOf(url, "1") == "completed" })
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("work ended with %d", code)
	}
}

// self is the program of this test, which TestMain makes a command for handlers.
func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMain(m *testing.M) {
	if os.Getenv("THEQUEUE_TEST_MAIN") != "" { // this program is to be thequeue
		main()
	}
	if os.Getenv("THEQUEUE_TEST_COMMAND") != "" {
		text, err := io.ReadAll(os.Stdin)
		if err != nil {
			panic(err)
		}
		fmt.Print(strings.ToUpper(string(text)))
		os.Exit(0)
	}
	os.Exit(m.Run())
}
