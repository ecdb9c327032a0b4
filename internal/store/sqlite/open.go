package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/clock"
	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/task"
)

// Options are settings of a store that have good defaults.
type Options struct {
	Migrate bool         // bring the schema to the version of this binary; else another version is refused
	Serve   bool         // be the one server of this file: a second one is refused with ErrServed
	Clock   task.Clock   // nil: the machine's, never behind the newest task
	Log     *slog.Logger // nil: discards

	triggers bool // let the triggers of the schema keep counters and history, and judge every statement: for tests
}

// ErrServed: another server has the file, or a command that must be alone, which it names.
var ErrServed = errors.New("another server has the database open")

// busyTimeout is how long an operation waits for a process that holds the lock of the file.
const busyTimeout = 5 * time.Second

// pragma is a setting that each connection must have. The order matters: the busy timeout comes first, or opening a file that
// somebody else has open fails, and synchronous comes before the first write.
type pragma struct{ name, set, want string }

// EXTRA syncs the WAL at each commit as FULL does, and also the directory; NORMAL loses acknowledged tasks in a power cut.
// The writer runs the checkpoints itself, since the automatic ones swallow errors.
var pragmas = []pragma{
	{"busy_timeout", fmt.Sprint(busyTimeout.Milliseconds()), fmt.Sprint(busyTimeout.Milliseconds())},
	{"synchronous", "extra", "3"},
	{"journal_mode", "wal", "wal"},
	{"foreign_keys", "on", "1"},
	{"wal_autocheckpoint", "0", "0"},
	{"cache_size", "-32000", "-32000"}, // KiB; a connection may use 256 MiB in all
	{"temp_store", "memory", "2"},
}

// Open opens or creates the file at path; its directory is created when it is missing. Errors name the path. ErrServed, schema.ErrNewer
// and schema.ErrOlder as the options say, task.ErrMoved for what has been moved elsewhere and is to be served, or has not been moved here whole, schema.ErrForeign for the database of another program, which stays as it is.
func Open(ctx context.Context, path string, o Options) (_ *Store, err error) {
	registerGuard()
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	s := &Store{path: path, clock: o.Clock, log: o.Log, triggers: o.triggers}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open %s: %w", path, errors.Join(err, s.giveUp()))
		}
	}()
	command := ""
	if o.Serve {
		command = byServe
	}
	if err := s.makeFile(ctx, command); err != nil {
		return nil, err
	}
	if err := s.migrate(ctx, o.Migrate, func(m *schema.Schema) error { return m.AllowServe(ctx, o.Serve) }); err != nil {
		return nil, err
	}
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	if err := s.checkMove(ctx, o.Serve); err != nil {
		return nil, err
	}
	if s.clock == nil {
		newest, err := s.read.NewestTaskAt(ctx)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		s.clock = clock.NewSystem(newest)
	}
	return s, nil
}

// makeFile makes sure that the file is a database of ours or empty and can be written, in plain words where it is not, and takes the lock
// of the server for a command, unless that is empty. Other names of the file stand for the file itself from here on.
func (s *Store) makeFile(ctx context.Context, command string) error {
	if info, err := os.Stat(s.path); err == nil && !info.Mode().IsRegular() {
		return errors.New("is not a regular file")
	} else if err == nil && info.Size() > 0 {
		if err := s.checkOwn(ctx); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if s.path, err = filepath.EvalSymlinks(s.path); err != nil || command == "" {
		return err
	}
	for try := 1; ; try++ {
		s.lock, err = hold(s.path, command)
		if !errors.Is(err, ErrServed) || try == lockTries {
			return err
		}
		select { // who only looks whether there is a server has it for a moment
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockTryAgain):
		}
	}
}

const (
	lockTries    = 3
	lockTryAgain = 20 * time.Millisecond
)

