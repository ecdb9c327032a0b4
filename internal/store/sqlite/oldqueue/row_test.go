package oldqueue_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/store/sqlite/oldqueue"
	"github.com/prismq/thequeue/internal/task"
)

// plainColumns leaves the columns out that the older queue derives: with them SQLite takes no payload that is no JSON.
const plainColumns = "ALTER TABLE task_queue DROP COLUMN region; ALTER TABLE task_queue DROP COLUMN format"

// gist is what a row becomes, in short.
func gist(r oldqueue.Row) string {
	s := fmt.Sprintf("%s: %s", r.Was, r.Status)
	if r.Outcome != nil {
		s += "/" + string(*r.Outcome)
	}
	s += fmt.Sprintf(" %d/%d", r.Attempts, r.MaxAttempts)
	if r.AttemptOutcome != nil {
		s += " " + string(*r.AttemptOutcome)
	}
	if r.LastWorkerID != nil {
		s += " by " + *r.LastWorkerID
	}
	if r.FinishedAtUTC != nil {
		s += " at " + r.FinishedAtUTC.Format("15:04:05")
	}
	if r.Attempt != nil {
		s += fmt.Sprintf(" (attempt %d %s-%s %s)", r.Attempt.Attempt, r.Attempt.StartedAtUTC.Format("15:04:05"), r.Attempt.FinishedAtUTC.Format("15:04:05"), *r.Attempt.Outcome)
	}
	if r.ErrorMessage != nil {
		s += ": " + *r.ErrorMessage
	}
	return s
}

