package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

func (s *server) listTypes(c echo.Context) error {
	types, err := s.queue.Types(c.Request().Context())
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, types)
}

func (s *server) getType(c echo.Context) error {
	name, err := PathText(c, "type")
	if err != nil {
		return err
	}
	t, err := s.queue.Type(c.Request().Context(), name)
	return s.answerType(c, t, err)
}

func (s *server) putType(c echo.Context) error {
	name, err := PathText(c, "type")
	if err != nil {
		return err
	}
	var in task.TypeRules
	if err := s.read(c, &in); err != nil {
		return err
	}
	t, err := s.queue.PutType(c.Request().Context(), name, in)
	return s.answerType(c, t, err)
}

func (s *server) pauseType(c echo.Context) error {
	name, err := PathText(c, "type")
	if err != nil {
		return err
	}
	t, err := s.queue.PauseType(c.Request().Context(), name)
	return s.answerType(c, t, err)
}

func (s *server) resumeType(c echo.Context) error {
	name, err := PathText(c, "type")
	if err != nil {
		return err
	}
	t, err := s.queue.ResumeType(c.Request().Context(), name)
	return s.answerType(c, t, err)
}

func (s *server) answerType(c echo.Context, t task.TypeStatus, err error) error {
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, t)
}
