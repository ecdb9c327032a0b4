package api

import (
	"context"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

// lookedOnly is set by a handler that has changed nothing: it was a dry run.
const lookedOnly = "looked only"

// madeName is set by a handler to the name of what it has made, where the path does not have it.
const madeName = "made name"

// auditedByKey is audited where it is known who the caller is: without keys, programs do this to tasks too, whose log says it.
func (s *server) auditedByKey(action string, do echo.HandlerFunc) echo.HandlerFunc {
	audited := s.audited(action, do)
	return func(c echo.Context) error {
		if CallerOf(c).Key == nil {
			return do(c)
		}
		return audited(c)
	}
}

// audited keeps in the audit what an operator has done. The answer does not wait for it, and is right without it.
func (s *server) audited(action string, do echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := do(c); err != nil || c.Get(lookedOnly) != nil {
			return err
		}
		a := task.Audit{Actor: Actor(c, "API"), Action: action, Message: c.Request().Method + " " + c.Request().URL.EscapedPath()}
		if names := c.ParamNames(); len(names) > 0 {
			var err error
			if a.Subject, err = PathText(c, names[0]); err != nil {
				a.Subject = c.Param(names[0])
			}
		}
		if name, ok := c.Get(madeName).(string); ok {
			a.Subject = name
		}
		ctx := context.WithoutCancel(c.Request().Context())
		if _, err := s.queue.Audit(ctx, a); err != nil {
			s.Log.ErrorContext(ctx, "no audit row", "action", a.Action, "subject", a.Subject, "error", err)
		}
		return nil
	}
}
