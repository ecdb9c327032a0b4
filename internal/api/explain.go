package api

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

func (s *server) explain(c echo.Context) error {
	id, err := taskID(c)
	if err != nil {
		return err
	}
	e, err := s.queue.Explain(c.Request().Context(), id)
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, e)
}

func (s *server) listStranded(c echo.Context) error {
	lanes, err := s.queue.Stranded(c.Request().Context())
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, lanes)
}
