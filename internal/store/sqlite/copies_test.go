package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// template is a file with the schema and nothing in it.
var template = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "thequeue-template-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	st, err := Open(context.Background(), filepath.Join(dir, "queue.db"), Options{Migrate: true})
	if err == nil {
		err = st.Close()
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, "queue.db"))
})

// migrated returns the path of such a file.
func migrated(t *testing.T) string {
	t.Helper()
	text, err := template()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "queue.db")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// copiesOf returns the copies that stand beside a file, the oldest first.
func copiesOf(t *testing.T, path string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filepath.Base(path)+".before-migration-") {
			out = append(out, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	return out
}

func TestAFileIsCopiedBeforeItsSchemaChanges(t *testing.T) {
	t.Parallel()
	path := migrated(t)
	st := openAt(t, path, Options{Migrate: true})
	insert(t, st, "")
	insert(t, st, "")
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if got := copiesOf(t, path); len(got) != 0 {
		t.Fatalf("without a change of the schema there are %v", got)
	}
	down := func(copied bool) {
		t.Helper()
		m, done, err := OpenSchema(t.Context(), path, false)
		if err != nil {
			t.Fatal(err)
		}
		if !copied {
			m.CopyBeside("", nil)
		}
		if err := m.Down(t.Context()); err != nil {
			t.Fatal(err)
		}
		if (m.Copied() != "") != copied {
			t.Errorf("the copy is %q", m.Copied())
		}
		if err := done(); err != nil {
			t.Fatal(err)
		}
	}
	down(true)
	first := copiesOf(t, path)
	if len(first) != 1 {
		t.Fatalf("after one change there are %v", first)
	}
	if info, err := os.Stat(first[0]); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("the copy has %v, %v", info.Mode(), err)
	}
	back := openAt(t, first[0], Options{}) // at the newest version
	if stats, err := back.Stats(t.Context(), back.Clock().Now()); err != nil || stats.TotalTasks != 2 {
		t.Errorf("the copy has %d tasks, %v", stats.TotalTasks, err)
	}
	if err := back.Close(); err != nil {
		t.Fatal(err)
	}
	down(true)
	down(false)
	down(true)
	down(true)
	got := copiesOf(t, path)
	for _, c := range got {
		if strings.HasPrefix(c, first[0]) && !strings.HasSuffix(c, ".lock") {
			t.Errorf("the oldest copy is still there: %v", got)
		}
	}
	up := openAt(t, path, Options{Migrate: true, Serve: true})
	if stats, err := up.Stats(t.Context(), up.Clock().Now()); err != nil || stats.TotalTasks != 2 {
		t.Errorf("brought up again it has %d tasks, %v", stats.TotalTasks, err)
	}
	n := 0
	for _, c := range copiesOf(t, path) {
		if !strings.HasSuffix(c, ".lock") {
			n++
		}
	}
	if n != 3 {
		t.Errorf("%d copies are kept: %v", n, copiesOf(t, path))
	}
}

func TestWithoutRoomForACopyNothingIsMigrated(t *testing.T) {
	t.Parallel()
	path := migrated(t)
	m, done, err := OpenSchema(t.Context(), path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	before, err := m.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m.CopyBeside(filepath.Join(t.TempDir(), "none", "queue.db"), Backups{path: path}.write) // a directory that is not there
	if err := m.Down(t.Context()); err == nil || !strings.Contains(err.Error(), "--no-copy") {
		t.Errorf("got %v", err)
	}
	if after, err := m.Version(t.Context()); err != nil || after != before {
		t.Errorf("it went from version %d to %d, %v", before, after, err)
	}
}
