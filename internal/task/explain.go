package task

import (
	"encoding/json"
	"time"
)

// Reason is one cause why a task does not run, or what has become of it.
type Reason struct {
	Code     string     `json:"code"`                // one of those of docs/explain.md
	Message  string     `json:"message"`             // the same for people, with its figures
	UntilUTC *time.Time `json:"until_utc,omitempty"` // when the cause ends by itself; nil: that is not known
	Details  *JSON      `json:"details,omitempty"`   // an object of figures, by code; nil: none
}

// Explanation is everything that keeps a task from running, in the order in which it must be dealt with.
type Explanation struct {
	TaskID  int64    `json:"task_id"`
	Status  Status   `json:"status"`
	Reasons []Reason `json:"reasons"` // at least one
}

// Backlog is a lane and the number of its queued tasks; those of the lane's Ready are due.
type Backlog struct {
	Lane
	Scheduled int64 // tasks that are due later
}

// Stranded is a lane whose tasks no live worker may take.
type Stranded struct {
	Type           string `json:"type"`
	Compatibility  JSON   `json:"compatibility"`
	Priority       int    `json:"priority"`
	ReadyTasks     int64  `json:"ready_tasks"`     // due
	ScheduledTasks int64  `json:"scheduled_tasks"` // due later
	Reason         Reason `json:"reason"`
}

// Held is a task that a worker holds.
type Held struct {
	TaskID        int64      `json:"task_id"`
	Type          string     `json:"type"`
	WorkerID      *string    `json:"worker_id"`
	LeaseUntilUTC *time.Time `json:"lease_until_utc"`
}

// Poisoned is a live task that has lost two workers or more.
type Poisoned struct {
	TaskID int64  `json:"task_id"`
	Type   string `json:"type"`
	Lost   int    `json:"lost"`
}

// Holding is a task in processing, as far as others must know of it.
type Holding struct {
	TaskID        int64      `json:"task_id"`
	WorkerID      *string    `json:"worker_id"`
	LeaseUntilUTC *time.Time `json:"lease_until_utc"`
}

// Offer returns a claim that takes what the worker may take.
func (w Worker) Offer() (Claim, error) {
	c := Claim{WorkerID: w.WorkerID}
	var err error
	if w.Types != nil {
		err = json.Unmarshal([]byte(*w.Types), &c.Types)
	}
	if err == nil {
		c.Capabilities, err = ParseCapabilities(w.Capabilities)
	}
	return c, err
}
