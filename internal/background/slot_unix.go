//go:build unix

package background

import (
	"io/fs"
	"os"
	"syscall"
)

// private reports whether it is a directory of this user that nobody else may enter.
func private(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.IsDir() && info.Mode().Perm()&0o077 == 0 && int64(st.Uid) == int64(os.Getuid())
}
