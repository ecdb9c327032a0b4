package task_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/prismq/thequeue/internal/task"
)

func TestParseTimeReadsWhatClientsSend(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"2026-01-31T08:00:00Z":              "2026-01-31T08:00:00Z",
		"2026-01-31T08:00:00+02:00":         "2026-01-31T06:00:00Z",
		"2026-01-31T08:00:00.123456789Z":    "2026-01-31T08:00:00.123456Z",
		"2026-01-31T08:00:00.9999999-00:30": "2026-01-31T08:30:00.999999Z",
		"2026-01-31T08:00:00":               "2026-01-31T08:00:00Z",
		"2026-01-31T08:00:00.5":             "2026-01-31T08:00:00.5Z",
		"2026-01-31 08:00:00":               "2026-01-31T08:00:00Z",
		"2026-01-31 08:00:00.000001":        "2026-01-31T08:00:00.000001Z",
		"2026-01-31 08:00:00+00:00":         "2026-01-31T08:00:00Z",
		"2026-03-29T02:30:00":               "2026-03-29T02:30:00Z",
		"2024-02-29T00:00:00Z":              "2024-02-29T00:00:00Z",
		"0001-01-01T00:00:00Z":              "0001-01-01T00:00:00Z",
		"9999-12-31T23:59:59.999999999Z":    "9999-12-31T23:59:59.999999Z",
		"2026-02-29T00:00:00Z":              "",
		"2026-13-01T00:00:00Z":              "",
		"2026-01-31T24:00:00Z":              "",
		"2026-01-31T08:00:60Z":              "",
		"0000-12-31T23:59:59Z":              "",
		"0001-01-01T00:00:00+00:01":         "",
		"9999-12-31T23:59:59-00:01":         "",
		"10000-01-01T00:00:00Z":             "",
		"2026-01-31":                        "",
		"08:00:00":                          "",
		"1769846400":                        "",
		"now":                               "",
		"":                                  "",
		" 2026-01-31T08:00:00Z":             "",
		"2026-01-31T08:00:00Z;":             "",
	} {
		got, err := task.ParseTime(s)
		if want == "" {
			if err == nil {
				t.Errorf("%q was read as %v", s, got)
			}
		} else if err != nil || got.Format(time.RFC3339Nano) != want || got.Location() != time.UTC {
			t.Errorf("%q: got %v, error %v, want %s", s, got, err, want)
		}
	}
}

func TestTimeIsReadFromJSON(t *testing.T) {
	t.Parallel()
	for in, ok := range map[string]bool{`"2026-01-31T08:00:00Z"`: true, `1769846400`: false, `""`: false, `{}`: false, `"yesterday"`: false} {
		var got task.Time
		if err := json.Unmarshal([]byte(in), &got); (err == nil) != ok {
			t.Errorf("%s: error %v", in, err)
		}
	}
}

func TestTimesSurviveTheirText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		micros := rapid.Int64Range(time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC).UnixMicro(), time.Date(9999, 12, 30, 0, 0, 0, 0, time.UTC).UnixMicro()).Draw(t, "micros")
		offset := rapid.IntRange(-23*60, 23*60).Draw(t, "minutes")
		want := time.UnixMicro(micros)
		got, err := task.ParseTime(want.In(time.FixedZone("", 60*offset)).Format(time.RFC3339Nano))
		if err != nil || !got.Equal(want) {
			t.Fatalf("%v became %v (%v)", want.UTC(), got, err)
		}
	})
}