func TestWhatTasksOfEachStatusBecome(t *testing.T) {
	t.Parallel()
	rows, bad := read(t, older(t, script(t, "tasks.sql")))
	if len(bad) != 0 {
		t.Fatalf("bad are %+v", bad)
	}
	var got []string
	for _, r := range rows {
		got = append(got, gist(r))
	}
	want := []string{
		"queued: queued 0/5",
		"queued: queued 2/5 failed: TimeoutError: no answer",
		"queued: failed/exhausted 3/3 failed at 08:00:00: ValueError: bad",
		"leased: queued 2/5 lost by worker-1 (attempt 2 08:10:04-08:00:00 lost): Interrupted: worker worker-1 of the older queue was running it when that was imported",
		"processing: failed/exhausted 3/3 lost by worker-2 at 08:00:00 (attempt 3 08:10:05-08:00:00 lost): Interrupted: worker worker-2 of the older queue was running it when that was imported",
		"completed: completed/succeeded 1/5 succeeded by worker-1 at 08:01:31",
		"completed: completed/succeeded 3/3 succeeded at 08:02:31",
		"failed: failed/exhausted 5/5 failed by worker-1 at 08:03:02 (attempt 5 08:03:01-08:03:02 failed): SMTPError: 550",
		"failed: failed/rejected 1/5 rejected by worker-1 at 08:03:02 (attempt 1 08:03:01-08:03:02 rejected): ValueError: never",
		"failed: failed/cancelled 0/5 at 08:04:00: Cancelled by user",
		"failed: failed/cancelled 1/5 cancelled by worker-2 at 08:04:01 (attempt 1 08:04:01-08:04:01 cancelled): Cancelled by user",
		"dead_letter: failed/exhausted 5/5 failed at 08:06:00",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	first := rows[0]
	if first.Payload != `{"to": "ada", "n": 12345678901234567890.10}` || *first.IdempotencyKey != "order-1" || !first.Ready || first.Priority != 100 {
		t.Errorf("got %+v", first.Task)
	}
	if second := rows[1]; second.Ready || second.Compatibility != `{"region": "eu"}` || second.Fence != 2 || !second.RunAfterUTC.Equal(time.Date(2999, 1, 1, 7, 30, 0, 250e6, time.UTC)) {
		t.Errorf("got %+v", second.Task)
	}
	for i, r := range rows {
		if (r.Status == task.Failed && *r.Outcome != task.Cancelled) != (r.ErrorFingerprint != nil) || r.Fence != int64(r.Attempts) || r.Held {
			t.Errorf("row %d is %+v", i, r)
		}
	}
}

func TestTheLogTellsWhatHasHappenedInItsOrder(t *testing.T) {
	t.Parallel()
	rows, _ := read(t, older(t, script(t, "tasks.sql")))
	lines := func(id int) (out []string) {
		for _, l := range rows[id-1].Logs {
			s := fmt.Sprintf("%s %d %s", l.Level, l.Fence, l.Message)
			if l.Event == nil && l.Details != nil {
				s += " " + string(*l.Details)
			}
			out = append(out, s)
		}
		return out
	}
	for id, want := range map[int][]string{
		1: {"info 0 Imported from the older queue, where it was task 1 and queued " + `{"old_task_id":1,"old_status":"queued"}`},
		4: {"warning 2 Lost by worker-1", "info 2 Imported from the older queue, where it was task 4 and leased " + `{"old_task_id":4,"old_status":"leased"}`},
		6: {`debug 0 Status transition: queued to leased {"from_status": "queued"}`, "info 1 halfway", `warning 1 slow "not JSON"`},
		8: {"error 5 gave up", "info 5 ", "error 5 Failed: exhausted", "info 5 Imported from the older queue, where it was task 8 and failed " + `{"old_task_id":8,"old_status":"failed"}`},
	} {
		if d := cmp.Diff(want, lines(id)); d != "" {
			t.Errorf("task %d: %s", id, d)
		}
	}
	if d := cmp.Diff([]oldqueue.Note{oldqueue.NoteLevel}, rows[7].Notes); d != "" {
		t.Error(d)
	}
}

func TestTimesInAnyForm(t *testing.T) {
	t.Parallel()
	const z = "2025-11-05T08:00:00Z"
	for text, want := range map[string]string{
		"2025-11-05 08:00:00":              z,
		"2025-11-05T08:00:00":              z,
		"2025-11-05T08:00:00Z":             z,
		"2025-11-05 08:00:00Z":             z,
		"2025-11-05T08:00:00+00:00":        z,
		"2025-11-05 08:00:00+00:00":        z,
		"2025-11-05T10:00:00+02:00":        z,
		"2025-11-05 10:00:00+0200":         z,
		"2025-11-05T02:30:00-0530":         z,
		"2025-11-05T13:00:00+05":           z,
		" 2025-11-05 08:00:00 ":            z,
		"2025-11-05T08:00:00.1":            "2025-11-05T08:00:00.1Z",
		"2025-11-05T08:00:00.123456":       "2025-11-05T08:00:00.123456Z",
		"2025-11-05 08:00:00.123456+00:00": "2025-11-05T08:00:00.123456Z",
		"2025-11-05T08:00:00.123456789Z":   "2025-11-05T08:00:00.123456Z",
		"2025-11-05T08:00:00.000000":       z,
	} {
		rows, bad := read(t, older(t, fmt.Sprintf(`INSERT INTO task_queue (type, payload, created_at_utc, run_after_utc, updated_at_utc) VALUES ('a', '{}', '%s', '%[1]s', '%[1]s')`, text)))
		if len(bad) > 0 {
			t.Errorf("%q: %s", text, bad[0].Reason)
			continue
		}
		for _, got := range []time.Time{rows[0].CreatedAtUTC, rows[0].RunAfterUTC, rows[0].UpdatedAtUTC} {
			if got.Format(time.RFC3339Nano) != want {
				t.Errorf("%q: got %s, want %s", text, got.Format(time.RFC3339Nano), want)
			}
		}
	}
}

// TestRowsThatCannotBeReadAreToldWithTheReason sets one column of a row to each value.
func TestRowsThatCannotBeReadAreToldWithTheReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ column, value, reason string }{
		{"type", "''", "type: must not be empty"},
		{"type", "'  '", "type: must not be empty"},
		{"type", "printf('%.*c', 201, 'x')", "type: is too long"},
		{"type", "x'ff'", "type: must be text, but is a BLOB of 1 bytes"},
		{"type", "CAST(x'ff41' AS TEXT)", "type: must be valid UTF-8 without NUL"},
		{"priority", "0", "priority: must lie between 1 and 1000, but is 0"},
		{"priority", "1001", "priority: must lie between 1 and 1000, but is 1001"},
		{"priority", "1.5", "priority: must be a whole number, but is the number 1.5"},
		{"priority", "9e999", "priority: must be a whole number, but is the number +Inf"},
		{"priority", "'high'", `priority: must be a whole number, but is the text "high"`},
		{"payload", "'[1]'", "payload: must be a JSON object"},
		{"payload", "''", "payload: must be valid JSON"},
		{"payload", `'{"a":NaN}'`, "payload: must be valid JSON"},
		{"payload", `'{"a":1,"a":2}'`, "payload: must not have a name twice in one object, nor half of a surrogate pair"},
		{"payload", `'{"a":"\ud800"}'`, "payload: must not have a name twice in one object, nor half of a surrogate pair"},
		{"payload", `replace(printf('%.*c', 65, 'x'), 'x', '{"a":') || '1' || printf('%.*c', 65, '}')`, "payload: must not nest deeper than 64"},
		{"payload", `'{"a":"' || printf('%.*c', 1048576, 'x') || '"}'`, "payload: must not be longer than 1048576 bytes (max_payload_bytes), but has 1048584"},
		{"compatibility", "'x'", "compatibility: must be valid JSON"},
		{"compatibility", `'{"a":{"b":1}}'`, "compatibility: a: "},
		{"status", "'cancelled'", `status: must be one of queued, leased, processing, completed, failed and dead_letter, but is the text "cancelled"`},
		{"status", "''", `status: must be one of`},
		{"status", "5", `status: must be one of`},
		{"attempts", "-1", "attempts: must lie between 0"},
		{"max_attempts", "0", "max_attempts: must lie between 1 and 100, but is 0"},
		{"max_attempts", "101", "max_attempts: must lie between 1 and 100, but is 101"},
		{"created_at_utc", "'yesterday'", `created_at_utc: "yesterday" is not a time like`},
		{"created_at_utc", "'2025-11-05'", `created_at_utc: "2025-11-05" is not a time like`},
		{"created_at_utc", "'2025-13-05 08:00:00'", `created_at_utc: "2025-13-05 08:00:00" is not a time like`},
		{"created_at_utc", "'1969-12-31 23:59:59'", `created_at_utc: "1969-12-31 23:59:59" does not lie in the years 1970 to 9999`},
		{"created_at_utc", "''", "created_at_utc: is missing"},
		{"created_at_utc", "1762329600", "created_at_utc: must be a time in text, but is the number 1762329600"},
		{"run_after_utc", "'9999-12-31T23:59:59-05:00'", `run_after_utc: "9999-12-31T23:59:59-05:00" `},
		{"finished_at_utc", "'soon'", `finished_at_utc: "soon" is not a time like`},
		{"idempotency_key", "printf('%.*c', 501, 'x')", "idempotency_key: is too long"},
		{"idempotency_key", "' '", "idempotency_key: must not be empty"},
		{"locked_by", "printf('%.*c', 201, 'x')", "locked_by: is too long"},
		{"error_message", "'a' || char(0) || 'b'", "error_message: must be valid UTF-8 without NUL"},
		{"error_message", "x'00'", "error_message: must be text, but is a BLOB of 1 bytes"},
	} {
		path := older(t, plainColumns, `INSERT INTO task_queue (type, payload, created_at_utc) VALUES ('a', '{}', '2025-11-05 08:00:00'), ('b', '{}', '2025-11-05 08:00:00')`,
			fmt.Sprintf(`UPDATE task_queue SET %s = %s WHERE id = 1`, c.column, c.value))
		rows, bad := read(t, path)
		if len(rows) != 1 || rows[0].ID != 2 || len(bad) != 1 || bad[0].ID != 1 || bad[0].Table != "task_queue" || !strings.HasPrefix(bad[0].Reason, c.reason) {
			t.Errorf("%s = %s: %d rows, bad are %+v", c.column, c.value, len(rows), bad)
			continue
		}
		if text, err := json.Marshal(bad[0]); err != nil || !strings.Contains(string(text), `"`+c.column+`":`) {
			t.Errorf("%s = %s: %s, %v", c.column, c.value, text, err)
		}
	}
}

