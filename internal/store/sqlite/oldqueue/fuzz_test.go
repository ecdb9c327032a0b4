package oldqueue

import (
	"errors"
	"testing"
	"time"

	"github.com/prismq/thequeue/db/olddb"
	"github.com/prismq/thequeue/internal/task"
)

// FuzzOldRow: whatever stands in a row of an older database, a task comes of it that the queue may have, or a list of what is wrong.
func FuzzOldRow(f *testing.F) {
	f.Add("mail", `{"a":1}`, "{}", "queued", "2026-01-31 08:00:00", "2026-01-31T08:00:00+0000", "", int64(5), int64(0), int64(5))
	f.Add("mail", `[`, `{"x":{"min":1}}`, "dead_letter", "31.1.2026", "9999-12-31T23:59:59.999999Z", "no", int64(-1), int64(9), int64(3))
	f.Add(" \x00", "\xff", "null", "leased", "1969-12-31 23:59:59", "", "Cancelled by user", int64(1<<62), int64(-1<<62), int64(0))
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, taskType, payload, compatibility, status, at, then, message string, priority, attempts, most int64) {
		r, err := convert(olddb.ListTasksRow{
			ID: 1, Type: taskType, Priority: priority, Payload: payload, Compatibility: []byte(compatibility), Status: status, Attempts: attempts, MaxAttempts: most, RunAfterUTC: at,
			LeaseUntilUTC: then, ReservedAtUTC: at, ProcessingStartedUTC: at, FinishedAtUTC: then, LockedBy: message, ErrorMessage: message, IdempotencyKey: message, CreatedAtUTC: at, UpdatedAtUTC: then,
		}, Rules{Now: now, MaxPayloadBytes: 1 << 20})
		if err != nil {
			if bad, ok := errors.AsType[*task.InvalidError](err); !ok || len(bad.Fields) == 0 {
				t.Fatal(err)
			}
			return
		}
		if msg := task.CheckName(r.Type, 200); msg != "" || !r.Status.Valid() || r.Payload.CheckObject() != nil || r.Attempts > r.MaxAttempts || r.Priority < 1 || r.Priority > 1000 || r.CreatedAtUTC.After(now) {
			t.Errorf("%+v is no task: %s", r.Task, msg)
		}
	})
}
