package oldqueue

import (
	"context"
	"encoding/base64"
	"fmt"
	"iter"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/prismq/thequeue/db/olddb"
	"github.com/prismq/thequeue/internal/task"
)

const (
	// A batch ends at the first of these: so many tasks, or so many bytes of them. A single task may have more.
	batchTasks = 500
	batchBytes = 4 << 20
	// pageLogs is how many lines of logs one query returns.
	pageLogs = 500
)

// Rejected is a row that cannot be read.
type Rejected struct {
	Table  string         `json:"table"`
	ID     int64          `json:"id"` // of the row; 0 for a worker, whose table has no numbers
	Reason string         `json:"reason"`
	Row    map[string]any `json:"row"` // as it is; a BLOB as {"base64": …}

	Was string `json:"-"` // the status of a task; empty: it has none of those known
}

// Batch is a number of tasks with all lines of their logs.
type Batch struct {
	Rows     []Row
	Rejected []Rejected
}

// Counts is how much there is in a file.
type Counts struct{ Tasks, Logs, FirstID, LastID int64 }

// Count counts the rows.
func (f *File) Count(ctx context.Context) (Counts, error) {
	c, err := f.q.CountRows(ctx)
	return Counts{Tasks: c.Tasks, Logs: c.Logs, FirstID: c.FirstID, LastID: c.LastID}, err
}

// Read goes through all tasks in the order of their ids. What cannot be read, of them or of their logs, is among the rejected: a task with a line that cannot be read is taken without it.
func (f *File) Read(ctx context.Context, rules Rules) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		c, err := f.Count(ctx)
		for after := c.FirstID - 1; err == nil && after < c.LastID; {
			var b Batch
			if b, after, err = f.batch(ctx, rules, after); err == nil && !yield(b, nil) {
				return
			}
		}
		if err != nil {
			yield(Batch{}, fmt.Errorf("read %s: %w", f.path, err))
		}
	}
}

// batch reads the tasks after an id, and returns the last of their ids.
func (f *File) batch(ctx context.Context, rules Rules, after int64) (b Batch, upto int64, err error) {
	if upto, err = f.reach(ctx, after); err != nil {
		return b, upto, err
	}
	rows, err := f.q.ListTasks(ctx, olddb.ListTasksParams{After: after, Upto: upto})
	if err != nil {
		return b, upto, err
	}
	place := make(map[int64]int, len(rows)) // of tasks in b.Rows
	for _, row := range rows {
		r, err := convert(row, rules)
		if err != nil {
			b.Rejected = append(b.Rejected, rejectedTask(row, err))
			continue
		}
		place[r.ID] = len(b.Rows)
		b.Rows = append(b.Rows, r)
	}
	return b, upto, f.logs(ctx, rules, &b, place, after, upto)
}

// reach returns the id of the last task of a batch.
func (f *File) reach(ctx context.Context, after int64) (int64, error) {
	sizes, err := f.q.ListSizes(ctx, olddb.ListSizesParams{After: after, Max: batchTasks})
	if err != nil {
		return 0, err
	}
	upto, bytes := after, int64(0)
	for _, s := range sizes {
		if s.ID <= upto {
			return 0, fmt.Errorf("%w: the ids of its tasks do not grow", ErrNotOld)
		}
		if bytes += s.Bytes; upto > after && bytes > batchBytes {
			break
		}
		upto = s.ID
	}
	if upto == after {
		return 0, ErrChanged
	}
	return upto, nil
}

// logs reads the lines of the tasks of a batch.
func (f *File) logs(ctx context.Context, rules Rules, b *Batch, place map[int64]int, after, upto int64) error {
	lines := make([][]task.Log, len(b.Rows))
	at := olddb.ListLogsParams{After: after, Upto: upto, LastTask: after, LastLog: -1 << 63, Max: pageLogs}
	for more := true; more; {
		rows, err := f.q.ListLogs(ctx, at)
		if err != nil {
			return err
		}
		for _, row := range rows {
			at.LastTask, at.LastLog = row.TaskID, row.LogID
			i, ok := place[row.TaskID]
			if !ok {
				b.Rejected = append(b.Rejected, rejectedLog(row, fmt.Sprintf("its task %d cannot be read", row.TaskID)))
				continue
			}
			l, notes, err := line(row, rules.Now)
			if err != nil {
				b.Rejected = append(b.Rejected, rejectedLog(row, reason(err)))
				continue
			}
			lines[i] = append(lines[i], l)
			for _, n := range notes {
				b.Rows[i].Notes = append(b.Rows[i].Notes, n)
			}
		}
		more = len(rows) == pageLogs
	}
	for i := range b.Rows {
		b.Rows[i].addLogs(lines[i], rules.Now)
	}
	return nil
}

