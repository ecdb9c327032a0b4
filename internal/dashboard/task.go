package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/task"
)

// shownLogs and shownAttempts are how many lines of its log and how many attempts the page of a task shows.
const (
	shownLogs     = 500
	shownAttempts = 200
)

// attempt is one attempt with its place in the timeline, in parts of a thousand.
type attempt struct {
	task.Attempt
	Took        *float64 // seconds; nil while it runs
	Left, Width int
}

// taskBody is what the page of a task shows.
type taskBody struct {
	task.Task
	Now      time.Time
	Reasons  []task.Reason // why it does not run; of a live task alone
	Timeline []attempt
	Logs     []task.Log
	MoreLogs bool // these are the newest of those that were written

	MoreAttempts int // how many there were before those of the timeline
}

func (d *Dashboard) task(c echo.Context) error {
	id, err := pathID(c, "task_id")
	if err != nil {
		return err
	}
	ctx, r := c.Request().Context(), d.queue.Reader()
	t, err := r.GetTask(ctx, id)
	if err != nil {
		return err
	}
	b := taskBody{Task: t, Now: d.queue.Now()}
	if !t.Status.Ended() {
		e, err := d.queue.Explain(ctx, id)
		if err != nil {
			return err
		}
		b.Reasons = e.Reasons
	}
	as, err := r.ListAttempts(ctx, id)
	if err != nil {
		return err
	}
	if n := len(as) - shownAttempts; n > 0 {
		as, b.MoreAttempts = as[n:], n
	}
	b.Timeline = timeline(as, b.Now)
	if b.Logs, b.MoreLogs, err = d.logs(ctx, id); err != nil {
		return err
	}
	return d.show(c, http.StatusOK, "task", page{Title: fmt.Sprintf("Task %d", id), Section: "tasks", Events: fmt.Sprintf("/api/queue/tasks/%d/events", id), Body: b})
}

// logs returns the log of a task, oldest first. Of one that is too long it returns the newest lines that were written, and true.
func (d *Dashboard) logs(ctx context.Context, id int64) (lines []task.Log, more bool, err error) {
	lines, err = d.queue.Reader().ListLogs(ctx, task.LogFilter{TaskID: id, Limit: shownLogs + 1})
	if err != nil || len(lines) <= shownLogs {
		return lines, false, err
	}
	newest, _, err := d.queue.Reader().ListRecentLogs(ctx, task.RecentLogFilter{TaskID: id, Limit: shownLogs})
	if err != nil {
		return nil, false, err
	}
	lines = lines[:0]
	for _, l := range slices.Backward(newest) {
		lines = append(lines, l.Log)
	}
	return lines, true, nil
}

// timeline places attempts between the start of the first and the end of the last.
func timeline(as []task.Attempt, now time.Time) []attempt {
	out := make([]attempt, len(as))
	if len(as) == 0 {
		return out
	}
	begin, end := as[0].StartedAtUTC, as[0].StartedAtUTC
	until := func(a task.Attempt) time.Time {
		if a.FinishedAtUTC == nil {
			return now
		}
		return *a.FinishedAtUTC
	}
	for _, a := range as {
		if u := until(a); u.After(end) {
			end = u
		}
	}
	whole := max(end.Sub(begin), time.Microsecond)
	for i, a := range as {
		out[i] = attempt{Attempt: a, Left: int(1000 * a.StartedAtUTC.Sub(begin) / whole), Width: max(6, int(1000*until(a).Sub(a.StartedAtUTC)/whole))}
		out[i].Left = min(out[i].Left, 1000-out[i].Width)
		if took, ended := a.Duration(); ended {
			out[i].Took = new(took.Seconds())
		}
	}
	return out
}

// askTask asks whether something is to be done to the task of the path.
func (d *Dashboard) askTask(verb, text string) func(c echo.Context) (question, error) {
	return func(c echo.Context) (question, error) {
		id, err := pathID(c, "task_id")
		if err != nil {
			return question{}, err
		}
		t, err := d.queue.Reader().GetTask(c.Request().Context(), id)
		if err != nil {
			return question{}, err
		}
		return question{
			Title: fmt.Sprintf("%s task %d?", verb, id), Text: fmt.Sprintf("Task %d of type %s is %s. %s", id, t.Type, t.Status, text),
			Verb: verb, Danger: verb != "Requeue", Back: taskPlace(id), Section: "tasks",
		}, nil
	}
}

func (d *Dashboard) cancelTask(c echo.Context) (did, error) {
	id, err := pathID(c, "task_id")
	if err != nil {
		return did{}, err
	}
	t, changed, err := d.queue.Cancel(c.Request().Context(), id)
	if err == nil && !changed {
		err = fmt.Errorf("%w: task %d is %s already", task.ErrConflict, id, t.Status)
	}
	return did{"cancel", strconv.FormatInt(id, 10), fmt.Sprintf("Task %d was cancelled", id), taskPlace(id)}, err
}

