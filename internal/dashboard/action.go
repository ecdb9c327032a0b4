package dashboard

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/api"
	"github.com/prismq/thequeue/internal/task"
)

// question is what is asked before something is done.
type question struct {
	Title, Text string
	Verb        string // on the button
	Danger      bool   // what is done cannot be undone
	Back        string // where to go when the answer is no
	Section     string
	Path        string // of the action
}

// did is what an action has done, for its audit row.
type did struct {
	action, subject, message string
	next                     string // the page that shows it
}

// act adds an action: GET asks, POST does it, writes an audit row and shows the page that it belongs to.
func (d *Dashboard) act(e *echo.Echo, path string, ask func(c echo.Context) (question, error), do func(c echo.Context) (did, error)) {
	e.Match([]string{http.MethodGet, http.MethodHead}, path, func(c echo.Context) error {
		q, err := ask(c)
		if err != nil {
			return err
		}
		q.Path = c.Request().URL.EscapedPath()
		return d.show(c, http.StatusOK, "ask", page{Title: q.Title, Section: q.Section, Body: q})
	})
	e.POST(path, d.form(func(c echo.Context) error {
		what, err := do(c)
		if err != nil {
			if _, refused := errors.AsType[*task.InvalidError](err); !refused && !errors.Is(err, task.ErrNotFound) && !errors.Is(err, task.ErrConflict) {
				what.message += ", but not to its end: " + err.Error() // a part of it may be done
				d.audit(c, what)
			}
			return err
		}
		return d.done(c, what)
	}))
}

// done writes the audit row of what was done and shows the page that it belongs to. Where the row cannot be written, what was done is shown all the same: it is done.
func (d *Dashboard) done(c echo.Context, what did) error {
	next := what.next
	if id := d.audit(c, what); id > 0 {
		next += "?done=" + strconv.FormatInt(id, 10)
	}
	return c.Redirect(http.StatusSeeOther, next)
}

// audit writes the audit row of what was done and returns its number; 0: it could not be written, which the log says.
func (d *Dashboard) audit(c echo.Context, what did) int64 {
	ctx := context.WithoutCancel(c.Request().Context())
	a, err := d.queue.Audit(ctx, task.Audit{Actor: api.Actor(c, "dashboard"), Action: what.action, Subject: what.subject, Message: what.message})
	if err != nil {
		d.Log.ErrorContext(ctx, "no audit row", "action", what.action, "subject", what.subject, "message", what.message, "error", err)
		return 0
	}
	return a.AuditID
}

// form reads the form of a request before its handler does: one that cannot be read to its end changes nothing.
func (d *Dashboard) form(h echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if t, _, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType)); err != nil || t != echo.MIMEApplicationForm {
			return task.Invalid("body", "must be a form: send it with Content-Type: %s", echo.MIMEApplicationForm)
		}
		r.Body = http.MaxBytesReader(c.Response().Writer, r.Body, d.MaxFormBytes)
		if err := r.ParseForm(); err != nil {
			if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
				return task.Invalid("body", "is longer than the limit of %d bytes", d.MaxFormBytes)
			}
			return task.Invalid("body", "cannot be read as a form: %v", err)
		}
		return h(c)
	}
}

// queryID reads a number above 0 from the query; 0: there is none.
func queryID(c echo.Context, name string) int64 {
	id, err := strconv.ParseInt(c.QueryParam(name), 10, 64)
	if err != nil || id < 1 {
		return 0
	}
	return id
}

// pathID reads the number in the path. Where it is none there is no such page: task.ErrNotFound.
func pathID(c echo.Context, param string) (int64, error) {
	id, err := strconv.ParseInt(c.Param(param), 10, 64)
	if err != nil {
		return 0, task.ErrNotFound
	}
	return id, nil
}

// pathText reads a name in the path; nothing has a name that is none.
func pathText(c echo.Context, param string) (string, error) {
	text, err := api.PathText(c, param)
	if err != nil {
		return "", task.ErrNotFound
	}
	return text, nil
}

// place is the path of a thing with a name.
func place(kind, name string) string { return "/" + kind + "/" + url.PathEscape(name) }

func taskPlace(id int64) string { return "/tasks/" + strconv.FormatInt(id, 10) }
