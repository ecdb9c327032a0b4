package e2e

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// mountSmall puts a disk of so many KiB at a directory. Only root can.
func mountSmall(t *testing.T, dir, kib string) {
	t.Helper()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+kib+"k,mode=700")
	if errors.Is(err, syscall.EPERM) && os.Getenv("CI") != "true" {
		t.Skip("only root can mount a small file system")
	}
	if err != nil {
		t.Fatalf("mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
}
