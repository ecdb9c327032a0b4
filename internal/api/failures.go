package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

func (s *server) listFailures(c echo.Context) error {
	var bad task.InvalidError
	limit := int(queryInt(c, "limit", 100, 1, 1000, &bad))
	taskType := c.QueryParam("type")
	if taskType != "" {
		if msg := task.CheckName(taskType, 200); msg != "" {
			bad.Add("type", "%s", msg)
		}
	}
	if err := bad.OrNil(); err != nil {
		return err
	}
	list, err := s.queue.Failures(c.Request().Context(), taskType, limit)
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, list)
}

func (s *server) getFailure(c echo.Context) error {
	id, err := failureID(c)
	if err != nil {
		return err
	}
	f, err := s.queue.Failure(c.Request().Context(), id)
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, f)
}

// requeueFailure begins the operation at once, unless the body, which may be missing, asks for a dry run.
func (s *server) requeueFailure(c echo.Context) error {
	id, err := failureID(c)
	if err != nil {
		return err
	}
	var in struct {
		DryRun       bool   `json:"dry_run"`
		ConfirmToken string `json:"confirm_token"`
	}
	if c.Request().ContentLength != 0 {
		if err := s.read(c, &in); err != nil {
			return err
		}
	}
	ctx := c.Request().Context()
	if in.DryRun && in.ConfirmToken != "" {
		return task.Invalid("confirm_token", "goes without dry_run: leave one of them out")
	}
	if in.DryRun {
		p, err := s.queue.ProposeFailure(ctx, id)
		if err != nil {
			return err
		}
		c.Set(lookedOnly, true)
		return s.write(c, http.StatusOK, p)
	}
	o, err := s.queue.RequeueFailure(ctx, id, in.ConfirmToken)
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderLocation, operationPath(o.ID))
	return s.write(c, http.StatusAccepted, o)
}

func (s *server) dismissFailure(c echo.Context) error {
	id, err := failureID(c)
	if err != nil {
		return err
	}
	if err := s.queue.DismissFailure(c.Request().Context(), id); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// failureID reads the id in the path.
func failureID(c echo.Context) (string, error) {
	id := c.Param("failure_id")
	if !task.IsFingerprint(id) {
		return "", task.Invalid("failure_id", "must be 16 digits from 0 to f")
	}
	return id, nil
}
