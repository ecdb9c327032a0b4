package sqlite

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/prismq/thequeue/internal/task"
)

// TestAPanicOnTheCallersGoroutineUndoesItsGroup: an operation that nobody else waits for runs on its caller's goroutine, where a panic may be
// recovered; the writer must be as if it had not begun.
func TestAPanicOnTheCallersGoroutineUndoesItsGroup(t *testing.T) {
	t.Parallel()
	st := openAt(t, filepath.Join(t.TempDir(), "queue.db"), Options{Migrate: true})
	for range 2 * aloneGroups {
		insert(t, st, "")
	}
	before, err := st.Stats(t.Context(), st.Clock().Now())
	if err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Fatal("the operation did not run on this goroutine")
			}
		}()
		n, err := task.Spec{Type: "test"}.Task(st.Clock().Now(), task.Limits{MaxAttempts: 5, PayloadBytes: 1000})
		if err != nil {
			t.Fatal(err)
		}
		key, err := keyOf(n)
		if err != nil {
			t.Fatal(err)
		}
		_, err = write(t.Context(), st, func(ctx context.Context, x tx) (struct{}, error) {
			a := &arrival{key, n}
			if err := x.enter(ctx, a); err != nil {
				t.Error(err)
			}
			if err := x.insertAll(ctx, []*task.Task{&a.Task}); err != nil {
				t.Error(err)
			}
			panic("planned")
		})
		t.Errorf("the operation returned %v", err)
	}()
	after, err := st.Stats(t.Context(), st.Clock().Now())
	if err != nil || after.TotalTasks != before.TotalTasks {
		t.Errorf("%d tasks, %v: want %d", after.TotalTasks, err, before.TotalTasks)
	}
	insert(t, st, "")
	if err := compare(t.Context(), st); err != nil {
		t.Error(err)
	}
}

// recorder notes each write below a walFile.
type recorder struct {
	vfs.File
	writes []string
	data   [100]byte
	full   bool
}

var errFull = errors.New("full")

func (r *recorder) WriteAt(p []byte, off int64) (int, error) {
	if r.full {
		return 0, errFull
	}
	r.writes = append(r.writes, string(p))
	return copy(r.data[off:], p), nil
}
func (r *recorder) ReadAt(p []byte, off int64) (int, error) { return copy(p, r.data[off:]), nil }
func (r *recorder) Sync(vfs.SyncFlag) error                 { return nil }

func TestAWALFileWritesHeaderAndPageTogether(t *testing.T) {
	t.Parallel()
	header, page := bytes.Repeat([]byte("h"), frameHeader), []byte("page")
	write := func(t *testing.T, f *walFile, p []byte, off int64) {
		t.Helper()
		if n, err := f.WriteAt(p, off); n != len(p) || err != nil {
			t.Fatalf("wrote %d, %v", n, err)
		}
	}
	t.Run("Together", func(t *testing.T) {
		t.Parallel()
		r := &recorder{}
		f := &walFile{guardFile: guardFile{File: r}}
		for frame := range int64(3) {
			write(t, f, header, frame*28)
			write(t, f, page, frame*28+frameHeader)
		}
		if len(r.writes) != 3 || r.writes[2] != string(header)+"page" || string(r.data[80:84]) != "page" {
			t.Errorf("wrote %q", r.writes)
		}
	})
	t.Run("ElsewhereFirst", func(t *testing.T) {
		t.Parallel()
		r := &recorder{}
		f := &walFile{guardFile: guardFile{File: r}}
		write(t, f, header, 0)
		write(t, f, page, 50)
		if len(r.writes) != 2 || r.writes[0] != string(header) {
			t.Errorf("wrote %q", r.writes)
		}
	})
	t.Run("NothingIsHeldBackFromAReader", func(t *testing.T) {
		t.Parallel()
		r := &recorder{}
		f := &walFile{guardFile: guardFile{File: r}}
		write(t, f, header, 7)
		got := make([]byte, frameHeader)
		if _, err := f.ReadAt(got, 7); err != nil || !bytes.Equal(got, header) {
			t.Errorf("read %q, %v", got, err)
		}
	})
	t.Run("ASyncFailsWhenTheHeaderCannotBeWritten", func(t *testing.T) {
		t.Parallel()
		r := &recorder{full: true}
		f := &walFile{guardFile: guardFile{File: r, syncFailed: func(error) { t.Error("counted as a failed sync") }}}
		write(t, f, header, 0)
		if err := f.Sync(0); !errors.Is(err, errFull) {
			t.Errorf("sync: %v", err)
		}
	})
}
