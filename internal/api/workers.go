package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

func (s *server) listWorkers(c echo.Context) error {
	state := task.WorkerState(c.QueryParam("state"))
	if known := []task.WorkerState{task.WorkerLive, task.WorkerDraining, task.WorkerStale}; state != "" && !slices.Contains(known, state) {
		return task.Invalid("state", "unknown state %q: use one of %s", state, names(known))
	}
	workers, err := s.queue.Workers(c.Request().Context())
	if err != nil {
		return err
	}
	if state != "" {
		workers = slices.DeleteFunc(workers, func(w task.WorkerStatus) bool { return w.State != state })
	}
	return s.write(c, http.StatusOK, workers)
}

func (s *server) getWorker(c echo.Context) error {
	id, err := workerID(c)
	if err != nil {
		return err
	}
	w, err := s.queue.Worker(c.Request().Context(), id)
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, w)
}

func (s *server) reclaimWorker(c echo.Context) error {
	id, err := workerID(c)
	if err != nil {
		return err
	}
	ids, err := s.queue.ReclaimWorker(c.Request().Context(), id)
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, struct {
		TaskIDs []int64 `json:"task_ids"`
	}{ids})
}

func (s *server) cleanWorkers(c echo.Context) error {
	var in struct {
		OlderThan float64 `json:"older_than_seconds"`
		Force     bool    `json:"force"`
	}
	if err := s.read(c, &in); err != nil {
		return err
	}
	cleaned, err := s.queue.CleanWorkers(c.Request().Context(), duration(in.OlderThan), in.Force)
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, cleaned)
}

func (s *server) workerHeartbeat(c echo.Context) error {
	id, err := workerID(c)
	if err != nil {
		return err
	}
	var in struct {
		Capabilities *task.JSON `json:"capabilities"`
		Types        []string   `json:"types"`
	}
	if err := s.read(c, &in); err != nil {
		return err
	}
	pulse, err := s.queue.WorkerHeartbeat(c.Request().Context(), id, in.Capabilities, in.Types)
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, struct {
		Drain bool `json:"drain"`
	}{pulse.Drain})
}

func (s *server) drainWorker(c echo.Context) error { return s.turnWorker(c, s.queue.DrainWorker) }

func (s *server) resumeWorker(c echo.Context) error { return s.turnWorker(c, s.queue.ResumeWorker) }

func (s *server) turnWorker(c echo.Context, turn func(context.Context, string) (task.Worker, error)) error {
	id, err := workerID(c)
	if err != nil {
		return err
	}
	w, err := turn(c.Request().Context(), id)
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, w)
}

func (s *server) deleteWorker(c echo.Context) error {
	id, err := workerID(c)
	if err != nil {
		return err
	}
	if err := s.queue.DeleteWorker(c.Request().Context(), id); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
