package store

import (
	"errors"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// Vitals is how a store does, beside its tasks.
type Vitals struct {
	Commits task.Durations // how long the commits of this process took, with the sync of the disk; on PostgreSQL the whole of a set
	Groups  Sizes          // how many operations shared each of them
	Busy    int64          // calls of this process that ended with task.ErrBusy

	File *FileVitals // nil: the database is no file of this machine
}

// FileVitals are the sizes of a database of one file, in bytes.
type FileVitals struct {
	Bytes, WALBytes int64
	FreeBytes       int64 // of its disk, for this process
	DiskBytes       int64 // of its disk in all
}

// Sizes counts things by their size. Bucket i holds those of up to 2^i; greater ones are in none.
type Sizes struct {
	Count, Sum int64
	Buckets    [10]int64
}

// Tally counts commits. It is safe for concurrent use; the zero value is ready.
type Tally struct {
	mu      sync.Mutex
	commits task.Durations
	groups  Sizes
	busy    atomic.Int64
}

// Committed counts one commit of so many operations.
func (y *Tally) Committed(operations int, took time.Duration) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.commits.Add(took)
	y.groups.Count++
	y.groups.Sum += int64(operations)
	if i := bits.Len(uint(max(operations, 1) - 1)); i < len(y.groups.Buckets) {
		y.groups.Buckets[i]++
	}
}

// Saw counts the error of a call, and returns it.
func (y *Tally) Saw(err error) error {
	if err != nil && errors.Is(err, task.ErrBusy) {
		y.busy.Add(1)
	}
	return err
}

// Vitals returns what was counted.
func (y *Tally) Vitals() Vitals {
	y.mu.Lock()
	defer y.mu.Unlock()
	return Vitals{Commits: y.commits.Copy(), Groups: y.groups, Busy: y.busy.Load()}
}
