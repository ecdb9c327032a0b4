package worker

import (
	"errors"
	"time"
)

// Rejected reports whether err came from Reject.
func Rejected(err error) bool {
	var d *decision
	return errors.As(err, &d) && d.noRetry
}

// Snoozed reports whether err came from Snooze.
func Snoozed(err error) bool {
	var d *decision
	return errors.As(err, &d) && d.release
}

// RetryIn returns the wait that err, from RetryAfter, asks for.
func RetryIn(err error) (time.Duration, bool) {
	var d *decision
	if !errors.As(err, &d) || d.after == nil {
		return 0, false
	}
	return *d.after, true
}
