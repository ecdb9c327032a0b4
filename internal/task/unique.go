package task

import (
	"math"
	"time"
)

// UniqueScope says as long as what a task keeps another of its type and unique key from being made.
type UniqueScope string

const (
	UniqueQueued UniqueScope = "queued" // as long as it is queued, for a retry too
	UniqueLive   UniqueScope = "live"   // as long as it is queued or processing: the default
	UniquePeriod UniqueScope = "period" // for a time from its enqueue, whatever becomes of it
)

// Valid reports whether s is one of the three.
func (s UniqueScope) Valid() bool { return s == UniqueQueued || s == UniqueLive || s == UniquePeriod }

// MaxUniquePeriod is the longest that unique_period_seconds may say.
const MaxUniquePeriod = 366 * 24 * time.Hour

// Unique is under which key a task is to be the only one of its type, and how long.
type Unique struct {
	Key    string
	Scope  UniqueScope
	Period time.Duration // of UniquePeriod
}

// Holds reports whether a task of the same type and key that was created at an instant and now has this status is in the way of a new one.
func (u Unique) Holds(status Status, created, now time.Time) bool {
	switch u.Scope {
	case UniqueQueued:
		return status == Queued
	case UniquePeriod:
		return now.Before(created.Add(u.Period))
	}
	return !status.Ended()
}

// Unique returns what s says of its unique key; nil: it has none.
func (s Spec) Unique() *Unique {
	if s.UniqueKey == nil {
		return nil
	}
	u := &Unique{Key: *s.UniqueKey, Scope: UniqueLive}
	if s.UniqueScope != nil {
		u.Scope = *s.UniqueScope
	}
	if s.UniquePeriodSeconds != nil {
		u.Period = time.Duration(*s.UniquePeriodSeconds * float64(time.Second))
	}
	return u
}

func (s Spec) checkUnique(bad *InvalidError) {
	if s.UniqueKey == nil {
		if s.UniqueScope != nil {
			bad.Add("unique_scope", "goes with unique_key alone")
		}
		if s.UniquePeriodSeconds != nil {
			bad.Add("unique_period_seconds", "goes with unique_key alone")
		}
		return
	}
	if msg := CheckName(*s.UniqueKey, 500); msg != "" {
		bad.Add("unique_key", "%s (leave it out to have none)", msg)
	}
	scope := s.Unique().Scope
	if !scope.Valid() {
		bad.Add("unique_scope", "must be queued, live or period")
	}
	switch period := s.UniquePeriodSeconds; {
	case scope == UniquePeriod && period == nil:
		bad.Add("unique_period_seconds", "must say for how long: unique_scope is period")
	case scope != UniquePeriod && period != nil:
		bad.Add("unique_period_seconds", "goes with unique_scope period alone")
	case period != nil && (math.IsNaN(*period) || *period < 0.001 || *period > MaxUniquePeriod.Seconds()):
		bad.Add("unique_period_seconds", "must lie between 0.001 and %.0f", MaxUniquePeriod.Seconds())
	}
}
