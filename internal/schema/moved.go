package schema

import (
	"context"
	"database/sql"
	"errors"

	"github.com/prismq/thequeue/internal/task"
)

// lookMoves finds the table in which a store keeps what it knows of a move.
var lookMoves = map[Engine]string{
	SQLite:   `SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'store_move'`,
	Postgres: `SELECT c.relname FROM pg_class AS c WHERE c.relname = 'store_move' AND pg_table_is_visible(c.oid)`,
}

// readMove has the same answer from every version of the schema that knows of moves.
const readMove = `SELECT m.state, m.peer FROM store_move AS m`

// Moved returns what a database of any version knows of a move, and the other database; the state is empty where it knows of none. It changes nothing.
func (s *Schema) Moved(ctx context.Context) (state task.MoveState, peer string, err error) {
	var table string
	if err = s.db.QueryRowContext(ctx, lookMoves[s.engine]).Scan(&table); err == nil {
		err = s.db.QueryRowContext(ctx, readMove).Scan(&state, &peer)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return "", "", nil
	}
	return state, peer, wrap("look for a move", err)
}

// AllowServe returns task.ErrMoved for a store that is not to be used, or not to be served. It is asked before the schema is brought up, so that a store that has been
// moved stays as it was left.
func (s *Schema) AllowServe(ctx context.Context, serve bool) error {
	state, peer, err := s.Moved(ctx)
	if err == nil {
		err = state.Allow(serve, peer)
	}
	return err
}

// stays returns task.ErrMoved while the database is on the move, or has been moved away: without the table that says so two stores would be served. One that has arrived
// is a store like any other.
func (s *Schema) stays(ctx context.Context) error {
	state, peer, err := s.Moved(ctx)
	if err == nil && state != "" && state != task.MoveArrived {
		err = &task.MovedError{State: state, Peer: peer}
	}
	return err
}
