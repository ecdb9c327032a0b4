package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// runPath is the path of a run, or of a call on it.
func runPath(runID, call string) string { return "/api/runs/" + url.PathEscape(runID) + call }

// StartRun stores a run of a module with its parameters, a JSON object, empty for none. An empty runID has the server make one, and then a call whose answer is lost is not sent
// again. The run that has the id already comes back unchanged.
func (c *Client) StartRun(ctx context.Context, module string, parameters task.JSON, runID string) (r task.Run, err error) {
	o := new(object)
	if parameters != "" {
		o.add("parameters", parameters)
	}
	if runID != "" {
		o.add("run_id", runID)
	}
	b, err := o.bytes()
	if err != nil {
		return task.Run{}, err
	}
	_, err = c.do(ctx, call{method: http.MethodPost, path: "/api/modules/" + url.PathEscape(module) + "/run", body: b, twice: runID != ""}, &r)
	return r, err
}

// Runs returns up to f.Limit runs (0: 50, at most 100), newest first, from behind f.Skip, and how many there are in all.
func (c *Client) Runs(ctx context.Context, f task.RunFilter) (rs task.Runs, err error) {
	q := query("status", string(f.Status), "module", f.Type, "limit", number(int64(f.Limit)), "offset", number(int64(f.Skip)))
	_, err = c.do(ctx, call{method: http.MethodGet, path: "/api/runs" + q, twice: true}, &rs)
	return rs, err
}

// Run returns a run.
func (c *Client) Run(ctx context.Context, runID string) (r task.Run, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: runPath(runID, ""), twice: true}, &r)
	return r, err
}

// CancelRun cancels a queued or running run; task.ErrConflict for one that has ended, be it by a first try of this very call.
func (c *Client) CancelRun(ctx context.Context, runID string) (r task.Run, err error) {
	_, err = c.do(ctx, call{method: http.MethodPost, path: runPath(runID, "/cancel"), twice: true}, &r)
	return r, err
}

// RunLogs returns the last tail lines (0: 500) of the log of a run, from since on, where that is not zero.
func (c *Client) RunLogs(ctx context.Context, runID string, tail int, since time.Time) (ls task.RunLogs, err error) {
	q := query("tail", number(int64(tail)), "since", instant(since))
	_, err = c.do(ctx, call{method: http.MethodGet, path: runPath(runID, "/logs") + q, twice: true}, &ls)
	return ls, err
}

// FollowRun calls each for the last 500 lines of the log of a run and for those that come, and returns its status when it has ended. A connection that breaks is made anew. An
// error of each comes back.
func (c *Client) FollowRun(ctx context.Context, runID string, each func(task.RunLog) error) (task.RunStatus, error) {
	var after int64
	for try := 0; ; try++ {
		status, begun, err := c.followRun(ctx, runID, &after, each)
		if stop, ok := errors.AsType[stopped](err); ok {
			return "", stop.error
		}
		if status != "" {
			return status, nil
		}
		if begun {
			try = 0
		}
		if ctx.Err() != nil || try >= max(c.o.Retries, reconnects) {
			return "", errors.Join(ctx.Err(), err)
		}
		if !sleep(ctx, min(backoff(try), longestLull)) {
			return "", ctx.Err()
		}
	}
}

func (c *Client) followRun(ctx context.Context, runID string, after *int64, each func(task.RunLog) error) (status task.RunStatus, begun bool, err error) {
	req, err := c.request(ctx, http.MethodGet, runPath(runID, "/logs/stream"), nil)
	if err != nil {
		return "", false, stopped{err}
	}
	if *after > 0 {
		req.Header.Set("Last-Event-ID", strconv.FormatInt(*after, 10))
	}
	resp, err := c.o.HTTP.Do(req)
	if err != nil {
		return "", false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		pause, err := read(resp, b, nil)
		if pause < 0 {
			err = stopped{err}
		}
		return "", false, err
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, longestEvent)
	complete := false
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case name == "event":
			complete = value == "complete"
		case name == "data" && complete:
			var end struct {
				Status task.RunStatus `json:"status"`
			}
			if err := json.Unmarshal([]byte(value), &end); err != nil {
				return "", true, stopped{fmt.Errorf("read the end of a run: %w", err)}
			}
			return end.Status, true, nil
		case name == "data":
			var l task.RunLog
			if err := json.Unmarshal([]byte(value), &l); err != nil {
				return "", true, stopped{fmt.Errorf("read a line of a run: %w", err)}
			}
			*after = l.LogID
			if err := each(l); err != nil {
				return "", true, stopped{err}
			}
		}
	}
	return "", true, lines.Err()
}
