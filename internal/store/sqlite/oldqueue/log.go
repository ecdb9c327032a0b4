package oldqueue

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prismq/thequeue/db/olddb"
	"github.com/prismq/thequeue/internal/task"
)

// levels are those of the older queue, which are those of Python, in small letters.
var levels = map[string]task.Level{
	"debug": task.Debug, "info": task.Info, "warning": task.Warning, "warn": task.Warning, "error": task.Error, "critical": task.Error,
}

// line makes a line of a row. The id and what has happened before it are set by addLogs.
func line(row olddb.ListLogsRow, now time.Time) (l task.Log, notes []Note, err error) {
	f := fields{now: now}
	l.Level = task.Info
	if name, ok := plain(row.Level).(string); ok && levels[strings.ToLower(name)] != "" {
		l.Level = levels[strings.ToLower(name)]
	} else {
		notes = append(notes, NoteLevel)
	}
	if at := f.past("at_utc", row.AtUTC); at != nil {
		l.AtUTC = *at
	} else if len(f.bad.Fields) == 0 {
		f.bad.Add("at_utc", "is missing")
	}
	l.Message, l.Details = deref(f.text("message", row.Message, maxText)), details(&f, row.Details)
	if f.ahead {
		notes = append(notes, NoteAhead)
	}
	return l, notes, f.bad.OrNil()
}

// details is the JSON of a line. A text that is none is kept as a text in JSON.
func details(f *fields, v any) *task.JSON {
	text := f.text("details", v, maxText)
	if text == nil {
		return nil
	}
	if task.JSON(*text).Check() == nil {
		return (*task.JSON)(text)
	}
	quoted, err := json.Marshal(*text)
	if err != nil { // a text
		panic(err)
	}
	return new(task.JSON(quoted))
}

// addLogs gives the task its log: the lines of the older queue, what its end or its interruption writes here, and where it has come from. A task that has completed ends with its
// completion, so it has no such last line.
func (r *Row) addLogs(lines []task.Log, now time.Time) {
	id, fence := r.CreatedAtUTC.UnixMicro(), r.Fence
	begun, claimed := r.claimed()
	if claimed {
		fence-- // until it was claimed
	}
	add := func(l task.Log) {
		if claimed && !l.AtUTC.Before(begun) { // the log tells of the claim before this line
			claimed, fence, id = false, r.Fence, max(begun.UnixMicro(), id+1)
		}
		id = max(l.AtUTC.UnixMicro(), id+1)
		l.LogID, l.Fence = id, fence
		r.Logs = append(r.Logs, l)
	}
	for _, l := range slices.Concat(lines, r.events()) {
		add(l)
	}
	if r.Status == task.Completed {
		return
	}
	add(task.Log{
		AtUTC: now, Level: task.Info, Message: fmt.Sprintf("Imported from the older queue, where it was task %d and %s", r.ID, r.Was),
		Details: new(task.JSON(fmt.Sprintf(`{"old_task_id":%d,"old_status":%q}`, r.ID, r.Was))),
	})
}

// claimed returns when the attempt began of which the log tells by itself.
func (r *Row) claimed() (at time.Time, ok bool) {
	if r.Attempt != nil {
		return r.Attempt.StartedAtUTC, true
	}
	own, ok := r.OwnAttempt()
	return own.StartedAtUTC, ok
}

// events are the lines that this queue writes when what has happened to the task happens here.
func (r *Row) events() []task.Log {
	before := task.Task{Status: task.Queued}
	if r.Attempt != nil {
		before = r.Task
		before.Status, before.LockedBy = task.Processing, &r.Attempt.WorkerID
	} else if r.Status != task.Failed {
		return nil
	}
	if r.Status == task.Completed {
		return nil
	}
	after := r.Task
	if after.FinishedAtUTC != nil {
		after.UpdatedAtUTC = *after.FinishedAtUTC
	}
	return task.ChangedLines(before, after)
}
