package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stubborn starts a process that holds the file open, says so on it, and ignores every polite request; the command then waits for it.
const stubborn = `sh -c 'trap "" TERM INT HUP; echo up; while :; do sleep 1; done' >"$1" 2>&1 & wait`

// TestWhatCommandsHaveStartedDiesWithTheirWorker kills a server and a worker elsewhere while a command of theirs waits for a process of its own. Of the second
// command the guard is killed before, so that another one has to take its place.
func TestWhatCommandsHaveStartedDiesWithTheirWorker(t *testing.T) {
	t.Parallel()
	for _, remote := range []bool{false, true} {
		m := newMachine(t)
		config := m.write("guarded.yaml", fmt.Sprintf("worker_id: w\nhandlers: {exec: {wait: {command: [/bin/sh, -c, %q, sh, '{{payload.file}}']}}}\n", stubborn))
		flags := []string{"--config", config}
		if remote {
			flags = []string{"--workers", "0"}
		}
		s := m.serve("", flags...)
		p := s.process
		if remote {
			p = m.start("work", "--server", s.url, "--config", config)
		}
		first := runs(t, s)
		var guard, next int
		p.until("it has a guard", func() bool { guard = guardOf(t, p.cmd.Process.Pid); return guard != 0 })
		if err := syscall.Kill(guard, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		second := runs(t, s)
		p.until("it has another guard", func() bool { next = guardOf(t, p.cmd.Process.Pid); return next != 0 && next != guard })
		p.kill()
		for _, held := range []*bufio.Reader{first, second} {
			if err := endsSoon(held); err != nil {
				t.Errorf("remote %v: %v", remote, err)
			}
		}
	}
}

// runs enqueues a task whose command holds a file open, waits until it does, and returns the other end of the file.
func runs(t *testing.T, s server) *bufio.Reader {
	t.Helper()
	path := filepath.Join(t.TempDir(), "held")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	s.enqueue("wait", object{"file": path})
	f, err := os.Open(path) // until the command has opened it, too
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	r := bufio.NewReader(f)
	if line, err := r.ReadString('\n'); line != "up\n" {
		t.Fatalf("command said %q, %v", line, err)
	}
	return r
}

// endsSoon waits until nobody holds the other end of a file any more.
func endsSoon(held io.Reader) error {
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, held)
		ended <- err
	}()
	select {
	case err := <-ended:
		return err
	case <-time.After(5 * time.Second):
		return fmt.Errorf("what a command has started lives %s after its worker", 5*time.Second)
	}
}

// guardOf returns the process that guards the commands of another; 0 when there is none.
func guardOf(t *testing.T, parent int) int {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(found) == 0 {
		t.Fatalf("no processes in /proc to find the guard among: %v", err)
	}
	for _, path := range found {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		var pid, ppid int
		var state string
		name := string(b[strings.LastIndexByte(string(b), ')')+1:])
		if _, err := fmt.Sscan(name, &state, &ppid); err != nil || ppid != parent {
			continue
		}
		if line, err := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline")); err == nil && strings.HasSuffix(string(line), "\x00guard\x00") {
			if _, err := fmt.Sscan(string(b), &pid); err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	return 0
}
