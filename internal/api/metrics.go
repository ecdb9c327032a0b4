package api

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/task"
)

func (s *server) metrics(c echo.Context) error {
	window, err := window(c)
	if err != nil {
		return err
	}
	taskType := c.QueryParam("type")
	if taskType != "" {
		if msg := task.CheckName(taskType, 200); msg != "" {
			return task.Invalid("type", "%s", msg)
		}
	}
	m, err := s.queue.Metrics(c.Request().Context(), window, taskType)
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, m)
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
