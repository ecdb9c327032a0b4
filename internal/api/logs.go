package api

import (
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

type logRequest struct {
	holder
	Level   task.Level `json:"level"`
	Message string     `json:"message"`
	Details *task.JSON `json:"details"`
}

func (s *server) appendLog(c echo.Context) error {
	id, in, err := leased[logRequest](s, c)
	if err != nil {
		return err
	}
	line := task.Log{Level: in.Level, Message: in.Message, Details: in.Details}
	stored, err := s.queue.AppendLog(c.Request().Context(), id, in.LeaseToken, line)
	if err != nil {
		return err
	}
	return s.write(c, http.StatusCreated, stored)
}

func (s *server) listLogs(c echo.Context) error {
	id, err := taskID(c)
	if err != nil {
		return err
	}
	var bad task.InvalidError
	f := task.LogFilter{
		TaskID: id, Level: task.Level(c.QueryParam("level")),
		After: queryInt(c, "after", 0, 0, 1<<63-1, &bad), Limit: int(queryInt(c, "limit", 100, 1, 1000, &bad)),
	}
	if f.Level != "" && !f.Level.Valid() {
		bad.Add("level", "unknown level %q: use one of %s", f.Level, names(task.Levels))
	}
	if err := bad.OrNil(); err != nil {
		return err
	}
	lines, err := s.queue.Reader().ListLogs(c.Request().Context(), f)
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, lines)
}

func (s *server) listRecentLogs(c echo.Context) error {
	var bad task.InvalidError
	f := task.RecentLogFilter{
		Level: task.Level(c.QueryParam("level")), Type: c.QueryParam("type"), Word: c.QueryParam("q"), TaskID: queryInt(c, "task", 0, 1, 1<<63-1, &bad),
		Since: queryTime(c, "since", &bad), Until: queryTime(c, "until", &bad), Limit: int(queryInt(c, "limit", 100, 1, 1000, &bad)),
	}
	if f.Level != "" && !f.Level.Valid() {
		bad.Add("level", "unknown level %q: use one of %s", f.Level, names(task.Levels))
	}
	if f.Type != "" {
		if msg := task.CheckName(f.Type, 200); msg != "" {
			bad.Add("type", "%s", msg)
		}
	}
	if msg := task.CheckText(f.Word, 1000); msg != "" {
		bad.Add("q", "%s", msg)
	}
	if cursor := c.QueryParam("cursor"); cursor != "" {
		if n, err := fmt.Sscanf(cursor, "%d.%d", &f.Before.LogID, &f.Before.TaskID); err != nil || n != 2 || f.Before.LogID < 1 || placeText(f.Before) != cursor {
			bad.Add("cursor", "must be the X-Next-Cursor of a page before")
		}
	}
	if err := bad.OrNil(); err != nil {
		return err
	}
	lines, next, err := s.queue.Reader().ListRecentLogs(c.Request().Context(), f)
	if err != nil {
		return err
	}
	if next != nil {
		linkNext(c, placeText(*next))
	}
	return s.write(c, http.StatusOK, append([]task.RecentLog{}, lines...))
}

func placeText(p task.LogPlace) string { return fmt.Sprintf("%d.%d", p.LogID, p.TaskID) }

func (s *server) deleteLogs(c echo.Context) error {
	var bad task.InvalidError
	before := queryTime(c, "before", &bad)
	if c.QueryParam("before") == "" {
		bad.Add("before", "is missing: which lines?")
	}
	dryRun := c.QueryParam("dry_run")
	if dryRun != "" && dryRun != "true" && dryRun != "false" {
		bad.Add("dry_run", "must be true or false")
	}
	if err := bad.OrNil(); err != nil {
		return err
	}
	done, err := s.queue.DeleteLogs(c.Request().Context(), before, dryRun == "true")
	if err != nil {
		return err
	}
	if dryRun == "true" {
		c.Set(lookedOnly, true)
	}
	return s.write(c, http.StatusOK, done)
}

// queryTime reads an instant; zero where there is none.
func queryTime(c echo.Context, name string, bad *task.InvalidError) time.Time {
	text := c.QueryParam(name)
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		bad.Add(name, "must be a time like 2026-01-31T08:00:00Z")
	}
	return at.UTC()
}