// Strays returns the lines of logs of which there is no task.
func (f *File) Strays(ctx context.Context) iter.Seq2[Rejected, error] {
	return func(yield func(Rejected, error) bool) {
		for after := int64(-1 << 63); ; {
			rows, err := f.q.ListStrayLogs(ctx, olddb.ListStrayLogsParams{After: after, Max: pageLogs})
			if err != nil {
				yield(Rejected{}, fmt.Errorf("read %s: %w", f.path, err))
				return
			}
			for _, row := range rows {
				after = row.LogID
				if !yield(rejectedLog(olddb.ListLogsRow{LogID: row.LogID, AtUTC: row.AtUTC, Level: row.Level, Message: row.Message, Details: row.Details}, "there is no task of it").of(row.TaskID), nil) {
					return
				}
			}
			if len(rows) < pageLogs {
				return
			}
		}
	}
}

// Workers returns the registry, and what of it cannot be read.
func (f *File) Workers(ctx context.Context, rules Rules) (ws []task.Worker, bad []Rejected, err error) {
	rows, err := f.q.ListWorkers(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", f.path, err)
	}
	for _, row := range rows {
		c := fields{now: rules.Now}
		w := task.Worker{WorkerID: c.name("worker_id", row.WorkerID, 200), Capabilities: c.object("capabilities", row.Capabilities, rules.MaxPayloadBytes, true)}
		if at := c.past("heartbeat_utc", row.HeartbeatUTC); at != nil {
			w.HeartbeatUTC, w.RegisteredAtUTC = *at, *at
		} else if len(c.bad.Fields) == 0 {
			c.bad.Add("heartbeat_utc", "is missing")
		}
		if err := c.bad.OrNil(); err != nil {
			bad = append(bad, Rejected{Table: "workers", Reason: reason(err), Row: values(map[string]any{
				"worker_id": row.WorkerID, "capabilities": row.Capabilities, "heartbeat_utc": row.HeartbeatUTC,
			})})
			continue
		}
		ws = append(ws, w)
	}
	return ws, bad, nil
}

func rejectedTask(row olddb.ListTasksRow, err error) Rejected {
	r := Rejected{Table: "task_queue", ID: row.ID, Reason: reason(err), Row: values(map[string]any{
		"id": row.ID, "type": row.Type, "priority": row.Priority, "payload": row.Payload, "compatibility": row.Compatibility, "status": row.Status,
		"attempts": row.Attempts, "max_attempts": row.MaxAttempts, "run_after_utc": row.RunAfterUTC, "lease_until_utc": row.LeaseUntilUTC,
		"reserved_at_utc": row.ReservedAtUTC, "processing_started_utc": row.ProcessingStartedUTC, "finished_at_utc": row.FinishedAtUTC, "locked_by": row.LockedBy,
		"error_message": row.ErrorMessage, "idempotency_key": row.IdempotencyKey, "created_at_utc": row.CreatedAtUTC, "updated_at_utc": row.UpdatedAtUTC,
	})}
	for _, s := range Statuses {
		if row.Status == s {
			r.Was = s
		}
	}
	return r
}

func rejectedLog(row olddb.ListLogsRow, why string) Rejected {
	return Rejected{Table: "task_logs", ID: row.LogID, Reason: why, Row: values(map[string]any{
		"log_id": row.LogID, "task_id": row.TaskID, "at_utc": row.AtUTC, "level": row.Level, "message": row.Message, "details": row.Details,
	})}
}

// of sets the task of a line, which may be anything.
func (r Rejected) of(task any) Rejected {
	r.Row["task_id"] = value(task)
	return r
}

// reason is what is wrong, on one line.
func reason(err error) string { return strings.ReplaceAll(err.Error(), "\n", " ") }

// values makes the values of a row fit for JSON.
func values(row map[string]any) map[string]any {
	for name, v := range row {
		row[name] = value(v)
	}
	return row
}

// value is a value that JSON can have: what is no text of Unicode is in base64.
func value(v any) any {
	switch v := plain(v).(type) {
	case []byte:
		return map[string]string{"base64": base64.StdEncoding.EncodeToString(v)}
	case string:
		if !utf8.ValidString(v) {
			return value([]byte(v))
		}
		return v
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return fmt.Sprint(v)
		}
		return v
	default:
		return v
	}
}
