package e2e

import (
	"os/exec"
	"syscall"
)

// noOrphan asks the kernel to kill the process when this one ends without having done so, as it does at the time limit of go test. The
// kernel watches the thread that starts the process; threads of this program end with it alone, since no goroutine ends locked to one.
func noOrphan(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
