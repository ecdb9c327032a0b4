package task

import (
	"database/sql/driver"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
)

// Measures counts what has happened to tasks in a time. The measures of two times are those of both together when they are added.
type Measures struct {
	Enqueued  int64 `json:"enqueued,omitempty"`
	Claimed   int64 `json:"claimed,omitempty"` // attempts that began
	Completed int64 `json:"completed,omitempty"`
	Retries   int64 `json:"retries,omitempty"` // attempts that failed with another to follow
	Released  int64 `json:"released,omitempty"`
	Lost      int64 `json:"lost,omitempty"` // attempts whose lease ran out
	Exhausted int64 `json:"exhausted,omitempty"`
	Rejected  int64 `json:"rejected,omitempty"`
	Expired   int64 `json:"expired,omitempty"`
	Cancelled int64 `json:"cancelled,omitempty"`

	// Of tasks that were completed, exhausted or rejected: how many took more than one attempt, and the attempts of all of them.
	Retried  int64 `json:"retried,omitempty"`
	Attempts int64 `json:"attempts,omitempty"`

	Waits Durations `json:"waits,omitzero"` // from when a task was due to its claim
	Runs  Durations `json:"runs,omitzero"`  // of the attempts that completed a task

	Peak Peak `json:"peak,omitzero"` // of all types alone
}

// Peak is the greatest depth that was seen in a time, which is looked at every few seconds.
type Peak struct {
	Ready         int64   `json:"ready_tasks"`
	Scheduled     int64   `json:"scheduled_tasks"`
	Processing    int64   `json:"processing_tasks"`
	OldestSeconds float64 `json:"oldest_queued_age_seconds"` // 0: none was queued
}

// Over returns the greater of each of p and o.
func (p Peak) Over(o Peak) Peak {
	return Peak{max(p.Ready, o.Ready), max(p.Scheduled, o.Scheduled), max(p.Processing, o.Processing), max(p.OldestSeconds, o.OldestSeconds)}
}

// Note counts one event and the task as it is after it.
func (m *Measures) Note(name EventName, t *Task) {
	switch name {
	case EventEnqueued:
		m.Enqueued++
	case EventClaimed:
		m.Claimed++
		m.Waits.Add(t.ReservedAtUTC.Sub(t.RunAfterUTC))
	case EventRetry:
		m.Retries++
	case EventReleased:
		m.Released++
	case EventLost:
		m.Lost++
	}
	if t.Outcome == nil || name == EventDeleted {
		return
	}
	switch *t.Outcome {
	case Succeeded:
		m.Completed++
		m.Runs.Add(t.FinishedAtUTC.Sub(*t.ProcessingStartedUTC))
	case Exhausted:
		m.Exhausted++
	case Rejected:
		m.Rejected++
	case Expired:
		m.Expired++
		return
	case Cancelled:
		m.Cancelled++
		return
	}
	m.Attempts += int64(t.Attempts)
	if t.Attempts > 1 {
		m.Retried++
	}
}

// Add adds what o has counted.
func (m *Measures) Add(o Measures) {
	m.Enqueued, m.Claimed, m.Completed = m.Enqueued+o.Enqueued, m.Claimed+o.Claimed, m.Completed+o.Completed
	m.Retries, m.Released, m.Lost = m.Retries+o.Retries, m.Released+o.Released, m.Lost+o.Lost
	m.Exhausted, m.Rejected, m.Expired, m.Cancelled = m.Exhausted+o.Exhausted, m.Rejected+o.Rejected, m.Expired+o.Expired, m.Cancelled+o.Cancelled
	m.Retried, m.Attempts = m.Retried+o.Retried, m.Attempts+o.Attempts
	m.Waits.merge(o.Waits)
	m.Runs.merge(o.Runs)
	m.Peak = m.Peak.Over(o.Peak)
}

// Failed is how many tasks ended without success, but for those that were cancelled.
func (m Measures) Failed() int64 { return m.Exhausted + m.Rejected + m.Expired }

// Copy returns measures that do not change with m.
func (m Measures) Copy() Measures {
	m.Waits, m.Runs = m.Waits.Copy(), m.Runs.Copy()
	return m
}

// Scan reads measures from their column.
func (m *Measures) Scan(src any) error { return scanJSON(src, m) }

// Value writes measures to their column.
func (m Measures) Value() (driver.Value, error) { return valueJSON(m) }

// Durations is how long many things took: their number, sum, greatest, and how many fell into each bucket. Bucket i ends at shortest × 2^(i/4), so that a quantile is at most a tenth away from
// what it would be of the durations themselves.
type Durations struct {
	Count   int64
	Sum     time.Duration
	Max     time.Duration
	Buckets map[int]int64
}

