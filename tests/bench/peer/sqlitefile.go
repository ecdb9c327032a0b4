package peer

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/prismq/thequeue/tests/bench/trial"
)

// synchronous returns the value of the pragma that the setting asks for.
func synchronous(s trial.Setting) string {
	if s == trial.Normal {
		return "NORMAL"
	}
	return "FULL"
}

// sqliteSettings reads back what a connection of the pool runs with, and fails where it is less durable than the setting says.
func sqliteSettings(ctx context.Context, db *sql.DB, s trial.Setting) (string, error) {
	var journal, version string
	var sync int
	if err := db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		return "", err
	}
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&journal); err != nil {
		return "", err
	}
	if err := db.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&sync); err != nil {
		return "", err
	}
	names := []string{"OFF", "NORMAL", "FULL", "EXTRA"}
	if s != trial.Default && names[sync] != synchronous(s) {
		return "", fmt.Errorf("synchronous is %s, but was set to %s", names[sync], synchronous(s))
	}
	return fmt.Sprintf("SQLite %s, synchronous=%s, journal_mode=%s (read back), connections=%d",
		version, names[sync], journal, db.Stats().MaxOpenConnections), nil
}
