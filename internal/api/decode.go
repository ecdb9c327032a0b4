package api

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

// maxDepth is how deep a body may nest: a payload of the greatest depth inside {"tasks":[{"payload":…}]}.
const maxDepth = task.MaxDepth + 3

// read decodes the body of a request to one of our own endpoints: unknown fields are refused.
func (s *server) read(c echo.Context, into any) error {
	return s.decode(c, into, s.MaxBodyBytes, json.RejectUnknownMembers(true))
}

// decode reads the body as one JSON value. What is wrong with it comes back as an InvalidError that names the field; a body longer
// than limit is not read to its end and returns errTooLarge.
func (s *server) decode(c echo.Context, into any, limit int64, o json.Options) error {
	if !isJSON(c.Request().Header.Get(echo.HeaderContentType)) {
		return errMediaType
	}
	buf := s.buffer()
	defer s.recycle(buf)
	if err := s.fill(c, buf, limit); err != nil {
		return err
	}
	return unmarshal(buf.Bytes(), into, o)
}

// fill reads the body into buf, unless it is longer than limit: errTooLarge.
func (s *server) fill(c echo.Context, buf *bytes.Buffer, limit int64) error {
	r := c.Request()
	if r.ContentLength > limit {
		return fmt.Errorf("%w %d bytes", errTooLarge, limit)
	}
	if _, err := buf.ReadFrom(http.MaxBytesReader(c.Response().Writer, r.Body, limit)); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return fmt.Errorf("%w %d bytes", errTooLarge, limit)
		}
		return task.Invalid("body", "could not be read to its end")
	}
	return nil
}

// isJSON reports whether a body of this type is read as JSON. Types that a web page may send to another site unasked are not.
func isJSON(contentType string) bool {
	if contentType == "" || contentType == echo.MIMEApplicationJSON {
		return true
	}
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == echo.MIMEApplicationJSON || strings.HasSuffix(t, "+json"))
}

func unmarshal(b []byte, into any, o json.Options) error {
	if len(bytes.TrimSpace(b)) == 0 {
		return task.Invalid("body", "must not be empty")
	}
	if bytes.Count(b, []byte("{"))+bytes.Count(b, []byte("[")) > maxDepth && task.Deeper(b, maxDepth) {
		return task.Invalid("body", "must not nest deeper than %d", maxDepth)
	}
	if err := json.Unmarshal(b, into, o); err != nil {
		return task.NotRead(err, "body")
	}
	return nil
}

// taskID reads the id in the path. One that is too large for any task returns ErrNotFound.
func taskID(c echo.Context) (int64, error) {
	id, err := strconv.ParseInt(c.Param("task_id"), 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return 0, task.ErrNotFound
	}
	if err != nil {
		return 0, task.Invalid("task_id", "must be an integer")
	}
	return id, nil
}

// workerID reads the id in the path.
func workerID(c echo.Context) (string, error) { return PathText(c, "worker_id") }

// PathText reads a name of up to 200 characters in the path. Error: *task.InvalidError.
func PathText(c echo.Context, param string) (string, error) { return pathText(c, param, 200) }

func pathText(c echo.Context, param string, most int) (string, error) {
	text := c.Param(param)
	if c.Request().URL.RawPath != "" { // only then has echo matched the path as it was sent
		var err error
		if text, err = url.PathUnescape(text); err != nil {
			return "", task.Invalid(param, "is not a valid path segment")
		}
	}
	if msg := task.CheckName(text, most); msg != "" {
		return "", task.Invalid(param, "%s", msg)
	}
	return text, nil
}

// queryInt reads an integer between lo and hi from the query; absent or empty it is preset.
func queryInt(c echo.Context, name string, preset, lo, hi int64, bad *task.InvalidError) int64 {
	s := c.QueryParam(name)
	if s == "" {
		return preset
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < lo || n > hi {
		bad.Add(name, "must be an integer between %d and %d", lo, hi)
	}
	return n
}

// duration turns seconds into a duration, cut to about thirty years either way.
func duration(seconds float64) time.Duration {
	const most = 1e9
	return time.Duration(max(-most, min(seconds, most)) * float64(time.Second))
}

// leaseTime is the length of a lease that a request asks for; 0 when it does not say. A length that is no time at all
// is negative, since 0 would be taken for the default.
func leaseTime(seconds *float64) time.Duration {
	if seconds == nil {
		return 0
	}
	if d := duration(*seconds); d > 0 {
		return d
	}
	return -1
}
