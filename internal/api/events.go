package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/clock"
	"github.com/prismq/thequeue/internal/task"
)

const (
	// stillThere is how often a stream without events says that it is still there, so that neither a proxy nor a client gives it up.
	stillThere = 15 * time.Second
	// eventTimeout is how long a client may take for what it is sent. One that reads no more is left.
	eventTimeout = 30 * time.Second
	// comeBack is when a client that has lost the stream connects again, in milliseconds.
	comeBack = "1000"
)

func (s *server) streamEvents(c echo.Context) error {
	f, bad := eventFilter(c)
	f.TaskID = queryInt(c, "task_id", 0, 1, 1<<63-1, bad)
	return s.stream(c, f, bad)
}

func (s *server) streamTaskEvents(c echo.Context) error {
	f, bad := eventFilter(c)
	var err error
	if f.TaskID, err = taskID(c); err != nil {
		return err
	}
	if _, err := s.queue.Reader().GetTask(c.Request().Context(), f.TaskID); err != nil {
		return err
	}
	return s.stream(c, f, bad)
}

func eventFilter(c echo.Context) (f task.EventFilter, bad *task.InvalidError) {
	bad = new(task.InvalidError)
	f.Types = queryList[string](c, "type")
	for _, t := range f.Types {
		if msg := task.CheckName(t, 200); msg != "" {
			bad.Add("type", "%s", msg)
		}
	}
	f.Statuses = queryList[task.Status](c, "status")
	oneOf("status", f.Statuses, []task.Status{task.Queued, task.Processing, task.Completed, task.Failed}, bad)
	f.Names = queryList[task.EventName](c, "event")
	oneOf("event", f.Names, task.EventNames, bad)
	return f, bad
}

// queryList reads a list with commas; nil when it is absent or empty.
func queryList[T ~string](c echo.Context, name string) []T {
	var out []T
	for _, values := range c.QueryParams()[name] {
		for _, v := range strings.Split(values, ",") {
			if v = strings.TrimSpace(v); v != "" {
				out = append(out, T(v))
			}
		}
	}
	return out
}

func oneOf[T ~string](name string, given, known []T, bad *task.InvalidError) {
	for _, v := range given {
		if !slices.Contains(known, v) {
			bad.Add(name, "unknown %s %q: use one of %s", name, v, names(known))
		}
	}
}

// lastEventID is the id of the last event that the client has seen; 0 when it does not say. A browser sends it as a header when it connects
// again, and has only the query at first.
func lastEventID(c echo.Context, bad *task.InvalidError) int64 {
	text := c.Request().Header.Get("Last-Event-ID")
	if text == "" {
		return queryInt(c, "last_event_id", 0, 1, 1<<53, bad)
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 || id > 1<<53 {
		bad.Add("Last-Event-ID", "must be the id of an event: leave it out to see what happens from now on")
	}
	return id
}

// stream sends events as they happen until the client goes or the server stops: server-sent events, as the HTML standard has them.
func (s *server) stream(c echo.Context, f task.EventFilter, bad *task.InvalidError) error {
	after := lastEventID(c, bad)
	if err := bad.OrNil(); err != nil {
		return err
	}
	leave, err := s.waiting.enter(c)
	if err != nil {
		return err
	}
	defer leave()
	whole, stop := s.whileAdmitted(c)
	defer stop()
	events := s.queue.Events(f, after)
	s.beginStream(c)
	text := []byte("retry: " + comeBack + "\n\n")
	for {
		if err := s.send(c, text); err != nil {
			return nil // the client has gone, and the answer with it
		}
		ctx, stop := context.WithTimeout(whole, stillThere)
		es, missed, err := events.Next(ctx)
		stop()
		switch {
		case errors.Is(err, context.DeadlineExceeded) && whole.Err() == nil:
			text = append(text[:0], ": still there\n\n"...)
		case err != nil:
			return nil
		default:
			if text, err = appendEvents(text[:0], es, missed); err != nil {
				return err
			}
		}
	}
}

// beginStream writes the head of a stream.
func (s *server) beginStream(c echo.Context) {
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, "text/event-stream")
	h.Set(echo.HeaderCacheControl, "no-store")
	h.Set("X-Accel-Buffering", "no") // of nginx, which would hold them back
	c.Response().WriteHeader(http.StatusOK)
}

// send writes a piece of a stream and gives it to the network at once. Deadlines of connections are of the clock of this machine, whatever that of the store says.
func (s *server) send(c echo.Context, text []byte) error {
	out := http.NewResponseController(c.Response().Writer)
	if err := out.SetWriteDeadline(clock.Wall().Add(eventTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := c.Response().Write(text); err != nil {
		return err
	}
	return out.Flush()
}

// appendEvents writes events for a stream. Where some were missed, an event says so that has no id.
func appendEvents(b []byte, es []task.Event, missed bool) ([]byte, error) {
	if missed {
		b = append(b, "event: missed\ndata: {\"event\":\"missed\",\"message\":\"Events before this are not kept any more: read what you need anew\"}\n\n"...)
	}
	for _, e := range es {
		data, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		b = append(append(b, "event: "...), e.Name...)
		b = strconv.AppendInt(append(b, "\nid: "...), e.ID, 10)
		b = append(append(append(b, "\ndata: "...), data...), "\n\n"...)
	}
	return b, nil
}
