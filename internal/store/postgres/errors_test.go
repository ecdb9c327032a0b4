package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/prismq/thequeue/internal/task"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	broken := errors.New("unexpected EOF")
	tests := []struct {
		name string
		err  error
		want error
	}{
		{"NoRow", sql.ErrNoRows, task.ErrNotFound},
		{"LeaseLost", task.ErrLeaseLost, task.ErrLeaseLost},
		{"Conflict", fmt.Errorf("%w: task 1 is queued", task.ErrConflict), task.ErrConflict},
		{"DiskFull", &pgconn.PgError{Code: "53100"}, task.ErrFull},
		{"TooManyConnections", &pgconn.PgError{Code: "53300"}, task.ErrBusy},
		{"OutOfMemory", &pgconn.PgError{Code: "53200"}, task.ErrBusy},
		{"Serialization", &pgconn.PgError{Code: "40001"}, task.ErrBusy},
		{"Deadlock", &pgconn.PgError{Code: "40P01"}, task.ErrBusy},
		{"LockTimeout", &pgconn.PgError{Code: "55P03"}, task.ErrBusy},
		{"StatementTimeout", &pgconn.PgError{Code: "57014"}, task.ErrBusy},
		{"Shutdown", &pgconn.PgError{Code: "57P01"}, task.ErrBusy},
		{"Recovery", &pgconn.PgError{Code: "57P03"}, task.ErrBusy},
		{"DeadConnection", driver.ErrBadConn, task.ErrBusy},
		{"BrokenWhileRunning", broken, broken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := classify(t.Context(), "try", tt.err); !errors.Is(got, tt.want) {
				t.Errorf("classify(%v) = %v, want %v", tt.err, got, tt.want)
			}
		})
	}
}

func TestClassifyLeavesFaultsToTheirCause(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"23514", "42P01", "22P02", "28P01", "3D000"} {
		got := classify(t.Context(), "try", &pgconn.PgError{Code: code})
		if errors.Is(got, task.ErrBusy) || errors.Is(got, task.ErrFull) || errors.Is(got, task.ErrNotFound) {
			t.Errorf("classify(%s) = %v: this does not pass by itself", code, got)
		}
	}
}

func TestClassifyPrefersTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := classify(ctx, "try", &pgconn.PgError{Code: "57014"}); !errors.Is(got, context.Canceled) || errors.Is(got, task.ErrBusy) {
		t.Errorf("got %v, want context.Canceled alone", got)
	}
}
