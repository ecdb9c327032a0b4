package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// Error is an answer of the server other than success. Its text is the sentence of the server, and for a fault of the server the id under which
// its log has the reason.
type Error struct {
	Status    int    // of HTTP
	Code      string // error_code; empty when the answer came from something other than the queue
	Detail    string
	RequestID string // of the request, as the log of the server has it; empty when the answer has none
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("the server answered %d %s", e.Status, http.StatusText(e.Status))
	}
	if e.Code == "internal" && e.RequestID != "" {
		return e.Detail + " " + e.RequestID
	}
	return e.Detail
}

// Unwrap returns the error of package task that the code stands for, nil for none.
func (e *Error) Unwrap() error {
	return map[string]error{
		"not_found": task.ErrNotFound, "lease_lost": task.ErrLeaseLost, "conflict": task.ErrConflict, "busy": task.ErrBusy, "result_unknown": task.ErrUnknown,
		"stopping": task.ErrStopped, "not_ready": task.ErrStopped, "disk_full": task.ErrFull, "backup_unusable": task.ErrUnusable, "moved": task.ErrMoved,
		"unauthenticated": task.ErrUnauthenticated, "forbidden": task.ErrForbidden, "too_many_waiting": task.ErrBusy, "too_many_guesses": task.ErrBusy,
	}[e.Code]
}

// afterBreak judges an error of the connection: when it was never made, nothing was done.
func afterBreak(ctx context.Context, err error) (time.Duration, error) {
	if op, ok := errors.AsType[*net.OpError](err); !ok || op.Op != "dial" {
		err = fmt.Errorf("%w: %w", errUnclear, err)
	}
	if ctx.Err() != nil {
		return -1, err
	}
	return 0, err
}

// read decodes an answer that came whole.
func read(resp *http.Response, b []byte, out any) (pause time.Duration, err error) {
	if resp.StatusCode >= 300 {
		return after(resp), problem(resp, b)
	}
	if out == nil || resp.StatusCode == http.StatusNoContent {
		return -1, nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return -1, fmt.Errorf("read the answer of the server: %w", err)
	}
	return -1, nil
}

// after is the pause that an answer asks for; negative: it would be the same again.
func after(resp *http.Response) time.Duration {
	if resp.StatusCode != http.StatusServiceUnavailable && resp.StatusCode != http.StatusTooManyRequests {
		return -1
	}
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, longestPause)
}

func problem(resp *http.Response, b []byte) error {
	var p struct {
		Code   string            `json:"error_code"`
		Detail string            `json:"detail"`
		ID     string            `json:"request_id"`
		Errors []task.FieldError `json:"errors"`
	}
	if json.Unmarshal(b, &p) != nil {
		return &Error{Status: resp.StatusCode}
	}
	if resp.StatusCode == http.StatusUnprocessableEntity && len(p.Errors) > 0 {
		return &task.InvalidError{Fields: p.Errors}
	}
	if resp.StatusCode == http.StatusRequestEntityTooLarge && p.Code != "" {
		return task.Invalid("body", "%s", p.Detail)
	}
	return &Error{Status: resp.StatusCode, Code: p.Code, Detail: p.Detail, RequestID: p.ID}
}
