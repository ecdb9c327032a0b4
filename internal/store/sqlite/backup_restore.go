package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofrs/flock"
	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"

	"github.com/prismq/thequeue/db/sqlitecopy"
	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/task"
)

// besides are the endings of what may lie beside a database, and would be taken for a part of the one that is put in its place.
var besides = []string{"-wal", "-shm", "-journal"}

// Restore writes the new file beside the old one, checks it there, and puts it in its place by one rename. Until then the old one is complete under its name, and
// afterwards under the one that is returned.
func (b Backups) Restore(ctx context.Context, target, _ string, now time.Time, fill func(*os.File) error) (out task.Restored, err error) {
	registerGuard()
	registerBackup()
	r := restore{path: cmp.Or(target, b.path), stamp: now.UTC().Format("20060102T150405.000Z")}
	if err := r.open(); err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	out.Database = r.path
	if out.SchemaVersion, err = r.write(ctx, fill); err != nil {
		return out, classify(ctx, err)
	}
	if out.Note, err = r.settleMove(ctx); err != nil {
		return out, classify(ctx, err)
	}
	replaced, err := r.replace(ctx)
	if replaced != "" {
		out.ReplacedFile = &replaced
	}
	return out, classify(ctx, err)
}

// restore puts a file in the place of path.
type restore struct {
	path  string
	stamp string // in the name under which what was there is kept
	name  string // of the file in root
	root  *os.Root
	lock  *flock.Flock
	old   fs.FileInfo // nil: nothing was there
}

// temp is the name of the new file until it is in its place.
func (r *restore) temp() string { return "." + r.name + ".restoring" }

// kept is the name of the old file from then on.
func (r *restore) kept() string { return r.name + ".replaced-" + r.stamp }

// open takes the lock of a server.
func (r *restore) open() (err error) {
	if r.path, err = filepath.Abs(r.path); err != nil {
		return err
	}
	if resolved, err := filepath.EvalSymlinks(r.path); err == nil {
		r.path = resolved // other names of the file stand for the file itself
	}
	dir := filepath.Dir(r.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	r.name = filepath.Base(r.path)
	if r.root, err = os.OpenRoot(dir); err != nil {
		return err
	}
	r.lock, err = hold(r.path, byRestore)
	if errors.Is(err, ErrServed) {
		err = fmt.Errorf("%w: %w: %s: stop it first", task.ErrConflict, err, r.path)
	}
	if err == nil {
		r.old, err = r.root.Lstat(r.name)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		} else if err == nil && !r.old.Mode().IsRegular() {
			err = fmt.Errorf("%s is not a regular file", r.path)
		}
	}
	if err != nil {
		return errors.Join(err, r.close())
	}
	return nil
}

func (r *restore) close() error {
	if r.lock == nil { // the file is that of another restore
		return r.root.Close()
	}
	return errors.Join(r.remove(r.temp()), letGo(r.lock), r.root.Close())
}

// remove removes a file, if it is there.
func (r *restore) remove(name string) error {
	if err := r.root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// write makes the new file, checks it and has it on the disk.
func (r *restore) write(ctx context.Context, fill func(*os.File) error) (version int64, err error) {
	if err := r.remove(r.temp()); err != nil { // of a restore that was killed
		return 0, err
	}
	f, err := r.root.OpenFile(r.temp(), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	if r.old != nil {
		err = errors.Join(f.Chmod(r.old.Mode().Perm()), sameOwner(f, r.old))
	}
	if err == nil {
		err = fill(f)
	}
	if err == nil {
		err = plain(f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	return Backups{}.Check(ctx, filepath.Join(filepath.Dir(r.path), r.temp()))
}

// settleMove takes a move back that was under way when the backup was made: nobody follows what changes in the new file. It says what has to be known of a move. A journal
// beside the new file would outlive a process that dies, and be taken for that of the next one.
func (r *restore) settleMove(ctx context.Context) (note string, err error) {
	path := filepath.Join(filepath.Dir(r.path), r.temp())
	db, err := driver.Open(fileURI(path, url.Values{"vfs": {backupGuard}, "mode": {"rw"}}, "trusted_schema(off)", "journal_mode(memory)", "synchronous(extra)"), distrust)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	s, err := schema.New(schema.SQLite, db)
	if err != nil {
		return "", err
	}
	state, peer, err := s.Moved(ctx)
	if err != nil || state != task.MoveLeaving {
		return state.Restored(peer), err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return "", err
	}
	defer tx.Rollback() // after Commit it does nothing
	q := sqlitecopy.New(tx)
	if err := errors.Join(q.ClearMoveChanges(ctx), q.DropMove(ctx)); err != nil {
		return "", err
	}
	return state.Restored(peer), tx.Commit()
}

// replace keeps the old file under another name, and puts the new one in its place.
func (r *restore) replace(ctx context.Context) (replaced string, err error) {
	if r.old != nil {
		if err := r.settle(ctx); err != nil {
			return "", err
		}
		if err := r.keep(r.name, r.kept()); err != nil {
			return "", err
		}
		replaced = filepath.Join(filepath.Dir(r.path), r.kept())
	}
	// What lies beside it still is of a file that could not be opened, or that somebody has removed.
	for _, ending := range besides {
		if _, err := r.root.Lstat(r.name + ending); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if ending != "-shm" {
			if err := r.keep(r.name+ending, r.kept()+ending); err != nil {
				return "", err
			}
		}
		if err := r.remove(r.name + ending); err != nil {
			return "", err
		}
	}
	if err := r.sync(); err != nil {
		return "", err
	}
	if err := r.root.Rename(r.temp(), r.name); err != nil {
		return "", err
	}
	return replaced, r.sync()
}

// settle brings what is in the WAL of the old file into the file, so that it is complete alone. Whoever else has the file open keeps its WAL from being
// removed, and is found by that. A file that is damaged is left as it is.
func (r *restore) settle(ctx context.Context) error {
	if r.old.Size() == 0 {
		return nil
	}
	if err := (&Store{path: r.path}).checkOwn(ctx); err != nil {
		return err
	}
	c, err := sqlite3.OpenContext(ctx, fileURI(r.path, url.Values{"vfs": {backupGuard}, "mode": {"rw"}}, "busy_timeout(500)", "synchronous(extra)"))
	if err == nil {
		_, err = pragmaText(c, "PRAGMA schema_version")
		if err == nil {
			_, _, err = c.WALCheckpoint("main", sqlite3.CHECKPOINT_TRUNCATE)
		}
		err = errors.Join(err, c.Close())
	}
	inUse := fmt.Errorf("%w: another process has %s open: end it first", task.ErrConflict, r.path)
	switch {
	case errors.Is(err, sqlite3.BUSY), errors.Is(err, sqlite3.LOCKED):
		return inUse
	case errors.Is(err, sqlite3.CORRUPT), errors.Is(err, sqlite3.NOTADB):
		return nil
	case err != nil:
		return err
	}
	if _, err := r.root.Lstat(r.name + "-wal"); err == nil {
		return inUse
	}
	return nil
}

// keep gives a file a second name; on a file system that has no such thing, a copy.
func (r *restore) keep(from, to string) error {
	if r.root.Link(from, to) == nil {
		return nil
	}
	in, err := r.root.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := roomFor(filepath.Dir(r.path), info.Size()); err != nil {
		return err
	}
	out, err := r.root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, sameOwner(out, info), out.Sync(), out.Close())
}

// sync has the names on the disk. Windows has no such call, and does it by itself.
func (r *restore) sync() error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := r.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
