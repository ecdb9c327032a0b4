//go:build !windows

package backup

import (
	"os"
	"syscall"
)

// asOwner gives a file to the owner of its directory, so that a server can read what root has made for it. Others can only make their own files.
func asOwner(f *os.File, dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return f.Chown(int(owner.Uid), int(owner.Gid))
}
