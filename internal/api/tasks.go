package api

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

func (s *server) enqueue(c echo.Context) error {
	var spec task.Spec
	if err := s.decode(c, &spec, s.MaxBodyBytes, json.RejectUnknownMembers(false)); err != nil {
		return err
	}
	if spec.IdempotencyKey == nil {
		var err error
		if spec.IdempotencyKey, err = headerKey(c.Request()); err != nil {
			return err
		}
	}
	if spec.Traceparent == nil {
		spec.Traceparent = headerTrace(c.Request())
	}
	if err := CallerOf(c).permitTypes(strings.TrimSpace(spec.Type)); err != nil {
		return err
	}
	t, created, err := s.queue.Enqueue(c.Request().Context(), spec, compatMaxAttempts)
	if err != nil {
		return err
	}
	if err := CallerOf(c).permitFound(t); err != nil {
		return err
	}
	byKey := spec.IdempotencyKey != nil && t.IdempotencyKey != nil && *spec.IdempotencyKey == *t.IdempotencyKey
	return writeOne(s, c, http.StatusCreated, enqueued{t, created, byKey})
}

// headerTrace is the span of the caller; nil when the header is absent or is none: a proxy may have set it, and that is no fault of the request.
func headerTrace(r *http.Request) *string {
	values := r.Header["Traceparent"]
	if len(values) != 1 {
		return nil
	}
	trace, ok := task.ParseTraceparent(values[0])
	if !ok {
		return nil
	}
	return &trace
}

// enqueued is the answer to an enqueue.
type enqueued struct {
	task    task.Task
	created bool
	byKey   bool // where created is false: found by its idempotency key, not its unique key
}

// AppendJSON appends the answer to an enqueue. A status and the message are words that need no escape.
func (e enqueued) AppendJSON(b []byte) []byte {
	message := "Task enqueued successfully"
	switch {
	case !e.created && e.byKey:
		message = "Task already exists (idempotency key match)"
	case !e.created:
		message = "Task already exists (unique key match)"
	}
	b = strconv.AppendInt(append(b, `{"task_id":`...), e.task.ID, 10)
	b = append(append(b, `,"status":"`...), e.task.Status...)
	b = e.task.CreatedAtUTC.UTC().AppendFormat(append(b, `","created_at_utc":"`...), time.RFC3339Nano)
	return append(append(append(b, `","message":"`...), message...), `"}`...)
}

// receipt is what a producer learns of one task of a batch.
type receipt struct {
	TaskID       int64       `json:"task_id"`
	Status       task.Status `json:"status"`
	CreatedAtUTC time.Time   `json:"created_at_utc"`
	Created      bool        `json:"created"` // false: a key was known, this is the task that it found
}

func (s *server) enqueueBatch(c echo.Context) error {
	var in struct {
		Tasks []task.Spec `json:"tasks"`
	}
	if err := s.decode(c, &in, s.MaxBatchBodyBytes, json.RejectUnknownMembers(true)); err != nil {
		return err
	}
	for i := range in.Tasks {
		if err := CallerOf(c).permitTypes(strings.TrimSpace(in.Tasks[i].Type)); err != nil {
			return err
		}
	}
	key, err := headerKey(c.Request())
	if err != nil {
		return err
	}
	if key != nil {
		for i := range in.Tasks {
			if in.Tasks[i].IdempotencyKey == nil {
				in.Tasks[i].IdempotencyKey = new(fmt.Sprintf("%s/%d", *key, i))
			}
		}
	}
	if trace := headerTrace(c.Request()); trace != nil {
		for i := range in.Tasks {
			in.Tasks[i].Traceparent = cmp.Or(in.Tasks[i].Traceparent, trace)
		}
	}
	if err := s.permitKeys(c.Request().Context(), CallerOf(c), in.Tasks); err != nil {
		return err
	}
	stored, created, err := s.queue.EnqueueBatch(c.Request().Context(), in.Tasks)
	if err != nil {
		return err
	}
	receipts := make([]receipt, len(stored))
	for i, t := range stored {
		if err := CallerOf(c).permitFound(t); err != nil { // its key was taken since it was looked for
			return err
		}
		receipts[i] = receipt{t.ID, t.Status, t.CreatedAtUTC, created[i]}
	}
	return s.write(c, http.StatusCreated, struct {
		Tasks []receipt `json:"tasks"`
	}{receipts})
}

func (s *server) getTask(c echo.Context) error {
	id, err := taskID(c)
	if err != nil {
		return err
	}
	t, err := s.queue.Reader().GetTask(c.Request().Context(), id)
	return s.answerTask(c, t, err)
}

const (
	// pageBytes is the length after which a page of tasks ends before its limit, so that long tasks cannot take all memory.
	pageBytes = 8 << 20
	// firstRead is how many tasks of a page are read before anything is known of their length.
	firstRead = 16
)

// listTasks reads a page in pieces, and one task more than it shows, so that it knows whether a next page exists.
func (s *server) listTasks(c echo.Context) error {
	f, err := filter(c)
	if err != nil {
		return err
	}
	if f.Match.Asks() {
		return s.listMatching(c, f)
	}
	buf := s.buffer()
	defer s.recycle(buf)
	limit, shown, more := f.Limit, 0, true
	for piece := firstRead; more && shown < limit && buf.Len() < pageBytes; {
		f.Limit = min(piece, limit-shown) + 1
		tasks, err := s.queue.Reader().ListTasks(c.Request().Context(), f)
		if err != nil {
			return err
		}
		if more = len(tasks) == f.Limit; more {
			tasks = tasks[:f.Limit-1]
		}
		for _, t := range tasks {
			buf.WriteByte(',')
			buf.Write(t.AppendJSON(buf.AvailableBuffer()))
			f.Before = t.ID
			shown++
			if buf.Len() >= pageBytes {
				more = more || t.ID != tasks[len(tasks)-1].ID
				break
			}
		}
		piece = max(1, (pageBytes-buf.Len())*shown/max(buf.Len(), 1))
	}
	if more {
		linkNext(c, strconv.FormatInt(f.Before, 10))
	}
	if shown == 0 {
		buf.WriteByte('[')
	} else {
		buf.Bytes()[0] = '['
	}
	buf.WriteByte(']')
	return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, buf.Bytes())
}

