package backup_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/prismq/thequeue/internal/backup"
	"github.com/prismq/thequeue/internal/task"
)

// small mounts a file system of so many KiB. Only root can.
func small(t *testing.T, kib string) string {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+kib+"k,mode=700")
	if errors.Is(err, syscall.EPERM) && os.Getenv("CI") != "true" {
		t.Skip("only root can mount a small file system")
	}
	if err != nil {
		t.Fatalf("mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// A disk without room is said to be full, by how much where that is known before, and nothing is lost: no half backup, and the database goes on.
func TestAFullDisk(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.enqueue(2)
	size := r.create(backup.Options{Name: "elsewhere"}).SizeBytes
	elsewhere := r.Path

	r.Path = small(t, "128")
	if _, err := r.Create(t.Context(), backup.Options{}); !errors.Is(err, task.ErrFull) || !strings.Contains(err.Error(), "MiB are needed") {
		t.Errorf("seen before: %v", err)
	}
	if files := r.files(r.Path); !slices.Equal(files, []string{".lock"}) {
		t.Errorf("left are %v", files)
	}

	// There is room at first, and then there is none.
	r.Path = small(t, "400")
	filled := false
	_, err := r.Create(t.Context(), backup.Options{Progress: func(done, total int64) {
		if !filled {
			filled = true
			fill(t, filepath.Join(r.Path, "filler"))
		}
	}, Compress: true})
	if !errors.Is(err, task.ErrFull) {
		t.Errorf("seen later: %v", err)
	}
	if files := r.files(r.Path); !slices.Equal(files, []string{".lock", "filler"}) {
		t.Errorf("left are %v", files)
	}
	r.enqueue(1)

	// A restore to a disk without room.
	r.Path = elsewhere
	to := filepath.Join(small(t, "128"), "queue.db")
	if _, err := r.Restore(t.Context(), "elsewhere", to, nil); !errors.Is(err, task.ErrFull) {
		t.Errorf("restore: %v", err)
	}
	if files := r.files(filepath.Dir(to)); slices.Contains(files, "queue.db") || slices.Contains(files, ".queue.db.restoring") {
		t.Errorf("left are %v", files)
	}
	r.stop()
	if n := r.count(r.database); n != 3 {
		t.Errorf("%d tasks of %d bytes, want 3", n, size)
	}
}

// fill writes until there is no room.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
