package task

import (
	"database/sql/driver"
	"time"
)

// Retention is how long tasks of a type are kept after their end, with their attempts and logs.
type Retention struct {
	CompletedSeconds *float64 `json:"completed_seconds"` // 1 to MaxRetentionSeconds; nil: for good
	FailedSeconds    *float64 `json:"failed_seconds"`    // the same, of tasks that failed, expired or were cancelled
}

// MaxRetentionSeconds is the longest retention, 100 years.
const MaxRetentionSeconds = 100 * 365.25 * 24 * 60 * 60

func (r *Retention) check(bad *InvalidError) {
	check := func(field string, s *float64) {
		if s != nil && !(*s >= 1 && *s <= MaxRetentionSeconds) {
			bad.Add(field, "must lie between 1 and %.0f: leave it out to keep such tasks for good", MaxRetentionSeconds)
		}
	}
	check("retention.completed_seconds", r.CompletedSeconds)
	check("retention.failed_seconds", r.FailedSeconds)
}

// Of returns how long tasks with an ending status are kept; false: for good.
func (r Retention) Of(s Status) (time.Duration, bool) {
	seconds := r.CompletedSeconds
	if s == Failed {
		seconds = r.FailedSeconds
	}
	if seconds == nil {
		return 0, false
	}
	return time.Duration(*seconds * float64(time.Second)), true
}

// Scan reads a retention from its column.
func (r *Retention) Scan(src any) error { return scanJSON(src, r) }

// Value writes a retention to its column.
func (r Retention) Value() (driver.Value, error) { return valueJSON(r) }
