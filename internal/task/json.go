package task

import (
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// JSON is one JSON value as text, kept byte for byte from the request to the row and back. The empty string stands for "not given".
type JSON string

// Value stores the text.
func (j JSON) Value() (driver.Value, error) { return string(j), nil }

// Scan reads the text of a column.
func (j *JSON) Scan(src any) error {
	switch v := src.(type) {
	case string:
		*j = JSON(v)
	case []byte:
		*j = JSON(v)
	default:
		return fmt.Errorf("scan JSON: unexpected %T", src)
	}
	return nil
}

// MarshalJSON gives the text. The standard encoder drops white space from it; AppendJSON of Task does not.
func (j JSON) MarshalJSON() ([]byte, error) {
	if j == "" {
		return []byte("null"), nil
	}
	return []byte(j), nil
}

// UnmarshalJSON keeps the text as it is.
func (j *JSON) UnmarshalJSON(b []byte) error {
	*j = JSON(b)
	return nil
}

// given reports whether j holds anything but null.
func (j JSON) given() bool { return j != "" && j != "null" }

// MaxDepth is how deep a JSON document may nest.
const MaxDepth = 64

// CheckObject returns an error that says what is wrong with j unless it is one JSON object in valid UTF-8, at most MaxDepth deep.
func (j JSON) CheckObject() error {
	if err := j.Check(); err != nil {
		return err
	}
	for _, c := range []byte(j) {
		switch c {
		case ' ', '\t', '\r', '\n':
		case '{':
			return nil
		default:
			return errors.New("must be a JSON object")
		}
	}
	return errors.New("must be a JSON object")
}

// Check returns an error unless j is one JSON value in valid UTF-8, at most MaxDepth deep, in which no object has a name twice. jsontext takes 40 % of
// the time that encoding/json does.
func (j JSON) Check() error {
	if !utf8.ValidString(string(j)) {
		return errors.New("must be valid UTF-8")
	}
	if strings.Count(string(j), "{")+strings.Count(string(j), "[") > MaxDepth && Deeper(j, MaxDepth) { // few brackets cannot nest deep
		return fmt.Errorf("must not nest deeper than %d", MaxDepth)
	}
	switch {
	case jsontext.Value(j).IsValid():
		return nil
	case json.Valid([]byte(j)):
		return errors.New("must not have a name twice in one object, nor half of a surrogate pair")
	}
	return errors.New("must be valid JSON")
}

// Deeper reports whether a JSON text nests objects and arrays deeper than max. It looks at nothing else and needs no valid JSON.
func Deeper[T ~string | ~[]byte](text T, max int) bool {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > max {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// Time is an instant in a request: RFC 3339, or the same without an offset, which then means UTC (as older clients send it).
type Time struct{ time.Time }

var timeLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999"}

// ParseTime reads an instant and returns it in UTC, cut to whole microseconds. The year must lie between 1 and 9999.
func ParseTime(s string) (Time, error) {
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			t = t.UTC().Truncate(time.Microsecond)
			if t.Year() < 1 || t.Year() > 9999 {
				break
			}
			return Time{t}, nil
		}
	}
	return Time{}, fmt.Errorf("%q is not a time: use RFC 3339 like 2026-01-31T08:00:00Z", s)
}

// UnmarshalJSON reads a JSON string.
func (t *Time) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return errors.New("a time is a string in RFC 3339 like 2026-01-31T08:00:00Z")
	}
	var err error
	*t, err = ParseTime(s)
	return err
}

// AppendJSON appends the task as a JSON object, its payload, compatibility and result byte for byte.
func (t Task) AppendJSON(b []byte) []byte { return append(t.appendFields(append(b, '{')), '}') }

// MarshalJSON is AppendJSON for encoders of the standard library.
func (t Task) MarshalJSON() ([]byte, error) { return t.AppendJSON(nil), nil }

