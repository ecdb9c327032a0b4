package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

// Caller is who has sent a request.
type Caller struct {
	Key      *task.APIKey // nil: nobody needs one, or nobody knows who it is
	patterns []string     // of the types that the key is limited to; none: all types
	admitted bool         // to what was asked for; false also where anybody is, and nobody has looked who it is
}

// CallerOf returns who has sent the request that c is about.
func CallerOf(c echo.Context) Caller {
	if r, ok := c.Request().Context().Value(requestKey{}).(*request); ok {
		return r.caller
	}
	return Caller{}
}

// May reports whether the caller was admitted to what was asked for, and has a permission. Who was not looked at has none.
func (a Caller) May(p Permission) bool { return a.admitted && (a.Key == nil || p.Has(a.Key.Role)) }

// Actor says who has sent a request, and how and from where, for the audit: "ci by API from 192.0.2.1", or "API from 192.0.2.1" where nobody needs a key.
func Actor(c echo.Context, how string) string {
	text := how + " from " + c.RealIP()
	if key := CallerOf(c).Key; key != nil {
		text = key.Name + " by " + text
	}
	return text
}

// admitted lets those through who may do what they ask for.
func (s *server) admitted(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		rule, known := s.rules[route{c.Request().Method, c.Path()}]
		if rule.May == Anybody {
			return next(c)
		}
		caller, err := s.identify(c)
		if err != nil {
			return err
		}
		r, _ := c.Request().Context().Value(requestKey{}).(*request)
		r.caller = caller // whom a refusal may name
		if caller.Key != nil && known {
			if err := s.permit(c, caller, rule); err != nil {
				return err
			}
		}
		r.caller.admitted = caller.Key == nil || known // else there is no such route, which the next one says
		return next(c)
	}
}

// identify returns who has sent a request. The error says what is wrong with the key.
func (s *server) identify(c echo.Context) (Caller, error) {
	ctx := c.Request().Context()
	if !s.KeysRequired {
		if needed, err := s.queue.APIKeysNeeded(ctx); err != nil || !needed {
			return Caller{}, err
		}
	}
	text, err := keyText(c)
	if err != nil {
		return Caller{}, err
	}
	key, err := s.authenticate(c, text)
	if err != nil {
		return Caller{}, err
	}
	return Caller{Key: &key, patterns: key.Patterns()}, nil
}

// authenticate returns the key whose text this is. An address that has tried too many that were none is told to wait, unless its key is in use.
func (s *server) authenticate(c echo.Context, text string) (task.APIKey, error) {
	address := c.RealIP()
	wait := s.guesses.wait(address, s.queue.Now())
	key, err := s.queue.Authenticate(c.Request().Context(), text, wait == 0)
	switch {
	case !errors.Is(err, task.ErrUnauthenticated):
		return key, err
	case wait > 0:
		return key, retryLater(c, errTooManyGuesses, wait)
	}
	if n := s.guesses.failed(address, s.queue.Now()); n == 1 || n == maxGuesses { // not a line for each
		s.Log.WarnContext(c.Request().Context(), "an API key that is none in force", "address", address, "path", c.Request().URL.Path, "within_a_minute", n)
	}
	return key, err
}

// KeyCookie is the cookie in which a browser has a key.
const KeyCookie = "thequeue_key"

var errNoKey = fmt.Errorf("%w: none was sent", task.ErrUnauthenticated)

// keyText returns the key that a request carries. A cookie counts for what only looks, and for the pages themselves: a browser sends it unasked.
func keyText(c echo.Context) (string, error) {
	r := c.Request()
	if values := r.Header["Authorization"]; len(values) > 0 {
		scheme, key, _ := strings.Cut(values[0], " ")
		if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
			return "", task.ErrUnauthenticated
		}
		return strings.TrimSpace(key), nil
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead || !strings.HasPrefix(r.URL.Path, "/api/") {
		if cookie, err := r.Cookie(KeyCookie); err == nil {
			return cookie.Value, nil
		}
	}
	return "", errNoKey
}

// permit returns nil when a caller with a key may do what a route does.
func (s *server) permit(c echo.Context, caller Caller, rule Rule) error {
	if !rule.May.Has(caller.Key.Role) {
		return fmt.Errorf("%w: its role is %s, and this needs the role %s", task.ErrForbidden, caller.Key.Role, roles(rule.May))
	}
	if len(caller.patterns) == 0 {
		return nil
	}
	switch rule.For {
	case ByTask:
		return s.permitTask(c, caller)
	case ByType:
		name, err := PathText(c, c.ParamNames()[0])
		if err != nil {
			return nil // which the handler says
		}
		return caller.permitTypes(name)
	case ByQuery:
		return caller.permitQuery(c)
	case Everything:
		return fmt.Errorf("%w: it is limited to types that fit %s, and this is about all", task.ErrForbidden, strings.Join(caller.patterns, ", "))
	}
	return nil
}

