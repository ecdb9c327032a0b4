package background

import "io/fs"

// private reports whether it is a directory: the one for temporary files is the user's own.
func private(info fs.FileInfo) bool { return info.IsDir() }
