package postgres

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/task"
)

// checkMove returns ErrMoved for a store that is not to be used, or not to be served.
func (s *Store) checkMove(ctx context.Context, serve bool) error { return allowed(ctx, s.q, serve) }

func allowed(ctx context.Context, q *postgresdb.Queries, serve bool) error {
	m, err := getMove(ctx, q)
	if err != nil {
		return err
	}
	return m.State.Allow(serve, m.Peer)
}

// getMove returns what is known of a move; its State is empty where there is none.
func getMove(ctx context.Context, q *postgresdb.Queries) (postgresdb.StoreMove, error) {
	m, err := q.GetMove(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return m, err
}

// moved returns the refusal of a trigger in the words of package task.
func moved(err error) error {
	refusal := &task.MovedError{State: task.MoveLeft}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		refusal.State, refusal.Peer = task.MoveState(pg.Detail), pg.Hint
	}
	return refusal
}

const (
	// takeTries and takeAgain are how long the sessions of a process that has just ended may still be there.
	takeTries = 20
	takeAgain = 50 * time.Millisecond
)

// OpenConn opens a database for a move, on one connection whose statements may take as long as they need; done closes it. The one to be filled is brought to the
// version of this binary, and nobody else may have it open: schema.ErrInUse. Other errors as those of Open.
func OpenConn(ctx context.Context, url string, fill bool) (_ *sql.Conn, done func() error, err error) {
	cfg, err := configure(url)
	if err != nil {
		return nil, nil, err
	}
	if err := migrate(ctx, cfg, fill, func(*schema.Schema) error { return nil }); err != nil {
		return nil, nil, classify(ctx, "open PostgreSQL", err)
	}
	cfg = cfg.Copy()
	for name := range timeouts {
		cfg.RuntimeParams[name] = "0"
	}
	// What is looked up are some rows of large tables, of which a new database knows nothing.
	cfg.RuntimeParams["enable_seqscan"], cfg.RuntimeParams["jit"] = "off", "off"
	db := connect(cfg, 1)
	if fill {
		// A copy that is lost with its server is made again; the step that ends it waits for the disk.
		cfg.RuntimeParams["synchronous_commit"] = "off"
		db = pool(cfg, 1, inUTC)
	}
	conn, err := db.Conn(ctx)
	if err == nil && fill {
		err = takeAlone(ctx, postgresdb.New(conn))
	}
	if err != nil {
		return nil, nil, errors.Join(classify(ctx, "open PostgreSQL", err), db.Close())
	}
	return conn, func() error { return errors.Join(conn.Close(), db.Close()) }, nil
}

// takeAlone keeps everybody else from opening the database, until the session ends.
func takeAlone(ctx context.Context, q *postgresdb.Queries) error {
	for range takeTries {
		free, err := q.TryInUse(ctx, schema.InUseLock)
		if err != nil || free {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(takeAgain):
		}
	}
	return schema.ErrInUse
}

// Identity tells databases apart that are looked at one after the other, whatever names they have.
type Identity struct {
	started time.Time // the server
	number  int64     // of the database in it
	schema  string    // that has the tables
}

// Identify connects to a database to see which one it is. Errors as those of Open.
func Identify(ctx context.Context, url string) (id Identity, err error) {
	row, err := withQueries(ctx, url, func(q *postgresdb.Queries) (postgresdb.IdentifyDatabaseRow, error) { return q.IdentifyDatabase(ctx) })
	if err != nil {
		return id, classify(ctx, "open PostgreSQL", err)
	}
	return Identity{started: row.Started, number: row.Number, schema: row.Schema}, nil
}

// Raw runs sets on the connection, within its transaction if it has begun one.
func Raw(conn *sql.Conn, run func(*pgx.Conn) error) error {
	_, err := raw(conn, func(c *pgx.Conn) (struct{}, error) { return struct{}{}, run(c) })
	return err
}
