package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
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

func TestConfigureSaysWhatIsWrongWithTheURLAlone(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"postgres://u:opensesame@127.0.0.1/db?sslmode=banana":                        "sslmode is invalid",
		"postgres://u:opensesame@127.0.0.1/db?connect_timeout=soon":                  "invalid connect_timeout",
		"postgres://u:opensesame@127.0.0.1/db?target_session_attrs=any&sslmode=more": "sslmode is invalid",
		"postgres://u:open/sesame@127.0.0.1/db":                                      "invalid port",
		"postgres://u:open`: sesame@127.0.0.1:port/db":                               "must be like",
		"host=127.0.0.1 password='opensesame dbname=x":                               "must be like",
	} {
		_, err := configure(url)
		bad, ok := errors.AsType[*task.InvalidError](err)
		if !ok || bad.Fields[0].Field != "database" || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: got %v, want an error of the field database with %q", url, err, want)
		}
	}
}
