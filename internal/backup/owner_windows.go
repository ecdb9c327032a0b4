package backup

import "os"

// asOwner does nothing: files inherit who may read them from their directory.
func asOwner(*os.File, string) error { return nil }
