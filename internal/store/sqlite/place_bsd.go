//go:build darwin || freebsd || dragonfly

package sqlite

import "golang.org/x/sys/unix"

// fileSystem returns the kind of the file system of a directory.
func fileSystem(dir string) (kind string, known bool, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "", false, err
	}
	return unix.ByteSliceToString(st.Fstypename[:]), true, nil
}
