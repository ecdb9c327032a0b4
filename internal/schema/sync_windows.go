package schema

// syncDir does nothing: Windows has the names on the disk when a file is closed.
func syncDir(string) error { return nil }
