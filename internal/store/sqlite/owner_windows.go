package sqlite

import (
	"io/fs"
	"os"
)

// sameOwner does nothing: files inherit who may use them from their directory.
func sameOwner(*os.File, fs.FileInfo) error { return nil }
