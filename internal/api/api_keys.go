package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

func (s *server) listKeys(c echo.Context) error {
	keys, err := s.queue.APIKeys(c.Request().Context())
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, keys)
}

func (s *server) createKey(c echo.Context) error {
	var spec task.APIKeySpec
	if err := s.read(c, &spec); err != nil {
		return err
	}
	k, err := s.queue.CreateAPIKey(c.Request().Context(), spec)
	if err != nil {
		return err
	}
	return s.showKey(c, k)
}

func (s *server) rotateKey(c echo.Context) error {
	var in struct {
		OverlapSeconds   float64  `json:"overlap_seconds"`
		ExpiresInSeconds *float64 `json:"expires_in_seconds"`
	}
	if c.Request().ContentLength != 0 {
		if err := s.read(c, &in); err != nil {
			return err
		}
	}
	id, err := PathText(c, "key_id")
	if err != nil {
		return err
	}
	k, err := s.queue.RotateAPIKey(c.Request().Context(), id, duration(in.OverlapSeconds), in.ExpiresInSeconds)
	if err != nil {
		return err
	}
	return s.showKey(c, k)
}

// showKey answers with a key, which is shown this once.
func (s *server) showKey(c echo.Context, k task.NewAPIKey) error {
	c.Set(madeName, k.Name+" "+k.KeyID)
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	return s.write(c, http.StatusCreated, k)
}

func (s *server) revokeKey(c echo.Context) error {
	id, err := PathText(c, "key_id")
	if err != nil {
		return err
	}
	k, err := s.queue.RevokeAPIKey(c.Request().Context(), id)
	if err != nil {
		return err
	}
	c.Set(madeName, k.Name+" "+k.KeyID)
	return s.write(c, http.StatusOK, k)
}

func (s *server) deleteKey(c echo.Context) error {
	id, err := PathText(c, "key_id")
	if err != nil {
		return err
	}
	if err := s.queue.DeleteAPIKey(c.Request().Context(), id); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
