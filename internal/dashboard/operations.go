package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

// pageOperations is how many operations their page shows.
const pageOperations = 50

func (d *Dashboard) operations(c echo.Context) error {
	list, err := d.queue.Reader().ListOperations(c.Request().Context(), queryID(c, "cursor"), pageOperations+1)
	if err != nil {
		return err
	}
	body := struct {
		Operations []task.Operation
		Now        time.Time
		Next       int64
	}{Operations: list, Now: d.queue.Now()}
	if len(list) > pageOperations {
		body.Operations, body.Next = list[:pageOperations], list[pageOperations-1].ID
	}
	return d.show(c, http.StatusOK, "operations", page{Title: "Operations", Section: "operations", Events: "/api/queue/events", Body: body})
}

// operationSpec reads what a form wants done.
func operationSpec(c echo.Context) (task.OperationSpec, error) {
	r := c.Request()
	s := task.OperationSpec{Action: task.Action(r.PostFormValue("action")), Filter: r.PostFormValue("filter"), All: r.PostFormValue("all") != ""}
	if text := strings.TrimSpace(r.PostFormValue("priority")); text != "" && s.Action == task.ActionSetPriority {
		n, err := strconv.Atoi(text)
		if err != nil {
			return s, task.Invalid("priority", "must be a whole number between 1 and 1000")
		}
		s.Priority = &n
	}
	return s, nil
}

// preview makes the dry run of an operation and asks whether it is to begin.
func (d *Dashboard) preview(c echo.Context) error {
	spec, err := operationSpec(c)
	body := struct {
		Spec     task.OperationSpec
		Proposal task.Proposal
		Now      time.Time
		Verb     string
		Wrong    string // what is wrong with the request; empty: nothing
	}{Spec: spec, Now: d.queue.Now(), Verb: verbOf(spec.Action)}
	status := http.StatusOK
	if err == nil {
		body.Proposal, err = d.queue.Propose(c.Request().Context(), spec)
	}
	if wrong, ok := errors.AsType[*task.InvalidError](err); ok {
		body.Wrong, status = wrong.Error(), http.StatusUnprocessableEntity
	} else if err != nil {
		return err
	}
	return d.show(c, status, "preview", page{Title: body.Verb + " tasks", Section: "tasks", Body: body})
}

func verbOf(a task.Action) string {
	switch a {
	case task.ActionCancel:
		return "Cancel"
	case task.ActionRequeue:
		return "Requeue"
	case task.ActionDelete:
		return "Delete"
	}
	return "Set the priority of"
}

func (d *Dashboard) startOperation(c echo.Context) error {
	spec, err := operationSpec(c)
	if err != nil {
		return err
	}
	o, err := d.queue.StartOperation(c.Request().Context(), spec, c.Request().PostFormValue("confirm_token"))
	if err != nil {
		return err
	}
	return d.done(c, did{"operation: " + string(o.Action), strconv.FormatInt(o.ID, 10), fmt.Sprintf("Operation %d began: %s what matches %s", o.ID, o.Action, orAll(o.Filter)), operationPlace(o.ID)})
}

func orAll(filter string) string {
	if filter == "" {
		return "everything"
	}
	return filter
}

func operationPlace(id int64) string { return "/operations/" + strconv.FormatInt(id, 10) }

func (d *Dashboard) operation(c echo.Context) error {
	id, err := pathID(c, "operation_id")
	if err != nil {
		return err
	}
	o, err := d.queue.Reader().GetOperation(c.Request().Context(), id)
	if err != nil {
		return err
	}
	body := struct {
		task.Operation
		Now time.Time
	}{o, d.queue.Now()}
	return d.show(c, http.StatusOK, "operation", page{Title: fmt.Sprintf("Operation %d", id), Section: "operations", Events: "/api/queue/events", Body: body})
}

func (d *Dashboard) askOperation(c echo.Context) (question, error) {
	id, err := pathID(c, "operation_id")
	if err != nil {
		return question{}, err
	}
	o, err := d.queue.Reader().GetOperation(c.Request().Context(), id)
	return question{
		Title: fmt.Sprintf("Stop operation %d?", id), Text: fmt.Sprintf("It has changed %s tasks, which stay as they are now; the others are left.", num(o.Changed)), Verb: "Stop", Danger: true,
		Back: operationPlace(id), Section: "operations",
	}, err
}

func (d *Dashboard) cancelOperation(c echo.Context) (did, error) {
	id, err := pathID(c, "operation_id")
	if err != nil {
		return did{}, err
	}
	_, err = d.queue.CancelOperation(c.Request().Context(), id)
	return did{"stop operation", strconv.FormatInt(id, 10), fmt.Sprintf("Operation %d was stopped", id), operationPlace(id)}, err
}
