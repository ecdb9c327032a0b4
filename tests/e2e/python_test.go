package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// clientPatience bounds the tests of the Python client, which take half a minute on an idle machine.
const clientPatience = 10 * time.Minute

// programs returns the paths of commands. Where one is missing the test is skipped, and fails in CI.
func programs(t *testing.T, names ...string) []string {
	t.Helper()
	var found []string
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil && os.Getenv("CI") != "" {
			t.Fatalf("%s is missing, and CI must not skip this test", name)
		} else if err != nil {
			t.Skipf("%s is missing: install it to run this test", name)
		}
		found = append(found, path)
	}
	return found
}

// TestPythonClient runs the tests of the Python client against the built binary.
func TestPythonClient(t *testing.T) {
	t.Parallel()
	python := programs(t, "python3")[0]
	newEnough := exec.Command(python, "-c", "import sys; sys.exit(sys.version_info < (3, 10))")
	if err := newEnough.Run(); err != nil && os.Getenv("CI") != "" {
		t.Fatalf("the client needs Python 3.10 or later, and CI must not skip this test: %v", err)
	} else if err != nil {
		t.Skipf("the client needs Python 3.10 or later: %v", err)
	}
	onEachEngine(t, func(t *testing.T, database string) {
		out := runPython(t, python, []string{"THEQUEUE_DATABASE=" + database, "THEQUEUE_BINARY=" + binary},
			"-W", "error::ResourceWarning", "-m", "unittest", "discover", "-s", "tests", "-t", ".")
		ran := regexp.MustCompile(`(?m)^Ran (\d+) tests in .*s\n\nOK$`).FindStringSubmatch(out)
		if ran == nil || len(ran[1]) < 2 {
			t.Errorf("not every test has run:\n%s", out)
		}
	})
}

// runPython runs Python in the directory of the client, with nothing in its environment but what is given, and returns what it said.
func runPython(t *testing.T, python string, env []string, args ...string) string {
	t.Helper()
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), python, args...)
	cmd.Dir = filepath.Join("..", "..", "clients", "python")
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, "PYTHONDONTWRITEBYTECODE=1"}, env...)
	var out output
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = patience
	noOrphan(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(clientPatience, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("python3 %s: %v:\n%s", strings.Join(args, " "), err, out.String())
	}
	return out.String()
}

// TestPythonClientIsTyped holds the client to the strictest checks of mypy, where there is one: it is no part of Python.
func TestPythonClientIsTyped(t *testing.T) {
	t.Parallel()
	mypy := programs(t, "mypy")[0]
	cmd := exec.CommandContext(t.Context(), mypy, "--cache-dir", t.TempDir())
	cmd.Dir = filepath.Join("..", "..", "clients", "python")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("mypy: %v:\n%s", err, out)
	}
}

// TestPythonClientKnowsEveryCall compares the client with the routes of the server, which its own test of every call cannot.
func TestPythonClientKnowsEveryCall(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.Join("..", "..", "clients", "python", "thequeue", "client.py"))
	if err != nil {
		t.Fatal(err)
	}
	routes, err := os.ReadFile(filepath.Join("..", "..", "internal", "api", "routes.go"))
	if err != nil {
		t.Fatal(err)
	}
	// The client enqueues by the batch alone, and follows one task among all events; the page is for people.
	known := []string{"/enqueue", "/tasks/:task_id/events", "/api"}
	found := 0
	route := regexp.MustCompile(`(?m)^\s*[qe]\.(?:GET|POST|PUT|DELETE|Match)\((?:look, )?"([^"]+)"`)
	for _, m := range route.FindAllStringSubmatch(string(routes), -1) {
		found++
		last := m[1][strings.LastIndex(m[1], "/")+1:]
		if strings.HasPrefix(last, ":") {
			last = strings.Split(m[1], "/")[1]
		}
		if !slices.Contains(known, m[1]) && !strings.Contains(string(source), `"`+last+`"`) && !strings.Contains(string(source), "/"+last) {
			t.Errorf("the Python client has no call of %s", m[1])
		}
	}
	if found < 50 {
		t.Errorf("only %d routes were found", found)
	}
}

// shellWorker starts the example of a worker in shell.
func shellWorker(t *testing.T, s server, taskType string, command ...string) *exec.Cmd {
	t.Helper()
	script := filepath.Join("..", "..", "docs", "examples", "shell", "worker.sh")
	cmd := exec.Command("/bin/sh", append([]string{script, taskType}, command...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "THEQUEUE_SERVER=" + s.url, "THEQUEUE_LEASE=6", "TMPDIR=" + t.TempDir()}
	var said output
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &said, &said, patience
	noOrphan(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		}
		if t.Failed() {
			t.Logf("the worker said:\n%s", said.String())
		}
	})
	return cmd
}

func TestWorkerInShell(t *testing.T) {
	t.Parallel()
	programs(t, "curl", "jq")
	onEachEngine(t, func(t *testing.T, database string) {
		s := newMachine(t).serve(database, "--workers", "0")
		shellWorker(t, s, "double", "jq", "if .n then {doubled: (.n * 2)} else error(\"no n\") end")
		shellWorker(t, s, "text", "sh", "-c", `sleep "$(jq .seconds)"; printf 'not "JSON"'`)
		if v := s.reaches(s.enqueue("double", object{"n": 21}), "completed"); string(v.Result) != `{"doubled":42}` {
			t.Errorf("got result %s", v.Result)
		}
		if v := s.reaches(s.enqueue("text", object{"seconds": 8}), "completed"); string(v.Result) != `"not \"JSON\""` || v.Attempts != 1 {
			t.Errorf("got result %s after %d attempts: the lease of 6 s was not renewed", v.Result, v.Attempts)
		}
		bad := s.enqueue("double", nil)
		eventually(t, "the error shows", patience, func() bool { return strings.Contains(s.get(bad).ErrorMessage, "no n") })

		cancelled := s.enqueue("text", object{"seconds": 600})
		s.reaches(cancelled, "processing")
		s.call("POST", fmt.Sprintf("/api/queue/tasks/%d/cancel", cancelled), nil, 200, nil)
		s.reaches(s.enqueue("text", object{"seconds": 0}), "completed") // the worker is free again
	})
}

func TestWorkerInShellHandsItsTaskBack(t *testing.T) {
	t.Parallel()
	programs(t, "curl", "jq")
	s := newMachine(t).serve(filepath.Join(t.TempDir(), "queue.db"), "--workers", "0")
	for _, taskType := range []string{"long", "never"} { // one that has a task, and one that waits
		begun := filepath.Join(t.TempDir(), "begun")
		worker := shellWorker(t, s, taskType, "sh", "-c", `touch "$0"; exec sleep 600`, begun)
		if taskType == "long" {
			s.enqueue(taskType, nil)
			eventually(t, "the command runs", patience, func() bool { _, err := os.Stat(begun); return err == nil })
		} else {
			eventually(t, "it waits", patience, func() bool {
				var workers []struct{ Types []string }
				s.call("GET", "/api/queue/workers", nil, 200, &workers)
				return slices.ContainsFunc(workers, func(w struct{ Types []string }) bool { return slices.Contains(w.Types, taskType) })
			})
		}
		_ = worker.Process.Signal(syscall.SIGTERM)
		if err := worker.Wait(); err != nil {
			t.Errorf("it ended with %v", err)
		}
	}
	var list []view
	s.call("GET", "/api/queue/tasks", nil, 200, &list)
	if len(list) != 1 || list[0].Status != "queued" || list[0].Attempts != 0 {
		t.Errorf("got %+v", list)
	}
}
