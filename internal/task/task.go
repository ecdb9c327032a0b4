package task

import (
	"encoding/json"
	"time"
)

// Status says where a task is in its life. See CanBecome for the ways between them.
type Status string

const (
	Queued     Status = "queued"     // waits: for its time, for a worker, or for its next attempt
	Processing Status = "processing" // held by one worker under a lease
	Completed  Status = "completed"  // ended well
	Failed     Status = "failed"     // ended otherwise; Outcome says how
)

// Statuses lists every status in the order of a task's life.
var Statuses = []Status{Queued, Processing, Completed, Failed}

// Valid reports whether s is one of the four.
func (s Status) Valid() bool {
	return s == Queued || s == Processing || s == Completed || s == Failed
}

// Ended reports whether nothing more happens to the task by itself.
func (s Status) Ended() bool { return s == Completed || s == Failed }

// CanBecome reports whether the change from s to next is one of those allowed. The database refuses every other one.
func (s Status) CanBecome(next Status) bool {
	switch s {
	case Queued:
		return next == Processing || next == Failed
	case Processing:
		return next == Completed || next == Queued || next == Failed
	case Failed:
		return next == Queued
	}
	return false
}

// Outcome says how an ended task ended; a live task has none.
type Outcome string

const (
	Succeeded Outcome = "succeeded"
	Cancelled Outcome = "cancelled"
	Exhausted Outcome = "exhausted" // all attempts used: the dead letter
	Rejected  Outcome = "rejected"  // the worker said: do not retry
	Expired   Outcome = "expired"   // the deadline passed before it could run
)

// Outcomes lists every outcome.
var Outcomes = []Outcome{Succeeded, Cancelled, Exhausted, Rejected, Expired}

// AttemptOutcome says how one attempt of a task ended.
type AttemptOutcome string

const (
	AttemptSucceeded AttemptOutcome = "succeeded"
	AttemptFailed    AttemptOutcome = "failed"
	AttemptRejected  AttemptOutcome = "rejected"
	AttemptReleased  AttemptOutcome = "released" // handed back; does not count
	AttemptLost      AttemptOutcome = "lost"     // the lease ran out: the worker died or hung
	AttemptCancelled AttemptOutcome = "cancelled"
)

// Task is one row of task_queue. Fields have the order of its columns, on both engines; times are UTC in whole microseconds.
type Task struct {
	ID                   int64           `json:"task_id"`                // assigned by the database, grows
	LaneID               int64           `json:"-"`                      // the lane of its type, compatibility and priority
	Type                 string          `json:"type"`                   // chooses the handler
	Priority             int             `json:"priority"`               // 1 to 1000, the lower runs first
	Payload              JSON            `json:"payload"`                // an object, byte for byte as it came
	Compatibility        JSON            `json:"compatibility"`          // what a worker must offer, byte for byte as it came
	Status               Status          `json:"status"`                 //
	Outcome              *Outcome        `json:"outcome"`                // nil while live
	Attempts             int             `json:"attempts"`               // claims so far that count
	MaxAttempts          int             `json:"max_attempts"`           // 1 to 100
	RunAfterUTC          time.Time       `json:"run_after_utc"`          // not claimed before
	DeadlineUTC          *time.Time      `json:"deadline_utc"`           // not started after; nil: no deadline
	TimeoutSeconds       *float64        `json:"timeout_seconds"`        // the longest single attempt; nil: the handler's own limit
	RetryPolicy          *JSON           `json:"retry_policy"`           // a Backoff; nil: the type's
	Ready                bool            `json:"-"`                      // queued and due: can be claimed now
	Fence                int64           `json:"fence"`                  // grows with every claim
	LeaseSecret          *string         `json:"-"`                      // the random half of the last lease token
	LockedBy             *string         `json:"locked_by"`              // the worker that holds it; nil unless processing
	LastWorkerID         *string         `json:"last_worker_id"`         // the worker of the current or last attempt; nil before the first
	LeaseUntilUTC        *time.Time      `json:"lease_until_utc"`        // nil unless processing
	ReservedAtUTC        *time.Time      `json:"reserved_at_utc"`        // when it was claimed; nil unless processing
	ProcessingStartedUTC *time.Time      `json:"processing_started_utc"` // start of the current or last attempt; nil while queued
	AttemptOutcome       *AttemptOutcome `json:"attempt_outcome"`        // of the last attempt; nil before its end
	FinishedAtUTC        *time.Time      `json:"finished_at_utc"`        // nil while live
	ErrorMessage         *string         `json:"error_message"`          // of the last attempt, where it did not succeed; nil once completed
	Result               *JSON           `json:"result"`                 // given on completion; any JSON
	Progress             *int            `json:"progress"`               // 0 to 100, from the worker
	ProgressMessage      *string         `json:"progress_message"`
	IdempotencyKey       *string         `json:"idempotency_key"` // unique among all tasks while set
	CreatedAtUTC         time.Time       `json:"created_at_utc"`
	UpdatedAtUTC         time.Time       `json:"updated_at_utc"`
	Lost                 int             `json:"lost"`                        // workers lost with it in their hands: leases that ran out, ever
	ConcurrencyKey       *string         `json:"concurrency_key"`             // whom or what it is for: tasks of one type and key share limits; nil: nobody
	ErrorFingerprint     *string         `json:"error_fingerprint,omitempty"` // of ErrorMessage, while it is failed by it; nil: it is not, or was cancelled
	Traceparent          *string         `json:"traceparent,omitempty"`       // the span of which what happens to it is a part, as W3C Trace Context writes it; nil: none
}