// searches bounds a page of those tasks that match a filter: each search looks at some 500,000 tasks at most.
const searches = 4

// listMatching is listTasks for a filter. Where few tasks match the page may end before it is full; the cursor says where to go on.
func (s *server) listMatching(c echo.Context, f task.Filter) error {
	m, ok := f.Narrowed()
	if !ok {
		return c.JSONBlob(http.StatusOK, []byte("[]"))
	}
	buf := s.buffer()
	defer s.recycle(buf)
	p := page{buf: buf, next: f.Before}
	for n, now := 0, s.queue.Now(); n < searches; n++ {
		more := max(0, min(p.piece(), f.Limit-p.shown))
		tasks, next, err := s.queue.Reader().ListMatching(c.Request().Context(), m, now, p.next, max(1, more))
		if err != nil {
			return err
		}
		if more == 0 && len(tasks) > 0 { // the page is full, and there is another one
			break
		}
		if p.add(tasks); len(tasks) > 0 {
			n--
		}
		if p.next = next; next == 0 {
			break
		}
	}
	if p.next > 0 {
		linkNext(c, strconv.FormatInt(p.next, 10))
	}
	return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, p.end())
}

// page is an array of tasks on its way out.
type page struct {
	buf   *bytes.Buffer
	shown int
	next  int64 // where to go on
}

// piece is how many tasks of the length of those before may be read next; 0 when the page is long enough.
func (p *page) piece() int {
	if p.shown == 0 {
		return firstRead
	}
	if p.buf.Len() >= pageBytes {
		return 0
	}
	return max(1, (pageBytes-p.buf.Len())*p.shown/p.buf.Len())
}

func (p *page) add(tasks []task.Task) {
	for _, t := range tasks {
		p.buf.WriteByte(',')
		p.buf.Write(t.AppendJSON(p.buf.AvailableBuffer()))
		p.shown++
	}
}

// end returns the array.
func (p *page) end() []byte {
	if p.shown == 0 {
		return []byte("[]")
	}
	p.buf.Bytes()[0] = '['
	p.buf.WriteByte(']')
	return p.buf.Bytes()
}

func filter(c echo.Context) (task.Filter, error) {
	var bad task.InvalidError
	f := task.Filter{
		Status: task.Status(c.QueryParam("status")), Type: strings.TrimSpace(c.QueryParam("type")),
		Before: queryInt(c, "cursor", 0, 1, 1<<63-1, &bad), Limit: int(queryInt(c, "limit", 100, 1, 1000, &bad)),
	}
	if f.Status != "" && !f.Status.Valid() {
		bad.Add("status", "unknown status %q: use one of %s", f.Status, names(task.Statuses))
	}
	if f.Type != "" {
		if msg := task.CheckName(f.Type, 200); msg != "" {
			bad.Add("type", "%s", msg)
		}
	}
	var err error
	if f.Match, err = task.ParseMatch(c.QueryParam("filter")); err != nil {
		invalid, _ := errors.AsType[*task.InvalidError](err)
		bad.Fields = append(bad.Fields, invalid.Fields...)
	}
	return f, bad.OrNil()
}

func names[T ~string](of []T) string {
	list := make([]string, len(of))
	for i, v := range of {
		list[i] = string(v)
	}
	return strings.Join(list, ", ")
}

// linkNext tells where the page after this one is.
func linkNext(c echo.Context, cursor string) {
	query := url.Values{}
	for name, values := range c.QueryParams() {
		query[name] = slices.Clone(values)
	}
	query.Set("cursor", cursor)
	c.Response().Header().Set("X-Next-Cursor", cursor)
	c.Response().Header().Set("Link", "<"+c.Request().URL.EscapedPath()+"?"+query.Encode()+`>; rel="next"`)
}

func (s *server) cancel(c echo.Context) error {
	id, err := taskID(c)
	if err != nil {
		return err
	}
	t, changed, err := s.queue.Cancel(c.Request().Context(), id)
	if err != nil {
		return err
	}
	message := "Task cancelled successfully"
	if !changed {
		message = "Task already " + string(t.Status) + ", cannot cancel"
	}
	return s.write(c, http.StatusOK, struct {
		TaskID  int64       `json:"task_id"`
		Status  task.Status `json:"status"`
		Message string      `json:"message"`
	}{t.ID, t.Status, message})
}

func (s *server) requeue(c echo.Context) error {
	id, err := taskID(c)
	if err != nil {
		return err
	}
	t, err := s.queue.Requeue(c.Request().Context(), id)
	return s.answerTask(c, t, err)
}

func (s *server) deleteTask(c echo.Context) error {
	id, err := taskID(c)
	if err != nil {
		return err
	}
	if err := s.queue.Delete(c.Request().Context(), id); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func (s *server) listAttempts(c echo.Context) error {
	id, err := taskID(c)
	if err != nil {
		return err
	}
	attempts, err := s.queue.Reader().ListAttempts(c.Request().Context(), id)
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, attempts)
}

func (s *server) stats(c echo.Context) error {
	stats, err := s.queue.Stats(c.Request().Context())
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, stats)
}
