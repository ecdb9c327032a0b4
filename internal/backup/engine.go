package backup

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// Engine is what one kind of database does of its own, for one database. The adapters have it.
type Engine interface {
	// Suffix ends the names of its files, with the dot.
	Suffix() string
	// Packed reports whether what it writes is compressed as it is.
	Packed() bool
	// Copy writes the database as it was at one instant, after the call and before its return, into the empty file at path, while others use the database. After
	// each piece it calls step with how many bytes are written of about how many (0: nobody knows), and goes on when that returns, or ends with its error.
	// version is that of the schema in the file. Whatever others do meanwhile, it comes to an end.
	Copy(ctx context.Context, path string, step func(done, total int64) error) (version int64, err error)
	// Unpack writes what from gives to a new file, and refuses early what is not, or is longer than, a file that Copy writes.
	Unpack(to *os.File, from io.Reader) error
	// Check returns the version of the schema in a file, or what is wrong with it. The file is hostile until it returns: nothing in it is run. A newer schema
	// than this binary knows is refused.
	Check(ctx context.Context, path string) (version int64, err error)
	// Restore puts what fill writes, once it has passed Check, in the place of the database that target names, or of this one where that is empty. It is the old
	// or the new at every instant, whenever the process dies. What was there is kept. A move that was under way when the backup was made is none of what is restored, which
	// says so. task.ErrConflict while anybody uses the target. now goes into names, and dir is where backups are. The answer lacks the name of the backup alone.
	Restore(ctx context.Context, target, dir string, now time.Time, fill func(*os.File) error) (task.Restored, error)
}
