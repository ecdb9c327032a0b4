//go:build !windows

package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// sameOwner gives a file to the owner of another, where root makes it for a server that is not.
func sameOwner(f *os.File, as fs.FileInfo) error {
	owner, ok := as.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return nil
	}
	return f.Chown(int(owner.Uid), int(owner.Gid))
}

// gone reports that no process has the number.
func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
