package task

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// RunStatus says where a run is in its life, in the words of the older task manager.
type RunStatus string

// The statuses of runs.
const (
	RunQueued    RunStatus = "queued"
	RunRunning   RunStatus = "running"
	RunCompleted RunStatus = "completed"
	RunFailed    RunStatus = "failed"
	RunCancelled RunStatus = "cancelled"
)

// RunStatuses lists every status of a run in the order of its life.
var RunStatuses = []RunStatus{RunQueued, RunRunning, RunCompleted, RunFailed, RunCancelled}

// Run is a task as clients of the older task manager know it.
type Run struct {
	RunID           string     `json:"run_id"`           // the idempotency key of the task; task-ID where it has none
	ModuleID        string     `json:"module_id"`        // the type of the task
	ModuleName      string     `json:"module_name"`      // the same: a queue has no other name for it
	Status          RunStatus  `json:"status"`           //
	Parameters      JSON       `json:"parameters"`       // the payload of the task
	CreatedAt       time.Time  `json:"created_at"`       //
	StartedAt       *time.Time `json:"started_at"`       // of the current or last attempt; nil before it
	CompletedAt     *time.Time `json:"completed_at"`     // nil while the run is live
	DurationSeconds *int64     `json:"duration_seconds"` // from StartedAt to CompletedAt, whole seconds; nil without either
	ProgressPercent *int       `json:"progress_percent"` // nil: its worker has not said
	ItemsProcessed  *int64     `json:"items_processed"`  // as its worker tells; nil: it does not
	ItemsTotal      *int64     `json:"items_total"`      // the same
	ExitCode        *int       `json:"exit_code"`        // 0 completed, 1 failed, or what its result says; nil while live and when cancelled
	ErrorMessage    *string    `json:"error_message"`    // why it failed; of a live run, why its last attempt did
	TaskID          int64      `json:"task_id"`          //
}

// RunFilter chooses runs, newest first.
type RunFilter struct {
	Status RunStatus // empty: all
	Type   string    // empty: all
	Skip   int       // so many are left out
	Limit  int       // at most so many
}

// taskRunID is what stands before the id of a task that has no idempotency key in the id of its run.
const taskRunID = "task-"

// RunID returns the id of the task's run.
func (t Task) RunID() string {
	if t.IdempotencyKey != nil {
		return *t.IdempotencyKey
	}
	return taskRunID + strconv.FormatInt(t.ID, 10)
}

// TaskOfRun returns the id of the task that has no idempotency key and this id of a run; false when there can be none.
func TaskOfRun(runID string) (int64, bool) {
	digits, ok := strings.CutPrefix(runID, taskRunID)
	id, err := strconv.ParseInt(digits, 10, 64)
	return id, ok && err == nil && id > 0 && strconv.FormatInt(id, 10) == digits
}

// RunStatus returns the status of the task's run.
func (t Task) RunStatus() RunStatus {
	switch {
	case t.Status == Processing:
		return RunRunning
	case t.Status == Completed:
		return RunCompleted
	case t.Outcome != nil && *t.Outcome == Cancelled:
		return RunCancelled
	case t.Status == Failed:
		return RunFailed
	}
	return RunQueued
}

// Run returns the task as a run.
func (t Task) Run() Run {
	r := Run{
		RunID: t.RunID(), ModuleID: t.Type, ModuleName: t.Type, Status: t.RunStatus(), Parameters: t.Payload, CreatedAt: t.CreatedAtUTC, StartedAt: t.ProcessingStartedUTC,
		CompletedAt: t.FinishedAtUTC, ProgressPercent: t.Progress, ErrorMessage: t.ErrorMessage, TaskID: t.ID,
	}
	if r.StartedAt == nil {
		r.StartedAt = t.ReservedAtUTC
	}
	if r.StartedAt != nil && r.CompletedAt != nil {
		r.DurationSeconds = new(int64(max(r.CompletedAt.Sub(*r.StartedAt), 0) / time.Second))
	}
	if t.ProgressMessage != nil {
		r.ItemsProcessed, r.ItemsTotal = Items(*t.ProgressMessage)
	}
	switch r.Status {
	case RunCompleted:
		r.ExitCode = new(0)
		r.takeResult(t.Result)
	case RunFailed:
		r.ExitCode = new(1)
	}
	return r
}

// takeResult takes what the result of a completed run says of it: items_processed, items_total and exit_code of an object, where they are integers.
func (r *Run) takeResult(result *JSON) {
	var members map[string]json.RawMessage
	if result == nil || json.Unmarshal([]byte(*result), &members) != nil {
		return
	}
	number := func(name string) *int64 {
		n, err := strconv.ParseInt(string(members[name]), 10, 64)
		if err != nil {
			return nil
		}
		return &n
	}
	if n := number("items_processed"); n != nil {
		r.ItemsProcessed = n
	}
	if n := number("items_total"); n != nil {
		r.ItemsTotal = n
	}
	if n := number("exit_code"); n != nil {
		r.ExitCode = new(int(*n))
	}
}

// Items reads a message that begins with how many items are done of how many, such as 120/400 or 120 / 400 pages; nils for any other.
func Items(message string) (done, all *int64) {
	before, after, ok := strings.Cut(message, "/")
	if !ok {
		return nil, nil
	}
	after = strings.TrimLeft(after, " ")
	end := strings.IndexFunc(after, func(c rune) bool { return c < '0' || c > '9' })
	if end < 0 {
		end = len(after)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(before), 10, 63)
	m, err2 := strconv.ParseUint(after[:end], 10, 63)
	if err != nil || err2 != nil {
		return nil, nil
	}
	return new(int64(n)), new(int64(m))
}

// RunLog is a line of the log of a run.
type RunLog struct {
	Timestamp time.Time `json:"timestamp"`
	Level     string    `json:"level"` // DEBUG, INFO, WARNING or ERROR
	Message   string    `json:"message"`
	LogID     int64     `json:"log_id"` // grows within a run
}

// RunLog returns the line as one of a run.
func (l Log) RunLog() RunLog {
	return RunLog{Timestamp: l.AtUTC, Level: strings.ToUpper(string(l.Level)), Message: l.Message, LogID: l.LogID}
}

// RunLogs is the end of the log of a run, oldest line first.
type RunLogs struct {
	RunID      string   `json:"run_id"`
	Logs       []RunLog `json:"logs"`
	TotalLines int64    `json:"total_lines"` // those that are stored, up to 100,000, and those of Logs that are not
	Truncated  bool     `json:"truncated"`   // there are earlier ones
}

// Runs is a page of runs.
type Runs struct {
	Runs   []Run `json:"runs"`
	Total  int64 `json:"total"` // all that the filter chooses; of failed and cancelled ones up to 100,000 each are counted
	Limit  int   `json:"limit"`
	Offset int   `json:"offset"`
}