func TestCheckTellsJSONFromWhatIsNot(t *testing.T) {
	t.Parallel()
	deep := func(n int) task.JSON { return task.JSON(strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n)) }
	for _, c := range []struct {
		text          task.JSON
		value, object bool
	}{
		{`{}`, true, true},
		{" \t\r\n{ } ", true, true},
		{`{"a":"}]\"\\"}`, true, true},
		{task.JSON(`{"a":"` + strings.Repeat("[", 100) + `"}`), true, true},
		{task.JSON(`{"a":"\"` + strings.Repeat("{", 100) + `"}`), true, true},
		{task.JSON(`{"a":[` + strings.Repeat("[],", 100) + `1]}`), true, true},
		{deep(64), true, true},
		{deep(65), false, false},
		{task.JSON(strings.Repeat("[", 100000)), false, false},
		{`[]`, true, false},
		{`"{}"`, true, false},
		{`null`, true, false},
		{`-0.5e-3`, true, false},
		{``, false, false},
		{` `, false, false},
		{`{`, false, false},
		{`{}}`, false, false},
		{`{} {}`, false, false},
		{`{'a':1}`, false, false},
		{`{"a":01}`, false, false},
		{`{"a":NaN}`, false, false},
		{`{"a":1,}`, false, false},
		{"{\"a\":\"\n\"}", false, false},
		{"{\"a\":\"\xc3\"}", false, false},
		{"{\"a\":\"\\u0000\"}", true, true},
		{"{\"a\":\"\x00\"}", false, false},
		{"\ufeff{}", false, false},
		{`{"a":1,"a":1}`, false, false},
		{`[{"a":1},{"a":1}]`, true, false},
		{`{"a":"\ud800"}`, false, false},
		{`{"a":"\ud83d\ude00"}`, true, true},
	} {
		if err := c.text.Check(); (err == nil) != c.value {
			t.Errorf("Check(%.40q): %v", c.text, err)
		}
		if err := c.text.CheckObject(); (err == nil) != c.object {
			t.Errorf("CheckObject(%.40q): %v", c.text, err)
		}
	}
}

func TestJSONIsScannedAsItIs(t *testing.T) {
	t.Parallel()
	for _, src := range []any{` {"a": 1.0}`, []byte(` {"a": 1.0}`)} {
		var j task.JSON
		if err := j.Scan(src); err != nil || j != ` {"a": 1.0}` {
			t.Errorf("%T: %q, %v", src, j, err)
		}
		if v, err := j.Value(); v != ` {"a": 1.0}` || err != nil {
			t.Errorf("value %v, %v", v, err)
		}
	}
	var j task.JSON
	if err := j.Scan(1); err == nil {
		t.Errorf("a number was scanned as %q", j)
	}
	if b, err := json.Marshal(struct{ A, B task.JSON }{"", "1"}); err != nil || string(b) != `{"A":null,"B":1}` {
		t.Errorf("%s, %v", b, err)
	}
}

