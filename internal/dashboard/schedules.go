package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

// previewed is how many of its next ticks the page of a schedule shows.
const previewed = 10

func (d *Dashboard) schedules(c echo.Context) error {
	schedules, err := d.queue.Reader().ListSchedules(c.Request().Context())
	if err != nil {
		return err
	}
	body := struct {
		Schedules []task.Schedule
		Now       time.Time
	}{schedules, d.queue.Now()}
	return d.show(c, http.StatusOK, "schedules", page{Title: "Schedules", Section: "schedules", Events: "/api/queue/events", Body: body})
}

func (d *Dashboard) schedule(c echo.Context) error {
	name, err := pathText(c, "name")
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	s, err := d.queue.Reader().GetSchedule(ctx, name)
	if err != nil {
		return err
	}
	body := struct {
		task.Schedule
		Now  time.Time
		Next []task.Occurrence
	}{Schedule: s, Now: d.queue.Now()}
	if body.Next, err = d.queue.PreviewSchedule(ctx, name, previewed); err != nil {
		return err
	}
	return d.show(c, http.StatusOK, "schedule", page{Title: "Schedule " + name, Section: "schedules", Events: "/api/queue/events", Body: body})
}

func (d *Dashboard) askSchedule(verb, text string) func(c echo.Context) (question, error) {
	return func(c echo.Context) (question, error) {
		name, err := pathText(c, "name")
		if err != nil {
			return question{}, err
		}
		s, err := d.queue.Reader().GetSchedule(c.Request().Context(), name)
		return question{
			Title: fmt.Sprintf("%s schedule %s?", verb, name), Text: fmt.Sprintf("It ticks at %s (%s). %s", s.Cron, s.Timezone, text), Verb: verb, Danger: verb == "Delete",
			Back: place("schedules", name), Section: "schedules",
		}, err
	}
}

func ofSchedule(c echo.Context, action, message string, do func(ctx context.Context, name string) error) (did, error) {
	name, err := pathText(c, "name")
	if err != nil {
		return did{}, err
	}
	err = do(c.Request().Context(), name)
	return did{action, name, fmt.Sprintf(message, name), place("schedules", name)}, err
}

func (d *Dashboard) pauseSchedule(c echo.Context) (did, error) {
	return ofSchedule(c, "pause", "Schedule %s was paused", func(ctx context.Context, name string) error {
		_, err := d.queue.PauseSchedule(ctx, name)
		return err
	})
}

func (d *Dashboard) resumeSchedule(c echo.Context) (did, error) {
	return ofSchedule(c, "resume", "Schedule %s was resumed", func(ctx context.Context, name string) error {
		_, err := d.queue.ResumeSchedule(ctx, name)
		return err
	})
}

func (d *Dashboard) deleteSchedule(c echo.Context) (did, error) {
	what, err := ofSchedule(c, "delete", "Schedule %s was deleted", d.queue.DeleteSchedule)
	what.next = "/schedules"
	return what, err
}
