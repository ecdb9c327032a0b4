package task

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// Action is what an operation does to each task that its filter finds.
type Action string

const (
	ActionCancel      Action = "cancel"       // queued and processing tasks
	ActionRequeue     Action = "requeue"      // failed tasks
	ActionDelete      Action = "delete"       // ended tasks
	ActionSetPriority Action = "set_priority" // queued tasks
)

// Actions lists every action.
var Actions = []Action{ActionCancel, ActionRequeue, ActionDelete, ActionSetPriority}

// Statuses returns those of the tasks that the action can change; nil for an unknown action.
func (a Action) Statuses() []Status {
	switch a {
	case ActionCancel:
		return []Status{Queued, Processing}
	case ActionRequeue:
		return []Status{Failed}
	case ActionDelete:
		return []Status{Completed, Failed}
	case ActionSetPriority:
		return []Status{Queued}
	}
	return nil
}

// OperationStatus says how far an operation has come.
type OperationStatus string

const (
	OperationProposed  OperationStatus = "proposed" // a dry run: it may be confirmed
	OperationRunning   OperationStatus = "running"
	OperationCompleted OperationStatus = "completed"
	OperationCancelled OperationStatus = "cancelled" // by an operator; what it had changed stays
)

// OperationSpec is what an operator wants done to every task that a filter finds.
type OperationSpec struct {
	Action   Action `json:"action"`
	Filter   string `json:"filter"`
	Priority *int   `json:"priority,omitempty"` // for set_priority alone
	All      bool   `json:"all,omitempty"`      // an empty filter is meant
}

// Operation returns what s describes, and what it finds: those tasks of the filter that the action can change. What is wrong is an *InvalidError.
func (s OperationSpec) Operation() (Operation, Match, error) {
	var bad InvalidError
	o := Operation{Action: s.Action, Priority: s.Priority}
	if s.Action.Statuses() == nil {
		bad.Add("action", "unknown action %q: use one of cancel, requeue, delete, set_priority", s.Action)
	}
	switch {
	case s.Action != ActionSetPriority && s.Priority != nil:
		bad.Add("priority", "goes with the action set_priority alone")
	case s.Action == ActionSetPriority && (s.Priority == nil || *s.Priority < 1 || *s.Priority > 1000):
		bad.Add("priority", "must lie between 1 and 1000, the lower runs first")
	}
	m, err := ParseMatch(s.Filter)
	if invalid, ok := errors.AsType[*InvalidError](err); ok {
		bad.Fields = append(bad.Fields, invalid.Fields...)
		return o, m, &bad
	}
	o.Filter = m.String()
	if o.Filter == "" && !s.All {
		bad.Add("filter", "must have a condition; send all: true as well to mean every task")
	}
	found, ok := m.In(s.Action.Statuses()...)
	if !ok && s.Action.Statuses() != nil {
		bad.Add("filter", "finds no task in a status that %s can change", s.Action)
	}
	return o, found, bad.OrNil()
}

// Proposal is the answer to a dry run.
type Proposal struct {
	Action       Action    `json:"action"`
	Filter       string    `json:"filter"` // in its one form
	Priority     *int      `json:"priority"`
	Matched      int64     `json:"matched"`       // tasks that would be changed
	AtLeast      bool      `json:"at_least"`      // counting ended early: there may be more
	Sample       []Task    `json:"sample"`        // the newest of them
	ConfirmToken string    `json:"confirm_token"` // starts the operation, once
	ExpiresAtUTC time.Time `json:"expires_at_utc"`
}

// Operation is one row of operations: an action on every task that a filter finds. Fields have the order of its columns, on both engines.
type Operation struct {
	ID             int64           `json:"id"`
	Action         Action          `json:"action"`
	Filter         string          `json:"filter"`        // in the form of Match.String
	Priority       *int            `json:"priority"`      // the new one; nil unless the action is set_priority
	Status         OperationStatus `json:"status"`        //
	Matched        int64           `json:"matched"`       // tasks that were found so far: changed, skipped and failed
	Changed        int64           `json:"changed"`       //
	Skipped        int64           `json:"skipped"`       // had changed themselves when their turn came, or had this priority
	Failed         int64           `json:"failed"`        // could not be changed; ErrorMessage has the reason of the last
	DoneID         int64           `json:"done_id"`       // every task up to this id has been looked at
	UpperID        int64           `json:"upper_id"`      // the last task there was when the operation began: later ones are not touched
	ConfirmHash    string          `json:"-"`             // of the token that confirms it
	ExpiresAtUTC   time.Time       `json:"-"`             // of the token
	Runner         *string         `json:"-"`             // the process that works on it
	RunnerUntilUTC *time.Time      `json:"-"`             // until then nobody else does
	ErrorMessage   *string         `json:"error_message"` // nil: none failed
	CreatedAtUTC   time.Time       `json:"created_at_utc"`
	UpdatedAtUTC   time.Time       `json:"updated_at_utc"`
	FinishedAtUTC  *time.Time      `json:"finished_at_utc"` // nil while running
}

// Progress is the share of the tasks, by their ids, that have been looked at: 0 to 1.
func (o Operation) Progress() float64 {
	if o.Status == OperationCompleted || o.UpperID == 0 {
		return 1
	}
	return float64(o.DoneID) / float64(o.UpperID)
}

// FreeFor reports whether no other runner holds the operation at now.
func (o Operation) FreeFor(runner string, now time.Time) bool {
	return o.Runner == nil || *o.Runner == runner || o.RunnerUntilUTC == nil || !o.RunnerUntilUTC.After(now)
}

// What the log of a task says of an operation.
const (
	CancelledByOperator = "Cancelled by an operator"
	PriorityChanged     = "Priority changed by an operator"
)

// LogDetails is what the log keeps beside it, of a task as it was before.
func (o Operation) LogDetails(before Task) JSON {
	if o.Action == ActionSetPriority {
		return JSON(fmt.Sprintf(`{"from":%d,"to":%d,"operation":%d}`, before.Priority, *o.Priority, o.ID))
	}
	return JSON(fmt.Sprintf(`{"operation":%d}`, o.ID))
}

// ConfirmHash is the form in which a confirm token is stored.
func ConfirmHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Step is a piece of an operation: what is to become of the tasks it has found next.
type Step struct {
	Operation Operation // as it was before
	IDs       []int64   // tasks to change, ascending, above Operation.DoneID
	Match     Match     // what they must still match
	NextID    int64     // every task up to this id has then been looked at; not below the last of IDs
	Failed    int64     // tasks that were found and are given up
	Message   string    // why; empty: none failed
	Now       time.Time
	Until     time.Time // nobody else works on the operation before
}
