package oldqueue

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"

	"github.com/prismq/thequeue/db/olddb"
)

// ErrNotOld: the file is no database of the older queue.
var ErrNotOld = errors.New("is not a database of the older queue")

// ErrChanged: somebody has written to the file while it was read.
var ErrChanged = errors.New("has changed while it was read: stop the older queue, and begin again")

// File is a database of the older queue.
type File struct {
	path string
	was  []os.FileInfo // of path and what lies beside it, when it was opened
	copy string        // the directory of the private copy that is read; empty: path itself is
	db   *sql.DB
	q    *olddb.Queries
}

// beside are the files in which SQLite keeps what is not in the database yet.
var beside = []string{"-wal", "-journal"}

// Open opens the file. It is read where it lies, without a lock and without a file beside it, unless there is something beside it that is not in the database yet: then a copy
// of all is read, in a directory of its own for temporary files. ErrNotOld for anything but a database of the older queue; errors name the path.
func Open(ctx context.Context, path string) (_ *File, err error) {
	f := &File{path: path}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", path, errors.Join(err, f.giveUp()))
		}
	}()
	if f.was, err = look(path); err != nil {
		return nil, err
	}
	if !f.was[0].Mode().IsRegular() {
		return nil, errors.New("is not a regular file")
	}
	read := path
	if slices.ContainsFunc(f.was[1:], func(i os.FileInfo) bool { return i != nil && i.Size() > 0 }) {
		if read, err = f.makeCopy(); err != nil {
			return nil, err
		}
	}
	if f.db, err = driver.Open(f.dsn(read), distrust); err != nil {
		return nil, err
	}
	f.db.SetMaxOpenConns(1)
	return f, f.check(ctx)
}

// look returns what is known of the file and of those beside it; nil: there is none.
func look(path string) ([]os.FileInfo, error) {
	out := make([]os.FileInfo, 1+len(beside))
	for i, suffix := range append([]string{""}, beside...) {
		info, err := os.Stat(path + suffix)
		if err != nil && (i == 0 || !errors.Is(err, fs.ErrNotExist)) {
			return nil, withoutPath(err)
		}
		out[i] = info
	}
	return out, nil
}

// withoutPath leaves out what is said anyway.
func withoutPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

func (f *File) makeCopy() (string, error) {
	var err error
	if f.copy, err = os.MkdirTemp("", "thequeue-import-*"); err != nil {
		return "", err
	}
	to := filepath.Join(f.copy, "old.db")
	for i, suffix := range append([]string{""}, beside...) {
		if f.was[i] == nil {
			continue
		}
		if err := copyFile(to+suffix, f.path+suffix); err != nil {
			return "", fmt.Errorf("copy: %w", err)
		}
	}
	return to, f.Unchanged()
}

func copyFile(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

// dsn is the data source name for reading. immutable: nothing but the file itself is looked at, and nothing is made beside it.
func (f *File) dsn(path string) string {
	if path = filepath.ToSlash(path); runtime.GOOS == "windows" {
		path = "/" + path
	}
	query := "_timefmt=rfc3339&_pragma=trusted_schema(off)&_pragma=query_only(on)&_pragma=cell_size_check(on)&_pragma=cache_size(-16000)&_pragma=temp_store(file)"
	if f.copy == "" {
		query += "&mode=ro&immutable=1"
	} else {
		query += "&mode=rw"
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: query}
	return u.String()
}

// distrust prepares a connection for a file that may have been made to do harm.
func distrust(c *sqlite3.Conn) error {
	for _, op := range []sqlite3.DBConfig{sqlite3.DBCONFIG_ENABLE_TRIGGER, sqlite3.DBCONFIG_ENABLE_VIEW, sqlite3.DBCONFIG_TRUSTED_SCHEMA} {
		if _, err := c.Config(op, false); err != nil {
			return err
		}
	}
	_, err := c.Config(sqlite3.DBCONFIG_DEFENSIVE, true)
	return err
}

// check reads through the file, and makes sure that it has the tables of the older queue.
func (f *File) check(ctx context.Context) error {
	q := olddb.New(f.db)
	tables, err := q.ListTables(ctx)
	if errors.Is(err, sqlite3.NOTADB) {
		return ErrNotOld
	}
	if err != nil {
		return err
	}
	if slices.Contains(tables, "goose_db_version") {
		return fmt.Errorf("%w, but one of this queue: it needs no import", ErrNotOld)
	}
	if len(tables) < 3 {
		return fmt.Errorf("%w: it has not all of the tables task_queue, task_logs and workers", ErrNotOld)
	}
	if f.q, err = olddb.Prepare(ctx, f.db); err != nil {
		return fmt.Errorf("%w: %w", ErrNotOld, err)
	}
	if c, err := f.Count(ctx); err != nil || c.FirstID < 0 {
		return cmp.Or(err, fmt.Errorf("%w: it has a task with the id %d", ErrNotOld, c.FirstID))
	}
	var found string
	err = f.db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found)
	if errors.Is(err, sqlite3.CORRUPT) || ctx.Err() != nil {
		return err
	}
	// Another error is one of a derived column, of a payload that is no JSON: that is said of its row.
	if err == nil && found != "ok" {
		return fmt.Errorf("is damaged: %s; `sqlite3 %s .recover` may save what can be read", strings.TrimSpace(found), f.path)
	}
	return nil
}

// Unchanged returns ErrChanged when somebody has written to the file, or beside it, since it was opened.
func (f *File) Unchanged() error {
	now, err := look(f.path)
	if err != nil {
		return err
	}
	for i, was := range f.was {
		switch is := now[i]; {
		case was == nil && is == nil:
		case was == nil && is.Size() == 0:
		case was == nil || is == nil || !os.SameFile(was, is) || is.Size() != was.Size() || !is.ModTime().Equal(was.ModTime()):
			return ErrChanged
		}
	}
	return nil
}

// Close closes the file and removes its copy.
func (f *File) Close() error { return f.giveUp() }

func (f *File) giveUp() error {
	var errs []error
	if f.q != nil {
		errs = append(errs, f.q.Close())
	}
	if f.db != nil {
		errs = append(errs, f.db.Close())
	}
	if f.copy != "" {
		errs = append(errs, os.RemoveAll(f.copy))
	}
	return errors.Join(errs...)
}
