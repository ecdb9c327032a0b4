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
		return postgres.Open(ctx, database, postgres.Options{Migrate: migrate, Serve: serve, Log: log})
	}
	return sqlite.Open(ctx, database, sqlite.Options{Migrate: migrate, Serve: serve, Log: log})
}

// SchemaUse is what a schema is opened for.
type SchemaUse int

const (
	LookAtSchema SchemaUse = iota // and leave it as it is; beside a server too
	BringUp                       // to the version of this binary; waits for another migration to end
	TakeBack                      // alone: a SQLite file that a server has open is refused, a PostgreSQL database when it comes to it
)

// OpenSchema opens the database for its migrations alone; done closes it.
func OpenSchema(ctx context.Context, database string, use SchemaUse) (s *schema.Schema, done func() error, err error) {
	switch {
	case config.IsPostgres(database):
		return postgres.OpenSchema(ctx, database)
	case use == LookAtSchema:
		return sqlite.LookSchema(ctx, database)
	}
	return sqlite.OpenSchema(ctx, database, use == BringUp)
}
