package worker

import (
	"fmt"
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// group is the job object that a command and its descendants run in. Windows ends them all when the last handle to it is closed, so
// also when this process dies.
type group struct {
	cmd *exec.Cmd
	job windows.Handle
}

// newGroup makes the job for cmd, which has not started yet.
func newGroup(cmd *exec.Cmd) (*group, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("create job object: %w", err)
	}
	g := &group{cmd, job}
	var info windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	info.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation, uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	if err != nil {
		g.close()
		return nil, fmt.Errorf("limit job object: %w", err)
	}
	return g, nil
}

// started puts the command, which now runs, into the job.
func (g *group) started() error {
	process, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(g.cmd.Process.Pid))
	if err != nil {
		return fmt.Errorf("open process: %w", err)
	}
	defer windows.CloseHandle(process)
	if err := windows.AssignProcessToJobObject(g.job, process); err != nil {
		return fmt.Errorf("assign process to job object: %w", err)
	}
	return nil
}

// terminate ends every process of the job: Windows has no signal to ask with. The command may not be in the job yet.
func (g *group) terminate() error {
	g.kill()
	return g.cmd.Process.Kill()
}

// kill ends every process that is in the job.
func (g *group) kill() { _ = windows.TerminateJobObject(g.job, 1) } // fails only when the job has been given up

// close gives the job up, which ends what is left in it.
func (g *group) close() { _ = windows.CloseHandle(g.job) } // fails only when it has been done before

// Job objects do what a guard does elsewhere.
func detached() *syscall.SysProcAttr { return nil }
func outlive()                       {}
func killGroup(int)                  {}
