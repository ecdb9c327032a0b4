package api

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

// around is the one piece that every request passes: it names the request, refuses other sites' pages and those who may not do what they ask for, turns a
// panic into an answer, and logs at level debug.
func (s *server) around(next echo.HandlerFunc) echo.HandlerFunc {
	next = s.guarded(s.admitted(s.once(next)))
	return func(c echo.Context) error {
		named(c)
		ctx := c.Request().Context()
		if !s.Log.Enabled(ctx, slog.LevelDebug) {
			return next(c)
		}
		began := s.queue.Now()
		if err := next(c); err != nil {
			c.Error(err) // answered here, so that the line below knows the status
		}
		s.Log.DebugContext(ctx, "request", "method", c.Request().Method, "path", c.Request().URL.Path, "status", c.Response().Status,
			"bytes", c.Response().Size, "duration", s.queue.Now().Sub(began))
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
		if s.Hosts != nil && !c.IsTLS() && !knownHost(c.Request().Host, s.Hosts) {
			return errHost
		}
		if s.origin.Check(c.Request()) != nil {
			return errOrigin
		}
		if query := c.Request().URL.RawQuery; query != "" {
			if _, err := url.ParseQuery(query); err != nil { // what could not be read would be left out without a word
				return task.Invalid("query", "cannot be read (%v): write a reserved character such as ; as %%3B", err)
			}
		}
		return next(c)
	}
}

// knownHost reports whether a Host header is localhost, an address or one of the names. A page that has pointed its own name at this
// machine (DNS rebinding) is of the same origin for a browser, and only the name gives it away. Without the header it is no browser.
// Over TLS it has no certificate for its own name.
func knownHost(host string, names []string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(host, ".")
	_, notAddress := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "" || notAddress == nil || strings.EqualFold(host, "localhost") ||
		slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(host, name) })
}
