package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

const (
	keyHeader      = "Idempotency-Key"
	replayedHeader = "Idempotent-Replayed"
	// holdTime is how long a request keeps its key without an answer: after that it is taken to have died with its server. A claim may wait besides.
	holdTime = 15 * time.Second
	// maxAnswer is the longest answer that is kept, in bytes: that of the largest batch is less than half of it.
	maxAnswer = 256 << 10
)

// once executes a POST that carries an idempotency key only if its key is new, and else answers as it was answered before. A request without the
// header passes, and one about API keys: the store is to hold none of them, not even in an answer.
func (s *server) once(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if r.Method != http.MethodPost || len(r.Header[keyHeader]) == 0 || !strings.HasPrefix(c.Path(), "/api/") || strings.HasPrefix(c.Path(), base+keysPath) {
			return next(c)
		}
		key, err := headerKey(r)
		if err != nil {
			return err
		}
		body, err := s.wholeBody(c)
		if err != nil {
			return err
		}
		hold := holdTime
		if Waits(r) {
			hold += task.MaxWait
		}
		a, done, err := s.queue.Reserve(r.Context(), *key, fingerprint(c, body), hold)
		if err != nil {
			return err
		}
		if done {
			c.Response().Header().Set(replayedHeader, "true")
			return c.Blob(*a.StatusCode, *a.MediaType, []byte(*a.Body))
		}
		return s.executeOnce(c, next, a)
	}
}

// executeOnce answers the request when the answer has been kept, or the key given back. Whether that has worked is no concern of the client's: its
// request is done, and the key becomes free by itself.
func (s *server) executeOnce(c echo.Context, next echo.HandlerFunc, a task.Answer) error {
	res := c.Response()
	rec := &recorder{ResponseWriter: res.Writer}
	defer func() { res.Writer = rec.ResponseWriter }() // for the answer to a panic, after which the key stays held: nobody knows what was done
	res.Writer = rec
	if err := next(c); err != nil {
		s.answerError(err, c)
	}
	ctx := context.WithoutCancel(c.Request().Context())
	var err error
	if keeps(rec) {
		err = s.queue.Keep(ctx, a, rec.status, res.Header().Get(echo.HeaderContentType), rec.body.String())
	} else {
		err = s.queue.Forget(ctx, a)
	}
	if err != nil {
		s.Log.WarnContext(ctx, "the answer to a request with an idempotency key is not kept", "path", c.Request().URL.Path, "error", err)
	}
	rec.ResponseWriter.WriteHeader(rec.status)
	_, err = rec.ResponseWriter.Write(rec.body.Bytes())
	return err
}

// keeps reports whether an answer is given again to the same request. What says that the request itself is wrong leaves the key for the corrected one;
// what says that the service could not do it, for the next try.
func keeps(rec *recorder) bool {
	switch rec.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return false
	case http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return false
	}
	return rec.status < http.StatusInternalServerError && rec.body.Len() <= maxAnswer
}

// recorder holds an answer back.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// wholeBody reads the body and leaves it to be read again.
func (s *server) wholeBody(c echo.Context) ([]byte, error) {
	r, limit := c.Request(), s.MaxBodyBytes
	if r.URL.Path == base+batchPath {
		limit = s.MaxBatchBodyBytes
	}
	var buf bytes.Buffer
	if err := s.fill(c, &buf, limit); err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(buf.Bytes()))
	return buf.Bytes(), nil
}

// fingerprint is the same for the same method, path, query and body of the same caller: nobody is given the answer to another one.
func fingerprint(c echo.Context, body []byte) string {
	h, r := sha256.New(), c.Request()
	if key := CallerOf(c).Key; key != nil {
		fmt.Fprintf(h, "%q ", key.Name)
	}
	fmt.Fprintf(h, "%s %s?%s\n", r.Method, r.URL.EscapedPath(), r.URL.RawQuery)
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// headerKey is the value of Idempotency-Key, with or without the quotes that its draft standard asks for; nil without the header.
func headerKey(r *http.Request) (*string, error) {
	values := r.Header[keyHeader]
	if len(values) == 0 {
		return nil, nil
	}
	if len(values) > 1 {
		return nil, task.Invalid(keyHeader, "must be given once")
	}
	key := values[0]
	if quoted, ok := strings.CutPrefix(key, `"`); ok {
		if key, ok = strings.CutSuffix(quoted, `"`); !ok {
			return nil, task.Invalid(keyHeader, `begins with a quote that is not closed: send "KEY" or KEY`)
		}
		key = strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(key)
	}
	if msg := task.CheckName(key, 500); msg != "" {
		return nil, task.Invalid(keyHeader, "%s (leave it out to have none)", msg)
	}
	return &key, nil
}
