package worker

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"strconv"
	"sync"
)

// Guard ends what commands have started when this process dies without having stopped them, killed by SIGKILL or for want of memory. It is a process of its own, which
// begins with the first command, learns of each by its standard input, and kills their groups when that ends. (On Linux the kernel kills the commands themselves;
// what they have started, and everything on other systems, is left to the guard. On Windows job objects do it all.) It is safe for concurrent use; a nil Guard does nothing.
type Guard struct {
	// Command is the program, by absolute path, and arguments with which it calls KeepGuard.
	Command []string
	Log     *slog.Logger // of what goes wrong; nil: discards

	mu     sync.Mutex
	groups map[int]bool   // that run now
	in     io.WriteCloser // of the process; nil: none runs
	ended  chan struct{}  // closed when the process that was started last has ended
	again  bool           // a process that ends by itself is replaced, once after each command that begins
}

// watch has the group killed if this process dies. Without a guard the command runs all the same, and the log tells.
func (g *Guard) watch(group int) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.groups == nil {
		g.groups = make(map[int]bool)
	}
	g.groups[group], g.again = true, true
	if !g.tell("+", group) {
		g.start()
	}
}

// forget is to be called once nothing of the group is left.
func (g *Guard) forget(group int) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.groups, group)
	g.tell("-", group)
}

// tell writes one line to the process, and reports whether there is one.
func (g *Guard) tell(sign string, group int) bool {
	if g.in == nil {
		return false
	}
	_, err := fmt.Fprintf(g.in, "%s%d\n", sign, group)
	return err == nil
}

// start begins a process and tells it of all groups that run.
func (g *Guard) start() {
	cmd := exec.Command(g.Command[0], g.Command[1:]...)
	cmd.SysProcAttr, cmd.Env = detached(), []string{}
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		if g.Log != nil {
			g.Log.Warn("commands run without a guard: what they start outlives a kill of this process", "error", err)
		}
		return
	}
	ended := make(chan struct{})
	g.in, g.ended = in, ended
	for group := range g.groups {
		g.tell("+", group)
	}
	go func() {
		_ = cmd.Wait() // it ends when it is told to, or was killed
		close(ended)
		g.replace(in)
	}()
}

// replace starts a process in place of one that has ended, unless it was told to.
func (g *Guard) replace(in io.WriteCloser) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.in != in {
		return
	}
	g.in = nil
	if g.again && len(g.groups) > 0 {
		g.again = false
		g.start()
	}
}

// Close ends the guard, which kills what it still watches.
func (g *Guard) Close() error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	in, ended := g.in, g.ended
	g.in = nil
	g.mu.Unlock()
	if in == nil {
		return nil
	}
	err := in.Close()
	<-ended
	return err
}

// KeepGuard is what the process of a Guard does: it reads groups from r and, when r ends, kills those that were not forgotten.
func KeepGuard(r io.Reader) error {
	outlive()
	groups := make(map[int]bool)
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		text := lines.Text()
		group, err := strconv.Atoi(text[min(1, len(text)):])
		if err != nil || group <= 1 { // 1 would be every process
			return fmt.Errorf("a guard is started by the server and reads process groups, not %q", text)
		}
		if text[0] == '+' {
			groups[group] = true
		} else {
			delete(groups, group)
		}
	}
	for group := range groups {
		killGroup(group)
	}
	return lines.Err()
}
