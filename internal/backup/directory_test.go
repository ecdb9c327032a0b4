package backup_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/klauspost/compress/zstd"

	"github.com/prismq/thequeue/internal/backup"
	"github.com/prismq/thequeue/internal/task"
)

func names(list []task.Backup) (out []string) {
	for _, b := range list {
		out = append(out, b.Name)
	}
	return out
}

func TestBackupsAreListedNewestFirstAndPruned(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if list, err := r.List(); err != nil || len(list) != 0 {
		t.Errorf("before the first: %v, %v", list, err)
	}
	if _, err := r.Latest(); !errors.Is(err, task.ErrNotFound) {
		t.Errorf("before the first: %v", err)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r.Now = func() time.Time { now = now.Add(time.Second); return now }
	r.enqueue(3)
	r.create(backup.Options{})
	named := r.create(backup.Options{Name: "before-upgrade", Compress: true})
	for range 3 {
		r.create(backup.Options{})
	}
	list, err := r.List()
	r.ok(err)
	want := []string{"thequeue-20260301T120005.000Z", "thequeue-20260301T120004.000Z", "thequeue-20260301T120003.000Z", "before-upgrade", "thequeue-20260301T120001.000Z"}
	if !slices.Equal(names(list), want) {
		t.Errorf("got %v", names(list))
	}
	if b, err := r.Latest(); err != nil || b.Name != want[0] {
		t.Errorf("the newest is %+v, %v", b, err)
	}
	if b, err := r.Get("before-upgrade.db.zst"); err != nil || *b.SHA256 != *named.SHA256 || b.SizeBytes != named.SizeBytes || !b.Compressed || *b.SchemaVersion == 0 || b.VerifiedAtUTC != nil {
		t.Errorf("got %+v, %v", b, err)
	}
	if _, err := r.Create(t.Context(), backup.Options{Name: "before-upgrade"}); !errors.Is(err, task.ErrConflict) {
		t.Errorf("a name that is taken: %v", err)
	}
	if gone, err := r.Prune(3, true, true); err != nil || !slices.Equal(names(gone), want[4:]) || len(r.files(r.Path)) != 11 {
		t.Errorf("a dry run over those without a name of their own: %v, %v", names(gone), err)
	}
	if gone, err := r.Prune(1, true, false); err != nil || !slices.Equal(names(gone), []string{want[1], want[2], want[4]}) {
		t.Errorf("those without a name of their own: %v, %v", names(gone), err)
	}
	if gone, err := r.Prune(1, false, false); err != nil || !slices.Equal(names(gone), want[3:4]) {
		t.Errorf("all: %v, %v", names(gone), err)
	}
	if files := r.files(r.Path); !slices.Equal(files, []string{".lock", want[0] + ".db", want[0] + ".db.sha256"}) {
		t.Errorf("left are %v", files)
	}
}

func TestNamesThatAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, name := range []string{"..", ".", "../x", "a/b", `a\b`, ".hidden", "a.db", "a.db.zst", "a.sha256", "a b", "a\x00", strings.Repeat("a", 101), "a."} {
		_, invalid := errors.AsType[*task.InvalidError](errors.Join(func() error { _, err := r.Create(t.Context(), backup.Options{Name: name}); return err }()))
		if !invalid {
			t.Errorf("%q is taken", name)
		}
	}
	if list, err := r.List(); err != nil || len(list) != 0 {
		t.Errorf("something was made: %v, %v", list, err)
	}
}

// Half a backup of a process that died is no backup, is swept away by the next, and is left alone while somebody works on it.
func TestWhatIsNotWholeIsNoBackup(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	whole := r.create(backup.Options{Name: "whole"})
	for _, name := range []string{".partial-a.db", ".partial-a.db.zst", "gone.db.sha256", "whole.db-wal", "readme.txt"} {
		r.ok(os.WriteFile(filepath.Join(r.Path, name), []byte("x"), 0o600))
	}
	if err := os.Symlink(filepath.Join(r.Path, "whole.db"), filepath.Join(r.Path, "link.db")); err != nil {
		t.Log(err)
	}
	list, err := r.List()
	if r.ok(err); !slices.Equal(names(list), []string{"whole"}) {
		t.Errorf("got %v", names(list))
	}
	lock := flock.New(filepath.Join(r.Path, ".lock"))
	if ok, err := lock.TryLock(); err != nil || !ok {
		t.Fatal(ok, err)
	}
	if _, err := r.Create(t.Context(), backup.Options{}); !errors.Is(err, task.ErrConflict) {
		t.Errorf("beside another: %v", err)
	}
	r.ok(lock.Unlock())
	r.create(backup.Options{Name: "next"})
	files := r.files(r.Path)
	for _, name := range []string{".partial-a.db", ".partial-a.db.zst", "gone.db.sha256"} {
		if slices.Contains(files, name) {
			t.Errorf("%s is still there", name)
		}
	}
	for _, name := range []string{"whole.db", "whole.db.sha256", "readme.txt"} {
		if !slices.Contains(files, name) {
			t.Errorf("%s is gone", name)
		}
	}
	if b, err := r.Get("whole"); err != nil || *b.SHA256 != *whole.SHA256 {
		t.Errorf("got %+v, %v", b, err)
	}
}

