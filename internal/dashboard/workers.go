package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

func (d *Dashboard) workers(c echo.Context) error {
	workers, err := d.queue.Workers(c.Request().Context())
	if err != nil {
		return err
	}
	body := struct {
		Workers []task.WorkerStatus
		Now     time.Time
		Stale   int
	}{Workers: workers, Now: d.queue.Now()}
	for _, w := range workers {
		if w.State == task.WorkerStale {
			body.Stale++
		}
	}
	return d.show(c, http.StatusOK, "workers", page{Title: "Workers", Section: "workers", Events: "/api/queue/events", Body: body})
}

func (d *Dashboard) worker(c echo.Context) error {
	id, err := pathText(c, "worker_id")
	if err != nil {
		return err
	}
	w, err := d.queue.Worker(c.Request().Context(), id)
	if err != nil {
		return err
	}
	body := struct {
		task.WorkerStatus
		Now time.Time
	}{w, d.queue.Now()}
	return d.show(c, http.StatusOK, "worker", page{Title: "Worker " + id, Section: "workers", Events: "/api/queue/events", Body: body})
}

func (d *Dashboard) askWorker(verb, text string) func(c echo.Context) (question, error) {
	return func(c echo.Context) (question, error) {
		id, err := pathText(c, "worker_id")
		if err != nil {
			return question{}, err
		}
		w, err := d.queue.Worker(c.Request().Context(), id)
		return question{
			Title: fmt.Sprintf("%s worker %s?", verb, id), Text: fmt.Sprintf("It was heard %s and holds %s tasks. %s", since(w.HeartbeatUTC, d.queue.Now()), num(w.HeldTasks), text), Verb: verb,
			Danger: verb != "Resume", Back: place("workers", id), Section: "workers",
		}, err
	}
}

// ofWorker does something to the worker of the path.
func ofWorker(c echo.Context, action string, do func(ctx context.Context, id string) (message string, err error)) (did, error) {
	id, err := pathText(c, "worker_id")
	if err != nil {
		return did{}, err
	}
	message, err := do(c.Request().Context(), id)
	return did{action, id, message, place("workers", id)}, err
}

func (d *Dashboard) drainWorker(c echo.Context) (did, error) {
	return ofWorker(c, "drain", func(ctx context.Context, id string) (string, error) {
		_, err := d.queue.DrainWorker(ctx, id)
		return "Worker " + id + " was told to take nothing new", err
	})
}

func (d *Dashboard) resumeWorker(c echo.Context) (did, error) {
	return ofWorker(c, "resume", func(ctx context.Context, id string) (string, error) {
		_, err := d.queue.ResumeWorker(ctx, id)
		return "Worker " + id + " may take tasks again", err
	})
}

func (d *Dashboard) reclaimWorker(c echo.Context) (did, error) {
	return ofWorker(c, "reclaim", func(ctx context.Context, id string) (string, error) {
		ids, err := d.queue.ReclaimWorker(ctx, id)
		return fmt.Sprintf("%d tasks of worker %s were taken back", len(ids), id), err
	})
}

func (d *Dashboard) deleteWorker(c echo.Context) (did, error) {
	what, err := ofWorker(c, "delete", func(ctx context.Context, id string) (string, error) {
		return "Worker " + id + " was taken off the registry", d.queue.DeleteWorker(ctx, id)
	})
	what.next = "/workers"
	return what, err
}

func (d *Dashboard) askCleanup(c echo.Context) (question, error) {
	return question{
		Title: "Remove the stale workers?", Text: "Those that were not heard for five minutes and hold no task are taken off the registry.", Verb: "Remove", Danger: true, Back: "/workers", Section: "workers",
	}, nil
}

func (d *Dashboard) cleanWorkers(c echo.Context) (did, error) {
	cleaned, err := d.queue.CleanWorkers(c.Request().Context(), 0, false)
	message := fmt.Sprintf("%d stale workers were taken off the registry", len(cleaned.Deleted))
	if n := len(cleaned.Kept); n > 0 {
		message += fmt.Sprintf("; %d hold tasks and stay", n)
	}
	return did{"cleanup", "", strings.TrimSpace(message), "/workers"}, err
}
