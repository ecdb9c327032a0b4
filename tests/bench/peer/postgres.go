package peer

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/prismq/thequeue/tests/bench/trial"
)

// poolConns is the size of our own store's pool; pgx would choose four on a small machine.
const poolConns = 16

// openPool opens a pgx pool of s.Conns connections for a peer, or of as many as pgx chooses where the default is asked for, and says what
// the server runs with. Normal turns synchronous_commit off for its sessions.
func openPool(ctx context.Context, s trial.Spec) (*pgxpool.Pool, string, error) {
	cfg, err := pgxpool.ParseConfig(s.URL)
	if err != nil {
		return nil, "", err
	}
	if s.Setting != trial.Default {
		cfg.MaxConns = int32(s.Conns)
	}
	if s.Setting == trial.Normal {
		cfg.ConnConfig.RuntimeParams["synchronous_commit"] = "off"
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, "", err
	}
	set, err := serverSettings(ctx, pool, s.Setting)
	if err != nil {
		pool.Close()
		return nil, "", err
	}
	return pool, fmt.Sprintf("%s, pool of %d", set, cfg.MaxConns), nil
}

// postgresSettings is serverSettings on a connection of its own.
func postgresSettings(ctx context.Context, url string) (string, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx) //nolint:errcheck // it was only read from
	return serverSettings(ctx, conn, trial.Durable)
}

// serverSettings reads what a session runs with, and fails where it is less durable than the setting says.
func serverSettings(ctx context.Context, db interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}, s trial.Setting) (string, error) {
	var version, fsync, commit string
	const ask = "SELECT current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit')"
	if err := db.QueryRow(ctx, ask).Scan(&version, &fsync, &commit); err != nil {
		return "", err
	}
	if fsync != "on" || (s != trial.Normal && commit != "on") {
		return "", fmt.Errorf("fsync is %s and synchronous_commit %s: that is not durable", fsync, commit)
	}
	return fmt.Sprintf("PostgreSQL %s, fsync=%s, synchronous_commit=%s (read back)", version, fsync, commit), nil
}
