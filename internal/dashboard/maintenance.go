package dashboard

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// shownAudits is how many audit rows the page shows.
const shownAudits = 100

func (d *Dashboard) maintenance(c echo.Context) error {
	ctx := c.Request().Context()
	body := struct {
		store.Vitals
		task.Stats
		Database, Version string
		Schema            int64
		Now               time.Time
		Audits            []task.Audit
		Next              int64 // where the next page of the audit goes on; 0: there is none
		CommitMean        *float64
		CommitP99         *float64
		Sizes             task.DatabaseStats
		Backups           backupPart
	}{Backups: backupPart{d.backups(), d.queue.Now()}, Database: d.Database, Schema: d.Schema, Version: d.Version, Now: d.queue.Now()}
	var err error
	if body.Vitals, err = d.queue.Reader().Vitals(ctx); err != nil {
		return err
	}
	if body.Stats, err = d.queue.Stats(ctx); err != nil {
		return err
	}
	if body.Sizes, err = d.queue.DatabaseStats(ctx); err != nil {
		return err
	}
	commits := body.Commits.Spread()
	body.CommitMean, body.CommitP99 = commits.Mean, commits.P99
	if body.Audits, err = d.queue.Reader().ListAudits(ctx, queryID(c, "cursor"), shownAudits+1); err != nil {
		return err
	}
	if len(body.Audits) > shownAudits {
		body.Audits = body.Audits[:shownAudits]
		body.Next = body.Audits[shownAudits-1].AuditID
	}
	return d.show(c, http.StatusOK, "maintenance", page{Title: "Maintenance", Section: "maintenance", Events: "/api/queue/events", Body: body})
}
