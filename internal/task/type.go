package task

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// MaxConcurrency is the greatest limit of tasks in processing.
const MaxConcurrency = 1_000_000

// Type is one row of task_types: the rules that operators have set for all tasks of one type.
type Type struct {
	Type            string     `json:"type"`
	Paused          bool       `json:"paused"`            // none of its tasks is claimed; they may still be enqueued
	MaxConcurrency  *int       `json:"max_concurrency"`   // tasks in processing at most, over all workers and nodes; nil: no limit
	MaxAttempts     *int       `json:"max_attempts"`      // of tasks that do not say; nil: DefaultMaxAttempts
	RetryPolicy     *JSON      `json:"retry_policy"`      // a Backoff, of tasks that have none; nil: that of the configuration
	TimeoutSeconds  *float64   `json:"timeout_seconds"`   // of tasks that do not say; nil: none
	MaxPayloadBytes *int       `json:"max_payload_bytes"` // the longest payload; nil: that of the configuration, which holds in any case
	PayloadSchema   *JSON      `json:"payload_schema"`    // a JSON Schema that payloads must fit; nil: any object does
	UpdatedAtUTC    *time.Time `json:"updated_at_utc"`    // nil: nothing has ever been set

	RateLimit       *RateLimit `json:"rate_limit"`        // how many of its tasks may be claimed in a time, over all workers and nodes; nil: any number
	RateOpenUTC     *time.Time `json:"rate_open_utc"`     // from when on the rate allows the next task; nil: it allows as many as ever at once
	Breaker         *Breaker   `json:"breaker"`           // when claims are to stop because attempts fail; nil: never
	BreakerUntilUTC *time.Time `json:"breaker_until_utc"` // until when they have been stopped; after that one task at a time is tried. nil: they have not

	LeaseSeconds *float64   `json:"lease_seconds"` // of claims and heartbeats that do not say; nil: DefaultLease
	Retention    *Retention `json:"retention"`     // how long ended tasks are kept; nil: for good
	PerKey       *KeyRules  `json:"per_key"`       // what holds for each concurrency key; nil: nothing
}

// TypeRules is what an operator sets for a type.
type TypeRules struct {
	Paused          *bool    `json:"paused,omitempty"`          // nil: stays as it is
	MaxConcurrency  *int     `json:"max_concurrency,omitempty"` // 1 to MaxConcurrency; nil: no limit
	MaxAttempts     *int     `json:"max_attempts,omitempty"`    // this and all below: as in Type
	RetryPolicy     *JSON    `json:"retry_policy,omitempty"`
	TimeoutSeconds  *float64 `json:"timeout_seconds,omitempty"`
	MaxPayloadBytes *int     `json:"max_payload_bytes,omitempty"`
	PayloadSchema   *JSON    `json:"payload_schema,omitempty"`

	RateLimit *RateLimit `json:"rate_limit,omitempty"`
	Breaker   *Breaker   `json:"breaker,omitempty"`

	LeaseSeconds *float64   `json:"lease_seconds,omitempty"`
	Retention    *Retention `json:"retention,omitempty"`
	PerKey       *KeyRules  `json:"per_key,omitempty"`
}

// Check returns an InvalidError with every field that is wrong; whether PayloadSchema is a schema is not looked at.
func (r TypeRules) Check() error {
	var bad InvalidError
	if r.MaxConcurrency != nil && (*r.MaxConcurrency < 1 || *r.MaxConcurrency > MaxConcurrency) {
		bad.Add("max_concurrency", "must lie between 1 and %d: leave it out for no limit, or pause the type", MaxConcurrency)
	}
	if r.MaxAttempts != nil && (*r.MaxAttempts < 1 || *r.MaxAttempts > 100) {
		bad.Add("max_attempts", "must lie between 1 and 100")
	}
	if r.RetryPolicy != nil {
		if _, err := DefaultBackoff.With(*r.RetryPolicy); err != nil {
			bad.Add("retry_policy", "%s", err)
		}
	}
	if r.TimeoutSeconds != nil {
		checkTimeout(*r.TimeoutSeconds, &bad)
	}
	if r.MaxPayloadBytes != nil && (*r.MaxPayloadBytes < 2 || *r.MaxPayloadBytes > math.MaxInt32) {
		bad.Add("max_payload_bytes", "must lie between 2 and %d", math.MaxInt32)
	}
	if r.RateLimit != nil {
		r.RateLimit.check("rate_limit", &bad)
	}
	if r.Breaker != nil {
		r.Breaker.check(&bad)
	}
	if r.LeaseSeconds != nil {
		checkLeaseSeconds(*r.LeaseSeconds, &bad)
	}
	if r.Retention != nil {
		r.Retention.check(&bad)
	}
	if r.PerKey != nil {
		r.PerKey.check(&bad)
	}
	return bad.OrNil()
}