// permitQuery looks at the types that the parameters of the request name.
func (a Caller) permitQuery(c echo.Context) error {
	param, types := "type", queryList[string](c, "type")
	switch c.Path() {
	case base + "/events": // which alone takes a list
	case runsPath:
		param, types = "module", []string{runsModule(c)}
	default:
		types = []string{strings.TrimSpace(c.QueryParam("type"))}
	}
	if len(types) == 0 || types[0] == "" {
		return fmt.Errorf("%w: it is limited to types that fit %s: name one by the parameter %s", task.ErrForbidden, strings.Join(a.patterns, ", "), param)
	}
	return a.permitTypes(types...)
}

func roles(p Permission) string {
	names := make([]string, len(grants[p]))
	for i, r := range grants[p] {
		names[i] = string(r)
	}
	return strings.Join(names, " or ")
}

// permitTask returns task.ErrNotFound for a task of a type that the caller is kept from: it is not to learn that it exists.
func (s *server) permitTask(c echo.Context, caller Caller) error {
	id, err := taskID(c)
	if err != nil {
		return nil // which the handler says
	}
	t, err := s.queue.Reader().GetTask(c.Request().Context(), id)
	if err == nil && !caller.sees(t) {
		err = task.ErrNotFound
	}
	return err
}

// sees reports whether the caller is not kept from the type of a task.
func (a Caller) sees(t task.Task) bool {
	return len(a.patterns) == 0 || task.MatchesType(a.patterns, t.Type)
}

// permitTypes returns nil when the caller is not kept from any of the types.
func (a Caller) permitTypes(types ...string) error {
	if len(a.patterns) == 0 {
		return nil
	}
	for _, t := range types {
		if !task.MatchesType(a.patterns, t) {
			return fmt.Errorf("%w: it is limited to types that fit %s, and %q does not", task.ErrForbidden, strings.Join(a.patterns, ", "), t)
		}
	}
	return nil
}

// errKeyInUse says no more of the task that has an idempotency key than that there is one, which a producer is told by the refusal itself.
var errKeyInUse = fmt.Errorf("%w: this idempotency key is in use", task.ErrForbidden)

// permitFound is for a task that a producer has not made but was found by its idempotency key: the caller is to learn nothing of one of a type that it is kept from.
func (a Caller) permitFound(t task.Task) error {
	if !a.sees(t) {
		return errKeyInUse
	}
	return nil
}

// permitKeys is permitFound for tasks that are to be stored all or none, before any is.
func (s *server) permitKeys(ctx context.Context, caller Caller, specs []task.Spec) error {
	if len(caller.patterns) == 0 {
		return nil
	}
	for i := range specs {
		if specs[i].IdempotencyKey == nil {
			continue
		}
		t, err := s.queue.Reader().GetTaskByKey(ctx, *specs[i].IdempotencyKey)
		if err == nil {
			err = caller.permitFound(t)
		}
		if err != nil && !errors.Is(err, task.ErrNotFound) {
			return err
		}
	}
	return nil
}

// permitClaim is permitTypes for a claim, which must say what it takes where the caller is kept from something.
func (a Caller) permitClaim(types []string) error {
	if len(a.patterns) > 0 && len(types) == 0 {
		return fmt.Errorf("%w: it is limited to types that fit %s: name those to claim by types", task.ErrForbidden, strings.Join(a.patterns, ", "))
	}
	for _, t := range types {
		if err := a.permitTypes(strings.TrimSpace(t)); err != nil {
			return err
		}
	}
	return nil
}

// unadmitted is why a context of whileAdmitted has ended: the key of the caller opens nothing any more, or nobody could tell for too long.
type unadmitted struct{ error }

// Unwrap returns what was wrong.
func (u unadmitted) Unwrap() error { return u.error }

// lost returns the error of a caller who is admitted no longer, by a context of whileAdmitted; nil: it has not lost its key.
func lost(ctx context.Context) error {
	if why, ok := errors.AsType[unadmitted](context.Cause(ctx)); ok {
		return why
	}
	return nil
}

const (
	// recheckEvery is how often a caller who waits is asked for again: not longer than that does a key open that was revoked.
	recheckEvery = 400 * time.Millisecond
	// recheckFails is how often in a row that may fail: for about a second nobody knows whether the key is in force.
	recheckFails = 3
)

// whileAdmitted returns a context that ends when the key of the caller opens nothing any more, or it cannot be told whether it does. stop must be called.
func (s *server) whileAdmitted(c echo.Context) (ctx context.Context, stop func()) {
	ctx = c.Request().Context()
	key := CallerOf(c).Key
	if key == nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var again *time.Timer
	failed := 0
	ready := make(chan struct{})
	again = time.AfterFunc(recheckEvery, func() {
		<-ready
		err := s.queue.CheckAPIKey(ctx, key.KeyID)
		if failed++; err == nil {
			failed = 0
		}
		switch {
		case errors.Is(err, task.ErrUnauthenticated) || failed == recheckFails:
			cancel(unadmitted{err})
		case ctx.Err() == nil:
			again.Reset(recheckEvery)
		}
	})
	close(ready)
	return ctx, func() { cancel(nil); again.Stop() }
}
