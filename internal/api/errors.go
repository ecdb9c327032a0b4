package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

var (
	errTooLarge  = errors.New("the body is longer than the limit of")
	errMediaType = errors.New("the body must be JSON: send it with Content-Type: application/json")
	errOrigin    = errors.New("a page of another site may not do this")
	errHost      = errors.New("the server is not known by this name")
	errNotReady  = errors.New("the service is not ready")

	errTooManyGuesses = errors.New("too many keys from this address were none")
	errTooManyWait    = errors.New("too many requests wait already")

	// errFullVacuum: a server may not do it.
	errFullVacuum = fmt.Errorf("%w: while a full vacuum runs nothing can be claimed: stop the servers and run thequeue maintenance vacuum --full --database …, or leave full out, for the vacuum in steps", task.ErrConflict)
)

// row says how one error is answered.
type row struct {
	is     error
	status int
	code   string // error_code
	title  string
	detail string // empty: the text of the error
	retry  bool   // worth another try in a second: the answer says so
}

// retryLater returns err and has its answer say when to come again.
func retryLater(c echo.Context, err error, wait time.Duration) error {
	c.Response().Header().Set(echo.HeaderRetryAfter, strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	return err
}

// table is the one map from errors to answers; the first row that fits is taken.
var table = []row{
	{is: task.ErrNotFound, status: http.StatusNotFound, code: "not_found", title: "Not found"},
	{is: task.ErrLeaseLost, status: http.StatusConflict, code: "lease_lost", title: "The lease is lost", detail: "The lease is lost: the token is not the one of a live lease; nothing was changed"},
	{is: task.ErrInFlight, status: http.StatusConflict, code: "idempotency_in_flight", title: "Under way", detail: "A request with this Idempotency-Key is being worked on: send it again for its answer", retry: true},
	{is: task.ErrKeyReused, status: http.StatusUnprocessableEntity, code: "idempotency_key_reused", title: "Idempotency key reused", detail: "This Idempotency-Key was sent with another path or body; nothing was done. A new request needs a new key"},
	{is: task.ErrConflict, status: http.StatusConflict, code: "conflict", title: "Not in this state"},
	{is: task.ErrUnknown, status: http.StatusServiceUnavailable, code: "result_unknown", title: "Result unknown", detail: "The connection to the database broke, and it is not known whether this was done; try again, and enqueue with the same idempotency key", retry: true},
	{is: task.ErrBusy, status: http.StatusServiceUnavailable, code: "busy", title: "Busy", detail: "The store is busy; nothing was changed, try again", retry: true},
	{is: task.ErrStopped, status: http.StatusServiceUnavailable, code: "stopping", title: "Stopping", detail: "The service is stopping; try again", retry: true},
	{is: context.Canceled, status: http.StatusServiceUnavailable, code: "stopping", title: "Stopping", detail: "The request was given up", retry: true},
	{is: context.DeadlineExceeded, status: http.StatusServiceUnavailable, code: "busy", title: "Busy", detail: "The store did not answer in time; try again", retry: true},
	{is: errNotReady, status: http.StatusServiceUnavailable, code: "not_ready", title: "Not ready", detail: "The service is not ready; its log says why", retry: true},
	{is: task.ErrGone, status: http.StatusServiceUnavailable, code: "not_ready", title: "Not ready", detail: "The file of the database is gone; nothing was kept, and the log has its name", retry: true},
	{is: task.ErrMoved, status: http.StatusServiceUnavailable, code: "moved", title: "Moved", retry: true},
	{is: task.ErrFull, status: http.StatusInsufficientStorage, code: "disk_full", title: "Disk full", detail: "The disk is full; nothing was changed"},
	{is: task.ErrUnusable, status: http.StatusConflict, code: "backup_unusable", title: "The backup cannot be used"},
	{is: errTooLarge, status: http.StatusRequestEntityTooLarge, code: "body_too_large", title: "Body too large"},
	{is: errMediaType, status: http.StatusUnsupportedMediaType, code: "unsupported_media_type", title: "Unsupported media type"},
	{is: errOrigin, status: http.StatusForbidden, code: "cross_origin", title: "Cross-origin request"},
	{is: errHost, status: http.StatusForbidden, code: "unknown_host", title: "Unknown host", detail: "The server is not known by the name in the Host header: a proxy must pass localhost on, or the name must be in allowed_hosts"},
	{is: task.ErrUnauthenticated, status: http.StatusUnauthorized, code: "unauthenticated", title: "A key is needed", detail: "A valid API key is needed: send it as Authorization: Bearer KEY; thequeue keys create makes one"},
	{is: task.ErrForbidden, status: http.StatusForbidden, code: "forbidden", title: "Not allowed"},
	{is: errNoPages, status: http.StatusForbidden, code: "forbidden", title: "Not allowed"},
	{is: errTooManyGuesses, status: http.StatusTooManyRequests, code: "too_many_guesses", title: "Too many wrong keys", detail: "Too many keys from this address were none: wait, and send the right one"},
	{is: errTooManyWait, status: http.StatusTooManyRequests, code: "too_many_waiting", title: "Too many waiting", detail: "Too many claims and streams of this caller, or of all, wait already: end some, or wait"},
	{is: echo.ErrNotFound, status: http.StatusNotFound, code: "not_found", title: "Not found", detail: "There is no such path"},
	{is: echo.ErrMethodNotAllowed, status: http.StatusMethodNotAllowed, code: "method_not_allowed", title: "Method not allowed", detail: "This path does not take this method; the Allow header lists those that it takes"},
}

var (
	invalid  = row{status: http.StatusUnprocessableEntity, code: "invalid", title: "Invalid request"}
	internal = row{status: http.StatusInternalServerError, code: "internal", title: "Internal error", detail: "The server made a mistake; its log has the reason under the request id"}
)

// problem is an answer in the form of RFC 9457.
type problem struct {
	Type      string            `json:"type"` // a place on the API page that explains the code
	Title     string            `json:"title"`
	Status    int               `json:"status"`
	Detail    string            `json:"detail"`
	Instance  string            `json:"instance"` // the path that was asked for
	ErrorCode string            `json:"error_code"`
	Timestamp string            `json:"timestamp"`
	RequestID string            `json:"request_id"`       // that of the header, under which the log has what is known
	Errors    []task.FieldError `json:"errors,omitempty"` // per field, when the request is invalid
}

// answerError writes the answer for an error that a handler returned. What the table does not know is a fault of the server: it is
// logged with the request id, and the client learns no more than that.
func (s *server) answerError(err error, c echo.Context) {
	r, fields := classify(err)
	ctx, log := c.Request().Context(), s.Log.With("path", c.Request().URL.Path)
	if r.status == http.StatusInternalServerError {
		log.ErrorContext(ctx, "request failed", "error", err)
	} else if r.is == errNotReady {
		log.WarnContext(ctx, "not ready", "error", err)
	}
	if c.Response().Committed {
		return
	}
	if r.status == http.StatusUnauthorized {
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, `Bearer realm="thequeue"`)
	}
	if r.retry {
		c.Response().Header().Set(echo.HeaderRetryAfter, "1")
	}
	p := s.newProblem(c, r, err, fields)
	answer := func() error { return s.writeAs(c, r.status, "application/problem+json", p) }
	if s.Pages != nil && s.Pages.Wants(c.Request()) {
		answer = func() error { return s.Pages.Fail(c, r.status, p.Title, p.Detail) }
	}
	if err := answer(); err != nil {
		log.DebugContext(ctx, "answer not delivered", "error", err)
	}
}

