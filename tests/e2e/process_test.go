package e2e

import (
	"bytes"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds the wait for everything that takes a moment on an idle machine.
const patience = 30 * time.Second

// machine is the account of a user with nothing in it, in which a test starts processes.
type machine struct {
	t    *testing.T
	home string
	env  []string // beside PATH and HOME
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	return &machine{t: t, home: t.TempDir()}
}

// path returns the path of a file in the home directory.
func (m *machine) path(name string) string { return filepath.Join(m.home, name) }

// write makes a file in the home directory and returns its path.
func (m *machine) write(name, text string) string {
	m.t.Helper()
	if err := os.WriteFile(m.path(name), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
	return m.path(name)
}

// process is one run of the binary.
type process struct {
	test           *testing.T
	cmd            *exec.Cmd
	stdout, stderr output
	ended          chan struct{} // closed when it has ended and its output is complete
}

// start runs the binary. It is killed with the test at the latest; what it has said is shown when the test has failed.
func (m *machine) start(args ...string) *process {
	m.t.Helper()
	p := &process{test: m.t, cmd: exec.Command(binary, args...), ended: make(chan struct{})}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + m.home}, m.env...)
	if coverDir != "" {
		p.cmd.Env = append(p.cmd.Env, "GOCOVERDIR="+coverDir)
	}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = m.home, &p.stdout, &p.stderr
	p.cmd.WaitDelay = patience // for what its handlers have left running
	noOrphan(p.cmd)
	if err := p.cmd.Start(); err != nil {
		m.t.Fatalf("start thequeue %s: %v", strings.Join(args, " "), err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the state tells
	}()
	m.t.Cleanup(func() { p.cleanUp(args) })
	return p
}

func (p *process) cleanUp(args []string) {
	p.kill()
	for _, secret := range passwords(args) {
		if strings.Contains(p.stdout.String()+p.stderr.String(), secret) {
			p.test.Errorf("the password of the database is shown")
		}
	}
	if said := p.stderr.tail(); p.test.Failed() && said != "" {
		p.test.Logf("process %d (%s), %s, said:\n%s", p.cmd.Process.Pid, args[0], p.cmd.ProcessState, said)
	}
}

// passwords returns those of the database URLs among the arguments.
func passwords(args []string) (list []string) {
	for _, a := range args {
		if u, err := url.Parse(a); err == nil && u.User != nil {
			if password, _ := u.User.Password(); len(password) > 10 { // shorter ones may be words
				list = append(list, password)
			}
		}
	}
	return list
}

// kill ends it with SIGKILL, unless it has ended, and waits for that.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

func (p *process) signal(s syscall.Signal) {
	_ = p.cmd.Process.Signal(s) // the only error is that it has ended
}

// wait returns the exit code, or fails the test when the process has not ended within the limit.
func (p *process) wait(limit time.Duration) int {
	p.test.Helper()
	select {
	case <-p.ended:
	case <-time.After(limit):
		p.test.Fatalf("process %d has not ended within %s", p.cmd.Process.Pid, limit)
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop sends SIGTERM and demands that the process ends with 0 within the limit.
func (p *process) stop(limit time.Duration) {
	p.test.Helper()
	p.signal(syscall.SIGTERM)
	if code := p.wait(limit); code != 0 {
		p.test.Errorf("it ended with %d after SIGTERM", code)
	}
}

// server is a process that serves, and the client of it.
type server struct {
	*process
	rest
}

var greeting = regexp.MustCompile(`(?m)^The Queue listens on (http://\S+) and keeps its tasks in (.+); a first task: `)

// serve starts a server on a free port and waits until it says where it is. Without a database it takes its default.
func (m *machine) serve(database string, args ...string) server {
	m.t.Helper()
	args = append([]string{"serve", "--addr", "127.0.0.1:0"}, args...)
	if database != "" {
		args = append(args, "--database", database)
	}
	p := m.start(args...)
	var said []string
	p.until("it says where it listens", func() bool {
		said = greeting.FindStringSubmatch(p.stdout.String())
		return said != nil
	})
	return server{p, rest{m.t, said[1]}}
}

// until asks every few milliseconds until the answer is yes. The test fails when that takes too long, or when the process ends first.
func (p *process) until(what string, is func() bool) {
	p.test.Helper()
	eventually(p.test, what, patience, func() bool {
		select {
		case <-p.ended:
			if !is() {
				p.test.Fatalf("%s: the process ended before that, %s", what, p.cmd.ProcessState)
			}
			return true
		default:
			return is()
		}
	})
}

// eventually asks every few milliseconds until the answer is yes.
func eventually(t *testing.T, what string, limit time.Duration, is func() bool) {
	t.Helper()
	late := time.After(limit)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-late:
			t.Fatalf("%s: not within %s", what, limit)
		case <-tick.C:
		}
	}
}

// finished is a process that has ended by itself.
type finished struct {
	code           int
	stdout, stderr string
}

// run runs a command to its end.
func (m *machine) run(args ...string) finished {
	m.t.Helper()
	p := m.start(args...)
	code := p.wait(2 * time.Minute)
	return finished{code, p.stdout.String(), p.stderr.String()}
}

// ok runs a command that must succeed and returns what it said.
func (m *machine) ok(args ...string) string {
	m.t.Helper()
	r := m.run(args...)
	if r.code != 0 {
		m.t.Fatalf("thequeue %s ended with %d: %s", args[0], r.code, r.stderr)
	}
	return r.stdout
}

// output collects what a process writes. It is safe for concurrent use.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// tail returns the last lines.
func (o *output) tail() string {
	s := o.String()
	return s[max(len(s)-4<<10, 0):]
}
