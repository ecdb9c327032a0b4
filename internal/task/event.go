package task

import (
	"slices"
	"time"
)

// EventName says what has happened to a task.
type EventName string

// The names of events.
const (
	EventEnqueued  EventName = "enqueued"
	EventClaimed   EventName = "claimed"
	EventStarted   EventName = "started"          // its worker has begun, some time after the claim
	EventProgress  EventName = "progress"         // its worker tells how far it is
	EventLog       EventName = "log"              // a line was written to its log
	EventCompleted EventName = "completed"        //
	EventRetry     EventName = "retry"            // an attempt has failed, and another follows
	EventFailed    EventName = "failed"           // it has ended without success: exhausted or rejected
	EventReleased  EventName = "released"         // its worker has handed it back
	EventLost      EventName = "lost"             // its lease has run out; where no attempt is left, failed follows
	EventCancelled EventName = "cancelled"        //
	EventExpired   EventName = "expired"          // its deadline has passed
	EventRequeued  EventName = "requeued"         // an operator has queued it again
	EventPriority  EventName = "priority_changed" //
	EventDeleted   EventName = "deleted"          //
)

// EventNames are all of them, in the order of a task's life.
var EventNames = []EventName{
	EventEnqueued, EventClaimed, EventStarted, EventProgress, EventLog, EventCompleted, EventRetry, EventFailed, EventReleased, EventLost, EventCancelled, EventExpired,
	EventRequeued, EventPriority, EventDeleted,
}

// Event is one thing that has happened to a task, with the task as it was then.
type Event struct {
	ID          int64     `json:"event_id"` // grows; microseconds since 1970 at the start of the server, and one more with each event
	Name        EventName `json:"event"`
	AtUTC       time.Time `json:"at_utc"`
	TaskID      int64     `json:"task_id"`
	Type        string    `json:"type"`
	Status      Status    `json:"status"`
	Outcome     *Outcome  `json:"outcome"` // nil while it is live
	Priority    int       `json:"priority"`
	Attempts    int       `json:"attempts"`
	MaxAttempts int       `json:"max_attempts"`
	WorkerID    *string   `json:"worker_id"` // the one that holds it, or held it last; nil: none has
	Progress    *int      `json:"progress"`  // in percent
	Level       *Level    `json:"level"`     // of a log line; nil with other events
	Message     *string   `json:"message"`   // the error of an attempt, the line of a log, or the word of a worker on its progress
}

// EventOf returns the event of that name which has made t what it is.
func EventOf(name EventName, t *Task) Event {
	e := Event{
		Name: name, AtUTC: t.UpdatedAtUTC, TaskID: t.ID, Type: t.Type, Status: t.Status, Outcome: t.Outcome, Priority: t.Priority, Attempts: t.Attempts,
		MaxAttempts: t.MaxAttempts, WorkerID: t.LastWorkerID, Progress: t.Progress, Message: t.ErrorMessage,
	}
	if name == EventProgress {
		e.Message = t.ProgressMessage
	}
	return e
}

// EndOfAttempt names what has made t what it is, now that its lease has ended by the word of its worker.
func EndOfAttempt(t Task) EventName {
	switch {
	case t.Status == Completed:
		return EventCompleted
	case t.Status == Failed:
		return EventFailed
	case t.AttemptOutcome != nil && *t.AttemptOutcome == AttemptReleased:
		return EventReleased
	}
	return EventRetry
}

// EventFilter chooses events. What is empty chooses all.
type EventFilter struct {
	TaskID   int64
	Types    []string
	Statuses []Status
	Names    []EventName
}

// Matches reports whether the filter chooses e.
func (f EventFilter) Matches(e Event) bool {
	return (f.TaskID == 0 || f.TaskID == e.TaskID) && chosen(f.Types, e.Type) && chosen(f.Statuses, e.Status) && chosen(f.Names, e.Name)
}

func chosen[T comparable](all []T, v T) bool { return len(all) == 0 || slices.Contains(all, v) }
