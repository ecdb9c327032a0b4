package schema

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/prismq/thequeue/migrations"
)

// Engine is a kind of database; its value is the folder of its migrations.
type Engine string

const (
	SQLite   Engine = "sqlite"
	Postgres Engine = "postgres"
)

var (
	// ErrNewer: the database has migrations that this binary does not know.
	ErrNewer = errors.New("the schema is newer than this binary")
	// ErrOlder: the database lacks migrations of this binary.
	ErrOlder = errors.New("the schema is older than this binary")
	// ErrForeign: the database has tables with the names of ours, but no migration made them.
	ErrForeign = errors.New("this is the database of another program or of the older queue")
)

// Migration is one step of the schema and whether a database has it.
type Migration struct {
	Version   int64      `json:"version"`
	Title     string     `json:"title"`
	Applied   bool       `json:"applied"`
	AppliedAt *time.Time `json:"applied_at_utc"` // nil unless applied
}

// Schema migrates one database.
type Schema struct {
	provider *goose.Provider
	engine   Engine
	db       *sql.DB
	path     string                                     // of the file that is copied before it is changed; empty: none is
	write    func(ctx context.Context, to string) error // copies it
	copied   string                                     // the path of the last copy
}

// lookForeign returns one of our tables in a database that has none of goose. Between them goose's own tables tell that no migration made it.
var lookForeign = map[Engine]string{
	SQLite: `SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name IN ('task_queue', 'task_logs', 'workers')
		AND NOT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'goose_db_version') LIMIT 1`,
	Postgres: `SELECT c.relname FROM pg_class AS c WHERE c.relname IN ('task_queue', 'task_logs', 'workers') AND pg_table_is_visible(c.oid)
		AND to_regclass('goose_db_version') IS NULL LIMIT 1`,
}

// CheckOwn returns ErrForeign for a database that has a table of ours which no migration made. It changes nothing, and may be called on a
// connection that only reads.
func CheckOwn(ctx context.Context, e Engine, db *sql.DB) error {
	var table string
	err := db.QueryRowContext(ctx, lookForeign[e]).Scan(&table)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return wrap("look at the schema", err)
	}
	return fmt.Errorf("%w: no migration made its table %s; it is left as it is: name another database, into which `thequeue import` brings what an older queue has kept", ErrForeign, table)
}

// lookVersions finds the table in which goose keeps what it has done.
var lookVersions = map[Engine]string{
	SQLite:   `SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'goose_db_version'`,
	Postgres: `SELECT c.relname FROM pg_class AS c WHERE c.relname = 'goose_db_version' AND pg_table_is_visible(c.oid)`,
}

// Look returns the newest version applied to a database that is not to be changed; 0: it has no schema of ours. ErrForeign.
func Look(ctx context.Context, e Engine, db *sql.DB) (int64, error) {
	if err := CheckOwn(ctx, e, db); err != nil {
		return 0, err
	}
	var table string
	err := db.QueryRowContext(ctx, lookVersions[e]).Scan(&table)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, wrap("look at the schema", err)
	}
	s, err := New(e, db)
	if err != nil {
		return 0, err
	}
	return s.Version(ctx)
}

// Look returns the newest version applied, and makes nothing; 0: the database has no schema of ours. ErrForeign.
func (s *Schema) Look(ctx context.Context) (int64, error) { return Look(ctx, s.engine, s.db) }

// CheckKnown returns ErrNewer for a version that this binary does not know.
func CheckKnown(e Engine, version int64) error {
	if latest := Newest(e); version > latest {
		return fmt.Errorf("%w: it has version %d, this binary knows %d; use the newer binary", ErrNewer, version, latest)
	}
	return nil
}

// New returns the schema of a database that is open with any driver of its engine. Closing db stays with the caller.
func New(e Engine, db *sql.DB) (*Schema, error) {
	files, err := fs.Sub(migrations.FS, string(e))
	if err != nil {
		return nil, err
	}
	dialect, opts := goose.DialectSQLite3, []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if e == Postgres {
		dialect = goose.DialectPostgres
		// Nodes that start together migrate one after the other: each tries for the lock once a second, for a minute.
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60))
		if err != nil {
			return nil, err
		}
		opts = append(opts, goose.WithSessionLocker(locker))
	}
	p, err := goose.NewProvider(dialect, db, files, opts...)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return &Schema{provider: p, engine: e, db: db}, nil
}

// Up applies what is missing. ErrNewer when the database is ahead of this binary: nothing is changed then.
func (s *Schema) Up(ctx context.Context) error {
	if err := s.Check(ctx); err == nil || !errors.Is(err, ErrOlder) {
		return err
	}
	if err := s.keepCopy(ctx); err != nil {
		return err
	}
	_, err := s.provider.Up(ctx)
	return wrap("migrate up", err)
}

