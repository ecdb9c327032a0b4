package dashboard

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

// shownFailures is how many groups of failures their page shows.
const shownFailures = 100

func (d *Dashboard) failures(c echo.Context) error {
	groups, err := d.queue.Failures(c.Request().Context(), "", shownFailures)
	if err != nil {
		return err
	}
	body := struct {
		Groups []task.FailureStatus
		Now    time.Time
	}{groups, d.queue.Now()}
	return d.show(c, http.StatusOK, "failures", page{Title: "Failures", Section: "failures", Events: "/api/queue/events", Body: body})
}

// failureID reads the id in the path.
func failureID(c echo.Context) (string, error) {
	id := c.Param("failure_id")
	if !task.IsFingerprint(id) {
		return "", task.ErrNotFound
	}
	return id, nil
}

func (d *Dashboard) askFailure(verb, text string) func(c echo.Context) (question, error) {
	return func(c echo.Context) (question, error) {
		id, err := failureID(c)
		if err != nil {
			return question{}, err
		}
		f, err := d.queue.Failure(c.Request().Context(), id)
		if err != nil {
			return question{}, err
		}
		failed := num(f.FailedTasks)
		if f.AtLeast {
			failed += " or more"
		}
		return question{
			Title: verb + " these failures?", Text: fmt.Sprintf("%s: %s times, and %s tasks are failed by it now. %s", f.Pattern, num(f.Count), failed, text), Verb: verb, Back: "/failures", Section: "failures",
		}, nil
	}
}

func (d *Dashboard) requeueFailure(c echo.Context) (did, error) {
	id, err := failureID(c)
	if err != nil {
		return did{}, err
	}
	o, err := d.queue.RequeueFailure(c.Request().Context(), id, "")
	return did{"requeue failures", id, fmt.Sprintf("Operation %s began: it queues the tasks again that have failed by %s", strconv.FormatInt(o.ID, 10), id), operationPlace(o.ID)}, err
}

func (d *Dashboard) dismissFailure(c echo.Context) (did, error) {
	id, err := failureID(c)
	if err != nil {
		return did{}, err
	}
	return did{"dismiss failures", id, "Failures " + id + " were dismissed: they come back when they happen again", "/failures"}, d.queue.DismissFailure(c.Request().Context(), id)
}