// checkOwn returns schema.ErrForeign for the database of another program, before anything of it is changed: the pragmas of our connections
// would make it a WAL database.
func (s *Store) checkOwn(ctx context.Context) error {
	u := url.URL{Scheme: "file", OmitHost: true, Path: slashed(s.path), RawQuery: "vfs=" + guardName + "&mode=ro&_pragma=busy_timeout(5000)"}
	db, err := driver.Open(u.String())
	if err != nil {
		return err
	}
	if err = schema.CheckOwn(ctx, schema.SQLite, db); !errors.Is(err, schema.ErrForeign) {
		err = nil // what else is wrong is said when the file is opened in earnest
	}
	return errors.Join(err, db.Close())
}

// slashed is a path as it stands in a URL.
func slashed(path string) string {
	if path = filepath.ToSlash(path); runtime.GOOS == "windows" {
		return "/" + path
	}
	return path
}

// dsn returns the data source name of the file with parameters. A file that is empty yet will give pages back in steps: only before anything is written to it can that be said.
func dsn(path string, params url.Values) string {
	params.Set("vfs", guardName)
	params.Del("_pragma")
	var b strings.Builder
	for i, p := range pragmas {
		if info, err := os.Stat(path); i == 1 && err == nil && info.Size() == 0 {
			b.WriteString("&_pragma=auto_vacuum(incremental)")
		}
		fmt.Fprintf(&b, "&_pragma=%s(%s)", p.name, p.set)
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: slashed(path), RawQuery: params.Encode() + b.String()}
	return u.String()
}

// migrate uses connections of its own: goose keeps its times as text. What is to be brought up is changed only if allowed says so.
func (s *Store) migrate(ctx context.Context, up bool, allowed func(*schema.Schema) error) (err error) {
	m, db, err := s.openSchema(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if !up {
		return classify(ctx, m.Check(ctx))
	}
	if err := allowed(m); err != nil {
		return classify(ctx, err)
	}
	held := s.lock != nil
	if err := s.lockToMigrate(ctx, m); err != nil {
		return classify(ctx, err)
	}
	if !held && s.lock != nil {
		defer func() {
			err = errors.Join(err, letGo(s.lock))
			s.lock = nil
		}()
	}
	m.CopyBeside(s.path, Backups{path: s.path}.write)
	if err := m.Up(ctx); err != nil {
		return classify(ctx, err)
	}
	if m.Copied() != "" {
		s.log.Info("the schema was brought up to date", "version", m.Latest(), "copy_of_before", m.Copied())
	}
	return nil
}

// openSchema opens the file for goose, on one connection.
func (s *Store) openSchema(ctx context.Context) (*schema.Schema, *sql.DB, error) {
	db, err := driver.Open(dsn(s.path, url.Values{}))
	if err != nil {
		return nil, nil, err
	}
	db.SetMaxOpenConns(1)
	if err := db.PingContext(ctx); err != nil {
		return nil, nil, errors.Join(classify(ctx, err), db.Close())
	}
	m, err := schema.New(schema.SQLite, db)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return m, db, nil
}

// migrateWait is how long a migration waits for another one to end.
const (
	migrateWait  = 10 * time.Second
	migrateAgain = 50 * time.Millisecond
)

// lockToMigrate takes the lock of the server, unless the file has the version of this binary, so that nobody else migrates it meanwhile. ErrServed when another process
// has it for longer than a migration may take, and the schema is still another one.
func (s *Store) lockToMigrate(ctx context.Context, m *schema.Schema) error {
	if s.lock != nil {
		return nil
	}
	for waited := time.Duration(0); ; waited += migrateAgain {
		if err := m.Check(ctx); !errors.Is(err, schema.ErrOlder) {
			return err
		}
		l, err := hold(s.path, byMigrate)
		if err == nil {
			s.lock = l
			return nil
		}
		if !errors.Is(err, ErrServed) || waited >= migrateWait {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(migrateAgain):
		}
	}
}

// OpenSchema opens the file for its migrations alone; done closes it. To bring the schema up it may be open beside a server, whose schema is that of its own version, and waits
// for another migration to end; for everything else it is ErrServed that a server has the file.
func OpenSchema(ctx context.Context, path string, up bool) (m *schema.Schema, done func() error, err error) {
	registerGuard()
	st := &Store{path: path}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open %s: %w", path, errors.Join(err, st.giveUp()))
		}
	}()
	command := ""
	if !up {
		command = byMigrate
	}
	if err := st.makeFile(ctx, command); err != nil {
		return nil, nil, err
	}
	if m, st.db, err = st.openSchema(ctx); err != nil {
		return nil, nil, err
	}
	if up {
		if err := st.lockToMigrate(ctx, m); err != nil {
			return nil, nil, classify(ctx, err)
		}
	}
	m.CopyBeside(st.path, Backups{path: st.path}.write)
	return m, st.giveUp, nil
}