func (t Task) appendFields(b []byte) []byte {
	b = strconv.AppendInt(append(b, `"task_id":`...), t.ID, 10)
	b = appendText(append(b, `,"type":`...), t.Type)
	b = appendText(append(b, `,"status":`...), string(t.Status))
	b = appendOptional(append(b, `,"outcome":`...), t.Outcome, func(b []byte, o Outcome) []byte { return appendText(b, string(o)) })
	b = strconv.AppendInt(append(b, `,"priority":`...), int64(t.Priority), 10)
	b = strconv.AppendInt(append(b, `,"attempts":`...), int64(t.Attempts), 10)
	b = strconv.AppendInt(append(b, `,"max_attempts":`...), int64(t.MaxAttempts), 10)
	b = strconv.AppendInt(append(b, `,"lost":`...), int64(t.Lost), 10)
	b = strconv.AppendBool(append(b, `,"quarantined":`...), t.Quarantined())
	b = appendOptional(append(b, `,"concurrency_key":`...), t.ConcurrencyKey, appendText)
	if t.Traceparent != nil {
		b = appendText(append(b, `,"traceparent":`...), *t.Traceparent)
	}
	b = appendValue(append(b, `,"payload":`...), t.Payload)
	b = appendValue(append(b, `,"compatibility":`...), t.Compatibility)
	b = appendTime(append(b, `,"run_after_utc":`...), t.RunAfterUTC)
	b = appendOptional(append(b, `,"deadline_utc":`...), t.DeadlineUTC, appendTime)
	b = appendOptional(append(b, `,"timeout_seconds":`...), t.TimeoutSeconds, func(b []byte, f float64) []byte { return strconv.AppendFloat(b, f, 'f', -1, 64) })
	b = appendOptional(append(b, `,"retry_policy":`...), t.RetryPolicy, appendValue)
	b = appendOptional(append(b, `,"locked_by":`...), t.LockedBy, appendText)
	b = appendOptional(append(b, `,"last_worker_id":`...), t.LastWorkerID, appendText)
	b = strconv.AppendInt(append(b, `,"fence":`...), t.Fence, 10)
	b = appendOptional(append(b, `,"lease_until_utc":`...), t.LeaseUntilUTC, appendTime)
	b = appendOptional(append(b, `,"reserved_at_utc":`...), t.ReservedAtUTC, appendTime)
	b = appendOptional(append(b, `,"processing_started_utc":`...), t.ProcessingStartedUTC, appendTime)
	b = appendOptional(append(b, `,"attempt_outcome":`...), t.AttemptOutcome, func(b []byte, o AttemptOutcome) []byte { return appendText(b, string(o)) })
	b = appendOptional(append(b, `,"finished_at_utc":`...), t.FinishedAtUTC, appendTime)
	b = appendOptional(append(b, `,"error_message":`...), t.ErrorMessage, appendText)
	if t.ErrorFingerprint != nil {
		b = appendText(append(b, `,"error_fingerprint":`...), *t.ErrorFingerprint)
	}
	b = appendOptional(append(b, `,"result":`...), t.Result, appendValue)
	b = appendOptional(append(b, `,"progress":`...), t.Progress, func(b []byte, n int) []byte { return strconv.AppendInt(b, int64(n), 10) })
	b = appendOptional(append(b, `,"progress_message":`...), t.ProgressMessage, appendText)
	b = appendOptional(append(b, `,"idempotency_key":`...), t.IdempotencyKey, appendText)
	b = appendTime(append(b, `,"created_at_utc":`...), t.CreatedAtUTC)
	return appendTime(append(b, `,"updated_at_utc":`...), t.UpdatedAtUTC)
}

func appendOptional[T any](b []byte, v *T, add func([]byte, T) []byte) []byte {
	if v == nil {
		return append(b, "null"...)
	}
	return add(b, *v)
}

func appendValue(b []byte, j JSON) []byte {
	if j == "" {
		return append(b, "null"...)
	}
	return append(b, j...)
}

func appendTime(b []byte, t time.Time) []byte {
	b = t.UTC().AppendFormat(append(b, '"'), time.RFC3339Nano)
	return append(b, '"')
}

func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, _ := json.Marshal(s) // cannot fail on a string
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
