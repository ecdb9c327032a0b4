package task

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrNotFound: no task (or worker) has this id.
	ErrNotFound = errors.New("not found")
	// ErrLeaseLost: the token is not the one of a live lease; nothing was changed.
	ErrLeaseLost = errors.New("the lease is lost: the token is not the one of a live lease")
	// ErrConflict: the task is not in a state that allows this; nothing was changed.
	ErrConflict = errors.New("conflict")
	// ErrBusy: the store could not take the operation in time; nothing was changed, trying again is safe.
	ErrBusy = errors.New("the store is busy")
	// ErrUnknown: the store was lost while it worked on the operation, and whether that was done cannot be found out. Trying again is safe where
	// doing it twice is, as it is under a lease token or with an idempotency key.
	ErrUnknown = errors.New("it is not known whether this was done: the connection to the database broke")
	// ErrFull: there is no room left on the disk; nothing was changed.
	ErrFull = errors.New("the disk is full")
	// ErrGone: the file of the database is no longer where it was opened: somebody has deleted, moved or replaced it. What is written now would
	// be lost.
	ErrGone = errors.New("the database file has been deleted, moved or replaced")
	// ErrMoved: the store has been moved to another database, or is just being moved; nothing was changed. It comes as a *MovedError.
	ErrMoved = errors.New("the store has been moved")
	// ErrStopped: the store or the service has been closed.
	ErrStopped = errors.New("stopped")
)

// FieldError says what is wrong with one field of a request.
type FieldError struct {
	Field   string `json:"field"` // as in the request: priority, tasks[3].priority
	Message string `json:"message"`
}

// InvalidError lists everything that is wrong with a request. Nothing was stored.
type InvalidError struct{ Fields []FieldError }

// Invalid returns an InvalidError about one field.
func Invalid(field, format string, args ...any) *InvalidError {
	return (&InvalidError{}).Add(field, format, args...)
}

// Add appends what is wrong with one field and returns e.
func (e *InvalidError) Add(field, format string, args ...any) *InvalidError {
	e.Fields = append(e.Fields, FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
	return e
}

// Within returns the same complaints about fields of an element: priority becomes tasks[3].priority.
func (e *InvalidError) Within(element string) *InvalidError {
	out := &InvalidError{Fields: make([]FieldError, len(e.Fields))}
	for i, f := range e.Fields {
		out.Fields[i] = FieldError{Field: element + "." + f.Field, Message: f.Message}
	}
	return out
}

// OrNil returns nil when there is no complaint, else e.
func (e *InvalidError) OrNil() error {
	if len(e.Fields) == 0 {
		return nil
	}
	return e
}

func (e *InvalidError) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Field + ": " + f.Message
	}
	return strings.Join(parts, "; ")
}
