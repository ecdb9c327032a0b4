package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

func quiet(task.Progress) {}

// A table that is too large for it is not analyzed while a server has the file, and statistics of when it was small go.
func TestAServerAnalyzesNoLargeTable(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	st := openAt(t, path, Options{Migrate: true, Serve: true})
	insert(t, st, "one")
	if a, err := st.Analyze(t.Context(), "", quiet); err != nil || len(a.Skipped) > 0 {
		t.Fatalf("of small tables: %+v, %v", a, err)
	}
	written(t, st, fmt.Sprintf("UPDATE lane_counts SET completed = %d", analyzedBeside+1))
	if a, err := st.Analyze(t.Context(), "task_queue", quiet); err != nil || len(a.Tables) > 0 || !slices.Equal(a.Skipped, []string{"task_queue"}) {
		t.Errorf("of a large one: %+v, %v", a, err)
	}
	if known, err := st.estimates(t.Context()); err != nil || known["task_queue"] == 0 {
		t.Errorf("what was known of it: %v, %v", known, err)
	}
	if a, err := st.Analyze(t.Context(), store.OutdatedTables, quiet); err != nil || !slices.Contains(a.Skipped, "task_queue") {
		t.Errorf("outdated: %+v, %v", a, err)
	}
	if known, err := st.estimates(t.Context()); err != nil || known["task_queue"] != 0 || known["lanes"] == 0 {
		t.Errorf("what is known after that: %v, %v", known, err)
	}
	if a, err := st.Analyze(t.Context(), store.OutdatedTables, quiet); err != nil || len(a.Skipped)+len(a.Tables) > 0 {
		t.Errorf("outdated after that: %+v, %v", a, err)
	}
}

// A file that was made without auto_vacuum gives nothing back in steps, until a full vacuum has given it that; no server may have the file then.
func TestAnOldFileLearnsToGiveBack(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	st := openAt(t, path, Options{Migrate: true})
	if err := st.aside(t.Context(), "rw", func(c *sqlite3.Conn) error { return c.Exec("PRAGMA auto_vacuum = none; VACUUM") }); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Vacuum(t.Context(), quiet); !errors.Is(err, task.ErrConflict) || !strings.Contains(err.Error(), "vacuum --full --database "+st.Path()) {
		t.Errorf("an old file: %v", err)
	}
	server, err := Open(t.Context(), path, Options{Serve: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []*Store{st, server} {
		if _, err := who.FullVacuum(t.Context(), quiet); !errors.Is(err, task.ErrConflict) {
			t.Errorf("with a server: %v", err)
		}
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := st.FullVacuum(t.Context(), quiet); err != nil {
		t.Fatal(err)
	}
	if v, err := st.Vacuum(t.Context(), quiet); err != nil || v.Stopped {
		t.Errorf("after it: %+v, %v", v, err)
	}
}

// What is broken is told, with what it is in.
func TestABrokenIndexIsFound(t *testing.T) {
	t.Parallel()
	st := openAt(t, filepath.Join(t.TempDir(), "queue.db"), Options{Migrate: true})
	insert(t, st, "one")
	written(t, st, "PRAGMA writable_schema = on; UPDATE sqlite_schema SET sql = replace(sql, 'status = ''failed''', 'status = ''queued''') WHERE name = 'task_queue_failures'")
	got, err := st.CheckIntegrity(t.Context(), quiet)
	if err != nil || got.OK == nil || *got.OK || !strings.Contains(strings.Join(got.Problems, "\n"), "task_queue_failures") {
		t.Errorf("got %+v, %v", got, err)
	}
}

// A reader in the way is told, and waited for no longer than a second; the writer goes on meanwhile.
func TestACheckpointTellsOfReaders(t *testing.T) {
	t.Parallel()
	st := openAt(t, filepath.Join(t.TempDir(), "queue.db"), Options{Migrate: true})
	insert(t, st, "one")
	reader, err := st.readers.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Rollback() // nothing was changed
	var n int
	if err := reader.QueryRowContext(t.Context(), "SELECT count(*) FROM task_queue").Scan(&n); err != nil {
		t.Fatal(err)
	}
	insert(t, st, "two")
	if c, err := st.Checkpoint(context.Background(), task.CheckpointTruncate); err != nil || !c.Busy {
		t.Errorf("with a reader: %+v, %v", c, err)
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	if c, err := st.Checkpoint(context.Background(), task.CheckpointTruncate); err != nil || c.Busy {
		t.Errorf("without: %+v, %v", c, err)
	}
}

// A reader that keeps the log from being emptied is waited for: a vacuum does not write on into a log that grows.
func TestAVacuumWaitsForALongReader(t *testing.T) {
	t.Parallel()
	st := openAt(t, filepath.Join(t.TempDir(), "queue.db"), Options{Migrate: true, Serve: true})
	const pages = 3 * vacuumLog
	written(t, st, "CREATE TABLE filler (i INTEGER PRIMARY KEY, x)")
	written(t, st, fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO filler SELECT i, zeroblob(4000) FROM n", pages))
	written(t, st, fmt.Sprintf("DELETE FROM filler WHERE i <= %d", pages/2))
	if _, err := st.Checkpoint(t.Context(), task.CheckpointTruncate); err != nil {
		t.Fatal(err)
	}
	reader, err := st.readers.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Rollback() // nothing was changed
	var n int
	if err := reader.QueryRowContext(t.Context(), "SELECT count(*) FROM task_queue").Scan(&n); err != nil {
		t.Fatal(err)
	}
	type result struct {
		task.Vacuum
		err error
	}
	ended := make(chan result, 1)
	go func() {
		v, err := st.Vacuum(t.Context(), quiet)
		ended <- result{v, err}
	}()
	// It waits when the log is long and does not grow any more.
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var length int64
	for late, looks := time.After(time.Minute), 0; looks < 60; {
		select {
		case r := <-ended:
			t.Fatalf("it has ended beside a reader: %+v, with %d bytes of log", r, length)
		case <-late:
			t.Fatalf("the log grows on: %d bytes", length)
		case <-tick.C:
		}
		v, err := st.Vitals(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if looks++; v.File.WALBytes != length || length < vacuumLog*4096 {
			looks, length = 0, v.File.WALBytes
		}
	}
	if most := int64(vacuumLog+2*vacuumPages) * (4096 + frameHeader); length > most {
		t.Errorf("the log has %d bytes, more than %d", length, most)
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	if r := <-ended; r.err != nil || r.Stopped || *r.FreePages > pages/100 || r.BytesAfter > r.BytesBefore*2/3 {
		t.Errorf("without the reader: %+v, %v", r.Vacuum, r.err)
	}
}
