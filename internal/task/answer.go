package task

import (
	"errors"
	"time"
)

var (
	// ErrInFlight: a request with this idempotency key is being worked on; its answer can be had by asking again.
	ErrInFlight = errors.New("a request with this idempotency key is being worked on")
	// ErrKeyReused: the idempotency key was sent with another request; nothing was done.
	ErrKeyReused = errors.New("this idempotency key was sent with another request")
)

// Answer is what was answered to a request that carried an idempotency key, or the reservation of the key while the request is under way.
type Answer struct {
	RequestKey   string    // unique among all answers
	Fingerprint  string    // of the request: what is sent again must have the same
	Owner        string    // the one execution of the request that may keep its answer here
	StatusCode   *int      // 200 to 499; nil, as MediaType and Body are: the request is under way
	MediaType    *string   // of the body
	Body         *string   // byte for byte
	CreatedAtUTC time.Time // when the key was reserved
	HeldUntilUTC time.Time // from then on a request without an answer may be executed by whoever sends it again
	ExpiresAtUTC time.Time // from then on the key is free for any request
}
