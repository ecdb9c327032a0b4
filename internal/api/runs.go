package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// maxRuns is how many runs one page has at most, and maxOffset how many it may leave out: the store passes each of them by.
	maxRuns, maxOffset = 100, 10_000
	// maxRunID is the greatest number of characters of a run_id: that of an idempotency key.
	maxRunID = 500
	// runsAtOnce is how many runs of a page are read at once.
	runsAtOnce = 16
	// longestParameters is how long the parameters of a run may be in a page, in bytes.
	longestParameters = 64 << 10
	// defaultTail is how many lines of a log are shown where the request does not say, and maxTail how many it may ask for.
	defaultTail, maxTail = 500, 10_000
	// lookAgain is how long a stream of a log waits for an event before it looks itself: other servers on the same database tell this one nothing.
	lookAgain = time.Second
)

func (s *server) startRun(c echo.Context) error {
	module, err := PathText(c, "module_id")
	if err != nil {
		return err
	}
	var in struct {
		Parameters task.JSON `json:"parameters"`
		RunID      *string   `json:"run_id"`
	}
	if c.Request().ContentLength != 0 {
		if err := s.decode(c, &in, s.MaxBodyBytes, json.RejectUnknownMembers(false)); err != nil {
			return err
		}
	}
	key := in.RunID
	if key == nil {
		if key, err = headerKey(c.Request()); err != nil {
			return err
		}
	}
	if key == nil {
		key = new("run_" + s.queue.Now().UTC().Format("20060102_150405") + "_" + rand.Text()[:16])
	}
	t, _, err := s.queue.Enqueue(c.Request().Context(), task.Spec{Type: module, Payload: in.Parameters, IdempotencyKey: key, Traceparent: headerTrace(c.Request())}, compatMaxAttempts)
	if err != nil {
		return runFields(err)
	}
	if err := CallerOf(c).permitFound(t); err != nil {
		return err
	}
	return s.write(c, http.StatusAccepted, t.Run())
}

// runFields has what is wrong with a task named as it is for a run.
func runFields(err error) error {
	if bad, ok := errors.AsType[*task.InvalidError](err); ok {
		for i, f := range bad.Fields {
			switch f.Field {
			case "payload":
				bad.Fields[i].Field = "parameters"
			case "idempotency_key":
				bad.Fields[i].Field = "run_id"
			case "type":
				bad.Fields[i].Field = "module_id"
			}
		}
	}
	return err
}

// runsModule is the module whose runs are asked for; empty: those of all.
func runsModule(c echo.Context) string {
	return cmp.Or(strings.TrimSpace(c.QueryParam("module")), strings.TrimSpace(c.QueryParam("module_id")))
}

func (s *server) listRuns(c echo.Context) error {
	var bad task.InvalidError
	f := task.RunFilter{
		Status: task.RunStatus(c.QueryParam("status")), Type: runsModule(c),
		Skip: int(queryInt(c, "offset", 0, 0, maxOffset, &bad)), Limit: int(queryInt(c, "limit", 50, 1, maxRuns, &bad)),
	}
	if id := strings.TrimSpace(c.QueryParam("module_id")); id != "" && id != f.Type {
		bad.Add("module_id", "is another name for module, and must not differ from it: leave one out")
	}
	if f.Status != "" {
		oneOf("status", []task.RunStatus{f.Status}, task.RunStatuses, &bad)
	}
	if f.Type != "" {
		if msg := task.CheckName(f.Type, 200); msg != "" {
			bad.Add("module", "%s", msg)
		}
	}
	if err := bad.OrNil(); err != nil {
		return err
	}
	out := task.Runs{Runs: []task.Run{}, Limit: f.Limit, Offset: f.Skip}
	var err error
	if out.Total, err = s.queue.Reader().CountRuns(c.Request().Context(), f.Status, f.Type); err != nil {
		return err
	}
	for f.Limit = min(runsAtOnce, out.Limit); f.Limit > 0; f.Limit = min(runsAtOnce, out.Limit-len(out.Runs)) {
		tasks, err := s.queue.Reader().ListRuns(c.Request().Context(), f)
		if err != nil {
			return err
		}
		for _, t := range tasks {
			r := t.Run()
			if len(r.Parameters) > longestParameters {
				r.Parameters = ""
			}
			out.Runs = append(out.Runs, r)
		}
		if len(tasks) < f.Limit {
			break
		}
		f.Skip += len(tasks)
	}
	return s.write(c, http.StatusOK, out)
}

// run returns the task of the run in the path. task.ErrNotFound too for one of a type that the caller is kept from: it is not to learn that it exists.
func (s *server) run(c echo.Context) (task.Task, error) {
	id, err := pathText(c, "run_id", maxRunID)
	if err != nil {
		return task.Task{}, err
	}
	ctx := c.Request().Context()
	t, err := s.queue.Reader().GetTaskByKey(ctx, id)
	if taskID, ok := task.TaskOfRun(id); ok && errors.Is(err, task.ErrNotFound) {
		if t, err = s.queue.Reader().GetTask(ctx, taskID); err == nil && t.IdempotencyKey != nil {
			err = task.ErrNotFound
		}
	}
	if err == nil && !CallerOf(c).sees(t) {
		err = task.ErrNotFound
	}
	return t, err
}

