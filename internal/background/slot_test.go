//go:build unix

package background

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A directory that somebody else could have prepared is not used.
func TestSlotsAreKeptWhereNobodyElseMayEnter(t *testing.T) {
	place := t.TempDir()
	t.Setenv("TMPDIR", place)
	id, slot, err := takeSlot("name")
	if err != nil || !strings.HasPrefix(id, "name@") || !strings.HasSuffix(id, "#0") {
		t.Fatalf("got %q, %v", id, err)
	}
	if err := slot.Close(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(place, "thequeue-"+strconv.Itoa(os.Getuid()))
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // which is what must not be
		t.Fatal(err)
	}
	if id, _, err := takeSlot("name"); err == nil {
		t.Errorf("got %q in a directory that others may enter", id)
	}
	if err := os.Rename(dir, dir+".elsewhere"); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir+".elsewhere", 0o700); err != nil { //nolint:gosec // a directory
		t.Fatal(err)
	}
	if err := os.Symlink(dir+".elsewhere", dir); err != nil {
		t.Fatal(err)
	}
	if id, _, err := takeSlot("name"); err == nil {
		t.Errorf("got %q through a link", id)
	}
}
