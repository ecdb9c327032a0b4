package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/task"
)

func openAt(t *testing.T, path string, o Options) *Store {
	t.Helper()
	st, err := Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return st
}

func insert(t *testing.T, st *Store, key string) task.Task {
	t.Helper()
	spec := task.Spec{Type: "test"}
	if key != "" {
		spec.IdempotencyKey = &key
	}
	n, err := spec.Task(st.Clock().Now(), task.Limits{MaxAttempts: 5, PayloadBytes: 1000})
	if err != nil {
		t.Fatal(err)
	}
	stored, _, err := st.InsertTask(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func TestOpenKeepsTasksAndTheirTime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "deep", "queue with space?#.db")
	st := openAt(t, path, Options{Migrate: true})
	want := insert(t, st, "")
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("file %v %v, want mode 0600", info, err)
	}
	if wal, err := os.Stat(path + "-wal"); err == nil && wal.Size() > 0 {
		t.Errorf("a WAL of %d bytes is left after the close", wal.Size())
	}
	st = openAt(t, path, Options{})
	if got, err := st.GetTask(t.Context(), want.ID); err != nil || !got.CreatedAtUTC.Equal(want.CreatedAtUTC) {
		t.Fatalf("got %+v %v", got, err)
	}
	if st.Clock().Now().Before(want.CreatedAtUTC) {
		t.Error("the clock is behind the newest task")
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("this is no database, but long enough to be taken for one by its size"), 0o600); err != nil {
		t.Fatal(err)
	}
	served := filepath.Join(dir, "served.db")
	openAt(t, served, Options{Migrate: true, Serve: true})
	empty := filepath.Join(dir, "empty.db")
	newer := filepath.Join(dir, "newer.db")
	if err := openAt(t, newer, Options{Migrate: true}).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := driver.Open("file:" + newer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.db")
	if err := os.Symlink(served, link); err != nil {
		t.Logf("no links here: %v", err)
		link = served
	}
	foreign := filepath.Join(dir, "foreign.db")
	db, err = driver.Open("file:" + foreign)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE task_queue (id INTEGER PRIMARY KEY, type TEXT)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	foreignBytes, err := os.ReadFile(foreign)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path string
		o          Options
		want       error
	}{
		{"served under another name", link, Options{Serve: true}, ErrServed},
		{"of another program", foreign, Options{Migrate: true, Serve: true}, schema.ErrForeign},
		{"path under a file", filepath.Join(file, "queue.db"), Options{Migrate: true}, nil},
		{"a directory", dir, Options{Migrate: true}, nil},
		{"not a database", file, Options{Migrate: true}, sqlite3.NOTADB},
		{"served", served, Options{Serve: true}, ErrServed},
		{"older schema", empty, Options{}, schema.ErrOlder},
		{"newer schema", newer, Options{Migrate: true}, schema.ErrNewer},
	} {
		t.Run(c.name, func(t *testing.T) {
			st, err := Open(t.Context(), c.path, c.o)
			if err == nil {
				st.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), c.path) || (c.want != nil && !errors.Is(err, c.want)) {
				t.Errorf("error %q, want the path and %v", err, c.want)
			}
		})
	}
	if after, err := os.ReadFile(foreign); err != nil || !bytes.Equal(after, foreignBytes) {
		t.Errorf("the database of another program was changed: %v", err)
	}
	if st := openAt(t, served, Options{}); st.Ping(t.Context()) != nil {
		t.Error("a process that is no server may not open a served file")
	}
}

func TestEveryConnectionHasThePragmas(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	st := openAt(t, path, Options{Migrate: true})
	conn, err := st.readers.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, p := range pragmas {
		var got string
		if err := conn.QueryRowContext(t.Context(), "PRAGMA "+p.name).Scan(&got); err != nil || got != p.want {
			t.Errorf("%s is %q (%v), want %q", p.name, got, err, p.want)
		}
	}
	// A connection that lacks one is refused.
	db, err := driver.Open("file:"+path+"?_pragma=busy_timeout(5000)", verify)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Ping(); err == nil || !strings.Contains(err.Error(), "synchronous") {
		t.Errorf("ping without the pragmas: %v", err)
	}
}

