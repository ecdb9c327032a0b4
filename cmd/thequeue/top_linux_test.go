package main

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// screen is a terminal with this program in it.
type screen struct {
	t        *testing.T
	tty      *os.File // of the program
	keyboard *os.File // the other end
	settings unix.Termios
	cmd      *exec.Cmd
	drawn    chan struct{} // something was

	mu      sync.Mutex
	picture *vt.Emulator
}

// watch runs the program on a terminal of 100 columns and 30 lines, in which something stands already.
func (r *rig) watch(args ...string) *screen {
	r.t.Helper()
	const columns, lines = 100, 30
	keyboard, tty, err := pty.Open()
	if err == nil {
		err = pty.Setsize(keyboard, &pty.Winsize{Cols: columns, Rows: lines})
	}
	if err != nil {
		r.t.Fatal(err)
	}
	s := &screen{t: r.t, tty: tty, keyboard: keyboard, drawn: make(chan struct{}, 1), picture: vt.NewEmulator(columns, lines)}
	go io.Copy(io.Discard, s.picture) // a plain terminal: it does not answer what the program asks of it
	go s.draw()
	if _, err := tty.WriteString("ada$ "); err != nil {
		r.t.Fatal(err)
	}
	s.shows("ada$")
	s.settings = s.modes()
	s.cmd = exec.Command(self(r.t), args...)
	s.cmd.Env = []string{"THEQUEUE_TEST_MAIN=1", "TERM=xterm-256color", "HOME=" + r.dir, "PATH=" + os.Getenv("PATH"), "GOCOVERDIR=" + r.t.TempDir()}
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = tty, tty, tty
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // it has ended, where the test went well
		_ = s.cmd.Wait()
		tty.Close()
		keyboard.Close()
		s.picture.InputPipe().(io.Closer).Close()
	})
	return s
}

// draw shows what the program writes, until the terminal is closed.
func (s *screen) draw() {
	buf := make([]byte, 32<<10)
	for {
		n, err := s.keyboard.Read(buf)
		if err != nil {
			return
		}
		s.mu.Lock()
		_, _ = s.picture.Write(buf[:n]) // fails only once it is closed
		s.mu.Unlock()
		select {
		case s.drawn <- struct{}{}:
		default:
		}
	}
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.picture.String()
}

func (s *screen) modes() unix.Termios {
	s.t.Helper()
	m, err := unix.IoctlGetTermios(int(s.tty.Fd()), unix.TCGETS)
	if err != nil {
		s.t.Fatal(err)
	}
	return *m
}

// until waits for a picture that is right.
func (s *screen) until(what string, right func(text string) bool) {
	s.t.Helper()
	deadline := time.After(time.Minute)
	for !right(s.text()) {
		select {
		case <-s.drawn:
		case <-deadline:
			s.t.Fatalf("not within a minute: %s\n%s", what, s.text())
		}
	}
}

func (s *screen) shows(texts ...string) {
	s.t.Helper()
	for _, want := range texts {
		s.until(want, func(text string) bool { return strings.Contains(text, want) })
	}
}

func (s *screen) press(keys string) {
	s.t.Helper()
	if _, err := s.keyboard.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// ends waits for the end of the program with 0, after which the terminal must be as it was before.
func (s *screen) ends() {
	s.t.Helper()
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("it ended with %v\n%s", err, s.text())
	}
	s.until("what stood there before", func(text string) bool { return strings.TrimSpace(text) == "ada$" })
	if diff := cmp.Diff(s.settings, s.modes()); diff != "" {
		s.t.Errorf("the settings of the terminal (-before +after):\n%s", diff)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.picture.CursorHidden() {
		s.t.Error("the cursor is gone")
	}
}

func TestTopShowsWhatHappensUntilAKeyEndsIt(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, r *rig, where []string) {
		s := r.watch(append([]string{"top", "--interval", "100ms"}, where...)...)
		s.shows("health ok", where[1][:20], "TYPES 0-0 of 0")
		r.ok(append([]string{"enqueue", "mail-0007"}, where...)...)
		s.shows("mail-0007", "1 ready", "health CRITICAL (1)", "CRITICAL: 1 task is due")
		registered(t, where, "worker-0008")
		s.press("w")
		s.shows("worker-0008", "WORKERS 1-1 of 1")
		s.press("?")
		s.shows("q, esc, ctrl-c")
		s.press("?t")
		s.shows("mail-0007")
		s.resize(40, 10)
		s.until("ten lines with the keys on the last", func(text string) bool {
			lines := strings.Split(text, "\n")
			return len(lines) == 10 && strings.HasPrefix(lines[9], "q quit") && strings.Contains(text, "mail-0007")
		})
		s.press("q")
		s.ends()
	})
}

func (s *screen) resize(columns, lines int) {
	s.t.Helper()
	s.mu.Lock()
	s.picture.Resize(columns, lines)
	s.mu.Unlock()
	if err := pty.Setsize(s.keyboard, &pty.Winsize{Cols: uint16(columns), Rows: uint16(lines)}); err != nil {
		s.t.Fatal(err)
	}
}

func TestTopGoesOnWhenItsServerIsBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	serve := []string{"--workers", "0", "--database", r.path("queue.db")}
	url, stop := r.serve(serve...)
	r.ok("enqueue", "mail-0007", "--server", url)
	s := r.watch("top", "--interval", "100ms", "--server", url)
	s.shows("mail-0007")
	stop()
	s.shows("NO ANSWER, figures are ", "s old: dial tcp ", "mail-0007")
	r.serve(append(serve, "--addr", strings.TrimPrefix(url, "http://"))...)
	r.ok("enqueue", "mail-0009", "--server", url)
	s.shows("mail-0009")
	s.until("no complaint", func(text string) bool { return !strings.Contains(text, "NO ANSWER") })
	s.press("\x03")
	s.ends()
}

func TestTopEndsWithASignal(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, r *rig, where []string) {
		s := r.watch(append([]string{"top"}, where...)...)
		s.shows("health ok")
		if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		s.ends()
	})
}

func TestTopSaysOnOneLineWhyItCannotBegin(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.watch("top", "--server", "http://127.0.0.1:1")
	s.shows("thequeue: ", "no server answers at http://127.0.0.1:1")
	if err := s.cmd.Wait(); s.cmd.ProcessState.ExitCode() != exitUnavailable {
		t.Errorf("it ended with %v", err)
	}
}
