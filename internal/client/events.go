package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// longestEvent bounds one line of a stream, in bytes: an event with the longest line of a log fits.
	longestEvent = 1 << 20
	// reconnects is how often a stream that had begun is asked for again, and longestLull the longest pause before that: a server has about a minute to start again.
	reconnects  = 32
	longestLull = 2 * time.Second
)

// Events calls each for every event that f chooses, from now on or, where after is not 0, from the event after that one on, until ctx ends or each returns an error, which
// comes back. each is first called with a nil event once the stream has begun: what was read before that may be old. It is called with one, too, when events were missed. A
// connection that breaks is made anew, and goes on after the last event: for about a minute, unless nothing is to be tried again.
func (c *Client) Events(ctx context.Context, f task.EventFilter, after int64, each func(*task.Event) error) error {
	tries := c.o.Retries
	for try := 0; ; try++ {
		begun, err := c.follow(ctx, f, &after, each)
		if begun {
			if try = 0; tries > 0 {
				tries = max(tries, reconnects)
			}
		}
		if stop, ok := err.(stopped); ok {
			return stop.error
		}
		if ctx.Err() != nil || (err != nil && try >= tries) {
			return err
		}
		if !sleep(ctx, min(backoff(try), longestLull)) {
			return ctx.Err()
		}
	}
}

// stopped is an error after which the stream is not followed any more.
type stopped struct{ error }

// follow reads one connection to its end.
func (c *Client) follow(ctx context.Context, f task.EventFilter, after *int64, each func(*task.Event) error) (begun bool, err error) {
	req, err := c.request(ctx, http.MethodGet, eventsPath(f), nil)
	if err != nil {
		return false, stopped{err}
	}
	req.Header.Set("Accept", "text/event-stream")
	if *after > 0 {
		req.Header.Set("Last-Event-ID", strconv.FormatInt(*after, 10))
	}
	resp, err := c.o.HTTP.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		if pause, err := read(resp, b, nil); pause < 0 {
			return false, stopped{err}
		} else {
			return false, err
		}
	}
	if err := each(nil); err != nil {
		return true, stopped{err}
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, longestEvent)
	missed := false
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case name == "event":
			missed = value == "missed"
		case name == "data" && missed:
			if err := each(nil); err != nil {
				return true, stopped{err}
			}
		case name == "data":
			var e task.Event
			if err := json.Unmarshal([]byte(value), &e); err != nil {
				return true, stopped{fmt.Errorf("read an event: %w", err)}
			}
			*after = e.ID
			if err := each(&e); err != nil {
				return true, stopped{err}
			}
		}
	}
	return true, lines.Err()
}

func eventsPath(f task.EventFilter) string {
	query := url.Values{}
	set := func(name string, values []string) {
		if len(values) > 0 {
			query.Set(name, strings.Join(values, ","))
		}
	}
	set("type", f.Types)
	set("status", texts(f.Statuses))
	set("event", texts(f.Names))
	path := "/api/queue/events"
	if f.TaskID != 0 {
		path = taskPath(f.TaskID, "/events")
	}
	return path + "?" + query.Encode()
}

func texts[T ~string](vs []T) []string {
	out := make([]string, len(vs))
	for i, v := range vs {
		out[i] = string(v)
	}
	return out
}
