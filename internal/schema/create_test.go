package schema

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestCreateMakesTheNextMigrationForBothEngines(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for path, text := range map[string]string{"sqlite/00001_a.sql": "", "sqlite/00007_b.sql": "", "postgres/00009_c.sql": "", "postgres/notes.txt": ""} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, filepath.Dir(path)), 0o700), os.WriteFile(filepath.Join(dir, path), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	paths, err := Create(dir, "Add Dead-lines")
	want := []string{filepath.Join(dir, "sqlite", "00010_add_dead_lines.sql"), filepath.Join(dir, "postgres", "00010_add_dead_lines.sql")}
	if err != nil || !slices.Equal(paths, want) {
		t.Fatalf("got %v, %v; want %v", paths, err, want)
	}
	for _, p := range want {
		if text, err := os.ReadFile(p); err != nil || string(text) != "-- +goose Up\n\n-- +goose Down\n" {
			t.Errorf("%s has %q, %v", p, text, err)
		}
	}
	if paths, err := Create(dir, "next"); err != nil || filepath.Base(paths[0]) != "00011_next.sql" {
		t.Errorf("the next one: %v, %v", paths, err)
	}
	for _, bad := range []string{"", "1st", "a/b", "ä", "../x"} {
		if _, err := Create(dir, bad); !errors.Is(err, ErrTitle) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := Create(t.TempDir(), "a"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without folders: %v", err)
	}
}