// A backup that is given up leaves nothing behind.
func TestABackupIsGivenUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.enqueue(1)
	ctx, stop := context.WithCancel(t.Context())
	_, err := r.Create(ctx, backup.Options{BytesPerSecond: 1 << 10, Progress: func(int64, int64) { stop() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if files := r.files(r.Path); !slices.Equal(files, []string{".lock"}) {
		t.Errorf("left are %v", files)
	}
}

// edit opens the database file that a backup is, for a change.
func edit(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.ToSlash(path)+"?_pragma=journal_mode(delete)&_pragma=writable_schema(on)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// Whatever is wrong with a backup is found by Verify, and keeps Restore from touching anything.
func TestUnusableBackupsAreFound(t *testing.T) {
	t.Parallel()
	change := func(at int) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text[at] ^= 0xff
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	write := func(text []byte) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	sql := func(statements ...string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) { edit(t, path, statements...) }
	}
	packed := func(text []byte) []byte {
		var b bytes.Buffer
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		z.Write(text)
		z.Close()
		return b.Bytes()
	}
	// A header that promises a file of 8 TiB, and one that gives more than it promises.
	bomb := append([]byte("SQLite format 3\x00\x10\x00\x01\x01"), make([]byte, 1<<20)...)
	copy(bomb[28:], "\x7f\xff\xff\xff")
	longer := append([]byte("SQLite format 3\x00\x10\x00\x01\x01"), make([]byte, 1<<20)...)
	copy(longer[28:], "\x00\x00\x00\x02")
	for name, c := range map[string]struct {
		spoil    func(t *testing.T, path string)
		compress bool
		keepSum  bool // the checksum says so; else it is made to fit what the file has become
		want     string
	}{
		"AByteOfTheHeader":     {spoil: change(20), keepSum: true, want: "the SHA-256 of"},
		"AByteInside":          {spoil: change(9000), keepSum: true, want: "the SHA-256 of"},
		"APageWithoutChecksum": {spoil: change(2*4096 + 1), want: "the backup cannot be used"},
		"Empty":                {spoil: write(nil), want: "the backup cannot be used"},
		"NoDatabase":           {spoil: write([]byte(strings.Repeat("no database ", 1000))), want: "the backup cannot be used"},
		"AnotherProgram":       {spoil: sql("DROP TABLE goose_db_version"), want: "database of another program"},
		"NewerSchema":          {spoil: sql("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)"), want: "the schema is newer than this binary"},
		"ATriggerMore":         {spoil: sql("CREATE TRIGGER evil AFTER INSERT ON task_queue BEGIN DELETE FROM workers; END"), want: "it has the trigger evil"},
		"ATriggerLess":         {spoil: sql("DROP TRIGGER task_queue_guard"), want: "it lacks the trigger task_queue_guard"},
		"AnotherView":          {spoil: sql("DROP VIEW v_worker_status", "CREATE VIEW v_worker_status AS SELECT 1"), want: "its view v_worker_status"},
		"ForeignKeys":          {spoil: sql("PRAGMA foreign_keys=off", "INSERT INTO task_attempts (task_id, fence, attempt, worker_id, started_at_utc) VALUES (9999, 1, 1, 'w', 1)"), want: "a foreign key of task_attempts leads nowhere"},
		"NotCompressed":        {spoil: write([]byte("no zstd")), compress: true, want: "cannot be decompressed"},
		"CompressedCut":        {spoil: func(t *testing.T, path string) { os.Truncate(path, 3000) }, compress: true, want: "cannot be decompressed"},
		"ABomb":                {spoil: write(packed(bomb)), compress: true, want: "the disk is full"},
		"LongerThanItSays":     {spoil: write(packed(longer)), compress: true, want: "does not have the 8192 bytes"},
		"CompressedNothing":    {spoil: write(packed(nil)), compress: true, want: "too short for a SQLite file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.enqueue(2)
			b := r.create(backup.Options{Name: "spoilt", Compress: c.compress})
			c.spoil(t, filepath.Join(r.Path, b.File))
			if !c.keepSum {
				r.ok(os.Remove(filepath.Join(r.Path, b.File+".sha256")))
			}
			_, err := r.Verify(t.Context(), "spoilt", 0, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, task.ErrUnusable) && !errors.Is(err, task.ErrFull) {
				t.Errorf("verify: got %v, want %q", err, c.want)
			}
			if b, err := r.Get("spoilt"); err != nil || b.VerifiedAtUTC != nil {
				t.Errorf("it counts as verified: %+v, %v", b, err)
			}
			r.stop()
			before := r.files(filepath.Dir(r.database))
			if _, err := r.Restore(t.Context(), "spoilt", "", nil); err == nil || !errors.Is(err, task.ErrUnusable) && !errors.Is(err, task.ErrFull) {
				t.Errorf("restore: got %v", err)
			}
			if after := r.files(filepath.Dir(r.database)); !slices.Equal(before, after) || r.count(r.database) != 2 {
				t.Errorf("the database was touched: %v, before %v", after, before)
			}
		})
	}
}

func TestABackupIsVerified(t *testing.T) {
	t.Parallel()
	for _, compress := range []bool{false, true} {
		r := newRig(t)
		r.enqueue(2)
		r.create(backup.Options{Name: "a", Compress: compress})
		b, err := r.Verify(t.Context(), "a", 0, nil)
		r.ok(err)
		kept, err := r.Get("a")
		if r.ok(err); b.VerifiedAtUTC == nil || kept.VerifiedAtUTC == nil || !kept.VerifiedAtUTC.Equal(*b.VerifiedAtUTC) || *kept.SHA256 != *b.SHA256 {
			t.Errorf("got %+v, kept %+v", b, kept)
		}
		if files := r.files(r.Path); slices.ContainsFunc(files, func(name string) bool { return strings.HasPrefix(name, ".partial") || strings.Contains(name, "-wal") }) {
			t.Errorf("something is left: %v", files)
		}
		if _, err := r.Verify(t.Context(), "b", 0, nil); !errors.Is(err, task.ErrNotFound) {
			t.Errorf("one that is not there: %v", err)
		}
	}
}
