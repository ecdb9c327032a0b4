package sqlite

import (
	"path/filepath"

	"golang.org/x/sys/windows"

	"github.com/prismq/thequeue/internal/store"
)

func checkDirectory(c *store.Checks, dir string) { c.OK("directory", "%s", dir) }

func checkPermissions(c *store.Checks, path string) bool {
	c.Skip("permissions", "see with icacls who may read %s", path)
	return true
}

// fileSystem returns the kind of the drive of a directory.
func fileSystem(dir string) (kind string, known bool, err error) {
	root, err := windows.UTF16PtrFromString(filepath.VolumeName(dir) + `\`)
	if err != nil {
		return "", false, err
	}
	switch windows.GetDriveType(root) {
	case windows.DRIVE_REMOTE:
		return "a network drive", true, nil
	case windows.DRIVE_FIXED, windows.DRIVE_RAMDISK, windows.DRIVE_REMOVABLE:
		return "a drive of this machine", true, nil
	}
	return "", false, nil
}

func remote(kind string) bool { return kind == "a network drive" }

func shared(string) bool { return false }

func volatile(string) string { return "" }