func (s *server) getRun(c echo.Context) error {
	t, err := s.run(c)
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, t.Run())
}

func (s *server) cancelRun(c echo.Context) error {
	t, err := s.run(c)
	if err != nil {
		return err
	}
	t, changed, err := s.queue.Cancel(c.Request().Context(), t.ID)
	if err != nil {
		return err
	}
	if !changed {
		return fmt.Errorf("%w: cannot cancel run %q: it is %s already", task.ErrConflict, t.RunID(), t.RunStatus())
	}
	return s.write(c, http.StatusOK, t.Run())
}

func (s *server) listRunLogs(c echo.Context) error {
	var bad task.InvalidError
	tail := int(queryInt(c, "tail", defaultTail, 1, maxTail, &bad))
	since := queryTime(c, "since", &bad)
	if err := bad.OrNil(); err != nil {
		return err
	}
	t, err := s.run(c)
	if err != nil {
		return err
	}
	after := int64(0)
	if !since.IsZero() {
		after = since.UnixMicro() - 1
	}
	lines, total, err := s.queue.Reader().TailLogs(c.Request().Context(), t.ID, after, tail)
	if err != nil {
		return err
	}
	lines = lines[max(0, len(lines)-tail):]
	out := task.RunLogs{RunID: t.RunID(), Logs: make([]task.RunLog, len(lines)), TotalLines: total, Truncated: int64(len(lines)) < total}
	for i, l := range lines {
		out.Logs[i] = l.RunLog()
	}
	return s.write(c, http.StatusOK, out)
}

// streamRunLogs sends the log of a run, what there is and what comes, and its status when it has ended.
func (s *server) streamRunLogs(c echo.Context) error {
	var bad task.InvalidError
	after := lastLogID(c, &bad)
	if err := bad.OrNil(); err != nil {
		return err
	}
	t, err := s.run(c)
	if err != nil {
		return err
	}
	leave, err := s.waiting.enter(c)
	if err != nil {
		return err
	}
	defer leave()
	ctx, stop := s.whileAdmitted(c)
	defer stop()
	events, reader := s.queue.Events(task.EventFilter{TaskID: t.ID}, 0), s.queue.Reader()
	if after == 0 {
		lines, _, err := reader.TailLogs(ctx, t.ID, 0, defaultTail)
		if err != nil {
			return err
		}
		if cut := len(lines) - defaultTail; cut > 0 {
			after = lines[cut-1].LogID
		}
	}
	s.beginStream(c)
	text, quiet := []byte("retry: "+comeBack+"\n\n"), time.Duration(0)
	for {
		if len(text) > 0 {
			if err := s.send(c, text); err != nil {
				return nil // the client has gone, and the answer with it
			}
			text, quiet = text[:0], 0
		}
		if t, err = reader.GetTask(ctx, t.ID); err != nil { // before the log, so that its last line is not missed
			return nil
		}
		lines, err := reader.ListLogs(ctx, task.LogFilter{TaskID: t.ID, After: after, Limit: defaultTail})
		if err != nil {
			return nil
		}
		for _, l := range lines {
			if text, err = appendRunLog(text, l.RunLog()); err != nil {
				return err
			}
			after = l.LogID
		}
		if len(lines) == defaultTail {
			continue
		}
		if t.Status.Ended() {
			_ = s.send(c, append(append(append(text, "event: complete\ndata: {\"status\":\""...), t.RunStatus()...), "\"}\n\n"...))
			return nil
		}
		if len(text) > 0 {
			continue
		}
		if quiet >= stillThere {
			text = append(text, ": still there\n\n"...)
			continue
		}
		waiting, stop := context.WithTimeout(ctx, lookAgain)
		_, _, err = events.Next(waiting)
		stop()
		if err != nil && (ctx.Err() != nil || errors.Is(err, task.ErrStopped)) {
			return nil
		}
		quiet += lookAgain
	}
}

// lastLogID is the id of the last line that the client has seen; 0 when it does not say.
func lastLogID(c echo.Context, bad *task.InvalidError) int64 {
	text := c.Request().Header.Get("Last-Event-ID")
	if text == "" {
		return 0
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		bad.Add("Last-Event-ID", "must be the id of a line: leave it out to see the log from its beginning")
	}
	return id
}

func appendRunLog(b []byte, l task.RunLog) ([]byte, error) {
	data, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	b = strconv.AppendInt(append(b, "event: log\nid: "...), l.LogID, 10)
	return append(append(append(b, "\ndata: "...), data...), "\n\n"...), nil
}
