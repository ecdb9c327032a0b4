package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/prismq/thequeue/internal/task"
)

// Exit codes; docs/cli.md promises them.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2   // the command line, a setting or a task is not valid
	exitNotFound    = 3   // no such task
	exitConflict    = 4   // the task, or the store, is not in a state that allows this
	exitUnavailable = 5   // the server or the database is not reachable, busy or stopping
	exitWrong       = 6   // validate or fsck found something that is wrong
	exitRefused     = 7   // the server wants an API key, or one that may do this
	exitInterrupted = 130 // by a signal
)

// usageError is a mistake of the caller.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// unavailableError is about a server that takes no requests, whatever the reason.
type unavailableError struct{ error }

func (e *unavailableError) Unwrap() error { return e.error }

// wrongError is what validate or fsck has found; the output lists it.
type wrongError struct{ error }

func usage(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// report says on one line what went wrong, or lists it when several settings or fields are, and returns the exit code.
func (s *session) report(err error) int {
	if err == nil {
		return exitOK
	}
	if bad, ok := errors.AsType[*task.InvalidError](err); ok && len(bad.Fields) > 1 && err.Error() == bad.Error() {
		fmt.Fprintf(s.stderr, "thequeue: %d problems:\n", len(bad.Fields))
		for _, f := range bad.Fields {
			fmt.Fprintf(s.stderr, "  %s: %s\n", f.Field, clean(f.Message))
		}
	} else {
		fmt.Fprintf(s.stderr, "thequeue: %s\n", clean(oneLine(err.Error())))
	}
	return exitCode(err)
}

// oneLine joins the lines of joined errors.
func oneLine(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if b.Len() > 0 && strings.HasSuffix(b.String(), ":") {
			b.WriteString(" ")
		} else if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(line)
	}
	return b.String()
}

// exitCode returns the code of the first row that fits.
func exitCode(err error) int {
	_, isUsage := errors.AsType[*usageError](err)
	_, isInvalid := errors.AsType[*task.InvalidError](err)
	dial, isNet := errors.AsType[*net.OpError](err)
	_, isURL := errors.AsType[*url.Error](err)
	_, isWrong := errors.AsType[*wrongError](err)
	_, isUnavailable := errors.AsType[*unavailableError](err)
	switch {
	case isUsage, isInvalid:
		return exitUsage
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case isUnavailable:
		return exitUnavailable
	case errors.Is(err, task.ErrNotFound):
		return exitNotFound
	case errors.Is(err, task.ErrConflict), errors.Is(err, task.ErrMoved):
		return exitConflict
	case errors.Is(err, task.ErrBusy), errors.Is(err, task.ErrUnknown), errors.Is(err, task.ErrStopped), errors.Is(err, context.DeadlineExceeded), isNet && dial.Op != "listen", isURL:
		return exitUnavailable
	case errors.Is(err, task.ErrUnauthenticated), errors.Is(err, task.ErrForbidden):
		return exitRefused
	case isWrong:
		return exitWrong
	}
	return exitFailure
}
