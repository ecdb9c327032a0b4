//go:build !windows

package sqlite

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/prismq/thequeue/internal/store"
)

// checkDirectory looks who may write in the directory: whoever can may put another file in the place of the database.
func checkDirectory(c *store.Checks, dir string) {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		c.Fail("directory", "see what the error says", "%s", err)
	case unix.Access(dir, unix.W_OK|unix.X_OK) != nil:
		c.Fail("directory", "let the user of the service write in it: the -wal and the lock stand beside the file", "%s cannot be written in by this user", dir)
	case info.Mode().Perm()&0o002 != 0 && info.Mode()&os.ModeSticky == 0:
		c.Warn("directory", "chmod o-w "+dir, "everybody may write in %s, and so put another file in the place of the database", dir)
	default:
		c.OK("directory", "%s (%s)", dir, info.Mode())
	}
}

// checkPermissions reports whether this user can read and write the file.
func checkPermissions(c *store.Checks, path string) bool {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		c.Fail("permissions", "see what the error says", "%s", err)
		return false
	case unix.Access(path, unix.R_OK|unix.W_OK) != nil:
		c.Fail("permissions", "run this as the user of the service, or let this one read and write the file", "%s cannot be read and written by this user (%s)", path, info.Mode())
		return false
	case info.Mode().Perm()&0o007 != 0:
		c.Warn("permissions", "chmod o= "+path+"*", "everybody on this machine may read or write %s (%s), payloads and lease tokens included", path, info.Mode())
	default:
		c.OK("permissions", "%s", info.Mode())
	}
	return true
}