// brokenDisk fails every sync after it has been broken.
type brokenDisk struct {
	vfs.File
	broken *bool
}

func (d brokenDisk) Sync(flags vfs.SyncFlag) error {
	if *d.broken {
		return sqlite3.IOERR_FSYNC
	}
	return d.File.Sync(flags)
}

type brokenVFS struct {
	vfs.VFS
	broken *bool
}

func (v brokenVFS) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := v.VFS.(vfs.VFSFilename).OpenFilename(name, flags)
	return brokenDisk{f, v.broken}, flags, err
}

func TestGuardReportsTheFirstFailedSync(t *testing.T) {
	t.Parallel()
	var broken bool
	var reported error
	vfs.Register("broken-under-guard", guard{VFS: brokenVFS{vfs.Find("os"), &broken}, syncFailed: func(err error) { reported = err }})
	defer vfs.Unregister("broken-under-guard")
	db, err := driver.Open("file:" + filepath.ToSlash(filepath.Join(t.TempDir(), "x.db")) + "?vfs=broken-under-guard&_pragma=synchronous(extra)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE t (x)"); err != nil || reported != nil {
		t.Fatalf("with a sound disk: %v, reported %v", err, reported)
	}
	broken = true
	if _, err := db.Exec("INSERT INTO t VALUES (1)"); err == nil || !errors.Is(reported, sqlite3.IOERR_FSYNC) {
		t.Fatalf("with a broken disk: %v, reported %v", err, reported)
	}
}

// fullDisk has no room for a write, as package os says it.
type fullDisk struct{ vfs.File }

func (fullDisk) WriteAt([]byte, int64) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "queue.db-wal", Err: syscall.ENOSPC}
}

type fullVFS struct{ vfs.VFS }

func (v fullVFS) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := v.VFS.(vfs.VFSFilename).OpenFilename(name, flags)
	return fullDisk{f}, flags, err
}

func TestGuardTellsAFullDisk(t *testing.T) {
	t.Parallel()
	vfs.Register("full-under-guard", guard{VFS: fullVFS{vfs.Find("os")}})
	defer vfs.Unregister("full-under-guard")
	db, err := driver.Open("file:" + filepath.ToSlash(filepath.Join(t.TempDir(), "x.db")) + "?vfs=full-under-guard")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE t (x)"); !errors.Is(classify(t.Context(), err), task.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
}

func TestEveryFileIsAsPrivateAsTheDatabase(t *testing.T) {
	t.Parallel()
	for _, mode := range []os.FileMode{0o600, 0o660} {
		path := filepath.Join(t.TempDir(), "queue.db")
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, mode)
		if err == nil {
			err = errors.Join(f.Chmod(mode), f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		insert(t, openAt(t, path, Options{Migrate: true}), "")
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if info, err := os.Stat(path + suffix); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != mode {
				t.Errorf("%s: %v %v, want mode %v", suffix, info.Mode().Perm(), err, mode)
			}
		}
	}
}

func TestGuardKeepsTheWAL(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	st := openAt(t, path, Options{Migrate: true})
	insert(t, st, "")
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() == 0 {
		t.Fatalf("no WAL is written: %v %v", info, err)
	}
}

