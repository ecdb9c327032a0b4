package api

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

type health struct {
	Status  string `json:"status"`
	Version string `json:"version"`
}

// live answers as long as the process can answer at all.
func (s *server) live(c echo.Context) error {
	return s.write(c, http.StatusOK, health{"live", s.Version})
}

// ready answers 200 when requests can be served. The reason why not is in the log; the caller learns it where it is one of the table.
func (s *server) ready(c echo.Context) error {
	if err := s.Ready(c.Request().Context()); err != nil {
		if r, _ := classify(err); r.retry {
			return err
		}
		s.Log.Warn("not ready", "error", err)
		return errNotReady
	}
	return s.write(c, http.StatusOK, health{"ready", s.Version})
}
