package oldqueue

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/prismq/thequeue/db/olddb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// The statuses of the older queue. Workers set leased or processing, one as good as the other; dead_letter stands for failed where all attempts were used.
const (
	queued     = "queued"
	leased     = "leased"
	processing = "processing"
	completed  = "completed"
	failed     = "failed"
	deadLetter = "dead_letter"
)

// Statuses are those of the older queue, in the order of a task's life.
var Statuses = []string{queued, leased, processing, completed, failed, deadLetter}

// cancelledByUser is by what the older queue told a task that was cancelled from one that failed.
const cancelledByUser = "Cancelled by user"

// maxText is the longest text that is taken over: an error, or the message of a log.
const maxText = 1 << 20

// Rules is what tasks must be like.
type Rules struct {
	Now             time.Time // nothing has happened later
	MaxPayloadBytes int
}

// Row is a task of the older queue, as it becomes one of ours.
type Row struct {
	store.Imported
	Was   string // its status
	Held  bool   // its lease had not ended: its worker may still be at it
	Notes []Note // what is not as it was
}

// Note is what had to be changed in a row.
type Note string

const (
	NoteAhead    Note = "times after now were taken as now"
	NoteBefore   Note = "times of an end before its start were taken as the start"
	NoteAttempts Note = "attempts above max_attempts were taken as max_attempts"
	NoteLevel    Note = "levels of log lines that are not known were taken as info"
)

// Notes are all of them.
var Notes = []Note{NoteAhead, NoteBefore, NoteAttempts, NoteLevel}

// conversion makes a task of a row.
type conversion struct {
	fields
	rules  Rules
	row    olddb.ListTasksRow
	status string

	worker  *string    // that held it last
	begun   *time.Time // when its last attempt began
	counted int        // attempts that the older queue had counted, which it did when they had failed
	out     Row
}

// convert returns the task that a row becomes. An error is about a row that cannot be read, with all that is wrong with it.
func convert(row olddb.ListTasksRow, rules Rules) (Row, error) {
	c := conversion{fields: fields{now: rules.Now}, rules: rules, row: row}
	c.read()
	if err := c.bad.OrNil(); err != nil {
		return Row{}, err
	}
	c.become()
	return c.out, nil
}

// read takes over what stays as it is.
func (c *conversion) read() {
	t := &c.out.Task
	*t = task.Task{
		ID: c.row.ID, Type: c.name("type", c.row.Type, 200), Priority: c.number("priority", c.row.Priority, 1, 1000),
		Payload: c.object("payload", c.row.Payload, c.rules.MaxPayloadBytes, false), Compatibility: c.compatibility(),
		MaxAttempts: c.number("max_attempts", c.row.MaxAttempts, 1, 100), ErrorMessage: c.text("error_message", c.row.ErrorMessage, maxText),
		IdempotencyKey: c.key(),
	}
	c.counted = c.number("attempts", c.row.Attempts, 0, 1<<30)
	c.status, _ = c.row.Status.(string)
	switch c.status {
	case queued, leased, processing, completed, failed, deadLetter:
	default:
		c.bad.Add("status", "must be one of queued, leased, processing, completed, failed and dead_letter, but is %s", kindOf(c.row.Status))
	}
	c.out.Was = c.status
	c.times(t)
	if c.worker = c.text("locked_by", c.row.LockedBy, 1000); c.worker != nil {
		if msg := task.CheckName(*c.worker, 200); msg != "" {
			c.bad.Add("locked_by", "%s", msg)
		}
	}
}

func (c *conversion) compatibility() task.JSON {
	v := c.object("compatibility", c.row.Compatibility, c.rules.MaxPayloadBytes, true)
	if _, err := task.ParseRequirements(v); err != nil && len(c.bad.Fields) == 0 {
		c.bad.Add("compatibility", "%s", err)
	}
	return v
}