// drawTask draws a task; text may hold anything that a field can.
func drawTask(t *rapid.T) task.Task {
	text := rapid.StringOf(rapid.OneOf(rapid.Rune(), rapid.SampledFrom([]rune("\"\\<>&\u2028\u2029\x01\x7f\n/ '"))))
	value := rapid.SampledFrom([]task.JSON{`{}`, `null`, `{ "b" : 1.50 , "a":[ ] }`, `"\u0000<>"`, `123456789012345678901234567890`, "[1,\n2]"})
	instant := rapid.Map(rapid.Int64Range(-62e15, 253e15), func(n int64) time.Time { return time.UnixMicro(n).UTC() })
	number := rapid.IntRange(0, 1000)
	return task.Task{
		ID: rapid.Int64().Draw(t, "id"), Type: text.Draw(t, "type"), Priority: number.Draw(t, "priority"), Payload: value.Draw(t, "payload"),
		Compatibility: value.Draw(t, "compatibility"), Status: rapid.SampledFrom(task.Statuses).Draw(t, "status"),
		Outcome:  rapid.Ptr(rapid.SampledFrom([]task.Outcome{task.Succeeded, task.Expired}), true).Draw(t, "outcome"),
		Attempts: number.Draw(t, "attempts"), MaxAttempts: number.Draw(t, "max"), RunAfterUTC: instant.Draw(t, "run after"),
		DeadlineUTC: rapid.Ptr(instant, true).Draw(t, "deadline"), TimeoutSeconds: rapid.Ptr(rapid.Float64Range(0.001, 2592000), true).Draw(t, "timeout"),
		RetryPolicy: rapid.Ptr(value.Filter(func(j task.JSON) bool { return j != "null" }), true).Draw(t, "policy"), Fence: rapid.Int64().Draw(t, "fence"),
		LockedBy: rapid.Ptr(text, true).Draw(t, "locked by"), LastWorkerID: rapid.Ptr(text, true).Draw(t, "last worker"),
		LeaseUntilUTC: rapid.Ptr(instant, true).Draw(t, "lease"), ReservedAtUTC: rapid.Ptr(instant, true).Draw(t, "reserved"),
		ProcessingStartedUTC: rapid.Ptr(instant, true).Draw(t, "started"),
		AttemptOutcome:       rapid.Ptr(rapid.SampledFrom([]task.AttemptOutcome{task.AttemptLost, task.AttemptFailed}), true).Draw(t, "attempt outcome"),
		FinishedAtUTC:        rapid.Ptr(instant, true).Draw(t, "finished"), ErrorMessage: rapid.Ptr(text, true).Draw(t, "error"),
		Result:   rapid.Ptr(value.Filter(func(j task.JSON) bool { return j != "null" }), true).Draw(t, "result"),
		Progress: rapid.Ptr(number, true).Draw(t, "progress"), ProgressMessage: rapid.Ptr(text, true).Draw(t, "message"),
		IdempotencyKey: rapid.Ptr(text, true).Draw(t, "key"), CreatedAtUTC: instant.Draw(t, "created"), UpdatedAtUTC: instant.Draw(t, "updated"),
		Lost: number.Draw(t, "lost"), ConcurrencyKey: rapid.Ptr(text, true).Draw(t, "concurrency key"),
		ErrorFingerprint: rapid.Ptr(text, true).Draw(t, "fingerprint"),
	}
}

// plain is a task without its own encoder.
type plain task.Task

func TestAppendJSONSaysWhatTheStandardEncoderSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tk := drawTask(t)
		want, err := json.Marshal(plain(tk))
		if err != nil {
			t.Fatal(err)
		}
		var a, b map[string]any
		if err := json.Unmarshal(want, &a); err != nil {
			t.Fatal(err)
		}
		got := tk.AppendJSON([]byte("prefix"))[len("prefix"):]
		if err := json.Unmarshal(got, &b); err != nil {
			t.Fatalf("%s: %v", got, err)
		}
		if quarantined := b["quarantined"]; quarantined != tk.Quarantined() {
			t.Fatalf("quarantined: %v", quarantined)
		}
		delete(b, "quarantined") // it follows from the others
		diff(t, "fields", a, b)
		again, err := json.Marshal(tk)
		if err != nil || !json.Valid(again) {
			t.Fatalf("%s: %v", again, err)
		}
	})
}

func TestATaskSurvivesItsJSONByteForByte(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := task.Lease{Task: drawTask(t), LeaseToken: "7.abc"}
		var got task.Lease
		if err := got.UnmarshalJSON(want.AppendJSON(nil)); err != nil {
			t.Fatal(err)
		}
		diff(t, "lease", want, got)
		var bare task.Task
		if err := json.Unmarshal(want.Task.AppendJSON(nil), &bare); err != nil {
			t.Fatal(err)
		}
		diff(t, "task", want.Task, bare)
	})
}

func TestAppendJSONKeepsTheBytes(t *testing.T) {
	t.Parallel()
	tk := task.Task{Payload: ` { "a" : 1.0,"b":"\u00e9<" }`, Result: ptr(task.JSON(`"x" `)), Type: "é\"<"}
	got := string(tk.AppendJSON(nil))
	for _, part := range []string{`"payload": { "a" : 1.0,"b":"\u00e9<" },"compatibility":null,`, `"result":"x" ,`, `"deadline_utc":null,`} {
		if !strings.Contains(got, part) {
			t.Errorf("%s is not in %s", part, got)
		}
	}
}
