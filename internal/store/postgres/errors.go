package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/prismq/thequeue/internal/task"
)

// SQLSTATE codes, from appendix A of the manual of PostgreSQL.
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	foreignKeyViolation  = "23503"
	diskFull             = "53100"
	lockNotAvailable     = "55P03"
	queryCanceled        = "57014" // by statement_timeout: a context that ends closes the connection instead, but for long pieces of maintenance
	insufficientRights   = "42501"
	dataCorrupted        = "XX001"
	indexCorrupted       = "XX002"
	adminShutdown        = "57P01"
	crashShutdown        = "57P02"
	cannotConnectNow     = "57P03"
	idleInTransaction    = "25P03"
	storeMoved           = "TQ001" // ours: a trigger refuses changes of what has been moved
	readOnlyTransaction  = "25006" // a standby, or a primary that has just become one
)

// insufficientResources is the class of 53200 (out of memory), 53300 (too many connections) and 53400.
const insufficientResources = "53"

// errNotBegun: the time of an operation was over before the server heard of it.
var errNotBegun = errors.New("not begun in time")

func notBegun(ctx context.Context) error {
	if err := ctx.Err(); err != context.DeadlineExceeded {
		return err
	}
	return fmt.Errorf("%w: %w", errNotBegun, ctx.Err())
}

// notSent returns the error of what comes before an operation is sent: where that took too long it says so, and not that a connection broke.
func notSent(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return notBegun(ctx)
	}
	return err
}

// classify returns the error of an operation in the words of package task. Those that answer the caller come bare, faults with
// what was attempted in front.
func classify(ctx context.Context, what string, err error) error {
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return task.ErrNotFound
	case isInvalid(err), errors.Is(err, task.ErrNotFound), errors.Is(err, task.ErrLeaseLost), errors.Is(err, task.ErrConflict), errors.Is(err, task.ErrStopped):
		return err
	case sqlState(err) == storeMoved:
		return moved(err)
	case errors.Is(err, task.ErrMoved):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", what, ctx.Err())
	case unreachable(err) != "":
		return fmt.Errorf("%s: %w", what, &unreachableError{address: unreachable(err), cause: err})
	case sqlState(err) == diskFull:
		return fmt.Errorf("%s: %w: %w", what, task.ErrFull, err)
	case unsettled(err):
		return fmt.Errorf("%s: %w: %w", what, task.ErrUnknown, err)
	case busy(err):
		return fmt.Errorf("%s: %w: %w", what, task.ErrBusy, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// unreachableError: no connection to the server came about. It is an ErrBusy.
type unreachableError struct {
	address string
	cause   error
}

func (e *unreachableError) Error() string {
	why := "no answer in time"
	var network *net.OpError
	var name *net.DNSError
	switch {
	case errors.As(e.cause, &name):
		why = name.Err
	case errors.As(e.cause, &network) && !network.Timeout():
		why = network.Err.Error()
	case closed(e.cause):
		why = "it closed the connection"
	}
	return fmt.Sprintf("the PostgreSQL server cannot be reached at %s: %s", e.address, why)
}

func (e *unreachableError) Is(target error) bool { return target == task.ErrBusy }

func (e *unreachableError) Unwrap() error { return e.cause }

// unreachable returns the address at which the server was looked for, when it did not answer there; else the empty string.
func unreachable(err error) string {
	var connect *pgconn.ConnectError
	var network net.Error
	if sqlState(err) != "" || !errors.As(err, &connect) || !errors.As(err, &network) && !closed(err) {
		return ""
	}
	host, port := connect.Config.Host, strconv.Itoa(int(connect.Config.Port))
	if strings.HasPrefix(host, "/") {
		return host + "/.s.PGSQL." + port
	}
	return net.JoinHostPort(host, port)
}

// busy reports whether the operation never reached the database, or the database refused or undid the operation for a reason that passes. A connection that broke while the
// operation ran is not among them: whether it happened is not known.
func busy(err error) bool {
	if errors.Is(err, errNotBegun) {
		return true
	}
	switch code := sqlState(err); code {
	case serializationFailure, deadlockDetected, lockNotAvailable, queryCanceled, adminShutdown, cannotConnectNow, idleInTransaction, readOnlyTransaction:
		return true
	case "":
		return unreachable(err) != "" || errors.Is(err, driver.ErrBadConn) || pgconn.SafeToRetry(err)
	default:
		return strings.HasPrefix(code, insufficientResources)
	}
}

// undone reports whether the database gave the operation up, with all it had done, for a reason that need not be there at the next try:
// so that another one could go on, because an operator ended the connection, or because a lane that was remembered is gone.
func undone(err error) bool {
	code := sqlState(err)
	return code == deadlockDetected || code == serializationFailure || code == adminShutdown || code == foreignKeyViolation
}

// locked reports whether the operation did not get a lock in time.
func locked(err error) bool { return sqlState(err) == lockNotAvailable }

// unsettled reports whether the connection broke while the operation ran, so that whether it happened is not known.
func unsettled(err error) bool {
	if sqlState(err) == crashShutdown {
		return true
	}
	if err == nil || sqlState(err) != "" || busy(err) {
		return false
	}
	var network net.Error
	return errors.As(err, &network) || closed(err)
}

// closed reports whether the other side ended the connection.
func closed(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// sqlState returns the code of an error of the server, else the empty string.
func sqlState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

func isInvalid(err error) bool {
	_, ok := errors.AsType[*task.InvalidError](err)
	return ok
}

// withoutURL returns what is wrong with a URL without repeating it: there may be a password in it.
func withoutURL(err error) string {
	const quoted = "`: " // how the error goes on after the URL
	text := err.Error()
	at := strings.LastIndex(text, quoted)
	if at < 0 || strings.Contains(text[at:], "failed to parse as") { // says which part of the URL it could not read
		return "it must be like postgres://user:password@host:5432/name"
	}
	return text[at+len(quoted):]
}
