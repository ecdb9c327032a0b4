package task

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"math"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// RateLimit bounds how many tasks may be claimed in a time: a bucket of tokens, of which each claimed task takes one and one comes back every PerSeconds / Tasks. It is
// kept as the time from which on there is a token, which says it all (the generic cell rate algorithm, ITU-T I.371).
type RateLimit struct {
	Tasks      int     `json:"tasks"`                // 1 to MaxRateTasks
	PerSeconds float64 `json:"per_seconds,omitzero"` // greater than 0, at most MaxRateSeconds; 0: nobody has said, 1
	Burst      int     `json:"burst,omitzero"`       // the most tokens that lie ready, 1 to MaxRateTasks; 0: nobody has said, Tasks
}

const (
	// MaxRateTasks is the greatest number of tasks in a rate and in its burst.
	MaxRateTasks = 1_000_000
	// MaxRateSeconds is the longest time of a rate: 30 days.
	MaxRateSeconds = 30 * 24 * 60 * 60
	// maxFillSeconds is the longest time in which an empty bucket fills, ten years: a time.Duration can hold it.
	maxFillSeconds = 10 * 365 * 24 * 60 * 60
)

// check adds to bad what is wrong with the limit of that name.
func (r *RateLimit) check(name string, bad *InvalidError) {
	if r.Tasks < 1 || r.Tasks > MaxRateTasks {
		bad.Add(name+".tasks", "must lie between 1 and %d: leave rate_limit out for no limit, or pause the type", MaxRateTasks)
	}
	if !(r.PerSeconds >= 0 && r.PerSeconds <= MaxRateSeconds) {
		bad.Add(name+".per_seconds", "must be greater than 0 and at most %d, the seconds in which so many tasks may be claimed", MaxRateSeconds)
	}
	switch {
	case r.Burst < 0 || r.Burst > MaxRateTasks:
		bad.Add(name+".burst", "must lie between 1 and %d: the tasks that may be claimed at once after a pause", MaxRateTasks)
	case r.Tasks > 0 && float64(r.Burst)/float64(r.Tasks)*r.PerSeconds > maxFillSeconds:
		bad.Add(name+".burst", "must be less: at this rate it would take more than ten years until so many may be claimed at once")
	}
}

// WithDefaults returns the limit with what it leaves out.
func (r RateLimit) WithDefaults() RateLimit {
	if r.PerSeconds == 0 {
		r.PerSeconds = 1
	}
	if r.Burst == 0 {
		r.Burst = r.Tasks
	}
	return r
}

// interval is the time in which one token comes back, in whole microseconds, never too short.
func (r RateLimit) interval() time.Duration {
	return time.Duration(math.Ceil(r.PerSeconds*1e6/float64(r.Tasks))) * time.Microsecond
}

// Room returns how many tasks may be claimed at now, where open is the time from which on there is a token; nil: always.
func (r RateLimit) Room(open *time.Time, now time.Time) int64 {
	switch {
	case open == nil:
		return int64(r.Burst)
	case open.After(now):
		return 0
	}
	return min(int64(r.Burst), int64(now.Sub(*open)/r.interval())+1)
}

// Spend returns from when on there is a token after n were taken at now.
func (r RateLimit) Spend(open *time.Time, now time.Time, n int64) time.Time {
	full := now.Add(-time.Duration(r.Burst-1) * r.interval()) // with this the bucket is full at now
	if open != nil && open.After(full) {
		full = *open
	}
	return full.Add(time.Duration(n) * r.interval())
}

// Wait returns how many seconds after now a task may be claimed that n others come before, where open is the time from which on there is a token; nil: always.
// They are counted as a float: as a duration the longest rates would not fit.
func (r RateLimit) Wait(open *time.Time, now time.Time, n int64) float64 {
	from := -float64(r.Burst-1) * r.interval().Seconds() // with this the bucket is full at now
	if open != nil {
		from = max(from, open.Sub(now).Seconds())
	}
	return max(0, from+float64(n)*r.interval().Seconds())
}

// Full returns from when on the bucket is full again, where open is the time from which on there is a token.
func (r RateLimit) Full(open time.Time) time.Time {
	return open.Add(time.Duration(r.Burst-1) * r.interval())
}

// UnmarshalJSONFrom reads a limit that somebody sets. A 0 that is said is none of the numbers that a member may be, so that it is refused and not taken for
// one that is left out.
func (r *RateLimit) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	var in struct {
		Tasks      int      `json:"tasks"`
		PerSeconds *float64 `json:"per_seconds"`
		Burst      *int     `json:"burst"`
	}
	err := jsonv2.UnmarshalDecode(dec, &in)
	*r = RateLimit{Tasks: in.Tasks, PerSeconds: said(in.PerSeconds), Burst: said(in.Burst)}
	return err
}

// said is a number that was said, of which 0 is one that never fits; 0: none was.
func said[N int | float64](n *N) N {
	switch {
	case n == nil:
		return 0
	case *n == 0:
		return -1
	}
	return *n
}

// Scan reads a limit from its column.
func (r *RateLimit) Scan(src any) error { return scanJSON(src, r) }

// Value writes a limit to its column.
func (r RateLimit) Value() (driver.Value, error) { return valueJSON(r) }

// scanJSON reads a document from a column.
func scanJSON(src, into any) error {
	switch v := src.(type) {
	case string:
		return json.Unmarshal([]byte(v), into)
	case []byte:
		return json.Unmarshal(v, into)
	}
	return fmt.Errorf("read %T from %T", into, src)
}

func valueJSON(v any) (driver.Value, error) {
	b, err := json.Marshal(v)
	return string(b), err
}
