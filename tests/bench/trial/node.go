package trial

// NodeSpec asks a service node, a process of its own on a database that others may use too, to work or to wait.
type NodeSpec struct {
	Database string  `json:"database"` // a SQLite file or a postgres:// URL, with the schema of this version or empty
	Callers  int     `json:"callers"`
	Seconds  float64 `json:"seconds"`
	Idle     bool    `json:"idle"` // callers wait for work that never comes; else each runs lives
}

// NodeResult is what a node found.
type NodeResult struct {
	Lives      int     `json:"lives"`
	Seconds    float64 `json:"seconds"`
	Claimed    []int64 `json:"claimed"`     // the ids of all tasks that it was given, in no order
	Busy       int     `json:"busy"`        // errors that said the database was busy
	CPUSeconds float64 `json:"cpu_seconds"` // user and system
	Statements int64   `json:"statements"`  // that SQLite ran, where the database is a file
}