func (s *server) newProblem(c echo.Context, r row, err error, fields []task.FieldError) problem {
	return problem{
		Type: "/api#" + r.code, Title: r.title, Status: r.status, Detail: detail(r, err, c), Instance: c.Request().URL.EscapedPath(),
		ErrorCode: r.code, Timestamp: s.queue.Now().Format(time.RFC3339Nano), RequestID: c.Response().Header().Get(echo.HeaderXRequestID), Errors: fields,
	}
}

func classify(err error) (row, []task.FieldError) {
	if bad, ok := errors.AsType[*task.InvalidError](err); ok {
		r := invalid
		r.detail = bad.Error()
		return r, bad.Fields
	}
	for _, r := range table {
		if errors.Is(err, r.is) {
			return r, nil
		}
	}
	return internal, nil
}

func detail(r row, err error, c echo.Context) string {
	if r.detail != "" {
		return r.detail
	}
	if moved, ok := errors.AsType[*task.MovedError](err); ok {
		err = moved
	}
	if r.is == task.ErrNotFound {
		if id, bad := workerID(c); bad == nil {
			return "Worker " + id + " not found"
		}
		if name, bad := PathText(c, "type"); bad == nil {
			return "Type " + name + " not found"
		}
		if name, bad := scheduleName(c); bad == nil {
			return "Schedule " + name + " not found"
		}
		if id := c.Param("failure_id"); id != "" {
			return "Failure " + id + " not found"
		}
		if id := c.Param("operation_id"); id != "" {
			return "Operation " + id + " not found"
		}
		if name := c.Param("backup"); name != "" {
			return "Backup " + name + " not found"
		}
		if id, bad := pathText(c, "run_id", maxRunID); bad == nil {
			return "Run " + id + " not found"
		}
		if id := c.Param("key_id"); id != "" {
			return "Key " + id + " not found"
		}
		if name := c.QueryParam("type"); name != "" {
			return "Type " + name + " not found"
		}
		if c.Path() == base+runningPath {
			return "No maintenance is under way"
		}
		return "Task " + c.Param("task_id") + " not found"
	}
	text := err.Error()
	if _, after, ok := strings.Cut(text, task.ErrConflict.Error()+": "); ok {
		text = after
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
