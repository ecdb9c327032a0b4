package task

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"time"
)

// Backoff is a retry policy: after attempt n a task waits min(initial · multiplier^(n−1), max) · (1 ± jitter).
type Backoff struct {
	InitialSeconds float64 `json:"initial_seconds" yaml:"initial_seconds" toml:"initial_seconds"`
	Multiplier     float64 `json:"multiplier" yaml:"multiplier" toml:"multiplier"`
	MaxSeconds     float64 `json:"max_seconds" yaml:"max_seconds" toml:"max_seconds"`
	Jitter         float64 `json:"jitter" yaml:"jitter" toml:"jitter"` // a share: 0.1 is ±10 %
}

// DefaultBackoff is the policy of tasks and types that name none.
var DefaultBackoff = Backoff{InitialSeconds: 1, Multiplier: 2, MaxSeconds: 300, Jitter: 0.1}

// With returns b with the fields that the JSON object names replaced.
func (b Backoff) With(j JSON) (Backoff, error) {
	if err := j.CheckObject(); err != nil {
		return b, err
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(j)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&b); err != nil {
		return b, errors.New("holds the numbers initial_seconds, multiplier, max_seconds and jitter, and nothing else")
	}
	return b, b.Check()
}

// Check returns an error that says what is out of bounds. NaN is.
func (b Backoff) Check() error {
	within := func(v, lo, hi float64) bool { return v >= lo && v <= hi }
	switch {
	case !within(b.InitialSeconds, 0, MaxTimeout.Seconds()):
		return errors.New("initial_seconds must lie between 0 and 2592000")
	case !within(b.Multiplier, 1, 100):
		return errors.New("multiplier must lie between 1 and 100")
	case !within(b.MaxSeconds, 0, MaxTimeout.Seconds()):
		return errors.New("max_seconds must lie between 0 and 2592000")
	case !within(b.Jitter, 0, 1):
		return errors.New("jitter must lie between 0 and 1")
	}
	return nil
}

// Delay returns the wait after the attempt with this number, counted from 1. r is uniform in [0, 1) and chooses the jitter.
func (b Backoff) Delay(attempt int, r float64) time.Duration {
	s := min(b.InitialSeconds*math.Pow(b.Multiplier, float64(attempt-1)), b.MaxSeconds)
	s *= 1 + b.Jitter*(2*r-1)
	return time.Duration(s * float64(time.Second)).Truncate(time.Microsecond)
}
