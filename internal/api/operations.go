package api

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

// postOperation answers to a dry run with what would be changed, and to its token with the operation that has begun.
func (s *server) postOperation(c echo.Context) error {
	var in struct {
		task.OperationSpec
		DryRun       bool   `json:"dry_run"`
		ConfirmToken string `json:"confirm_token"`
	}
	if err := s.read(c, &in); err != nil {
		return err
	}
	switch ctx := c.Request().Context(); {
	case in.DryRun && in.ConfirmToken != "":
		return task.Invalid("confirm_token", "goes without dry_run: leave one of them out")
	case in.DryRun:
		p, err := s.queue.Propose(ctx, in.OperationSpec)
		if err != nil {
			return err
		}
		c.Set(lookedOnly, true)
		return s.write(c, http.StatusOK, p)
	case in.ConfirmToken == "":
		return task.Invalid("confirm_token", "is missing: send the request with dry_run: true first, and then with that of the answer")
	default:
		o, err := s.queue.StartOperation(ctx, in.OperationSpec, in.ConfirmToken)
		if err != nil {
			return err
		}
		c.Response().Header().Set(echo.HeaderLocation, operationPath(o.ID))
		return s.write(c, http.StatusAccepted, o)
	}
}

func operationPath(id int64) string { return base + "/operations/" + strconv.FormatInt(id, 10) }

func (s *server) listOperations(c echo.Context) error {
	var bad task.InvalidError
	before := queryInt(c, "cursor", 0, 1, 1<<63-1, &bad)
	limit := int(queryInt(c, "limit", 100, 1, 1000, &bad))
	if err := bad.OrNil(); err != nil {
		return err
	}
	list, err := s.queue.Reader().ListOperations(c.Request().Context(), before, limit+1)
	if err != nil {
		return err
	}
	if len(list) > limit {
		list = list[:limit]
		linkNext(c, strconv.FormatInt(list[limit-1].ID, 10))
	}
	return s.write(c, http.StatusOK, list)
}

func (s *server) getOperation(c echo.Context) error {
	id, err := operationID(c)
	if err != nil {
		return err
	}
	o, err := s.queue.Reader().GetOperation(c.Request().Context(), id)
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, o)
}

func (s *server) cancelOperation(c echo.Context) error {
	id, err := operationID(c)
	if err != nil {
		return err
	}
	o, err := s.queue.CancelOperation(c.Request().Context(), id)
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, o)
}

// operationID reads the id in the path. One that is too large for any operation returns ErrNotFound.
func operationID(c echo.Context) (int64, error) {
	id, err := strconv.ParseInt(c.Param("operation_id"), 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return 0, task.ErrNotFound
	}
	if err != nil {
		return 0, task.Invalid("operation_id", "must be an integer")
	}
	return id, nil
}
