package api

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"strconv"

	"github.com/labstack/echo/v4"
)

// around is the one piece that every request passes: it names the request, refuses other sites' pages, turns a panic into an
// answer, and logs at level debug.
func (s *server) around(next echo.HandlerFunc) echo.HandlerFunc {
	next = s.guarded(next)
	return func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderXRequestID, requestID(c.Request()))
		ctx := c.Request().Context()
		if !s.Log.Enabled(ctx, slog.LevelDebug) {
			return next(c)
		}
		began := s.queue.Now()
		if err := next(c); err != nil {
			c.Error(err) // answered here, so that the line below knows the status
		}
		s.Log.DebugContext(ctx, "request", "method", c.Request().Method, "path", c.Request().URL.Path, "status", c.Response().Status,
			"bytes", c.Response().Size, "duration", s.queue.Now().Sub(began), "request_id", c.Response().Header().Get(echo.HeaderXRequestID))
		return nil
	}
}

func (s *server) guarded(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if v := recover(); v == http.ErrAbortHandler {
				panic(v)
			} else if v != nil {
				err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
			}
		}()
		if s.origin.Check(c.Request()) != nil {
			return errOrigin
		}
		return next(c)
	}
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
