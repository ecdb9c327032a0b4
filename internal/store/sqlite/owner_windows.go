package sqlite

import (
	"io/fs"
	"os"
)

// sameOwner does nothing: files inherit who may use them from their directory.
func sameOwner(*os.File, fs.FileInfo) error { return nil }

// gone is false: whether a process is there is not looked up.
func gone(int) bool { return false }