// LookSchema opens an existing file to look at its schema, beside whoever has it; done closes it.
func LookSchema(ctx context.Context, path string) (m *schema.Schema, done func() error, err error) {
	registerGuard()
	st := &Store{path: path}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open %s: %w", path, err)
		}
	}()
	if err := st.makeFile(ctx, ""); err != nil {
		return nil, nil, err
	}
	if m, st.db, err = st.openSchema(ctx); err != nil {
		return nil, nil, err
	}
	return m, st.giveUp, nil
}

// connect opens the pool of readers and the writer.
func (s *Store) connect(ctx context.Context) error {
	params := url.Values{"_timefmt": {"unixepoch_micro"}, "_txlock": {"immediate"}}
	w, err := driver.Open(dsn(s.path, params), prepareConn)
	if err != nil {
		return err
	}
	s.db = w
	w.SetMaxOpenConns(1)
	conn, err := w.Conn(ctx)
	if err != nil {
		return classify(ctx, err)
	}
	if s.index, err = os.Open(s.path + "-shm"); err != nil {
		return err
	}
	if s.wal, err = os.Open(s.path + "-wal"); err != nil {
		return err
	}
	if s.writer, err = newWriter(ctx, conn, s); err != nil {
		return err
	}
	params.Set("mode", "ro")
	params.Set("_txlock", "deferred")
	s.readers, err = driver.Open(dsn(s.path, params), prepareConn)
	if err != nil {
		return err
	}
	s.readers.SetMaxOpenConns(maxReaders)
	s.readers.SetMaxIdleConns(maxReaders)
	s.readers.SetConnMaxIdleTime(time.Minute)
	if s.read, err = sqlitedb.Prepare(ctx, s.readers); err != nil {
		return err
	}
	return s.note()
}

// maxReaders is small: each connection has a page cache of its own.
const maxReaders = 4

// prepareConn is what each new connection goes through.
func prepareConn(c *sqlite3.Conn) error {
	// Without the planner's stability guarantee a statement whose plan might depend on a bound value is compiled again each time it is
	// bound (measured: 340 of 400 µs of a claim).
	if _, err := c.Config(sqlite3.DBCONFIG_ENABLE_QPSG, true); err != nil {
		return err
	}
	return verify(c)
}

// verify reads every pragma back on a new connection. A setting that did not take would cost durability without a word.
func verify(c *sqlite3.Conn) error {
	for _, p := range pragmas {
		stmt, _, err := c.Prepare("PRAGMA " + p.name)
		if err != nil {
			return err
		}
		got := ""
		if stmt.Step() {
			got = stmt.ColumnText(0)
		}
		if err := errors.Join(stmt.Err(), stmt.Close()); err != nil {
			return err
		}
		if !strings.EqualFold(got, p.want) {
			return fmt.Errorf("PRAGMA %s is %q, must be %q: this file or file system does not allow what durability needs", p.name, got, p.want)
		}
	}
	return nil
}

// giveUp closes what is open; nil parts were never opened.
func (s *Store) giveUp() error {
	var errs []error
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	if s.readers != nil {
		errs = append(errs, s.readers.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.close())
	}
	for _, f := range []*os.File{s.index, s.wal} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.lock != nil {
		errs = append(errs, letGo(s.lock))
	}
	return errors.Join(errs...)
}
