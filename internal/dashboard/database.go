package dashboard

import (
	"context"
	"fmt"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

// vacuumAtMost is how long a vacuum goes on whose end a browser waits for. Another one goes on where it has ended.
const vacuumAtMost = 20 * time.Second

func (d *Dashboard) askMaintenance(title, text, verb string) func(echo.Context) (question, error) {
	return func(echo.Context) (question, error) {
		return question{Title: title, Text: text, Verb: verb, Back: "/maintenance", Section: "maintenance"}, nil
	}
}

func (d *Dashboard) checkpoint(c echo.Context) (did, error) {
	out := did{action: "checkpoint", message: "A checkpoint was made", next: "/maintenance"}
	done, err := d.queue.Checkpoint(c.Request().Context(), task.CheckpointTruncate)
	switch {
	case err != nil:
	case done.Busy:
		out.message = fmt.Sprintf("A checkpoint copied %s of %s pages; a reader is in the way of the rest", num(*done.CheckpointedPages), num(*done.LogPages))
	case done.LogPages != nil:
		out.message = "The write-ahead log was copied into the database and emptied"
	}
	return out, err
}

func (d *Dashboard) optimize(c echo.Context) (did, error) {
	done, err := d.queue.Optimize(c.Request().Context(), false, nil)
	return did{"optimize", "", fmt.Sprintf("%d tables were analyzed that had changed much", len(done.Analyzed)), "/maintenance"}, err
}

func (d *Dashboard) vacuum(c echo.Context) (did, error) {
	ctx, cancel := context.WithTimeout(c.Request().Context(), vacuumAtMost)
	defer cancel()
	done, err := d.queue.Vacuum(ctx, nil)
	message := "The tables were vacuumed"
	if done.FreedPages != nil {
		message = num(*done.FreedPages) + " pages that held nothing were given back to the disk"
	}
	if done.Stopped {
		message += fmt.Sprintf(" in %.0f seconds; there are more: do it again", vacuumAtMost.Seconds())
	}
	return did{"vacuum", "", message, "/maintenance"}, err
}
