package api

import (
	"fmt"
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

// ready answers 200 when requests can be served. The caller learns the reason why not where it is one of the table.
func (s *server) ready(c echo.Context) error {
	if err := s.Ready(c.Request().Context()); err != nil {
		if r, _ := classify(err); r.retry {
			return err
		}
		return fmt.Errorf("%w: %w", errNotReady, err)
	}
	return s.write(c, http.StatusOK, health{"ready", s.Version})
}
