package api

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/task"
)

func (s *server) metrics(c echo.Context) error {
	window, taskType, err := measured(c)
	if err != nil {
		return err
	}
	m, err := s.queue.Metrics(c.Request().Context(), window, taskType)
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, m)
}

func (s *server) history(c echo.Context) error {
	window, taskType, err := measured(c)
	if err != nil {
		return err
	}
	points, err := s.queue.History(c.Request().Context(), window, taskType)
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, points)
}

// measured reads what metrics are about: a time and, unless it is empty, a type.
func measured(c echo.Context) (over time.Duration, taskType string, err error) {
	over, err = window(c)
	taskType = c.QueryParam("type")
	if err == nil && taskType != "" {
		if msg := task.CheckName(taskType, 200); msg != "" {
			err = task.Invalid("type", "%s", msg)
		}
	}
	return over, taskType, err
}

// window reads the time that metrics are about.
func window(c echo.Context) (time.Duration, error) {
	text := c.QueryParam("window")
	if text == "" {
		return queue.DefaultWindow, nil
	}
	d, ok := task.ParseAge(text)
	if !ok {
		return 0, task.Invalid("window", "must be a length of time in w, d, h, m and s, such as 1h, 24h or 7d")
	}
	return d, nil
}
