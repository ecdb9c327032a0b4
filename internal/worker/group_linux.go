package worker

import "syscall"

// attributes also asks the kernel to kill the command when this process dies without having stopped it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
