package app

import (
	"context"
	"log/slog"

	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/store/sqlite"
)

// OpenStore opens the database, a path or a postgres:// URL. With migrate its schema is brought to the version of this binary; else
// another version is refused.
func OpenStore(ctx context.Context, database string, migrate bool, log *slog.Logger) (store.Store, error) {
	return open(ctx, database, migrate, false, log)
}

func open(ctx context.Context, database string, migrate, serve bool, log *slog.Logger) (store.Store, error) {
	if config.IsPostgres(database) {
		return postgres.Open(ctx, database, postgres.Options{Migrate: migrate, Log: log})
	}
	return sqlite.Open(ctx, database, sqlite.Options{Migrate: migrate, Serve: serve, Log: log})
}

// OpenSchema opens the database for its migrations alone; done closes it. A SQLite file that a server has open is refused.
func OpenSchema(ctx context.Context, database string) (s *schema.Schema, done func() error, err error) {
	if config.IsPostgres(database) {
		return postgres.OpenSchema(ctx, database)
	}
	return sqlite.OpenSchema(ctx, database)
}
