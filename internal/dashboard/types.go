package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

func (d *Dashboard) types(c echo.Context) error {
	types, err := d.queue.Types(c.Request().Context())
	if err != nil {
		return err
	}
	body := struct {
		Types []task.TypeStatus
		Now   time.Time
	}{types, d.queue.Now()}
	return d.show(c, http.StatusOK, "types", page{Title: "Types", Section: "types", Events: "/api/queue/events", Body: body})
}

// limits are the rules of a type that its page sets, as they were typed. Empty: none.
type limits struct {
	MaxConcurrency, RateCount, RateSeconds, MaxAttempts, TimeoutSeconds, LeaseSeconds string
}

// typeBody is what the page of a type shows.
type typeBody struct {
	task.TypeStatus
	Now    time.Time
	Week   task.Figures
	Charts []chart
	Limits limits
	Wrong  map[string]string
}

func (d *Dashboard) taskType(c echo.Context) error {
	name, err := pathText(c, "type")
	if err != nil {
		return err
	}
	t, err := d.queue.Type(c.Request().Context(), name)
	if err != nil {
		return err
	}
	return d.showType(c, http.StatusOK, typeBody{TypeStatus: t, Limits: limitsOf(t.Type)})
}

func (d *Dashboard) showType(c echo.Context, status int, b typeBody) error {
	ctx, name := c.Request().Context(), b.Type.Type
	b.Now = d.queue.Now()
	m, err := d.queue.Metrics(ctx, 7*24*time.Hour, name)
	if err != nil {
		return err
	}
	b.Week = m.Figures
	points, err := d.queue.History(ctx, time.Hour, name)
	if err != nil {
		return err
	}
	all := charts(points)
	b.Charts = []chart{all[0], all[2], all[3]} // the depth over time is kept for all types together
	events := "/api/queue/events"
	if !strings.Contains(name, ",") { // which would stand between two types
		events += "?" + url.Values{"type": {name}}.Encode()
	}
	return d.show(c, status, "type", page{Title: "Type " + name, Section: "types", Events: events, Body: b})
}

func limitsOf(t task.Type) limits {
	l := limits{MaxConcurrency: deref(t.MaxConcurrency), MaxAttempts: deref(t.MaxAttempts), TimeoutSeconds: deref(t.TimeoutSeconds), LeaseSeconds: deref(t.LeaseSeconds)}
	if t.RateLimit != nil {
		l.RateCount, l.RateSeconds = strconv.Itoa(t.RateLimit.Tasks), strconv.FormatFloat(t.RateLimit.PerSeconds, 'g', -1, 64)
	}
	return l
}

// setType sets the rules that the page shows, and leaves the others as they are.
func (d *Dashboard) setType(c echo.Context) error {
	name, err := pathText(c, "type")
	if err != nil {
		return err
	}
	ctx, r := c.Request().Context(), c.Request()
	t, err := d.queue.Type(ctx, name)
	if err != nil {
		return err
	}
	for _, name := range []string{"max_concurrency", "rate_count", "rate_seconds", "max_attempts", "timeout_seconds", "lease_seconds"} {
		if !r.PostForm.Has(name) {
			return task.Invalid(name, "is missing: send it empty for none")
		}
	}
	b := typeBody{TypeStatus: t, Wrong: make(map[string]string), Limits: limits{
		MaxConcurrency: r.PostFormValue("max_concurrency"), RateCount: r.PostFormValue("rate_count"), RateSeconds: r.PostFormValue("rate_seconds"),
		MaxAttempts: r.PostFormValue("max_attempts"), TimeoutSeconds: r.PostFormValue("timeout_seconds"), LeaseSeconds: r.PostFormValue("lease_seconds"),
	}}
	rules := b.Limits.rules(t.Rules(), b.Wrong)
	if len(b.Wrong) == 0 {
		_, err = d.queue.PutType(ctx, name, rules)
		if wrong, ok := errors.AsType[*task.InvalidError](err); ok {
			for _, f := range wrong.Fields {
				field, _, _ := strings.Cut(f.Field, ".") // of a rate the one place that shows both numbers
				b.Wrong[field] = f.Message
			}
		} else if err != nil {
			return err
		}
	}
	if len(b.Wrong) > 0 {
		return d.showType(c, http.StatusUnprocessableEntity, b)
	}
	return d.done(c, did{"set limits", name, fmt.Sprintf("The limits of type %s were set: %s", name, b.Limits), place("types", name)})
}

