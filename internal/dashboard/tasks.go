package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// pageTasks is how many tasks a page of the list shows.
	pageTasks = 50
	// searches bounds one page: each looks at some 500,000 tasks at most.
	searches = 4
)

// tasksBody is what the list of tasks shows.
type tasksBody struct {
	Now      time.Time
	Filter   string
	Wrong    string // what is wrong with the filter; empty: nothing
	Tasks    []task.Task
	Next     string // the path of the next page; empty: there is none
	Early    bool   // the page ends before it is full: few tasks match, and the next page goes on
	Paged    bool   // not the first page
	Actions  []task.Action
	Statuses []task.Status
	Empty    bool // there is no task at all
}

func (d *Dashboard) tasks(c echo.Context) error {
	b := tasksBody{Now: d.queue.Now(), Filter: c.QueryParam("filter"), Actions: task.Actions, Statuses: task.Statuses}
	before := queryID(c, "cursor")
	b.Paged = before > 0
	status := http.StatusOK
	f, err := listFilter(b.Filter)
	if wrong, ok := errors.AsType[*task.InvalidError](err); ok {
		b.Wrong, status = wrong.Error(), http.StatusUnprocessableEntity
	} else {
		f.Before = before
		var next int64
		if b.Tasks, next, err = d.list(c.Request().Context(), f); err != nil {
			return err
		}
		if next > 0 {
			b.Next = "/tasks?" + url.Values{"filter": {b.Filter}, "cursor": {strconv.FormatInt(next, 10)}}.Encode()
			b.Early = len(b.Tasks) < pageTasks
		}
		b.Empty = len(b.Tasks) == 0 && b.Filter == "" && before == 0
	}
	p := page{Title: "Tasks", Section: "tasks", Body: b}
	if !f.Match.Asks() { // else one task after the other is looked at, which is not done again and again
		p.Events = "/api/queue/events"
	}
	return d.show(c, status, "tasks", p)
}

// listFilter reads a filter. One status and one type are found by an index each, so they are taken out of what must be searched for.
func listFilter(text string) (task.Filter, error) {
	m, err := task.ParseMatch(text)
	f := task.Filter{Limit: pageTasks, Match: m}
	if err != nil {
		return f, err
	}
	plain := m
	if len(m.Statuses) == 1 {
		f.Status, plain.Statuses = m.Statuses[0], nil
	}
	if len(m.Types) == 1 {
		f.Type, plain.Types = m.Types[0], nil
	}
	if f.Match = plain; plain.Asks() {
		f.Match, f.Status, f.Type = m, "", ""
	}
	return f, nil
}

// list returns a page of tasks without what may be long in them, and where the next one goes on; 0: there is none.
func (d *Dashboard) list(ctx context.Context, f task.Filter) (out []task.Task, next int64, err error) {
	if !f.Match.Asks() {
		f.Limit++
		ts, err := d.queue.Reader().ListTasks(ctx, f)
		if err != nil || len(ts) < f.Limit {
			return ts, 0, err
		}
		return ts[:f.Limit-1], ts[f.Limit-2].ID, nil
	}
	return d.queue.ListMatching(ctx, f.Match, f.Before, f.Limit, searches)
}
