//go:build !windows

package sqlite

import "golang.org/x/sys/unix"

// diskSpace returns how many bytes of the disk of a directory this process may still take, and how many there are.
func diskSpace(dir string) (free, all int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}
