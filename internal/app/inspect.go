package app

import (
	"context"
	"time"

	"github.com/prismq/thequeue/internal/clock"
	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/store/sqlite"
)

// Validate looks whether a service can use the database, a path or a postgres:// URL, and whether it is safe there. It works beside a server and leaves the database as
// it is.
func Validate(ctx context.Context, database string) store.Checks {
	if config.IsPostgres(database) {
		return postgres.Validate(ctx, database)
	}
	return sqlite.Validate(ctx, database)
}

// Inspect looks at all that is stored, as of one instant, and lists up to max things that each check finds. It works beside a server and keeps nobody from writing.
// schema.ErrForeign, schema.ErrNewer and schema.ErrOlder.
func Inspect(ctx context.Context, database string, max int) (store.Inspection, error) {
	if config.IsPostgres(database) {
		return postgres.Inspect(ctx, database, max)
	}
	return sqlite.Inspect(ctx, database, max)
}

// Repair puts right what an inspection has found that can be repaired, beside a server too. task.ErrConflict when another repair came in between.
func Repair(ctx context.Context, database string, in store.Inspection) error {
	if now := clock.NewSystem(time.Time{}).Now(); config.IsPostgres(database) {
		return postgres.Repair(ctx, database, in, now)
	} else {
		return sqlite.Repair(ctx, database, in, now)
	}
}