func (d *Dashboard) requeueTask(c echo.Context) (did, error) {
	id, err := pathID(c, "task_id")
	if err != nil {
		return did{}, err
	}
	_, err = d.queue.Requeue(c.Request().Context(), id)
	return did{"requeue", strconv.FormatInt(id, 10), fmt.Sprintf("Task %d was queued again", id), taskPlace(id)}, err
}

func (d *Dashboard) deleteTask(c echo.Context) (did, error) {
	id, err := pathID(c, "task_id")
	if err != nil {
		return did{}, err
	}
	err = d.queue.Delete(c.Request().Context(), id)
	return did{"delete", strconv.FormatInt(id, 10), fmt.Sprintf("Task %d was deleted", id), "/tasks"}, err
}

// form is what a new task is made of, as it was typed.
type form struct {
	Type, Priority, MaxAttempts, Payload, Compatibility, ConcurrencyKey, IdempotencyKey, Delay string

	From  int64             // the task that it is a copy of; 0: none
	Wrong map[string]string // what is wrong with a field, by its name
}

func (d *Dashboard) newTask(c echo.Context) error {
	f := form{Type: c.QueryParam("type"), Priority: strconv.Itoa(task.DefaultPriority), Payload: "{}", Compatibility: "{}"}
	if f.From = queryID(c, "from"); f.From > 0 {
		t, err := d.queue.Reader().GetTask(c.Request().Context(), f.From)
		if errors.Is(err, task.ErrNotFound) {
			return task.Invalid("from", "task %d not found", f.From)
		}
		if err != nil {
			return err
		}
		f.Type, f.Priority, f.MaxAttempts, f.ConcurrencyKey = t.Type, strconv.Itoa(t.Priority), strconv.Itoa(t.MaxAttempts), deref(t.ConcurrencyKey)
		f.Payload, f.Compatibility = string(t.Payload), string(t.Compatibility)
		if len(f.Payload) <= shownBytes {
			f.Payload = pretty(t.Payload)
		}
	}
	return d.showForm(c, http.StatusOK, f)
}

func (d *Dashboard) showForm(c echo.Context, status int, f form) error {
	return d.show(c, status, "new", page{Title: "New task", Section: "tasks", Body: f})
}

func (d *Dashboard) enqueue(c echo.Context) error {
	f := form{Wrong: make(map[string]string), From: queryID(c, "from")}
	for name, into := range map[string]*string{
		"type": &f.Type, "priority": &f.Priority, "max_attempts": &f.MaxAttempts, "payload": &f.Payload, "compatibility": &f.Compatibility, "concurrency_key": &f.ConcurrencyKey,
		"idempotency_key": &f.IdempotencyKey, "delay": &f.Delay,
	} {
		*into = c.Request().PostFormValue(name)
	}
	spec := f.spec(d.queue.Now())
	if f.From > 0 { // what the form does not show is that of the task, if it is still there
		if t, err := d.queue.Reader().GetTask(c.Request().Context(), f.From); err == nil {
			spec.TimeoutSeconds, spec.RetryPolicy = t.TimeoutSeconds, t.RetryPolicy
		}
	}
	if len(f.Wrong) > 0 {
		return d.showForm(c, http.StatusUnprocessableEntity, f)
	}
	t, created, err := d.queue.Enqueue(c.Request().Context(), spec, queue.MaxAttempts)
	if wrong, ok := errors.AsType[*task.InvalidError](err); ok {
		for _, field := range wrong.Fields {
			f.Wrong[field.Field] = field.Message
		}
		return d.showForm(c, http.StatusUnprocessableEntity, f)
	}
	if err != nil {
		return err
	}
	message := fmt.Sprintf("Task %d was enqueued", t.ID)
	if !created {
		message = fmt.Sprintf("Nothing was enqueued: task %d has this idempotency key", t.ID)
	} else if f.From > 0 {
		message += fmt.Sprintf(", as a copy of task %d", f.From)
	}
	return d.done(c, did{"enqueue", strconv.FormatInt(t.ID, 10), message, taskPlace(t.ID)})
}

// spec reads the form. What it cannot read is in Wrong then.
func (f *form) spec(now time.Time) task.Spec {
	s := task.Spec{Type: f.Type}
	number := func(name, text string) *int {
		if text = strings.TrimSpace(text); text == "" {
			return nil
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			f.Wrong[name] = "must be a whole number"
		}
		return &n
	}
	s.Priority, s.MaxAttempts = number("priority", f.Priority), number("max_attempts", f.MaxAttempts)
	s.Payload, s.Compatibility = task.JSON(strings.TrimSpace(f.Payload)), task.JSON(strings.TrimSpace(f.Compatibility))
	if f.ConcurrencyKey != "" {
		s.ConcurrencyKey = &f.ConcurrencyKey
	}
	if f.IdempotencyKey != "" {
		s.IdempotencyKey = &f.IdempotencyKey
	}
	if f.Delay != "" {
		if d, ok := task.ParseAge(f.Delay); ok {
			s.RunAfterUTC = &task.Time{Time: now.Add(d)}
		} else {
			f.Wrong["delay"] = "must be a length of time in w, d, h, m and s, such as 30s or 2h"
		}
	}
	return s
}
