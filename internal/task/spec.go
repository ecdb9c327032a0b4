package task

import (
	"cmp"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// Defaults of a task whose producer does not say.
const (
	DefaultPriority    = 100
	DefaultMaxAttempts = 5
)

// Spec is what a producer says of a task: the body of an enqueue request. Nil and empty fields take the defaults.
type Spec struct {
	Type           string   `json:"type"`
	Priority       *int     `json:"priority,omitempty"`
	Payload        JSON     `json:"payload,omitempty"`
	Compatibility  JSON     `json:"compatibility,omitempty"`
	MaxAttempts    *int     `json:"max_attempts,omitempty"`
	RunAfterUTC    *Time    `json:"run_after_utc,omitempty"` // nil: now
	IdempotencyKey *string  `json:"idempotency_key,omitempty"`
	DeadlineUTC    *Time    `json:"deadline_utc,omitempty"`
	TimeoutSeconds *float64 `json:"timeout_seconds,omitempty"`
	RetryPolicy    *JSON    `json:"retry_policy,omitempty"` // a Backoff

	ConcurrencyKey *string `json:"concurrency_key,omitempty"` // at most MaxKey characters

	Traceparent *string `json:"traceparent,omitempty"` // as ParseTraceparent reads it

	UniqueKey           *string      `json:"unique_key,omitempty"`
	UniqueScope         *UniqueScope `json:"unique_scope,omitempty"`          // nil: UniqueLive
	UniquePeriodSeconds *float64     `json:"unique_period_seconds,omitempty"` // with UniquePeriod
}

// Limits bounds what a producer may ask for, and says what holds where it does not say.
type Limits struct {
	MaxAttempts    int      // the greatest max_attempts
	PayloadBytes   int      // the longest payload
	Attempts       int      // max_attempts where the spec has none, at most MaxAttempts; 0: DefaultMaxAttempts
	TimeoutSeconds *float64 // timeout_seconds where the spec has none
}

// Task returns the queued task that s describes, or an InvalidError with every field that is wrong. Its id and lane are not set.
func (s Spec) Task(now time.Time, limits Limits) (Task, error) {
	t := Task{
		Type: strings.TrimSpace(s.Type), Priority: DefaultPriority, Payload: "{}", Compatibility: "{}", Status: Queued,
		MaxAttempts: min(cmp.Or(limits.Attempts, DefaultMaxAttempts), limits.MaxAttempts), TimeoutSeconds: limits.TimeoutSeconds, RunAfterUTC: now, Ready: true, CreatedAtUTC: now, UpdatedAtUTC: now,
	}
	var bad InvalidError
	if msg := CheckName(t.Type, 200); msg != "" {
		bad.Add("type", "%s", msg)
	}
	if s.Priority != nil {
		t.Priority = *s.Priority
	}
	if t.Priority < 1 || t.Priority > 1000 {
		bad.Add("priority", "must lie between 1 and 1000, the lower runs first")
	}
	if s.MaxAttempts != nil {
		t.MaxAttempts = *s.MaxAttempts
	}
	if t.MaxAttempts < 1 || t.MaxAttempts > limits.MaxAttempts {
		bad.Add("max_attempts", "must lie between 1 and %d", limits.MaxAttempts)
	}
	s.takePayload(&t, &bad, limits)
	s.takeTimes(&t, &bad, now)
	if s.IdempotencyKey != nil {
		if msg := CheckName(*s.IdempotencyKey, 500); msg != "" {
			bad.Add("idempotency_key", "%s (leave it out to have none)", msg)
		}
		t.IdempotencyKey = s.IdempotencyKey
	}
	if s.ConcurrencyKey != nil {
		if msg := CheckName(*s.ConcurrencyKey, MaxKey); msg != "" {
			bad.Add("concurrency_key", "%s (leave it out to have none)", msg)
		}
		t.ConcurrencyKey = s.ConcurrencyKey
	}
	if s.Traceparent != nil {
		parent, ok := ParseTraceparent(*s.Traceparent)
		if !ok {
			bad.Add("traceparent", "must have the form of W3C Trace Context, like 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 (leave it out to have none)")
		}
		t.Traceparent = &parent
	}
	s.checkUnique(&bad)
	return t, bad.OrNil()
}

func (s Spec) takePayload(t *Task, bad *InvalidError, limits Limits) {
	if s.Payload.given() {
		t.Payload = s.Payload
	}
	if len(t.Payload) > limits.PayloadBytes {
		bad.Add("payload", "must not be longer than %d bytes, but has %d", limits.PayloadBytes, len(t.Payload))
	} else if err := t.Payload.CheckObject(); err != nil {
		bad.Add("payload", "%s", err)
	}
	if s.Compatibility.given() {
		t.Compatibility = s.Compatibility
	}
	if _, err := ParseRequirements(t.Compatibility); err != nil {
		bad.Add("compatibility", "%s", err)
	}
	if s.RetryPolicy != nil && s.RetryPolicy.given() {
		t.RetryPolicy = s.RetryPolicy
		if _, err := DefaultBackoff.With(*s.RetryPolicy); err != nil {
			bad.Add("retry_policy", "%s", err)
		}
	}
}

func (s Spec) takeTimes(t *Task, bad *InvalidError, now time.Time) {
	if s.RunAfterUTC != nil {
		t.RunAfterUTC = s.RunAfterUTC.UTC().Truncate(time.Microsecond)
		t.Ready = !t.RunAfterUTC.After(now)
	}
	if s.DeadlineUTC != nil {
		deadline := s.DeadlineUTC.UTC().Truncate(time.Microsecond)
		t.DeadlineUTC = &deadline
		if !t.DeadlineUTC.After(t.RunAfterUTC) {
			bad.Add("deadline_utc", "must be later than run_after_utc")
		}
	}
	if s.TimeoutSeconds != nil {
		t.TimeoutSeconds = s.TimeoutSeconds
		checkTimeout(*s.TimeoutSeconds, bad)
	}
}

func checkTimeout(seconds float64, bad *InvalidError) {
	if math.IsNaN(seconds) || seconds < 0.001 || seconds > MaxTimeout.Seconds() {
		bad.Add("timeout_seconds", "must lie between 0.001 and %.0f", MaxTimeout.Seconds())
	}
}

// MaxTimeout is the longest that timeout_seconds may say.
const MaxTimeout = 30 * 24 * time.Hour

// CheckName says what is wrong with a name of at most max characters; empty means that nothing is.
func CheckName(s string, max int) string {
	switch {
	case strings.TrimSpace(s) == "":
		return "must not be empty"
	case !utf8.ValidString(s) || strings.ContainsRune(s, 0):
		return "must be valid UTF-8 without NUL"
	case utf8.RuneCountInString(s) > max:
		return "is too long"
	}
	return ""
}

// CheckText says what is wrong with free text of at most max bytes; empty means that nothing is.
func CheckText(s string, max int) string {
	switch {
	case !utf8.ValidString(s) || strings.ContainsRune(s, 0):
		return "must be valid UTF-8 without NUL"
	case len(s) > max:
		return "is too long"
	}
	return ""
}
