package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"github.com/ncruces/go-sqlite3"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// Store is one SQLite file. Open makes it.
type Store struct {
	path    string
	clock   task.Clock
	log     *slog.Logger
	lock    *flock.Flock // nil unless this is the server of the file
	db      *sql.DB      // the writer's one connection
	writer  *writer
	readers *sql.DB
	read    *sqlitedb.Queries
	files   []named // that must stay where they are
	closed  atomic.Bool

	index  *os.File // the WAL index
	wal    *os.File
	counts still[counted]
	event  still[*time.Time]
	rules  still[[]task.Type]

	running  still[[]task.Operation]
	draining still[[]string]

	tally    store.Tally
	triggers bool // as in Options
}

var _ store.Store = (*Store)(nil)

// Clock is the machine's clock, anchored when the store was opened.
func (s *Store) Clock() task.Clock { return s.clock }

// Path is the absolute path of the file.
func (s *Store) Path() string { return s.path }

// Ping reads one row, and looks whether the file is still there and takes changes.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.read.CountTasks(ctx)
	if err == nil {
		if _, err = s.read.NewestTaskAt(ctx); errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
	}
	if err == nil {
		err = s.checkMove(ctx, true)
	}
	return s.classify(ctx, cmp.Or(s.sound(), err))
}

// named is a file as it was when the store was opened.
type named struct {
	path string
	info os.FileInfo
}

// note remembers the files, all of which exist while a connection is open.
func (s *Store) note() error {
	for _, path := range []string{s.path, s.path + "-wal", s.path + "-shm"} {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		s.files = append(s.files, named{path, info})
	}
	return nil
}

// present returns ErrGone when a file has been deleted, moved or replaced: the system lets this process go on with the old one, which nobody
// finds any more. It takes 3 µs.
func (s *Store) present() error {
	for _, f := range s.files {
		if info, err := os.Stat(f.path); errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(info, f.info) {
			return fmt.Errorf("%w: %s", task.ErrGone, f.path)
		}
	}
	return nil
}

// sound returns ErrGone when the files are not what they must be.
func (s *Store) sound() error { return cmp.Or(s.present(), s.whole()) }

// whole returns ErrGone when the WAL is shorter than the frames that its index counts: somebody has cut it, and the next frames would follow a
// hole. The index is read before and after the length, as a checkpoint of another process may shorten both in between. It takes 1 µs.
func (s *Store) whole() error {
	var before, after indexHeader
	if _, err := s.index.ReadAt(before[:], 0); err != nil {
		return nil
	}
	info, err := s.wal.Stat()
	if err != nil || info.Size() >= before.walSize() {
		return nil
	}
	if _, err := s.index.ReadAt(after[:], 0); err == nil && before == after {
		return fmt.Errorf("%w: %s is shorter than what was written to it", task.ErrGone, s.wal.Name())
	}
	return nil
}

// Close commits what has been handed in, empties the WAL and closes the file.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	return s.giveUp()
}

// write runs an operation of several changing statements in the writer's next group: all of them or none.
func write[T any](ctx context.Context, s *Store, do func(context.Context, tx) (T, error)) (T, error) {
	return submit(ctx, s, op{}, do)
}

// writeOne is write for an operation of one changing statement at most, which answers no rows: it needs no savepoint to be undone alone. One that
// answers rows may fail after its change, when a row cannot be read.
func writeOne[T any](ctx context.Context, s *Store, do func(context.Context, tx) (T, error)) (T, error) {
	return submit(ctx, s, op{single: true}, do)
}

func submit[T any](ctx context.Context, s *Store, o op, do func(context.Context, tx) (T, error)) (T, error) {
	var out, none T
	o.do = func(ctx context.Context, x tx) (err error) {
		out, err = do(ctx, x)
		return err
	}
	if err := s.writer.submit(ctx, &o); err != nil {
		return none, s.classify(ctx, err)
	}
	return out, nil
}

func (s *Store) classify(ctx context.Context, err error) error {
	if err != nil && s.closed.Load() {
		return task.ErrStopped
	}
	return s.tally.Saw(classify(ctx, err))
}

// classify turns the driver's errors into those of package task; sql.ErrNoRows is ErrNotFound.
func classify(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return task.ErrNotFound
	case errors.Is(err, sqlite3.FULL), errors.Is(err, syscall.ENOSPC):
		return errors.Join(task.ErrFull, err)
	case ctx.Err() != nil: // the driver says interrupted, or busy
		return ctx.Err()
	case errors.Is(err, sqlite3.BUSY), errors.Is(err, sqlite3.LOCKED):
		return errors.Join(task.ErrBusy, err)
	}
	return err
}
