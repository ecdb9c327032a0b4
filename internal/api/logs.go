package api

import (
	"net/http"

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
		bad.Add("level", "unknown level %q: use one of %s", f.Level, names([]task.Level{task.Debug, task.Info, task.Warning, task.Error}))
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
