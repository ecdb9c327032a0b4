package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/prismq/thequeue/internal/task"
)

const maintenancePath = "/api/queue/maintenance/"

// DatabaseStats tells the sizes of the database.
func (c *Client) DatabaseStats(ctx context.Context) (d task.DatabaseStats, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: maintenancePath + "stats", twice: true}, &d)
	return d, err
}

// Checkpoint copies the write-ahead log of SQLite into the database, an empty mode standing for passive.
func (c *Client) Checkpoint(ctx context.Context, mode task.CheckpointMode) (d task.Checkpoint, err error) {
	err = c.maintain(ctx, "checkpoint", new(object).add("mode", mode), nil, &d)
	return d, err
}

// Vacuum gives pages back to the disk that hold nothing. Here and below tell, unless it is nil, is called now and then with how far it has come. It goes on as long as ctx does; it is not
// tried again.
func (c *Client) Vacuum(ctx context.Context, tell func(task.Progress)) (d task.Vacuum, err error) {
	err = c.maintain(ctx, "vacuum", new(object), tell, &d)
	return d, err
}

// VacuumCost tells what a full vacuum takes.
func (c *Client) VacuumCost(ctx context.Context) (d task.VacuumCost, err error) {
	err = c.maintain(ctx, "vacuum", new(object).add("full", true).add("dry_run", true), nil, &d)
	return d, err
}

// FullVacuum is refused by every server: task.ErrConflict says what to do.
func (c *Client) FullVacuum(ctx context.Context, tell func(task.Progress)) (d task.Vacuum, err error) {
	err = c.maintain(ctx, "vacuum", new(object).add("full", true), tell, &d)
	return d, err
}

// Analyze renews what the planner of the database knows of a table, or of all for the empty string.
func (c *Client) Analyze(ctx context.Context, table string, tell func(task.Progress)) (d task.Analysis, err error) {
	err = c.maintain(ctx, "analyze", new(object).add("table", table), tell, &d)
	return d, err
}

// CheckIntegrity looks for what is broken in the database.
func (c *Client) CheckIntegrity(ctx context.Context, tell func(task.Progress)) (d task.Integrity, err error) {
	err = c.maintain(ctx, "integrity-check", new(object), tell, &d)
	return d, err
}

// Optimize analyzes the tables that have changed much. A full one vacuums, analyzes every table, and makes a checkpoint.
func (c *Client) Optimize(ctx context.Context, full bool, tell func(task.Progress)) (d task.Optimization, err error) {
	err = c.maintain(ctx, "optimize", new(object).add("full", full), tell, &d)
	return d, err
}

// Retain deletes at once the ended tasks and lines of logs whose retention is over.
func (c *Client) Retain(ctx context.Context, tell func(task.Progress)) (d task.Retained, err error) {
	err = c.maintain(ctx, "retention", new(object), tell, &d)
	return d, err
}

// Reclaim takes back the leases that have run out.
func (c *Client) Reclaim(ctx context.Context) (d task.Reclaimed, err error) {
	err = c.maintain(ctx, "reclaim", new(object), nil, &d)
	return d, err
}

// StopMaintenance ends the long piece of maintenance that the server does, and returns which. Error: task.ErrNotFound.
func (c *Client) StopMaintenance(ctx context.Context) (string, error) {
	var out struct {
		Verb string `json:"verb"`
	}
	_, err := c.do(ctx, call{method: http.MethodDelete, path: maintenancePath + "running"}, &out)
	return out.Verb, err
}

// maintain has the server do something that may take any time, and reads the stream of its progress to the end.
func (c *Client) maintain(ctx context.Context, verb string, in *object, tell func(task.Progress), out any) error {
	body, err := in.bytes()
	if err != nil {
		return err
	}
	req, err := c.request(ctx, http.MethodPost, maintenancePath+verb, body)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream, application/json")
	resp, err := c.o.HTTP.Do(req)
	if err != nil {
		_, err = afterBreak(ctx, err)
		return err
	}
	defer resp.Body.Close()
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return readProgress(ctx, resp, tell, out)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, longestAnswer))
	if err != nil {
		_, err = afterBreak(ctx, err)
		return err
	}
	_, err = read(resp, b, out)
	return err
}

// readProgress reads a stream whose last event is done or failed.
func readProgress(ctx context.Context, resp *http.Response, tell func(task.Progress), out any) error {
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, longestEvent)
	event := ""
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case name == "event":
			event = value
		case name != "data":
		case event == "done":
			return json.Unmarshal([]byte(value), out)
		case event == "failed":
			return problem(&http.Response{StatusCode: statusOf([]byte(value))}, []byte(value))
		default:
			var p task.Progress
			if err := json.Unmarshal([]byte(value), &p); err != nil {
				return fmt.Errorf("read an event: %w", err)
			}
			if tell != nil {
				tell(p)
			}
		}
	}
	if err := lines.Err(); err != nil {
		_, err = afterBreak(ctx, err)
		return err
	}
	return fmt.Errorf("%w: %w", errUnclear, errors.New("the stream ended early"))
}

// statusOf reads the status of a problem that comes in a stream.
func statusOf(problem []byte) int {
	var p struct {
		Status int `json:"status"`
	}
	_ = json.Unmarshal(problem, &p) // what cannot be read has none
	return p.Status
}
