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

// RetryIn returns the wait that err, from RetryAfter, asks for.
func RetryIn(err error) (time.Duration, bool) {
	var d *decision
	if !errors.As(err, &d) || d.after == nil {
		return 0, false
	}
	return *d.after, true
}

// Released reports whether err came from Snooze.
func Released(err error) bool {
	var d *decision
	return errors.As(err, &d) && d.release
}

// Public reports whether an address is one of the public Internet.
var Public = public
