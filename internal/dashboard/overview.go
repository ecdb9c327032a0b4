package dashboard

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

// window is a time that the overview can be about.
type window struct {
	Name, Last, Query string
	of                time.Duration
	Chosen            bool
}

// windows are those that can be chosen; the first is that of a page which does not say.
func windows(query string) (all []window, chosen window) {
	all = []window{{Name: "1 hour", Last: "hour", Query: "1h", of: time.Hour}, {Name: "24 hours", Last: "24 hours", Query: "24h", of: 24 * time.Hour}, {Name: "7 days", Last: "7 days", Query: "7d", of: 7 * 24 * time.Hour}}
	at := 0
	for i, w := range all {
		if w.Query == query {
			at = i
		}
	}
	all[at].Chosen = true
	return all, all[at]
}

// trouble is a problem with where to go for it.
type trouble struct {
	task.Problem
	Link string // of what it is about
	Go   string // the words of the link
}

func (d *Dashboard) overview(c echo.Context) error {
	all, w := windows(c.QueryParam("window"))
	ctx := c.Request().Context()
	m, err := d.queue.Metrics(ctx, w.of, "")
	if err != nil {
		return err
	}
	points, err := d.queue.History(ctx, w.of, "")
	if err != nil {
		return err
	}
	failures, err := d.newest(ctx, task.Failed, 5)
	if err != nil {
		return err
	}
	troubles := make([]trouble, len(m.Health.Problems))
	for i, p := range m.Health.Problems {
		troubles[i] = troubled(p)
	}
	body := struct {
		task.Metrics
		Now      time.Time
		Windows  []window
		Window   window
		Troubles []trouble
		Charts   []chart
		Failures []task.Task
		Empty    bool // no task was ever there
	}{m, m.ToUTC, all, w, troubles, charts(points), failures, m.Depth == task.Depth{} && m.Enqueued == 0}
	return d.show(c, http.StatusOK, "overview", page{Title: "Overview", Section: "overview", Events: "/api/queue/events", Body: body})
}

// newest returns the newest tasks of a status.
func (d *Dashboard) newest(ctx context.Context, s task.Status, max int) ([]task.Task, error) {
	return d.queue.Reader().ListTasks(ctx, task.Filter{Status: s, Limit: max})
}

func troubled(p task.Problem) trouble {
	t := trouble{Problem: p}
	switch p.Code {
	case task.ProblemNoWorkers:
		t.Link, t.Go = "/workers", "Workers"
	case task.ProblemStranded:
		t.Link, t.Go = matching(task.Match{Statuses: []task.Status{task.Queued}, Types: []string{p.Subject}}), "Its tasks"
	case task.ProblemTypeFailing:
		t.Link, t.Go = matching(task.Match{Statuses: []task.Status{task.Failed}, Types: []string{p.Subject}}), "Its failed tasks"
	case task.ProblemBreakerOpen, task.ProblemTypePaused:
		t.Link, t.Go = place("types", p.Subject), "The type"
	case task.ProblemPoisonTask:
		t.Link, t.Go = "/tasks/"+p.Subject, "The task"
	case task.ProblemWorkerStale:
		t.Link, t.Go = place("workers", p.Subject), "The worker"
	case task.ProblemScheduleMissed, task.ProblemScheduleStopped:
		t.Link, t.Go = place("schedules", p.Subject), "The schedule"
	case task.ProblemBacklogGrowing:
		t.Link, t.Go = "/types", "Types"
	case task.ProblemDiskLow:
		t.Link, t.Go = "/maintenance", "Sizes"
	case task.ProblemBackupFailed:
		t.Link, t.Go = "/maintenance#backups", "Backups"
	}
	if p.Subject == "" && t.Link != "" && t.Link[len(t.Link)-1] == '/' {
		t.Link, t.Go = "", "" // one of several that are not told one by one
	}
	return t
}

// charts are the pictures of the overview.
func charts(points []task.Point) []chart {
	perMinute := func(of func(p task.Point) int64) func(p task.Point) float64 {
		return func(p task.Point) float64 { return float64(of(p)) / (float64(p.Seconds) / 60) }
	}
	count := func(of func(p task.Point) int64) func(p task.Point) float64 {
		return func(p task.Point) float64 { return float64(of(p)) }
	}
	quantile := func(of func(p task.Point) *float64) func(p task.Point) float64 {
		return func(p task.Point) float64 {
			if v := of(p); v != nil {
				return *v
			}
			return math.NaN()
		}
	}
	rate := func(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }
	whole := func(v float64) string { return num(int64(math.Round(v))) }
	return []chart{
		draw("Tasks a minute", points, rate,
			course{"enqueued", "c1", perMinute(func(p task.Point) int64 { return p.Enqueued })},
			course{"completed", "c2", perMinute(func(p task.Point) int64 { return p.Completed })},
			course{"failed", "c3", perMinute(func(p task.Point) int64 { return p.Failed })}),
		draw("Depth", points, whole,
			course{"ready", "c1", count(func(p task.Point) int64 { return p.Ready })},
			course{"scheduled", "c4", count(func(p task.Point) int64 { return p.Scheduled })},
			course{"processing", "c2", count(func(p task.Point) int64 { return p.Processing })}),
		draw("Start latency", points, brief,
			course{"p50", "c2", quantile(func(p task.Point) *float64 { return p.StartLatencySecs.P50 })},
			course{"p95", "c1", quantile(func(p task.Point) *float64 { return p.StartLatencySecs.P95 })},
			course{"p99", "c4", quantile(func(p task.Point) *float64 { return p.StartLatencySecs.P99 })}),
		draw("Processing time", points, brief,
			course{"p50", "c2", quantile(func(p task.Point) *float64 { return p.ProcessingSecs.P50 })},
			course{"p95", "c1", quantile(func(p task.Point) *float64 { return p.ProcessingSecs.P95 })},
			course{"p99", "c4", quantile(func(p task.Point) *float64 { return p.ProcessingSecs.P99 })}),
		draw("Age of the oldest queued task", points, brief,
			course{"oldest", "c1", func(p task.Point) float64 { return p.OldestSeconds }}),
	}
}