// TestGroupSharesOneCommit hands operations in while the writer is held up and sees them end in one transaction, each failure its own.
func TestGroupSharesOneCommit(t *testing.T) {
	t.Parallel()
	st := openAt(t, filepath.Join(t.TempDir(), "queue.db"), Options{Migrate: true})
	held, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := st.writer.submit(t.Context(), &op{single: true, do: func(context.Context, tx) error { close(held); <-release; return nil }}); err != nil {
			t.Error(err)
		}
	})
	<-held
	commits := 0
	refused := errors.New("refused")
	cancelled, cancel := context.WithCancel(t.Context())
	for i := range 100 {
		wg.Go(func() {
			ctx := t.Context()
			if i%10 == 3 {
				ctx = cancelled
			}
			want := map[int]error{1: refused, 2: refused, 3: context.Canceled}[i%10]
			err := st.writer.submit(ctx, &op{single: i%10 == 2, do: func(ctx context.Context, x tx) error {
				if i%10 != 2 {
					if err := x.InsertLane(ctx, sqlitedb.InsertLaneParams{Type: fmt.Sprint(i), Compatibility: "{}", Priority: 1}); err != nil {
						return err
					}
				}
				return want
			}})
			if !errors.Is(err, want) {
				t.Errorf("operation %d: %v, want %v", i, err, want)
			}
		})
	}
	for len(st.writer.ops) < 100 {
		runtime.Gosched() // the queue of the writer tells nobody when it grows
	}
	cancel()
	st.writer.raw.CommitHook(func() bool { commits++; return true })
	close(release)
	wg.Wait()
	if commits < 1 || commits > 3 {
		t.Errorf("%d commits for 100 operations", commits)
	}
	for i := range 100 {
		_, err := st.read.GetLane(t.Context(), sqlitedb.GetLaneParams{Type: fmt.Sprint(i), Compatibility: "{}", Priority: 1})
		if want := i%10 == 0 || i%10 > 3; want != (err == nil) || (!want && !errors.Is(err, sql.ErrNoRows)) {
			t.Errorf("lane of operation %d: %v", i, err)
		}
	}
}

func TestWALStaysShort(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	st := openAt(t, path, Options{Migrate: true})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 250 {
				insert(t, st, "")
			}
		})
	}
	wg.Wait()
	info, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if limit := int64(2 * checkpointPages * 4096); info.Size() > limit {
		t.Errorf("the WAL has %d bytes after 4,000 inserts, want at most %d", info.Size(), limit)
	}
}

func TestFullDiskIsSaidAndHeals(t *testing.T) {
	t.Parallel()
	st := openAt(t, filepath.Join(t.TempDir(), "queue.db"), Options{Migrate: true})
	insert(t, st, "before")
	limit := func(n int) {
		t.Helper()
		if err := st.writer.submit(t.Context(), &op{single: true, do: func(context.Context, tx) error {
			return st.writer.raw.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", n))
		}}); err != nil {
			t.Fatal(err)
		}
	}
	limit(1) // as many pages as there are
	payload := task.JSON(`{"x":"` + strings.Repeat("x", 900_000) + `"}`)
	n, err := task.Spec{Type: "test", Payload: payload}.Task(st.Clock().Now(), task.Limits{MaxAttempts: 5, PayloadBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := st.InsertTask(t.Context(), n); !errors.Is(err, task.ErrFull) {
		t.Fatalf("insert into a full database: %v, want ErrFull", err)
	}
	if stats, err := st.Stats(t.Context(), st.Clock().Now()); err != nil || stats.TotalTasks != 1 {
		t.Fatalf("reads while full: %+v %v", stats, err)
	}
	limit(1 << 30)
	if _, _, err := st.InsertTask(t.Context(), n); err != nil {
		t.Fatalf("insert after room was made: %v", err)
	}
}

// TestAFileAtRestIsNotAsked counts the statements of readers.
func TestAFileAtRestIsNotAsked(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	st, other := openAt(t, path, Options{Migrate: true}), openAt(t, path, Options{})
	look := func() (stats task.Stats, event *time.Time) {
		t.Helper()
		stats, err := st.Stats(t.Context(), st.Clock().Now())
		if err != nil {
			t.Fatal(err)
		}
		if event, err = st.NextEvent(t.Context()); err != nil {
			t.Fatal(err)
		}
		return stats, event
	}
	look()
	read := st.read
	st.read = nil // who asks the database now panics
	for range 3 {
		look()
	}
	st.read = read
	insert(t, other, "")
	claimed, err := other.ClaimTasks(t.Context(), task.Claim{WorkerID: "w", Max: 1, Lease: time.Minute, Now: st.Clock().Now(), Secret: "s"})
	if err != nil || len(claimed) != 1 {
		t.Fatalf("claimed %v, %v", claimed, err)
	}
	if stats, event := look(); stats.ProcessingTasks != 1 || event == nil || !event.Equal(*claimed[0].LeaseUntilUTC) {
		t.Errorf("after another process wrote: %+v, %v", stats, event)
	}
}
