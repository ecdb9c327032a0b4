package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/clock"
	"github.com/prismq/thequeue/internal/task"
)

const eventStream = "text/event-stream"

func (s *server) databaseStats(c echo.Context) error {
	stats, err := s.queue.DatabaseStats(c.Request().Context())
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, stats)
}

func (s *server) checkpoint(c echo.Context) error {
	var in struct {
		Mode task.CheckpointMode `json:"mode"`
	}
	if err := s.readIfAny(c, &in); err != nil {
		return err
	}
	done, err := s.queue.Checkpoint(c.Request().Context(), in.Mode)
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, done)
}

// vacuum is the one in steps. That which writes the database anew is only looked at here: nothing could be claimed while a server did it.
func (s *server) vacuum(c echo.Context) error {
	var in struct {
		Full   bool `json:"full"`
		DryRun bool `json:"dry_run"`
	}
	if err := s.readIfAny(c, &in); err != nil {
		return err
	}
	switch {
	case in.DryRun && !in.Full:
		return task.Invalid("dry_run", "goes with full: true alone; the vacuum in steps costs next to nothing")
	case in.DryRun:
		cost, err := s.queue.VacuumCost(c.Request().Context())
		if err != nil {
			return err
		}
		c.Set(lookedOnly, true)
		return s.write(c, http.StatusOK, cost)
	case in.Full:
		return errFullVacuum
	}
	return long(s, c, s.queue.Vacuum)
}

func (s *server) analyze(c echo.Context) error {
	var in struct {
		Table string `json:"table"`
	}
	if err := s.readIfAny(c, &in); err != nil {
		return err
	}
	return long(s, c, func(ctx context.Context, tell func(task.Progress)) (task.Analysis, error) {
		return s.queue.Analyze(ctx, in.Table, tell)
	})
}

func (s *server) checkIntegrity(c echo.Context) error {
	if err := s.readIfAny(c, &struct{}{}); err != nil {
		return err
	}
	return long(s, c, s.queue.CheckIntegrity)
}

func (s *server) optimize(c echo.Context) error {
	var in struct {
		Full bool `json:"full"`
	}
	if err := s.readIfAny(c, &in); err != nil {
		return err
	}
	return long(s, c, func(ctx context.Context, tell func(task.Progress)) (task.Optimization, error) {
		return s.queue.Optimize(ctx, in.Full, tell)
	})
}

func (s *server) retain(c echo.Context) error {
	if err := s.readIfAny(c, &struct{}{}); err != nil {
		return err
	}
	return long(s, c, s.queue.Retain)
}

func (s *server) reclaim(c echo.Context) error {
	if err := s.readIfAny(c, &struct{}{}); err != nil {
		return err
	}
	done, err := s.queue.Reclaim(c.Request().Context())
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, done)
}

func (s *server) stopMaintenance(c echo.Context) error {
	verb, err := s.queue.StopMaintenance()
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, map[string]string{"verb": verb})
}

// readIfAny is read for a body that may be left out.
func (s *server) readIfAny(c echo.Context, into any) error {
	if c.Request().ContentLength == 0 {
		return nil
	}
	return s.read(c, into)
}

// long answers with what a long piece of maintenance has done. It goes on for as long as the client waits for it. One that accepts a stream of events is told meanwhile how far
// it has come.
func long[T any](s *server, c echo.Context, do func(context.Context, func(task.Progress)) (T, error)) error {
	ctx := c.Request().Context()
	// The body has come: the time for it must not end the request.
	if err := http.NewResponseController(c.Response().Writer).SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if !strings.Contains(c.Request().Header.Get(echo.HeaderAccept), eventStream) || c.Request().Header.Get(keyHeader) != "" {
		out, err := do(ctx, nil)
		if late := http.NewResponseController(c.Response().Writer).SetWriteDeadline(clock.Wall().Add(eventTimeout)); err == nil && !errors.Is(late, http.ErrNotSupported) {
			err = late
		}
		if err != nil {
			return err
		}
		return s.write(c, http.StatusOK, out)
	}
	ctx, gone := context.WithCancel(ctx)
	defer gone()
	stream := &progressStream{server: s, c: c}
	out, err := do(ctx, func(p task.Progress) {
		if stream.send("progress", p) != nil {
			gone()
		}
	})
	if err != nil && !stream.begun {
		return err
	}
	if err != nil {
		return stream.fail(err)
	}
	_ = stream.send("done", out) // where the client has gone the work is done all the same
	return nil
}

// progressStream writes events, of which the first begins the answer.
type progressStream struct {
	*server
	c     echo.Context
	begun bool
}

func (w *progressStream) send(event string, v any) error {
	if !w.begun {
		w.begun = true
		h := w.c.Response().Header()
		h.Set(echo.HeaderContentType, eventStream)
		h.Set(echo.HeaderCacheControl, "no-store")
		h.Set("X-Accel-Buffering", "no") // of nginx, which would hold them back
		w.c.Response().WriteHeader(http.StatusOK)
	}
	data, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return err
	}
	return w.server.send(w.c, append(append([]byte("event: "+event+"\ndata: "), data...), "\n\n"...))
}

// fail ends the stream with what the answer would have been. What the server has to answer for is in its log.
func (w *progressStream) fail(err error) error {
	r, fields := classify(err)
	_ = w.send("failed", w.newProblem(w.c, r, err, fields)) // who has gone needs no answer
	return err
}
