package server

import (
	"os/exec"
	"syscall"
)

// Tie has a command that has not been started end, with an interrupt, when this process ends in whatever way, and keeps the terminal's signals from it: it
// is this process that answers those.
func Tie(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGINT
}