func TestARowIsToldWithAllThatIsWrongWithIt(t *testing.T) {
	t.Parallel()
	_, bad := read(t, older(t, plainColumns, `INSERT INTO task_queue (type, payload, priority, created_at_utc, status) VALUES ('', x'ff00', 0, '2025-11-05 08:00:00', 'failed')`))
	if len(bad) != 1 || bad[0].Was != "failed" {
		t.Fatalf("bad are %+v", bad)
	}
	for _, field := range []string{"type: ", "priority: ", "payload: "} {
		if !strings.Contains(bad[0].Reason, field) {
			t.Errorf("%q does not say %q", bad[0].Reason, field)
		}
	}
	if d := cmp.Diff(map[string]string{"base64": "/wA="}, bad[0].Row["payload"]); d != "" {
		t.Error(d)
	}
}

// TestWhatIsOddIsTakenAsItIsMeant looks at values that can be read, but not be kept.
func TestWhatIsOddIsTakenAsItIsMeant(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		set   string
		note  oldqueue.Note
		check func(oldqueue.Row) bool
	}{
		{"created_at_utc = '2999-01-01 00:00:00', updated_at_utc = '2999-01-01 00:00:00'", oldqueue.NoteAhead, func(r oldqueue.Row) bool { return r.CreatedAtUTC.Equal(now) }},
		{"status = 'completed', attempts = 9, max_attempts = 3", oldqueue.NoteAttempts, func(r oldqueue.Row) bool { return r.Attempts == 3 }},
		{"status = 'completed', finished_at_utc = '2025-11-05 07:00:00'", oldqueue.NoteBefore, func(r oldqueue.Row) bool { return r.FinishedAtUTC.Equal(r.CreatedAtUTC) }},
		{"compatibility = ''", "", func(r oldqueue.Row) bool { return r.Compatibility == "{}" }},
		{"idempotency_key = ''", "", func(r oldqueue.Row) bool { return strings.HasPrefix(*r.IdempotencyKey, "imported:1:") }},
		{"priority = 7.0", "", func(r oldqueue.Row) bool { return r.Priority == 7 }},
		{"type = ' a '", "", func(r oldqueue.Row) bool { return r.Type == "a" }},
		{"type = '2025-11-05T08:00:00Z'", "", func(r oldqueue.Row) bool { return r.Type == "2025-11-05T08:00:00Z" }},
		{"run_after_utc = '2999-01-01 00:00:00'", "", func(r oldqueue.Row) bool { return r.RunAfterUTC.Year() == 2999 && !r.Ready }},
		{"status = 'leased', locked_by = 'w', lease_until_utc = '2999-01-01 00:00:00'", "", func(r oldqueue.Row) bool { return r.Held && r.Attempts == 1 }},
		{"status = 'leased'", "", func(r oldqueue.Row) bool {
			return r.Status == task.Queued && r.Attempt == nil && r.Attempts == 1 && *r.ErrorMessage == "Interrupted: it was running in the older queue when that was imported"
		}},
		{"status = 'failed'", "", func(r oldqueue.Row) bool {
			return *r.Outcome == task.Rejected && r.Attempts == 0 && r.FinishedAtUTC.Equal(r.UpdatedAtUTC)
		}},
	} {
		rows, bad := read(t, older(t, plainColumns, `INSERT INTO task_queue (type, payload, created_at_utc, updated_at_utc, run_after_utc) VALUES ('a', '{}', '2025-11-05 08:00:00', '2025-11-05 08:00:01', '2025-11-05 08:00:00')`,
			`UPDATE task_queue SET `+c.set))
		if len(bad) > 0 {
			t.Errorf("%s: %s", c.set, bad[0].Reason)
			continue
		}
		noted := strings.Trim(fmt.Sprint(rows[0].Notes), "[]")
		if noted != string(c.note) || !c.check(rows[0]) {
			t.Errorf("%s: %s %+v", c.set, noted, rows[0].Task)
		}
	}
}

