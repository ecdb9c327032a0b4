package dbcopy

import (
	"errors"
	"io/fs"
	"os"

	"github.com/prismq/thequeue/internal/config"
)

// exists reports whether there may be something at the place of a database: of a server that is not known.
func exists(database string) bool {
	if config.IsPostgres(database) {
		return true
	}
	_, err := os.Stat(database)
	return !errors.Is(err, fs.ErrNotExist)
}
