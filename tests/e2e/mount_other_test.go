//go:build !linux

package e2e

import "testing"

// mountSmall is for Linux alone.
func mountSmall(t *testing.T, _, _ string) {
	t.Helper()
	t.Skip("a small file system is mounted on Linux alone")
}