// QuarantineAfter is the number of lost workers from which on a task runs alone.
const QuarantineAfter = 2

// Quarantined reports whether the task is live and runs alone: nothing else is given to the worker that holds it.
func (t Task) Quarantined() bool { return t.Lost >= QuarantineAfter && !t.Status.Ended() }

// Attempt is one ended attempt of a task, or the one that runs now (then FinishedAtUTC and Outcome are nil).
type Attempt struct {
	TaskID        int64           `json:"-"`
	Fence         int64           `json:"fence"`
	Attempt       int             `json:"attempt"` // a released attempt and the one after it have the same number
	WorkerID      string          `json:"worker_id"`
	StartedAtUTC  time.Time       `json:"started_at_utc"`
	FinishedAtUTC *time.Time      `json:"finished_at_utc"`
	Outcome       *AttemptOutcome `json:"outcome"`
	ErrorMessage  *string         `json:"error_message"`
}

// Duration returns how long the attempt took; false while it runs.
func (a Attempt) Duration() (d time.Duration, ended bool) {
	if a.FinishedAtUTC == nil {
		return 0, false
	}
	return a.FinishedAtUTC.Sub(a.StartedAtUTC), true
}

// MarshalJSON adds duration_seconds, null while the attempt runs.
func (a Attempt) MarshalJSON() ([]byte, error) {
	type fields Attempt
	out := struct {
		fields
		DurationSeconds *float64 `json:"duration_seconds"`
	}{fields: fields(a)}
	if d, ended := a.Duration(); ended {
		out.DurationSeconds = new(d.Seconds())
	}
	return json.Marshal(out)
}

// OwnAttempt returns the attempt that the task itself tells of: the one that runs, or the one that completed it. The others are in
// the history.
func (t Task) OwnAttempt() (Attempt, bool) {
	if (t.Status != Processing && t.Status != Completed) || t.LastWorkerID == nil || t.ProcessingStartedUTC == nil {
		return Attempt{}, false
	}
	return Attempt{
		TaskID: t.ID, Fence: t.Fence, Attempt: t.Attempts, WorkerID: *t.LastWorkerID, StartedAtUTC: *t.ProcessingStartedUTC,
		FinishedAtUTC: t.FinishedAtUTC, Outcome: t.AttemptOutcome,
	}, true
}

// WithoutPayload returns the task without what may be long.
func (t Task) WithoutPayload() Task {
	t.Payload, t.Result = "", nil
	return t
}

// CancelledUnder reports whether the lease with this token was the last one and ended because the task was cancelled.
func (t Task) CancelledUnder(tok Token) bool {
	return t.Status == Failed && t.Outcome != nil && *t.Outcome == Cancelled && t.AttemptOutcome != nil && *t.AttemptOutcome == AttemptCancelled &&
		t.Fence == tok.Fence && t.LeaseSecret != nil && *t.LeaseSecret == tok.Secret
}

// Worker is one row of the registry: who has claimed lately, and what it offers.
type Worker struct {
	WorkerID        string    `json:"worker_id"`
	Capabilities    JSON      `json:"capabilities"`
	Types           *JSON     `json:"types"` // an array of type names; nil: every type
	Drain           bool      `json:"drain"` // told to take nothing new
	RegisteredAtUTC time.Time `json:"registered_at_utc"`
	HeartbeatUTC    time.Time `json:"heartbeat_utc"`
}

// WorkerState says whether a worker can be counted on.
type WorkerState string

const (
	WorkerLive     WorkerState = "live"     // heard lately
	WorkerDraining WorkerState = "draining" // heard lately, and takes nothing new
	WorkerStale    WorkerState = "stale"    // not heard for long
)

// WorkerStatus is a worker with what it does.
type WorkerStatus struct {
	Worker
	State     WorkerState `json:"state"`
	HeldTasks int64       `json:"held_tasks"`

	// Attempts that it has completed, and that have failed or were lost, a minute, in the last ten minutes and through the server that is asked.
	CompletedPerMin float64 `json:"completed_per_minute"`
	FailedPerMin    float64 `json:"failed_per_minute"`

	Tasks []Held `json:"tasks,omitempty"` // the first of them, where one worker was asked for
}

// Cleaned is what a cleaning of the registry came to.
type Cleaned struct {
	Deleted []string `json:"deleted"` // ids of workers, ordered
	Kept    []string `json:"kept"`    // those that are stale too, but hold tasks
}

// Filter chooses tasks for a list, newest first.
type Filter struct {
	Status Status // empty: all
	Type   string // empty: all
	Before int64  // only ids below; 0: from the newest
	Limit  int    // at most so many
	Match  Match  // what else must hold
}

// Stats counts the tasks of the store. The counts are exact and of one instant.
type Stats struct {
	TotalTasks             int64    `json:"total_tasks"` // stored now: queued, processing, completed and failed
	QueuedTasks            int64    `json:"queued_tasks"`
	ProcessingTasks        int64    `json:"processing_tasks"`
	CompletedTasks         int64    `json:"completed_tasks"`
	FailedTasks            int64    `json:"failed_tasks"`
	OldestQueuedAgeSeconds *float64 `json:"oldest_queued_age_seconds"` // since its creation; nil when none is queued
	ReadyTasks             int64    `json:"ready_tasks"`               // queued and due
	ScheduledTasks         int64    `json:"scheduled_tasks"`           // queued, but due later
	DeletedTasks           int64    `json:"deleted_tasks"`             // ended and deleted since the store was made
}

// Clock tells the time of a store. Now is UTC, in whole microseconds, and never goes back.
type Clock interface{ Now() time.Time }
