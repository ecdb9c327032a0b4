package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/task"
)

// Restore has pg_restore drop what is there and make it anew in one transaction, while no other process of this program uses the database. What was there is
// dumped to a file in dir before, or in the directory for temporary files where dir may only be read. What the archive has of others, such as extensions and other schemas, is left out: what the database has of them stays as it is.
func (b Backups) Restore(ctx context.Context, target, dir string, now time.Time, fill func(*os.File) error) (out task.Restored, err error) {
	to := Backups{cmp.Or(target, b.url)}
	out.Database = redacted(to.url)
	private, free, err := privateDir(dir, now)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, free()) }()
	f, err := os.OpenFile(filepath.Join(private, "archive.dump"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return out, err
	}
	if err := errors.Join(fill(f), f.Close()); err != nil {
		return out, err
	}
	if out.SchemaVersion, err = b.Check(ctx, f.Name()); err != nil {
		return out, err
	}
	s, done, err := OpenSchema(ctx, to.url)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, done()) }()
	r := restore{Backups: to, schema: s, archive: f.Name(), kept: filepath.Join(filepath.Dir(private), task.ReplacedBackup+now.UTC().Format("20060102T150405.000Z")+b.Suffix())}
	err = s.Alone(ctx, func() error { return r.replace(ctx, &out) })
	if errors.Is(err, schema.ErrInUse) {
		err = fmt.Errorf("%w: %w", task.ErrConflict, err)
	}
	return out, err
}

const (
	// restoring begins the names of directories for the time of a restore.
	restoring = ".restoring-"
	// restoringNew is how long such a directory may be there before it has its lock.
	restoringNew = 10 * time.Minute
)

// privateDir makes a directory beside the backups, where there is room for them, or for temporary files where that may only be read, and removes those of restores that
// were killed. free removes it.
func privateDir(dir string, now time.Time) (path string, free func() error, err error) {
	removeKilled(dir, now)
	if path, err = os.MkdirTemp(dir, restoring); errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		path, err = os.MkdirTemp("", "thequeue-restore-")
	}
	if err != nil {
		return "", nil, err
	}
	l := flock.New(filepath.Join(path, "lock"))
	free = func() error { return errors.Join(l.Close(), os.RemoveAll(path)) }
	if ok, err := l.TryLock(); err != nil || !ok {
		return "", nil, errors.Join(fmt.Errorf("%s cannot be locked, and another restore might remove it", path), err, free())
	}
	return path, free, nil
}

// removeKilled removes the directories of restores that have been killed a while ago. What stays is tried again by the next one.
func removeKilled(dir string, now time.Time) {
	all, err := os.ReadDir(dir)
	if err != nil {
		return // whether there is room in it is seen then
	}
	for _, e := range all {
		info, err := e.Info()
		if err != nil || !e.IsDir() || !strings.HasPrefix(e.Name(), restoring) || now.Sub(info.ModTime()) < restoringNew {
			continue
		}
		path := filepath.Join(dir, e.Name())
		l := flock.New(filepath.Join(path, "lock"))
		if ok, err := l.TryLock(); ok && err == nil {
			_ = errors.Join(l.Close(), os.RemoveAll(path))
		}
	}
}

// restore puts an archive in the place of a database.
type restore struct {
	Backups
	schema  *schema.Schema // of the database
	archive string
	kept    string // where that which is there is dumped to before
}

// replace does it, and says in out what has become of what was there, and of what is left out.
func (r *restore) replace(ctx context.Context, out *task.Restored) error {
	args := []string{"--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error"}
	have, err := r.schema.Look(ctx)
	switch {
	case err != nil:
		return err
	case have != 0 && have != out.SchemaVersion:
		return fmt.Errorf("%w: the database has version %d of the schema, and the backup %d: make an empty database (createdb), restore to that with --to, and let the server use it", task.ErrConflict, have, out.SchemaVersion)
	case have != 0:
		if err := r.keep(ctx); err != nil {
			return fmt.Errorf("keep what is there: %w", err)
		}
		out.ReplacedFile, args = &r.kept, append(args, "--clean", "--if-exists")
	}
	list, left, err := r.choose(ctx, have != 0)
	if err != nil {
		return err
	}
	cmd, err := client(ctx, "pg_restore", r.url, append(args, "--use-list="+list, r.archive)...)
	if err != nil {
		return err
	}
	if err := run(cmd); err != nil {
		return err
	}
	moved, err := r.settleMove(ctx)
	out.Note = strings.TrimSpace(left + " " + moved)
	return err
}

// keep dumps what is there.
func (r *restore) keep(ctx context.Context) error {
	f, err := os.OpenFile(r.kept, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	nothing := func(int64, int64) error { return nil }
	if err := errors.Join(f.Close(), r.dump(ctx, r.kept, nothing)); err != nil {
		return errors.Join(err, os.Remove(r.kept))
	}
	return nil
}

// choose writes the list of what is restored, and says what is left out. Where something is replaced, schemas that are there stay: others may have something in them.
func (r *restore) choose(ctx context.Context, replacing bool) (path, left string, err error) {
	entries, err := contentsOf(ctx, r.archive)
	if err != nil {
		return "", "", err
	}
	var there []string
	if replacing {
		if there, err = r.schemas(ctx); err != nil {
			return "", "", err
		}
	}
	var lines, others []string
	own := ours(entries)
	for _, e := range entries {
		switch {
		case e.kind == "":
			others = append(others, e.what())
		case e.schema != own && e.schema != "-":
			if what := "SCHEMA " + e.schema; !slices.Contains(others, what) {
				others = append(others, what)
			}
		case e.kind != "SCHEMA" || !slices.Contains(there, e.name):
			lines = append(lines, e.line)
		}
	}
	if len(others) > 0 {
		left = fmt.Sprintf("Left out was what this program does not make: %s. Make it by hand where it is missing.", strings.Join(others, ", "))
	}
	path = filepath.Join(filepath.Dir(r.archive), "list")
	return path, left, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

// schemas returns the names of those that the database has.
func (r *restore) schemas(ctx context.Context) ([]string, error) {
	return withQueries(ctx, r.url, func(q *postgresdb.Queries) ([]string, error) { return q.ListSchemas(ctx) })
}

// settleMove takes a move back that was under way when the backup was made: nobody follows what changes in the database. It says what has to be known of a move.
func (r *restore) settleMove(ctx context.Context) (note string, err error) {
	state, peer, err := r.schema.Moved(ctx)
	if err != nil || state != task.MoveLeaving {
		return state.Restored(peer), err
	}
	return withQueries(ctx, r.url, func(q *postgresdb.Queries) (string, error) {
		return state.Restored(peer), errors.Join(q.SetMoveTriggers(ctx, postgresdb.SetMoveTriggersParams{}), q.ClearMoveChanges(ctx), q.DropMove(ctx))
	})
}

// withQueries runs do in a transaction on a connection that does not say that the tables are in use: nobody else may use them meanwhile.
func withQueries[T any](ctx context.Context, url string, do func(*postgresdb.Queries) (T, error)) (out T, err error) {
	cfg, err := configure(url)
	if err != nil {
		return out, err
	}
	db := pool(cfg, 1, inUTC)
	defer func() { err = errors.Join(err, db.Close()) }()
	return inTx(ctx, db, nil, do)
}
