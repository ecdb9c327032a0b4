package schema

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// InUseLock is the advisory lock of PostgreSQL, "theQueue" in ASCII, that each session of a process which uses the tables holds shared. A migration is
// taken back only under the exclusive one: whoever uses the tables remembers what was in them. SQLite has a lock file for that.
const InUseLock int64 = 0x7468655175657565

// The server needs a moment to notice that the sessions of a process that has just ended are gone.
const (
	tries    = 20
	tryAgain = 50 * time.Millisecond
)

// ErrInUse: another process has the database open, and nothing was taken back.
var ErrInUse = errors.New("a server, or another command, has the database open: stop it first (its sessions are named thequeue)")

// alone runs change while no other process uses the database, or returns ErrInUse.
func (s *Schema) alone(ctx context.Context, change func() error) (err error) {
	if s.engine != Postgres {
		return change()
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := take(ctx, conn); err != nil {
		return err
	}
	defer func() {
		_, failed := conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", InUseLock)
		err = errors.Join(err, failed)
	}()
	return change()
}

// take takes the lock, which must be free within a second.
func take(ctx context.Context, conn *sql.Conn) error {
	for range tries {
		var free bool
		if err := conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1)", InUseLock).Scan(&free); err != nil || free {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(tryAgain):
		}
	}
	return ErrInUse
}
