package dbcopy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/task"
)

// exists reports whether there may be something at the place of a database: of a server that is not known.
func exists(database string) bool {
	if config.IsPostgres(database) {
		return true
	}
	_, err := os.Stat(database)
	return !errors.Is(err, fs.ErrNotExist)
}

// differ returns a *task.InvalidError about the field to where two names are those of one database: two paths of a file, or two URLs.
func differ(ctx context.Context, from, to string) error {
	same := false
	switch pg := config.IsPostgres(from); {
	case pg != config.IsPostgres(to):
	case pg:
		a, err := postgres.Identify(ctx, from)
		if err != nil {
			return fmt.Errorf("from: %w", err)
		}
		b, err := postgres.Identify(ctx, to)
		if err != nil {
			return fmt.Errorf("to: %w", err)
		}
		same = a == b
	default:
		a, failed := os.Stat(from)
		b, err := os.Stat(to)
		same = failed == nil && err == nil && os.SameFile(a, b) // what is wrong with a path is said when it is opened
	}
	if same {
		return task.Invalid("to", "is the same database as the one to move from, under another name: name a new one")
	}
	return nil
}