const (
	// shortest is the end of bucket 0, and bucketsPerDoubling is how many buckets there are from one duration to twice as much.
	shortest           = 100 * time.Microsecond
	bucketsPerDoubling = 4
)

// Add counts one duration. One below 0 counts as 0: clocks of several nodes differ.
func (d *Durations) Add(v time.Duration) {
	v = max(v, 0)
	if d.Buckets == nil {
		d.Buckets = make(map[int]int64)
	}
	d.Count++
	d.Sum, d.Max = d.Sum+v, max(d.Max, v)
	d.Buckets[bucketOf(v)]++
}

// Copy returns durations that do not change with d.
func (d Durations) Copy() Durations {
	d.Buckets = maps.Clone(d.Buckets)
	return d
}

func bucketOf(v time.Duration) int {
	if v <= shortest {
		return 0
	}
	return int(math.Ceil(math.Log2(float64(v)/float64(shortest)) * bucketsPerDoubling))
}

func bucketEnd(i int) time.Duration {
	return time.Duration(float64(shortest) * math.Exp2(float64(i)/bucketsPerDoubling))
}

func (d *Durations) merge(o Durations) {
	if o.Count > 0 && d.Buckets == nil {
		d.Buckets = make(map[int]int64, len(o.Buckets))
	}
	d.Count, d.Sum, d.Max = d.Count+o.Count, d.Sum+o.Sum, max(d.Max, o.Max)
	for i, n := range o.Buckets {
		d.Buckets[i] += n
	}
}

// Quantile returns a duration that a share q of them, from 0 to 1, did not exceed: the middle of its bucket on the scale of logarithms, and Max at most. 0 where there are none.
func (d Durations) Quantile(q float64) time.Duration {
	rank := int64(math.Ceil(q * float64(d.Count)))
	for _, i := range slices.Sorted(maps.Keys(d.Buckets)) {
		if rank -= d.Buckets[i]; rank <= 0 {
			return min(time.Duration(float64(bucketEnd(i))/math.Exp2(0.5/bucketsPerDoubling)), d.Max)
		}
	}
	return d.Max
}

// Bucket is how many durations were not longer than End.
type Bucket struct {
	End   time.Duration
	Count int64
}

// Doublings returns n buckets that end at the shortest one, 0.1 ms, and at the double of the one before. What is longer than the last is in none.
func (d Durations) Doublings(n int) []Bucket {
	out := make([]Bucket, n)
	for i := range out {
		out[i].End = shortest << i
		for b, count := range d.Buckets {
			if b <= i*bucketsPerDoubling {
				out[i].Count += count
			}
		}
	}
	return out
}

// Mean returns their mean; 0 where there are none.
func (d Durations) Mean() time.Duration {
	if d.Count == 0 {
		return 0
	}
	return d.Sum / time.Duration(d.Count)
}

// durationsJSON is how Durations are stored: times in microseconds.
type durationsJSON struct {
	Count   int64            `json:"n"`
	Sum     int64            `json:"sum_us"`
	Max     int64            `json:"max_us"`
	Buckets map[string]int64 `json:"b"`
}

// MarshalJSON writes times in microseconds.
func (d Durations) MarshalJSON() ([]byte, error) {
	out := durationsJSON{Count: d.Count, Sum: d.Sum.Microseconds(), Max: d.Max.Microseconds(), Buckets: make(map[string]int64, len(d.Buckets))}
	for i, n := range d.Buckets {
		out.Buckets[strconv.Itoa(i)] = n
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (d *Durations) UnmarshalJSON(b []byte) error {
	var in durationsJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*d = Durations{Count: in.Count, Sum: time.Duration(in.Sum) * time.Microsecond, Max: time.Duration(in.Max) * time.Microsecond, Buckets: make(map[int]int64, len(in.Buckets))}
	for text, n := range in.Buckets {
		i, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		d.Buckets[i] = n
	}
	return nil
}

// IsZero reports whether nothing was counted.
func (d Durations) IsZero() bool { return d.Count == 0 }

// Rollup is what one node has counted for one type, or for all, in a minute or an hour.
type Rollup struct {
	Seconds int       `json:"seconds"` // 60 or 3,600
	Type    string    `json:"type"`    // empty: all types
	AtUTC   time.Time `json:"at_utc"`  // when the time began
	Node    string    `json:"node"`
	Counts  Measures  `json:"counts"`
}

// RollupFilter chooses rollups that began at From or later and before To.
type RollupFilter struct {
	Seconds  int
	Type     string // empty: all types, which is a rollup of its own
	EachType bool   // instead of Type: those of every type, and not that of all
	From, To time.Time
}

// Minute and Hour are the times of rollups in seconds.
const (
	Minute = 60
	Hour   = 3600
)
