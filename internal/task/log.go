package task

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Level is the severity of a log line.
type Level string

const (
	Debug   Level = "debug"
	Info    Level = "info"
	Warning Level = "warning"
	Error   Level = "error"
)

// Levels lists every level, the least severe first.
var Levels = []Level{Debug, Info, Warning, Error}

// Valid reports whether l is one of the four levels.
func (l Level) Valid() bool { return l == Debug || l == Info || l == Warning || l == Error }

// Log is one line in the log of a task: a worker's word, or what has happened to the task.
type Log struct {
	LogID   int64      `json:"log_id"` // grows within a task; the microsecond since 1970, or one more than that of the line before where that is not less
	TaskID  int64      `json:"task_id"`
	AtUTC   time.Time  `json:"at_utc"`
	Level   Level      `json:"level"`
	Message string     `json:"message"`
	Details *JSON      `json:"details"` // any JSON; nil: none
	Fence   int64      `json:"-"`       // of the last claim before it
	Event   *EventName `json:"-"`       // what has happened, also in Details; nil: a worker's word
}

// LogFilter chooses lines of one task's log.
type LogFilter struct {
	TaskID int64
	After  int64 // only lines with a greater LogID
	Level  Level // empty: all
	Limit  int   // at most so many
}

// RecentLog is a line among those of all tasks.
type RecentLog struct {
	Log
	Type string `json:"type"` // of the task
}

// LogPlace is the place of a line among those of all tasks: in the order of LogID, then of TaskID. The zero place is behind the newest.
type LogPlace struct{ LogID, TaskID int64 }

// RecentLogFilter chooses lines among those of all tasks, newest first.
type RecentLogFilter struct {
	Level  Level     // empty: all
	Since  time.Time // not before; zero: from the oldest
	Until  time.Time // before; zero: to the newest
	TaskID int64     // 0: of all tasks
	Type   string    // empty: of all types
	Word   string    // in the message, in any case of letters; empty: all
	Before LogPlace  // only lines below
	Limit  int       // at most so many
}

// DeletedLogs is what a deletion of lines came to.
type DeletedLogs struct {
	Before time.Time `json:"before_utc"`
	Lines  int64     `json:"lines"`   // deleted, or found by a dry run
	DryRun bool      `json:"dry_run"` // nothing was deleted
	More   bool      `json:"more"`    // there are others: call again
}

// happened is what the log keeps beside a line of what has happened to a task.
type happened struct {
	Event        EventName `json:"event"`
	WorkerID     *string   `json:"worker_id,omitempty"`
	Attempt      int       `json:"attempt,omitempty"`
	Fence        int64     `json:"fence,omitempty"`
	Outcome      *Outcome  `json:"outcome,omitempty"`
	Attempts     *int      `json:"attempts,omitempty"` // that a requeue makes the task forget
	RunAfterUTC  string    `json:"run_after_utc,omitempty"`
	ErrorMessage *string   `json:"error_message,omitempty"`
}

// line returns the line that says so. The triggers of both engines write the same.
func (h happened) line(taskID, fence int64, at time.Time, level Level, message string) Log {
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(h); err != nil { // texts and numbers
		panic(err)
	}
	return Log{TaskID: taskID, AtUTC: at, Level: level, Message: message, Details: new(JSON(strings.TrimSuffix(text.String(), "\n"))), Fence: fence, Event: &h.Event}
}

// EnqueuedLine is the line of the task's coming in.
func (t Task) EnqueuedLine() Log {
	return happened{Event: EventEnqueued}.line(t.ID, 0, t.CreatedAtUTC, Info, "Enqueued")
}

// ClaimedLine is the line of the claim that began the attempt.
func (a Attempt) ClaimedLine() Log {
	return happened{Event: EventClaimed, WorkerID: &a.WorkerID, Attempt: a.Attempt, Fence: a.Fence}.line(a.TaskID, a.Fence, a.StartedAtUTC, Info, "Claimed by "+a.WorkerID)
}

// ClaimOf returns the attempt that OwnAttempt does, as if it had begun with its claim.
func (t Task) ClaimOf() (Attempt, bool) {
	a, ok := t.OwnAttempt()
	if t.ReservedAtUTC != nil {
		a.StartedAtUTC = *t.ReservedAtUTC
	}
	return a, ok
}

// StartedLine is the line of what Start has made of the task.
func (t Task) StartedLine() Log {
	return happened{Event: EventStarted, WorkerID: t.LockedBy, Attempt: t.Attempts, Fence: t.Fence}.line(t.ID, t.Fence, t.UpdatedAtUTC, Info, "Started by "+*t.LockedBy)
}

// CompletedLine is the last line of a completed task.
func (t Task) CompletedLine() Log {
	message := "Completed"
	if t.LastWorkerID != nil {
		message += " by " + *t.LastWorkerID
	}
	return happened{Event: EventCompleted, WorkerID: t.LastWorkerID, Attempt: t.Attempts, Fence: t.Fence}.line(t.ID, t.Fence, *t.FinishedAtUTC, Info, message)
}

// ChangedLines are the lines of what has made after of before, where it is none of the usual life of a task: enqueued, claimed, completed.
func ChangedLines(before, after Task) []Log {
	h := happened{}
	if before.Status == Processing {
		h = happened{WorkerID: before.LockedBy, Attempt: before.Attempts, Fence: before.Fence}
	}
	line := func(level Level, message string) Log {
		return h.line(after.ID, after.Fence, after.UpdatedAtUTC, level, message)
	}
	var out []Log
	if before.Status == Processing && after.AttemptOutcome != nil && *after.AttemptOutcome == AttemptLost {
		h.Event, h.ErrorMessage = EventLost, after.ErrorMessage
		out = append(out, line(Warning, "Lost by "+*before.LockedBy))
	}
	h.Outcome = after.Outcome
	switch {
	case after.Status == Failed && *after.Outcome == Cancelled:
		h.Event, h.ErrorMessage = EventCancelled, nil
		out = append(out, line(Info, "Cancelled"))
	case after.Status == Failed && *after.Outcome == Expired:
		h.Event, h.ErrorMessage = EventExpired, after.ErrorMessage
		out = append(out, line(Error, "Expired"))
	case after.Status == Failed:
		h.Event, h.ErrorMessage = EventFailed, after.ErrorMessage
		out = append(out, line(Error, "Failed: "+string(*after.Outcome)))
	case before.Status == Failed:
		h.Event, h.Outcome, h.Attempts = EventRequeued, before.Outcome, &before.Attempts
		out = append(out, line(Info, "Requeued by an operator"))
	case before.Status != Processing || len(out) > 0:
	case *after.AttemptOutcome == AttemptReleased:
		h.Event, h.RunAfterUTC = EventReleased, logInstant(after.RunAfterUTC)
		verb := "Handed back by "
		if after.RunAfterUTC.After(after.UpdatedAtUTC) {
			verb = "Snoozed by "
		}
		out = append(out, line(Info, verb+*before.LockedBy))
	default:
		h.Event, h.RunAfterUTC, h.ErrorMessage = EventRetry, logInstant(after.RunAfterUTC), after.ErrorMessage
		out = append(out, line(Warning, fmt.Sprintf("Attempt %d of %d failed, another follows", before.Attempts, before.MaxAttempts)))
	}
	return out
}

func logInstant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
