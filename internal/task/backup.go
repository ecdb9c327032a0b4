package task

import (
	"errors"
	"time"
)

// ErrUnusable: a backup is not what was made, or no database that this program knows.
var ErrUnusable = errors.New("the backup cannot be used")

// ReplacedBackup begins the names under which a restore on PostgreSQL keeps what it has replaced.
const ReplacedBackup = "replaced-"

// Backup is one backup of a database.
type Backup struct {
	Name          string      `json:"name"`
	File          string      `json:"file"`  // in the directory of backups; while it is made: the one that it becomes
	State         BackupState `json:"state"` // what is in a list is complete
	SizeBytes     int64       `json:"size_bytes"`
	CreatedAtUTC  time.Time   `json:"created_at_utc"`  // when it was begun, by the clock of who made it
	SchemaVersion *int64      `json:"schema_version"`  // nil: not known
	Compressed    bool        `json:"compressed"`      // by us: what pg_dump writes is compressed in any case
	SHA256        *string     `json:"sha256"`          // of the file, in hexadecimal; nil: it has no checksum file
	VerifiedAtUTC *time.Time  `json:"verified_at_utc"` // when it was last verified; nil: never
	Progress      int         `json:"progress"`        // 0 to 100
	ErrorMessage  *string     `json:"error_message"`   // why it has failed
}

// BackupState is how far a backup is.
type BackupState string

const (
	BackupRunning  BackupState = "running"
	BackupComplete BackupState = "complete"
	BackupFailed   BackupState = "failed" // nothing of it is left
)

// Restored is what a restore has done.
type Restored struct {
	Name          string  `json:"name"`           // of the backup
	Database      string  `json:"database"`       // that holds its content now, without a password
	SchemaVersion int64   `json:"schema_version"` // of the content
	ReplacedFile  *string `json:"replaced_file"`  // where the content before is kept; nil: there was none
	Note          string  `json:"note,omitempty"` // what has to be known of the content; empty: nothing
}