// UpTo applies what is missing up to a version, to a database that nobody else uses.
func (s *Schema) UpTo(ctx context.Context, version int64) error {
	_, err := s.provider.UpTo(ctx, version)
	return wrap("migrate up", err)
}

// Alone runs change while no other process uses a PostgreSQL database, and none begins to; ErrInUse.
func (s *Schema) Alone(ctx context.Context, change func() error) error { return s.alone(ctx, change) }

// Down takes the newest applied migration back, with the data that only it can hold. Nothing applied is not an error. ErrNewer when the
// database is ahead of this binary, also from DownTo and Redo.
// ErrInUse, here and below, while a process has the PostgreSQL database open; a SQLite file that a server has cannot be opened for this. task.ErrMoved, here and below, for a
// store that has been moved elsewhere, or is on the move.
func (s *Schema) Down(ctx context.Context) error {
	if err := s.Check(ctx); err != nil && !errors.Is(err, ErrOlder) {
		return err
	}
	return wrap("migrate down", s.alone(ctx, func() error {
		if err := s.stays(ctx); err != nil {
			return err
		}
		if err := s.keepCopy(ctx); err != nil {
			return err
		}
		return s.down(ctx)
	}))
}

func (s *Schema) down(ctx context.Context) error {
	_, err := s.provider.Down(ctx)
	if errors.Is(err, goose.ErrNoNextVersion) {
		return nil
	}
	return err
}

// DownTo takes back every migration above the version.
func (s *Schema) DownTo(ctx context.Context, version int64) error {
	if err := s.Check(ctx); err != nil && !errors.Is(err, ErrOlder) {
		return err
	}
	return wrap("migrate down", s.alone(ctx, func() error {
		if err := s.stays(ctx); err != nil {
			return err
		}
		if err := s.keepCopy(ctx); err != nil {
			return err
		}
		_, err := s.provider.DownTo(ctx, version)
		return err
	}))
}

// Redo takes the newest applied migration back and applies it again.
func (s *Schema) Redo(ctx context.Context) error {
	if err := s.Check(ctx); err != nil && !errors.Is(err, ErrOlder) {
		return err
	}
	return wrap("migrate redo", s.alone(ctx, func() error {
		version, err := s.Version(ctx)
		if err != nil || version == 0 {
			return err
		}
		if err := s.stays(ctx); err != nil {
			return err
		}
		if err := s.keepCopy(ctx); err != nil {
			return err
		}
		if err := s.down(ctx); err != nil {
			return err
		}
		_, err = s.provider.ApplyVersion(ctx, version, true)
		return err
	}))
}

// Status lists all migrations of this binary in their order.
func (s *Schema) Status(ctx context.Context) ([]Migration, error) {
	if err := CheckOwn(ctx, s.engine, s.db); err != nil {
		return nil, err
	}
	rows, err := s.provider.Status(ctx)
	if err != nil {
		return nil, wrap("migration status", err)
	}
	out := make([]Migration, len(rows))
	for i, r := range rows {
		_, title, _ := strings.Cut(strings.TrimSuffix(path.Base(r.Source.Path), ".sql"), "_")
		out[i] = Migration{Version: r.Source.Version, Title: title, Applied: r.State == goose.StateApplied}
		if out[i].Applied {
			at := r.AppliedAt.UTC()
			out[i].AppliedAt = &at
		}
	}
	return out, nil
}

// Version returns the newest version applied; 0: none. ErrForeign, as from all that asks for the version first: Up, Down, Redo and Check.
func (s *Schema) Version(ctx context.Context) (int64, error) {
	if err := CheckOwn(ctx, s.engine, s.db); err != nil {
		return 0, err
	}
	v, err := s.provider.GetDBVersion(ctx)
	return v, wrap("schema version", err)
}

// Newest returns the version to which this binary brings a database of an engine.
func Newest(e Engine) int64 {
	files, err := fs.Glob(migrations.FS, string(e)+"/*.sql")
	if err != nil || len(files) == 0 {
		panic("the binary has no migrations")
	}
	version, err := goose.NumericComponent(files[len(files)-1]) // in the order of their names
	if err != nil {
		panic(err)
	}
	return version
}

// Latest returns the version of this binary.
func (s *Schema) Latest() int64 {
	sources := s.provider.ListSources()
	return sources[len(sources)-1].Version
}

// Check returns nil when the database has the version of this binary, else an error that is ErrNewer or ErrOlder and names both.
func (s *Schema) Check(ctx context.Context) error {
	version, err := s.Version(ctx)
	switch latest := s.Latest(); {
	case err != nil:
		return err
	case version > latest:
		return fmt.Errorf("%w: it has version %d, this binary knows %d; use the newer binary", ErrNewer, version, latest)
	case version < latest:
		return fmt.Errorf("%w: it has version %d, this binary needs %d; run: thequeue migrate up", ErrOlder, version, latest)
	}
	return nil
}

func wrap(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
