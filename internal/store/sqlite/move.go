package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/task"
)

// checkMove returns ErrMoved for a store that is not to be used, or not to be served.
func (s *Store) checkMove(ctx context.Context, serve bool) error {
	return allowed(ctx, s.read, serve)
}

func allowed(ctx context.Context, q *sqlitedb.Queries, serve bool) error {
	m, err := getMove(ctx, q)
	if err != nil {
		return err
	}
	return m.State.Allow(serve, m.Peer)
}

// getMove returns what is known of a move; its State is empty where there is none.
func getMove(ctx context.Context, q *sqlitedb.Queries) (sqlitedb.StoreMove, error) {
	m, err := q.GetMove(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return m, err
}

// follow looks whether the store is on the move, inside the transaction of a group. While it is being copied the writer notes what it changes, as the triggers do
// that are switched off for it; what has been moved is not changed.
func (w *writer) follow(ctx context.Context) error {
	m, err := getMove(ctx, w.q)
	switch {
	case err != nil:
		return err
	case m.State.Refuses():
		return &task.MovedError{State: m.State, Peer: m.Peer}
	case m.State != task.MoveLeaving || w.state.triggers:
		return nil
	}
	recorders, err := w.q.ListRecorders(ctx)
	for _, r := range recorders {
		if err := w.raw.Exec(fmt.Sprint(r)); err != nil {
			return err
		}
	}
	return err
}

// Files are the connections of a move to a file, beside those of a server that may have it.
type Files struct {
	Read  *sql.DB // one connection
	Write *sql.DB // one connection
	store *Store
}

// OpenFiles opens a file for a move. The one to be filled is made and brought to the version of this binary, nobody else may serve it meanwhile, and no trigger
// fires. Errors as those of Open.
func OpenFiles(ctx context.Context, path string, fill bool) (_ *Files, err error) {
	registerGuard()
	s := &Store{path: path, log: slog.New(slog.DiscardHandler)}
	f := &Files{store: s}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open %s: %w", path, errors.Join(classify(ctx, err), f.Close()))
		}
	}()
	command := ""
	if fill {
		command = byMove
	}
	if err := s.makeFile(ctx, command); err != nil {
		return nil, err
	}
	if err := s.migrate(ctx, fill, func(*schema.Schema) error { return nil }); err != nil {
		return nil, err
	}
	params := url.Values{"_timefmt": {"unixepoch_micro"}, "_txlock": {"immediate"}}
	if f.Write, err = driver.Open(dsn(s.path, params), func(c *sqlite3.Conn) error {
		if fill {
			if _, err := c.Config(sqlite3.DBCONFIG_ENABLE_TRIGGER, false); err != nil {
				return err
			}
		}
		return prepareConn(c)
	}); err != nil {
		return nil, err
	}
	f.Write.SetMaxOpenConns(1)
	if err := f.Write.PingContext(ctx); err != nil {
		return nil, err
	}
	if fill {
		if err := f.Durable(ctx, false); err != nil {
			return nil, err
		}
	}
	params.Set("mode", "ro")
	params.Set("_txlock", "deferred")
	if f.Read, err = driver.Open(dsn(s.path, params), prepareConn); err != nil {
		return nil, err
	}
	f.Read.SetMaxOpenConns(1)
	return f, nil
}

// Path is the absolute path of the file.
func (f *Files) Path() string { return f.store.path }

// Durable has each commit from now on wait for the disk, with all that came before, or not: a copy that a power cut has cut short is still whole up to a point,
// and goes on from there.
func (f *Files) Durable(ctx context.Context, yes bool) error {
	mode := "normal"
	if yes {
		mode = "extra"
	}
	_, err := f.Write.ExecContext(ctx, "PRAGMA synchronous = "+mode)
	return err
}

// Checkpoint copies the WAL into the file, as far as readers let it.
func (f *Files) Checkpoint(ctx context.Context) error {
	conn, err := f.Write.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Raw(func(c any) error {
		_, _, err := c.(driver.Conn).Raw().WALCheckpoint("main", sqlite3.CHECKPOINT_PASSIVE)
		if errors.Is(err, sqlite3.BUSY) {
			return nil
		}
		return err
	})
}

// Close closes the connections.
func (f *Files) Close() error {
	var errs []error
	for _, db := range []*sql.DB{f.Read, f.Write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if f.store.lock != nil {
		errs = append(errs, letGo(f.store.lock))
	}
	return errors.Join(errs...)
}
