package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// written runs one statement on the connection of the writer, in a transaction of its own.
func written(t *testing.T, st *Store, statement string) {
	t.Helper()
	if err := st.writer.submit(t.Context(), &op{single: true, do: func(context.Context, tx) error { return st.writer.raw.Exec(statement) }}); err != nil {
		t.Fatal(err)
	}
}

// fill makes the WAL grow by about so many pages.
func fill(t *testing.T, st *Store, pages int) {
	t.Helper()
	written(t, st, fmt.Sprintf("INSERT INTO filler VALUES (zeroblob(%d))", pages*4096))
}

func walBytes(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// onWriter returns what the writer sees between two groups, after the checkpoint that may follow the one before.
func onWriter[T any](t *testing.T, st *Store, look func(w *writer) (T, error)) T {
	t.Helper()
	var out T
	if err := st.writer.submit(t.Context(), &op{single: true, do: func(context.Context, tx) (err error) { out, err = look(st.writer); return err }}); err != nil {
		t.Fatal(err)
	}
	return out
}

// While a reader looks at the database the WAL cannot be written from its start again and grows; when the reader has gone its file must
// shrink, not only be written again.
func TestTheWALIsTruncatedAfterASlowReader(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	st := openAt(t, path, Options{Migrate: true})
	written(t, st, "CREATE TABLE filler (x)")
	reader, err := st.readers.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Rollback() // nothing was changed
	var n int
	if err := reader.QueryRowContext(t.Context(), "SELECT count(*) FROM filler").Scan(&n); err != nil {
		t.Fatal(err)
	}
	for range 9 {
		fill(t, st, truncatePages/8)
	}
	long := onWriter(t, st, func(*writer) (int64, error) { return walBytes(t, path), nil })
	if long < truncatePages*4096 {
		t.Fatalf("the WAL has %d bytes under a reader, want more than %d: the test shows nothing", long, truncatePages*4096)
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	fill(t, st, truncatePages/8) // the try after the last failure
	fill(t, st, 1)
	if got := onWriter(t, st, func(*writer) (int64, error) { return walBytes(t, path), nil }); got > 2*checkpointPages*4096 {
		t.Errorf("the WAL has %d bytes after its reader has gone, want at most %d", got, 2*checkpointPages*4096)
	}
}

// A checkpoint does not wait for readers. The operation after it waits for other processes again.
func TestTheWriterWaitsForOthersAfterACheckpoint(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		blocked bool // by a reader
	}{{"Free", false}, {"Blocked", true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			st := openAt(t, filepath.Join(t.TempDir(), "queue.db"), Options{Migrate: true})
			timeout := func(w *writer) (int, error) {
				stmt, _, err := w.raw.Prepare("PRAGMA busy_timeout")
				if err != nil {
					return 0, err
				}
				defer stmt.Close()
				stmt.Step()
				return stmt.ColumnInt(0), stmt.Err()
			}
			want := int(busyTimeout.Milliseconds())
			if got := onWriter(t, st, timeout); got != want {
				t.Fatalf("the writer waits %d ms before any checkpoint, want %d", got, want)
			}
			written(t, st, "CREATE TABLE filler (x)")
			if c.blocked {
				reader, err := st.readers.BeginTx(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				defer reader.Rollback() // nothing was changed
				var n int
				if err := reader.QueryRowContext(t.Context(), "SELECT count(*) FROM filler").Scan(&n); err != nil {
					t.Fatal(err)
				}
			}
			before := onWriter(t, st, func(w *writer) (int, error) { return w.nextCheck, nil })
			fill(t, st, before+checkpointPages)
			type seen struct{ timeout, walPages, nextCheck int }
			got := onWriter(t, st, func(w *writer) (seen, error) {
				ms, err := timeout(w)
				return seen{ms, w.walPages, w.nextCheck}, err
			})
			if tried := got.walPages >= before; !tried || c.blocked != (got.nextCheck > checkpointPages) {
				t.Fatalf("no checkpoint was tried, or not as the reader would have it: %+v", got)
			}
			if got.timeout != want {
				t.Errorf("the writer waits %d ms after a checkpoint, want %d", got.timeout, want)
			}
		})
	}
}
