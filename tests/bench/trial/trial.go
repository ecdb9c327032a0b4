// Package trial is what the harness and its worker processes say to each other: one trial is one queue, one kind of work and one round, in a
// process of its own, so that no round inherits another's heap, connections or caches.
package trial

import "strings"

// Setting chooses how durable a queue is, and whether it is tuned.
type Setting string

const (
	Durable Setting = "durable" // recommended setting, and an answered call survives a power cut (synchronous FULL, appendfsync always)
	Normal  Setting = "normal"  // recommended setting, but the last answered calls may be lost in a power cut (NORMAL, everysec)
	Default Setting = "default" // what one gets without tuning anything
)

// Work is what a trial measures.
type Work string

const (
	Mixed   Work = "mixed"   // Callers producers enqueue one by one while as many workers take and finish, until all tasks are done
	Life    Work = "life"    // each of Callers enqueues one, takes one and finishes it, again and again
	Enqueue Work = "enqueue" // Callers producers enqueue one by one
	Drain   Work = "drain"   // Callers workers take and finish Tasks tasks that were enqueued before
	Batch   Work = "batch"   // one producer enqueues BatchSize tasks a call
	Grouped Work = "grouped" // the bare driver runs lives with GroupSize operations a transaction
)

// Payload has the 200 bytes that every task carries.
var Payload = []byte(`{"to":"someone@example.org","subject":"hello","body":"` + strings.Repeat("0", 144) + `"}`)

const (
	BatchSize = 1000
	GroupSize = 64
)

// Spec asks for a trial.
type Spec struct {
	Peer    string  `json:"peer"`
	Setting Setting `json:"setting"`
	Work    Work    `json:"work"`
	Callers int     `json:"callers"`
	Workers int     `json:"workers,omitempty"`     // tasks run at a time; 0: what suits the queue best, see -peers
	Conns   int     `json:"connections,omitempty"` // of a pool to PostgreSQL; 0: likewise
	Seconds float64 `json:"seconds"`               // about how long to measure; the number of tasks is chosen by a short run before
	Tasks   int     `json:"tasks"`                 // of Drain, and for all others the most to measure; 0: as many as the time allows
	Count   bool    `json:"count,omitempty"`       // count the statements of our SQLite too, which slows them
	Profile string  `json:"profile,omitempty"`     // a file for the processor profile of the worker process; empty: none
	Dir     string  `json:"dir,omitempty"`         // an empty directory
	URL     string  `json:"url,omitempty"`         // of an empty PostgreSQL database, or the address of a Redis
}

// Result is what a trial found.
type Result struct {
	Tasks      int                `json:"tasks"`
	Seconds    float64            `json:"seconds"`
	CPUSeconds float64            `json:"cpu_seconds"` // of the worker process, user and system, while it measured
	Costs      map[string]float64 `json:"costs"`       // by name, of one task
	Settings   string             `json:"settings"`
	Version    string             `json:"version"` // module@version, the queue's first
}

// PerSecond is the rate of tasks.
func (r Result) PerSecond() float64 { return float64(r.Tasks) / r.Seconds }
