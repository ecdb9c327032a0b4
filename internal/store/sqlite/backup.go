package sqlite

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/task"
)

// Backups is what this engine does for backups of one file. It is safe for concurrent use, and needs no store on the file.
type Backups struct {
	path  string
	sound func() error // nil: nobody knows whether the file is the one that it was
}

// NewBackups returns that of the file at path.
func NewBackups(path string) Backups { return Backups{path: path} }

// Backups returns that of the file of the store, which makes none once the file is gone.
func (s *Store) Backups() Backups { return Backups{path: s.path, sound: s.sound} }

// Suffix ends the names of backups, which are plain SQLite files.
func (Backups) Suffix() string { return ".db" }

// Packed is false: compressing is worth while.
func (Backups) Packed() bool { return false }

const (
	// copyPages are copied at a time: 256 KiB, after which whoever waits for the disk or a processor has his turn.
	copyPages = 64
	// syncBytes are written between two syncs, so that the last does not hold up the commits of the queue (measured: docs/decisions/0024).
	syncBytes = 4 << 20
	// backupCache of a connection that reads each page once, in KiB.
	backupCache = 1024
)

// backupGuard is the VFS of files that are no database in use: a sync that fails is an error like any other.
const backupGuard = "thequeue-backup"

var registerBackup = sync.OnceFunc(func() {
	vfs.Register(backupGuard, guard{VFS: vfs.Find("os"), syncFailed: func(error) {}})
})

// fileURI is the name of a file for SQLite, with parameters and pragmas.
func fileURI(path string, params url.Values, pragmas ...string) string {
	for _, p := range pragmas {
		params.Add("_pragma", p)
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: slashed(path), RawQuery: params.Encode()}
	return u.String()
}

// Copy copies page after page of the snapshot that a read transaction holds, so that writers do not disturb it, nor it them, and it never begins again: as
// the backup would that reads what is newest. The WAL grows meanwhile. The copy is a plain file that needs no WAL beside it.
func (b Backups) Copy(ctx context.Context, to string, step func(done, total int64) error) (version int64, err error) {
	registerGuard()
	registerBackup()
	path, err := filepath.Abs(b.path)
	if err != nil {
		return 0, err
	}
	if version, err = versionOf(ctx, path); err != nil {
		return 0, err
	}
	if err := b.copyAll(ctx, path, to, step); err != nil {
		return 0, err
	}
	if b.sound != nil {
		err = b.sound()
	}
	return version, err
}

// write is Copy of a file of which the caller knows what is in it, as fast as it goes.
func (b Backups) write(ctx context.Context, to string) error {
	registerBackup()
	return b.copyAll(ctx, b.path, to, func(int64, int64) error { return nil })
}

// copyAll has the whole copy on the disk, in the file at to.
func (b Backups) copyAll(ctx context.Context, path, to string, step func(done, total int64) error) error {
	out, err := os.OpenFile(to, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err = b.copyPages(ctx, path, to, out, step); err == nil {
		err = plain(out)
	}
	return classify(ctx, errors.Join(err, out.Close()))
}

func (b Backups) copyPages(ctx context.Context, path, to string, out *os.File, step func(done, total int64) error) (err error) {
	src, err := sqlite3.OpenContext(ctx, fileURI(path, url.Values{"vfs": {guardName}, "mode": {"rw"}}, fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
		"synchronous(extra)", "wal_autocheckpoint(0)", fmt.Sprintf("cache_size(-%d)", backupCache)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	if b.sound != nil { // the server keeps its WAL itself
		if _, err := src.Config(sqlite3.DBCONFIG_NO_CKPT_ON_CLOSE, true); err != nil {
			return err
		}
	}
	pageSize, err := pragmaInt(src, "page_size")
	if err != nil {
		return err
	}
	if err := src.Exec("BEGIN"); err != nil {
		return err
	}
	pages, err := pragmaInt(src, "page_count") // with which the snapshot begins
	if err != nil {
		return err
	}
	if err := roomFor(filepath.Dir(to), pages*pageSize); err != nil {
		return err
	}
	dst := fileURI(to, url.Values{"vfs": {backupGuard}}, "journal_mode(off)", "synchronous(off)", fmt.Sprintf("cache_size(-%d)", backupCache))
	copying, err := src.BackupInit("main", dst)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, copying.Close()) }()
	var done, synced int64
	for {
		last, err := copying.Step(copyPages)
		if err != nil {
			return err
		}
		total := int64(copying.PageCount()) * pageSize
		done = total - int64(copying.Remaining())*pageSize
		if done-synced >= syncBytes {
			if err := out.Sync(); err != nil {
				return err
			}
			synced = done
		}
		if err := step(done, total); err != nil {
			return err
		}
		if last {
			return nil
		}
	}
}

// roomFor returns task.ErrFull where a directory has no room for so many bytes, and an eighth more: what is left is for the queue, which may be on the same disk.
func roomFor(dir string, size int64) error {
	free, _, err := diskSpace(dir)
	if err == nil && free < size+size/8 {
		err = fmt.Errorf("%w: %s has %d MiB left, and %d MiB are needed", task.ErrFull, dir, free>>20, (size+size/8)>>20+1)
	}
	return err
}

// Where the header of a SQLite file says how it is written and read, and what says that it has no WAL: https://sqlite.org/fileformat.html section 1.3.
const (
	headerLength  = 100
	formatAt      = 18
	legacyFormat  = "\x01\x01"
	headerMagic   = "SQLite format 3\x00"
	pageSizeAt    = 16
	pageCountAt   = 28
	largestHeader = 65536
)

// plain makes a file that has no WAL one that needs none, so that it can be read where nothing can be written.
func plain(f *os.File) error {
	if _, err := f.WriteAt([]byte(legacyFormat), formatAt); err != nil {
		return full(err)
	}
	return f.Sync()
}

// pragmaInt reads a number.
func pragmaInt(c *sqlite3.Conn, name string) (int64, error) {
	text, err := pragmaText(c, "PRAGMA "+name)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

// pragmaText returns the first column of the first row; empty without one.
func pragmaText(c *sqlite3.Conn, pragma string) (text string, err error) {
	stmt, _, err := c.Prepare(pragma)
	if err != nil {
		return "", err
	}
	if stmt.Step() {
		text = stmt.ColumnText(0)
	}
	return text, errors.Join(stmt.Err(), stmt.Close())
}

// versionOf returns the version of the schema of a file in use. One that has none is an error: there is nothing of ours in it.
func versionOf(ctx context.Context, path string) (version int64, err error) {
	if info, err := os.Stat(path); err != nil {
		return 0, err
	} else if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is not a regular file", path)
	}
	if err := (&Store{path: path}).checkOwn(ctx); err != nil {
		return 0, err
	}
	db, err := driver.Open(fileURI(path, url.Values{"vfs": {guardName}, "mode": {"rw"}}, fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()), "wal_autocheckpoint(0)"), keepWAL)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	if version, err = schema.Look(ctx, schema.SQLite, db); err == nil && version == 0 {
		err = fmt.Errorf("%s has no schema: `thequeue migrate up` makes it", path)
	}
	return version, classify(ctx, err)
}

// keepWAL leaves the WAL to those who use the file.
func keepWAL(c *sqlite3.Conn) error {
	_, err := c.Config(sqlite3.DBCONFIG_NO_CKPT_ON_CLOSE, true)
	return err
}