// String writes the limits for people.
func (l limits) String() string {
	var parts []string
	for _, p := range []struct{ what, value string }{
		{"tasks at once", l.MaxConcurrency}, {"attempts", l.MaxAttempts}, {"seconds of an attempt", l.TimeoutSeconds}, {"seconds of a lease", l.LeaseSeconds},
	} {
		if p.value != "" {
			parts = append(parts, p.value+" "+p.what)
		}
	}
	if l.RateCount != "" {
		parts = append(parts, l.RateCount+" tasks in "+l.RateSeconds+" seconds")
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// rules returns r with the limits in it. What cannot be read is in wrong then.
func (l limits) rules(r task.TypeRules, wrong map[string]string) task.TypeRules {
	whole := func(name, text string) *int {
		if text = strings.TrimSpace(text); text == "" {
			return nil
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			wrong[name] = "must be a whole number, or empty"
		}
		return &n
	}
	number := func(name, text string) *float64 {
		if text = strings.TrimSpace(text); text == "" {
			return nil
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			wrong[name] = "must be a number, or empty"
		}
		return &v
	}
	r.MaxConcurrency, r.MaxAttempts = whole("max_concurrency", l.MaxConcurrency), whole("max_attempts", l.MaxAttempts)
	r.TimeoutSeconds, r.LeaseSeconds = number("timeout_seconds", l.TimeoutSeconds), number("lease_seconds", l.LeaseSeconds)
	count, per := whole("rate_limit", l.RateCount), number("rate_limit", l.RateSeconds)
	switch {
	case count == nil && per == nil:
		r.RateLimit = nil
	case count == nil || per == nil:
		wrong["rate_limit"] = "needs both numbers, or neither"
	case *per == 0: // which would stand for a second
		wrong["rate_limit"] = "the seconds must be more than 0"
	case r.RateLimit == nil || r.RateLimit.Burst == r.RateLimit.Tasks: // which is what it is unless somebody sets it
		r.RateLimit = &task.RateLimit{Tasks: *count, PerSeconds: *per}
	default:
		r.RateLimit = &task.RateLimit{Tasks: *count, PerSeconds: *per, Burst: r.RateLimit.Burst}
	}
	return r
}

func (d *Dashboard) askType(verb, text string) func(c echo.Context) (question, error) {
	return func(c echo.Context) (question, error) {
		name, err := pathText(c, "type")
		if err != nil {
			return question{}, err
		}
		t, err := d.queue.Type(c.Request().Context(), name)
		return question{
			Title: fmt.Sprintf("%s type %s?", verb, name), Text: fmt.Sprintf("%s of its tasks are queued and %s run. %s", num(t.QueuedTasks), num(t.ProcessingTasks), text), Verb: verb,
			Back: place("types", name), Section: "types",
		}, err
	}
}

func (d *Dashboard) pauseType(c echo.Context) (did, error) {
	return ofType(c, "pause", "Type %s was paused", d.queue.PauseType)
}

func (d *Dashboard) resumeType(c echo.Context) (did, error) {
	return ofType(c, "resume", "Type %s was resumed", d.queue.ResumeType)
}

func ofType(c echo.Context, action, message string, do func(ctx context.Context, name string) (task.TypeStatus, error)) (did, error) {
	name, err := pathText(c, "type")
	if err != nil {
		return did{}, err
	}
	_, err = do(c.Request().Context(), name)
	return did{action, name, fmt.Sprintf(message, name), place("types", name)}, err
}