// WithDefaults returns the rules with what their rates and breaker leave out.
func (r TypeRules) WithDefaults() TypeRules {
	if r.RateLimit != nil {
		r.RateLimit = new(r.RateLimit.WithDefaults())
	}
	if r.Breaker != nil {
		r.Breaker = new(r.Breaker.WithDefaults())
	}
	if r.PerKey != nil && r.PerKey.RateLimit != nil {
		per := *r.PerKey
		per.RateLimit = new(per.RateLimit.WithDefaults())
		r.PerKey = &per
	}
	return r
}

// Rules returns what sets the type as it is; Paused is nil.
func (t Type) Rules() TypeRules {
	return TypeRules{
		MaxConcurrency: t.MaxConcurrency, MaxAttempts: t.MaxAttempts, RetryPolicy: t.RetryPolicy, TimeoutSeconds: t.TimeoutSeconds, MaxPayloadBytes: t.MaxPayloadBytes,
		PayloadSchema: t.PayloadSchema, RateLimit: t.RateLimit, Breaker: t.Breaker, LeaseSeconds: t.LeaseSeconds, Retention: t.Retention,
		PerKey: t.PerKey,
	}
}

// Lease returns how long a lease lasts of a claim or heartbeat that does not say: LeaseSeconds in whole microseconds, or the one given where there is none.
func (t Type) Lease(otherwise time.Duration) time.Duration {
	if t.LeaseSeconds == nil {
		return otherwise
	}
	return time.Duration(math.Round(*t.LeaseSeconds*1e6)) * time.Microsecond
}

// Most returns how many tasks of the type may be in processing, and false where any number may. While a breaker tries whether what it had stopped works
// again, that is one.
func (t Type) Most() (n int64, limited bool) {
	switch {
	case t.BreakerUntilUTC != nil:
		return 1, true
	case t.MaxConcurrency != nil:
		return int64(*t.MaxConcurrency), true
	}
	return 0, false
}

// Waits reports whether others may wait for the end of a task of the type, or of its key, because only so many may be in processing.
func (t Type) Waits(ended Task) bool {
	_, limited := t.Most()
	return limited || ended.ConcurrencyKey != nil && t.PerKey != nil && t.PerKey.MaxConcurrency != nil
}

// OpensAt returns from when on the rate and the breaker of the type let tasks be claimed again, and true where they do not at now.
func (t Type) OpensAt(now time.Time) (at time.Time, closed bool) {
	if t.RateLimit != nil && t.RateOpenUTC != nil && t.RateOpenUTC.After(now) {
		at = *t.RateOpenUTC
	}
	if t.BreakerUntilUTC != nil && t.BreakerUntilUTC.After(now) && t.BreakerUntilUTC.After(at) {
		at = *t.BreakerUntilUTC
	}
	return at, !at.IsZero()
}

// Limits returns l as it holds for tasks of this type.
func (t Type) Limits(l Limits) Limits {
	if t.MaxAttempts != nil {
		l.Attempts = *t.MaxAttempts
	}
	if t.MaxPayloadBytes != nil {
		l.PayloadBytes = min(l.PayloadBytes, *t.MaxPayloadBytes)
	}
	l.TimeoutSeconds = t.TimeoutSeconds
	return l
}

// TypeStatus is a type with the number of its tasks.
type TypeStatus struct {
	Type
	TypeCounts
}

// TypeCounts counts the tasks of one type that are stored.
type TypeCounts struct {
	QueuedTasks     int64 `json:"queued_tasks"`
	ReadyTasks      int64 `json:"ready_tasks"`     // queued and due
	ScheduledTasks  int64 `json:"scheduled_tasks"` // queued, but due later
	ProcessingTasks int64 `json:"processing_tasks"`
	CompletedTasks  int64 `json:"completed_tasks"`
	FailedTasks     int64 `json:"failed_tasks"`
}

// NewTypeStatuses puts the rules of types and the counts by type together: one entry for each type in either, ordered by name.
func NewTypeStatuses(types []Type, counts map[string]TypeCounts) []TypeStatus {
	out := make([]TypeStatus, 0, len(types)+len(counts))
	ruled := make(map[string]bool, len(types))
	for _, t := range types {
		out, ruled[t.Type] = append(out, TypeStatus{Type: t, TypeCounts: counts[t.Type]}), true
	}
	for name, c := range counts {
		if !ruled[name] {
			out = append(out, TypeStatus{Type: Type{Type: name}, TypeCounts: c})
		}
	}
	slices.SortFunc(out, func(a, b TypeStatus) int { return cmp.Compare(a.Type.Type, b.Type.Type) })
	return out
}
