package api

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
)

// request is the context of a request, which knows its id.
type request struct {
	context.Context
	id     string
	caller Caller // once it is known
}

type requestKey struct{}

// Value returns the request itself to who asks for it.
func (r *request) Value(key any) any {
	if key == (requestKey{}) {
		return r
	}
	return r.Context.Value(key)
}

// named gives the request that c is about an id, in its context and in the header of its answer.
func named(c echo.Context) {
	id := requestID(c.Request())
	c.Response().Header().Set(echo.HeaderXRequestID, id)
	c.SetRequest(c.Request().WithContext(&request{Context: c.Request().Context(), id: id}))
}

// requestID is the caller's own id where it is a plain word, else a new one.
func requestID(r *http.Request) string {
	id := r.Header.Get(echo.HeaderXRequestID)
	if id == "" || len(id) > 128 {
		return strconv.FormatUint(rand.Uint64(), 16)
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' {
			return strconv.FormatUint(rand.Uint64(), 16)
		}
	}
	return id
}

// LogHandler returns a handler that adds request_id to every line that is written under the context of a request, whoever writes it, and
// passes it to next.
func LogHandler(next slog.Handler) slog.Handler { return logHandler{next} }

type logHandler struct{ slog.Handler }

// Handle writes a line.
func (h logHandler) Handle(ctx context.Context, line slog.Record) error {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		line = line.Clone() // others may have the same line
		line.AddAttrs(slog.String("request_id", r.id))
	}
	return h.Handler.Handle(ctx, line)
}

// WithAttrs returns a handler that adds them too.
func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup returns a handler that puts what follows in a group.
func (h logHandler) WithGroup(name string) slog.Handler { return logHandler{h.Handler.WithGroup(name)} }
