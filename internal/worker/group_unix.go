//go:build unix

package worker

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// group is the process group that a command leads.
type group struct{ cmd *exec.Cmd }

// newGroup makes cmd, which has not started yet, the leader of a new group.
func newGroup(cmd *exec.Cmd) (*group, error) {
	cmd.SysProcAttr = attributes()
	return &group{cmd}, nil
}

// started is to be called once the command runs.
func (g *group) started() error { return nil }

// terminate asks every process of the group to end.
func (g *group) terminate() error { return g.signal(syscall.SIGTERM) }

// kill ends every process that is still in the group.
func (g *group) kill() { _ = g.signal(syscall.SIGKILL) } // fails only when there is none

// close kills what is left, once the command was waited for or did not start. Just then its number is still taken when the group has
// members, and too fresh to be given to another process when it has none.
func (g *group) close() {
	if g.cmd.Process != nil {
		g.kill()
	}
}

// detached are the attributes of a process that is to outlive this one, out of reach of the terminal.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// outlive ignores what asks a service to stop: the guard ends after it.
func outlive() { signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM) }

// killGroup ends every process of a group.
func killGroup(leader int) { _ = syscall.Kill(-leader, syscall.SIGKILL) } // fails only when there is none

func (g *group) signal(sig syscall.Signal) error {
	err := syscall.Kill(-g.cmd.Process.Pid, sig)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}