// TestTheKeyOfARowIsThatOfItsOrigin says which changes of a row make another task of it.
func TestTheKeyOfARowIsThatOfItsOrigin(t *testing.T) {
	t.Parallel()
	key := func(set string) string {
		rows, _ := read(t, older(t, `INSERT INTO task_queue (type, payload, created_at_utc) VALUES ('a', '{}', '2025-11-05 08:00:00')`, set))
		return *rows[0].IdempotencyKey
	}
	first := key("")
	for _, same := range []string{"UPDATE task_queue SET status = 'completed', attempts = 1, finished_at_utc = '2025-11-05 09:00:00', locked_by = 'w', priority = 3"} {
		if got := key(same); got != first {
			t.Errorf("%s: %s, was %s", same, got, first)
		}
	}
	for _, other := range []string{"type = 'b'", `payload = '{ }'`, "created_at_utc = '2025-11-05 08:00:01'", "id = 2"} {
		if got := key("UPDATE task_queue SET " + other); got == first {
			t.Errorf("%s: the key is the same", other)
		}
	}
}

func TestLinesWithoutATaskAndWorkersThatCannotBeReadAreTold(t *testing.T) {
	t.Parallel()
	path := older(t, "PRAGMA foreign_keys = off", script(t, "tasks.sql"),
		`INSERT INTO task_logs (log_id, task_id, level, message, at_utc) VALUES (100, 99, 'INFO', 'lost', '2025-11-05 08:00:00'), (101, 'x', 'INFO', 'lost', '2025-11-05 08:00:00'), (102, 1, 'INFO', 'when', 'never')`,
		`INSERT INTO workers VALUES ('worker-3', '[]', '2025-11-05 08:00:00'), ('', '{}', '2025-11-05 08:00:00'), ('worker-4', '{}', 'never')`)
	rows, bad := read(t, path)
	if len(rows) != 12 || len(bad) != 1 || bad[0].Table != "task_logs" || bad[0].ID != 102 {
		t.Errorf("%d rows, bad are %+v", len(rows), bad)
	}
	f, err := oldqueue.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var strays []string
	for s, err := range f.Strays(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		strays = append(strays, fmt.Sprint(s.ID, s.Row["task_id"], s.Reason))
	}
	if d := cmp.Diff([]string{"100 99there is no task of it", "101xthere is no task of it"}, strays); d != "" {
		t.Error(d)
	}
	workers, badWorkers, err := f.Workers(t.Context(), rules)
	if err != nil || len(workers) != 2 || len(badWorkers) != 3 || workers[0].WorkerID != "worker-1" || !workers[1].HeartbeatUTC.Equal(time.Date(2025, 11, 5, 8, 10, 30, 0, time.UTC)) {
		t.Errorf("%+v, %+v, %v", workers, badWorkers, err)
	}
}

func TestALineOfATaskThatCannotBeReadIsToldWithIt(t *testing.T) {
	t.Parallel()
	rows, bad := read(t, older(t, script(t, "tasks.sql"), "UPDATE task_queue SET type = '' WHERE id = 6"))
	if len(rows) != 11 || len(bad) != 4 || bad[3].Reason != "its task 6 cannot be read" {
		t.Errorf("%d rows, bad are %+v", len(rows), bad)
	}
}
