package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestHealthcheckTellsByItsExitCodeWhetherAServerTakesRequests(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	s := m.serve("", "--workers", "0")
	if out := m.ok("healthcheck", s.url); out != "ready\n" {
		t.Errorf("got %q", out)
	}
	m.env = []string{"PRISMQ_ADDR=" + strings.TrimPrefix(s.url, "http://")}
	if out := m.ok("healthcheck"); out != "ready\n" {
		t.Errorf("at the address of the settings: got %q", out)
	}
	m.run("healthcheck", "not a URL").refused(t, 2, "address of the server")
	m.run("healthcheck", "--timeout", "0s").refused(t, 2, "must be longer")
	if err := os.Remove(m.path(".local/share/thequeue/queue.db")); err != nil {
		t.Fatal(err)
	}
	m.run("healthcheck").refused(t, 5, "not ready: ")
	s.kill()
	m.run("healthcheck").refused(t, 5, "not ready: .*refused")
}

// example returns the path of a file in docs/deploy.
func example(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "docs", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// setting returns the value of a line of a unit.
func setting(t *testing.T, unit, name string) string {
	t.Helper()
	for line := range strings.Lines(unit) {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("the unit has no %s", name)
	return ""
}

// TestTheUnitOfSystemdRuns does what systemd does with the lines of the unit: it starts, reloads and stops the server.
func TestTheUnitOfSystemdRuns(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(example(t, "thequeue.service"))
	if err != nil {
		t.Fatal(err)
	}
	unit, m := string(text), newMachine(t)
	args := strings.Fields(strings.ReplaceAll(setting(t, unit, "ExecStart"), "${STATE_DIRECTORY}", m.home))
	m.env = []string{"PRISMQ_ADDR=127.0.0.1:0"}
	p := m.start(args[1:]...)
	p.until("it says where it listens", func() bool { return greeting.MatchString(p.stdout.String()) })
	if _, err := os.Stat(m.path("queue.db")); err != nil {
		t.Error(err)
	}
	if got := setting(t, unit, "ExecReload"); got != "/bin/kill -HUP $MAINPID" {
		t.Errorf("ExecReload is %s", got)
	}
	p.signal(syscall.SIGHUP)
	p.until("it reads the settings again", func() bool { return strings.Contains(p.stderr.String(), "configuration") })
	p.signal(syscall.SIGTERM)
	if code := p.wait(time.Minute); code != 0 {
		t.Errorf("exit %d", code)
	}
}

func TestTheUnitOfSystemdIsValid(t *testing.T) {
	t.Parallel()
	analyze := programs(t, "systemd-analyze")[0]
	text, err := os.ReadFile(example(t, "thequeue.service"))
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(t)
	unit := m.write("thequeue.service", strings.Replace(string(text), "/usr/local/bin/thequeue", binary, 1))
	if out, err := exec.Command(analyze, "verify", "--man=no", unit).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%s%v", out, err)
	}
}

// docker runs a command of Docker that must succeed, and returns what it said.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestTheImageRunsWithoutRootAndKeepsItsTasksInTheVolume(t *testing.T) {
	t.Parallel()
	if out, err := exec.Command("docker", "version").CombinedOutput(); err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("no Docker answers, and CI must not skip this test: %s", out)
	} else if err != nil {
		t.Skipf("no Docker answers: %s", out)
	}
	dir := t.TempDir()
	program, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "thequeue"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("thequeue-test-%d", os.Getpid())
	docker(t, "build", "--quiet", "--tag", name, "--file", example(t, "Containerfile"), dir)
	t.Cleanup(func() {
		docker(t, "rm", "--force", name)
		docker(t, "volume", "rm", name)
		docker(t, "rmi", name)
	})
	if user := docker(t, "inspect", "--format", "{{.Config.User}}", name); user != "65532:65532" {
		t.Errorf("it runs as %s", user)
	}
	run := func() {
		docker(t, "run", "--detach", "--name", name, "--network", "none", "--read-only", "--cap-drop", "ALL", "--volume", name+":/data", "--health-interval", "500ms", name)
		eventually(t, "the container is healthy", patience, func() bool {
			return docker(t, "inspect", "--format", "{{.State.Health.Status}}", name) == "healthy"
		})
	}
	run()
	if out := docker(t, "exec", name, "/thequeue", "enqueue", "none"); out != "1: Task enqueued successfully" {
		t.Errorf("got %q", out)
	}
	docker(t, "rm", "--force", name)
	run()
	if out := docker(t, "exec", name, "/thequeue", "get", "1", "-o", "json"); !strings.Contains(out, `"status":"queued"`) {
		t.Errorf("got %q", out)
	}
	docker(t, "stop", "--time", "30", name)
	if code := docker(t, "inspect", "--format", "{{.State.ExitCode}}", name); code != "0" {
		t.Errorf("it stopped with %s", code)
	}
}