// key is the idempotency key of the row, so that it goes on to hold, or one made of what never changes in a row: a second import finds it.
func (c *conversion) key() *string {
	if k := c.text("idempotency_key", c.row.IdempotencyKey, maxText); k != nil {
		if msg := task.CheckName(*k, 500); msg != "" {
			c.bad.Add("idempotency_key", "%s", msg)
		}
		return k
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%v\x00%v\x00%v", plain(c.row.Type), plain(c.row.CreatedAtUTC), plain(c.row.Payload)))
	return new(fmt.Sprintf("imported:%d:%s", c.row.ID, hex.EncodeToString(sum[:8])))
}

func (c *conversion) times(t *task.Task) {
	created := c.past("created_at_utc", c.row.CreatedAtUTC)
	if created == nil {
		created = &c.now
		if len(c.bad.Fields) == 0 {
			c.bad.Add("created_at_utc", "is missing")
		}
	}
	t.CreatedAtUTC = *created
	if t.RunAfterUTC = *created; c.row.RunAfterUTC != nil {
		if at := c.instant("run_after_utc", c.row.RunAfterUTC); at != nil {
			t.RunAfterUTC = *at
		}
	}
	t.UpdatedAtUTC = c.since(*created, c.past("updated_at_utc", c.row.UpdatedAtUTC))
	reserved, started := c.past("reserved_at_utc", c.row.ReservedAtUTC), c.past("processing_started_utc", c.row.ProcessingStartedUTC)
	if started == nil {
		started = reserved
	}
	if started != nil {
		c.begun = new(c.since(*created, started))
	}
	if finished := c.past("finished_at_utc", c.row.FinishedAtUTC); finished != nil {
		t.FinishedAtUTC = new(c.since(*created, c.afterBegun(finished)))
	}
	if until := c.instant("lease_until_utc", c.row.LeaseUntilUTC); until != nil && (c.status == leased || c.status == processing) {
		c.out.Held = until.After(c.now)
	}
	if c.ahead {
		c.note(NoteAhead)
	}
}

// since is a time that cannot lie before another; nil stands for that one.
func (c *conversion) since(least time.Time, at *time.Time) time.Time {
	if at == nil {
		return least
	}
	if at.Before(least) {
		c.note(NoteBefore)
		return least
	}
	return *at
}

// afterBegun is the end of what began with the last attempt.
func (c *conversion) afterBegun(at *time.Time) *time.Time {
	if c.begun == nil {
		return at
	}
	return new(c.since(*c.begun, at))
}

func (c *conversion) note(n Note) {
	for _, known := range c.out.Notes {
		if known == n {
			return
		}
	}
	c.out.Notes = append(c.out.Notes, n)
}

// become gives the task the status that it has here.
func (c *conversion) become() {
	t := &c.out.Task
	if c.counted > t.MaxAttempts {
		c.counted = t.MaxAttempts
		c.note(NoteAttempts)
	}
	t.Attempts = c.counted
	if t.Attempts > 0 {
		t.AttemptOutcome = new(task.AttemptFailed)
	}
	switch c.status {
	case queued:
		c.wait()
	case leased, processing:
		c.interrupt()
	case completed:
		c.complete()
	default:
		c.fail()
	}
	t.Fence = int64(t.Attempts)
	if t.Status == task.Failed && *t.Outcome != task.Cancelled {
		t.ErrorFingerprint = new(task.Fingerprint(deref(t.ErrorMessage)))
	}
}

// wait leaves a queued task queued, unless it has used all its attempts: the older queue would have run it once more.
func (c *conversion) wait() {
	t := &c.out.Task
	if t.Attempts < t.MaxAttempts {
		t.Status, t.Ready = task.Queued, !t.RunAfterUTC.After(c.now)
		return
	}
	if t.ErrorMessage == nil {
		t.ErrorMessage = new("All attempts were used up in the older queue")
	}
	c.end(task.Exhausted, c.now)
}

// interrupt ends the attempt under way, which counts: its worker is no worker of this queue, and it may have done harm as well as good.
func (c *conversion) interrupt() {
	t := &c.out.Task
	t.Attempts = min(c.counted+1, t.MaxAttempts)
	t.Lost, t.UpdatedAtUTC, t.AttemptOutcome = 1, c.now, new(task.AttemptLost)
	t.ErrorMessage = new("Interrupted: it was running in the older queue when that was imported")
	if c.worker != nil {
		*t.ErrorMessage = fmt.Sprintf("Interrupted: worker %s of the older queue was running it when that was imported", *c.worker)
	}
	t.LastWorkerID, c.out.Failed = c.worker, task.EventLost
	c.keepAttempt(task.AttemptLost, c.now)
	t.FinishedAtUTC = nil
	if c.counted+1 < t.MaxAttempts {
		t.Status, t.Ready, t.RunAfterUTC = task.Queued, true, c.now
		return
	}
	c.end(task.Exhausted, c.now)
}

// complete counts the attempt that succeeded, as this queue does when a task is claimed.
func (c *conversion) complete() {
	t := &c.out.Task
	t.Attempts = min(c.counted+1, t.MaxAttempts)
	t.Status, t.Outcome, t.AttemptOutcome, t.ErrorMessage = task.Completed, new(task.Succeeded), new(task.AttemptSucceeded), nil
	t.LastWorkerID, t.ProcessingStartedUTC = c.worker, c.begun
	if t.FinishedAtUTC == nil {
		t.FinishedAtUTC = c.afterBegun(&t.UpdatedAtUTC)
	}
}

// fail tells by its message a task that was cancelled, and by its attempts one whose worker did not want another.
func (c *conversion) fail() {
	t := &c.out.Task
	finished := t.UpdatedAtUTC
	if t.FinishedAtUTC != nil {
		finished = *t.FinishedAtUTC
	}
	finished = *c.afterBegun(&finished)
	if c.status == failed && deref(t.ErrorMessage) == cancelledByUser {
		if c.worker != nil && c.begun != nil {
			t.Attempts = min(c.counted+1, t.MaxAttempts)
			t.LastWorkerID, t.AttemptOutcome = c.worker, new(task.AttemptCancelled)
			c.keepAttempt(task.AttemptCancelled, finished)
		}
		c.end(task.Cancelled, finished)
		return
	}
	outcome, attempt := task.Exhausted, task.AttemptFailed
	if c.status == failed && c.counted < t.MaxAttempts {
		outcome, attempt = task.Rejected, task.AttemptRejected
	}
	if c.worker != nil {
		t.Attempts = max(c.counted, 1)
	}
	if t.Attempts > 0 {
		t.AttemptOutcome = &attempt
	}
	t.LastWorkerID, c.out.Failed = c.worker, task.EventFailed
	c.keepAttempt(attempt, finished)
	c.end(outcome, finished)
}

func (c *conversion) end(outcome task.Outcome, at time.Time) {
	t := &c.out.Task
	t.Status, t.Outcome, t.Ready, t.FinishedAtUTC, t.ProcessingStartedUTC = task.Failed, &outcome, false, &at, c.begun
	if t.UpdatedAtUTC.Before(at) {
		t.UpdatedAtUTC = at
	}
}

// keepAttempt writes the last attempt into the history, where enough is known of it.
func (c *conversion) keepAttempt(outcome task.AttemptOutcome, at time.Time) {
	t := &c.out.Task
	if c.worker == nil || c.begun == nil {
		return
	}
	c.out.Attempt = &task.Attempt{
		Fence: int64(t.Attempts), Attempt: t.Attempts, WorkerID: *c.worker, StartedAtUTC: *c.begun, FinishedAtUTC: &at, Outcome: &outcome, ErrorMessage: t.ErrorMessage,
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
