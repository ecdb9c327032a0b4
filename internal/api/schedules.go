package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/task"
)

// scheduleName reads the name in the path.
func scheduleName(c echo.Context) (string, error) { return PathText(c, "name") }

func (s *server) listSchedules(c echo.Context) error {
	schedules, err := s.queue.Reader().ListSchedules(c.Request().Context())
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, schedules)
}

func (s *server) getSchedule(c echo.Context) error {
	name, err := scheduleName(c)
	if err != nil {
		return err
	}
	v, err := s.queue.Reader().GetSchedule(c.Request().Context(), name)
	return s.answerSchedule(c, http.StatusOK, v, err)
}

func (s *server) putSchedule(c echo.Context) error {
	name, err := scheduleName(c)
	if err != nil {
		return err
	}
	var spec task.ScheduleSpec
	if err := s.read(c, &spec); err != nil {
		return err
	}
	v, created, err := s.queue.PutSchedule(c.Request().Context(), name, spec)
	if created {
		return s.answerSchedule(c, http.StatusCreated, v, err)
	}
	return s.answerSchedule(c, http.StatusOK, v, err)
}

func (s *server) deleteSchedule(c echo.Context) error {
	name, err := scheduleName(c)
	if err != nil {
		return err
	}
	if err := s.queue.DeleteSchedule(c.Request().Context(), name); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func (s *server) pauseSchedule(c echo.Context) error {
	name, err := scheduleName(c)
	if err != nil {
		return err
	}
	v, err := s.queue.PauseSchedule(c.Request().Context(), name)
	return s.answerSchedule(c, http.StatusOK, v, err)
}

func (s *server) resumeSchedule(c echo.Context) error {
	name, err := scheduleName(c)
	if err != nil {
		return err
	}
	v, err := s.queue.ResumeSchedule(c.Request().Context(), name)
	return s.answerSchedule(c, http.StatusOK, v, err)
}

func (s *server) previewSchedule(c echo.Context) error {
	name, err := scheduleName(c)
	if err != nil {
		return err
	}
	var bad task.InvalidError
	n := queryInt(c, "n", 10, 1, queue.MaxPreview, &bad)
	if err := bad.OrNil(); err != nil {
		return err
	}
	times, err := s.queue.PreviewSchedule(c.Request().Context(), name, int(n))
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, times)
}

// answerSchedule answers with the schedule that a call returned, or with its error.
func (s *server) answerSchedule(c echo.Context, status int, v task.Schedule, err error) error {
	if err != nil {
		return err
	}
	return s.write(c, status, v)
}
