//go:build !windows

package sqlite

import (
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
