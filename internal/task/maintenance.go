package task

import "slices"

// Progress is how far a long piece of maintenance has come.
type Progress struct {
	Step  string `json:"step"`  // what is being done, such as a table
	Done  int64  `json:"done"`  // of Total; it does not shrink
	Total int64  `json:"total"` // in pages, rows or tables; not less than 1
}

// CheckpointMode says how far a checkpoint of SQLite's write-ahead log goes.
type CheckpointMode string

const (
	CheckpointPassive  CheckpointMode = "passive"  // copies what no reader is in the way of
	CheckpointFull     CheckpointMode = "full"     // copies all
	CheckpointRestart  CheckpointMode = "restart"  // and the log is written from its start again
	CheckpointTruncate CheckpointMode = "truncate" // and its file is emptied
)

// CheckpointModes lists every mode.
var CheckpointModes = []CheckpointMode{CheckpointPassive, CheckpointFull, CheckpointRestart, CheckpointTruncate}

// Check returns an *InvalidError about the field mode unless it is one of CheckpointModes.
func (m CheckpointMode) Check() error {
	if !slices.Contains(CheckpointModes, m) {
		return Invalid("mode", "unknown mode %q: use one of passive, full, restart, truncate", m)
	}
	return nil
}

// Checkpoint is what a checkpoint came to.
type Checkpoint struct {
	Mode              CheckpointMode `json:"mode"`
	Busy              bool           `json:"busy"`               // a reader, or another process, was in the way, and not all of it was done
	LogPages          *int64         `json:"log_pages"`          // pages in the log; nil: the engine does not tell
	CheckpointedPages *int64         `json:"checkpointed_pages"` // of these, those that are in the database as well; nil: the engine does not tell
	Note              string         `json:"note"`               // what is different on this engine; empty: nothing
}

// Vacuum is what a vacuum has done.
type Vacuum struct {
	Full        bool   `json:"full"`
	BytesBefore int64  `json:"bytes_before"` // of the database
	BytesAfter  int64  `json:"bytes_after"`
	FreedPages  *int64 `json:"freed_pages"` // given back to the disk; nil: the engine does not tell
	FreePages   *int64 `json:"free_pages"`  // that are left in the database; nil: the engine does not tell
	Stopped     bool   `json:"stopped"`     // before its end; what it had done stays, but for a full one of SQLite, which is undone
	Note        string `json:"note"`        // what is different on this engine; empty: nothing
}

// VacuumCost is what a full vacuum would take.
type VacuumCost struct {
	Bytes            int64   `json:"bytes"`             // of the database
	NeedsBytes       int64   `json:"needs_bytes"`       // that must be free on its disk while it runs, at most
	FreeBytes        *int64  `json:"free_bytes"`        // that are; nil: it is not known
	EstimatedSeconds float64 `json:"estimated_seconds"` // on a machine as slow as was met
	Message          string  `json:"message"`           // what it means for others, and what is in its way
}

// Analysis is what the planner of the database has learned.
type Analysis struct {
	Tables  []string `json:"tables"`  // of which, in the order in which it was done
	Skipped []string `json:"skipped"` // tables that are too large to be analyzed while a server has the SQLite file
	Stopped bool     `json:"stopped"` // before its end; the tables named are done
}

// Integrity is what a check of the database has found.
type Integrity struct {
	OK       *bool    `json:"ok"`       // nil: it was not checked, or not to its end
	Problems []string `json:"problems"` // up to MaxProblems
	Checked  []string `json:"checked"`  // tables that were checked to the end
	Stopped  bool     `json:"stopped"`  // before its end
	Note     string   `json:"note"`     // why nothing was checked, or what else there is; empty: nothing
}

// MaxProblems bounds what a check of the database tells.
const MaxProblems = 100

// Optimization is what an optimization has done.
type Optimization struct {
	Full       bool        `json:"full"`
	Analyzed   []string    `json:"analyzed"`   // tables whose statistics were renewed
	Vacuum     *Vacuum     `json:"vacuum"`     // nil unless full
	Checkpoint *Checkpoint `json:"checkpoint"` // nil unless full
	Stopped    bool        `json:"stopped"`    // before its end
}

// Retained is what was deleted since its retention was over.
type Retained struct {
	Tasks   int64            `json:"tasks"`   // ended tasks
	Types   map[string]int64 `json:"types"`   // the same by type; those of which none was deleted are not there
	Lines   int64            `json:"lines"`   // of logs
	Stopped bool             `json:"stopped"` // before its end
}

// Reclaimed is what has become of the tasks whose leases had run out.
type Reclaimed struct {
	Requeued int64 `json:"requeued"` // queued again
	Failed   int64 `json:"failed"`   // had no attempts left
}

// DatabaseStats are the sizes of the database.
type DatabaseStats struct {
	Engine     string       `json:"engine"`      // sqlite or postgres
	Version    string       `json:"version"`     // of the engine
	Bytes      int64        `json:"bytes"`       // of the database, without its write-ahead log
	WALBytes   *int64       `json:"wal_bytes"`   // of its write-ahead log; nil on PostgreSQL, where it belongs to the whole server
	PageBytes  int64        `json:"page_bytes"`  // of one page
	Pages      *int64       `json:"pages"`       // of the file; nil on PostgreSQL
	FreePages  *int64       `json:"free_pages"`  // of them that hold nothing; nil on PostgreSQL
	AutoVacuum *string      `json:"auto_vacuum"` // none, full or incremental: what the file was made with; nil on PostgreSQL
	DiskFree   *int64       `json:"disk_free"`   // bytes; nil on PostgreSQL
	Tables     []TableStats `json:"tables"`      // ordered by name
	Running    *Running     `json:"running"`     // the long piece of maintenance that this server does; nil: none
}

// TableStats are the sizes of a table.
type TableStats struct {
	Name      string `json:"name"`
	Rows      *int64 `json:"rows"`      // nil: there are more than are counted, and no estimate
	Estimated bool   `json:"estimated"` // Rows is not counted
	Bytes     *int64 `json:"bytes"`     // with its indexes; nil on SQLite, which would have to read the whole file
	DeadRows  *int64 `json:"dead_rows"` // that wait for a vacuum; nil on SQLite, which has none
}

// Running is a long piece of maintenance under way.
type Running struct {
	Verb     string   `json:"verb"` // such as vacuum
	Since    Time     `json:"since_utc"`
	Progress Progress `json:"progress"`
}
