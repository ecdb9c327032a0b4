package task_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/task"
)

// TestFilterHasOneForm reads filters and writes them.
func TestFilterHasOneForm(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                            "",
		" \t\n":                       "",
		"status:failed":               "status:failed",
		"status=failed":               "status:failed",
		"status:failed,queued,failed": "status:queued,failed",
		"-status:failed":              "status:queued,processing,completed",
		"type:sms,email":              "type:email,sms",
		"-type:sms type:email":        "type:email -type:sms",
		`type:"a b","c,d","e""f"`:     "!",
		`type:"a b","c,d",e`:          `type:"a b","c,d",e`,
		`type:"plain"`:                "type:plain",
		`type:a\b`:                    `type:a\b`,
		`type:"a\\b"`:                 `type:a\b`,
		`type:">5"`:                   `type:">5"`,
		"type:e-mail":                 "type:e-mail",
		"type:http://x?y=1":           "type:http://x?y=1",
		"type:über":                   "type:über",
		"outcome:expired,exhausted":   "outcome:exhausted,expired",
		"!outcome:cancelled":          "-outcome:cancelled",
		"-outcome:cancelled":          "-outcome:cancelled",
		`error:"timed out"`:           `error:"timed out"`,
		"error:Timeout":               "error:Timeout",
		`-error:"a \"b\" c"`:          `-error:"a \"b\" c"`,
		"worker:w-1 -worker:w-2":      "worker:w-1 -worker:w-2",
		"key:order-17":                "key:order-17",
		"concurrency_key:t2,t1":       "concurrency_key:t1,t2",
		`-concurrency_key:"a b"`:      `-concurrency_key:"a b"`,
		"failure:48ac435ab835309e,0123456789abcdef": "failure:0123456789abcdef,48ac435ab835309e",
		"attempts>=3":                         "attempts>=3",
		"attempts:>=3":                        "attempts>=3",
		"attempts>2":                          "attempts>=3",
		"attempts<3 attempts>=1":              "attempts:1-2",
		"attempts:3":                          "attempts:3",
		"priority<=10":                        "priority<=10",
		"priority<=10 priority<=5":            "priority<=5",
		"id:100-200":                          "id:100-200",
		"id:100..200":                         "id:100-200",
		"id=7":                                "id:7",
		"age>1h":                              "age>1h",
		"age>=90m":                            "age>1h30m",
		"age<36h age>60s":                     "age>1m age<1d12h",
		"age<2w age<1d":                       "age<1d",
		"created>=2026-11-01":                 "created>=2026-11-01",
		"created>2026-11-01":                  "created>=2026-11-02",
		"created<2026-11-01":                  "created<2026-11-01",
		"created<=2026-11-01":                 "created<2026-11-02",
		"created:2026-11-01":                  "created>=2026-11-01 created<2026-11-02",
		"created:2026-11-01..2026-11-30":      "created>=2026-11-01 created<2026-12-01",
		"finished>=2026-11-01T08:00:00Z":      "finished>=2026-11-01T08:00:00Z",
		"finished>2026-11-01T08:00:00Z":       "finished>=2026-11-01T08:00:00.000001Z",
		"run_after<2026-11-01T10:00:00+02:00": "run_after<2026-11-01T08:00:00Z",
		"age>1h id:100-200 key:order-17 worker:w-1 priority<=10 attempts>=3 error:timeout outcome:exhausted type:email,sms status:failed created>2026-11-01"://
		"status:failed type:email,sms outcome:exhausted id:100-200 priority<=10 attempts>=3 worker:w-1 key:order-17 error:timeout created>=2026-11-02 age>1h",
	} {
		m, err := task.ParseMatch(text)
		if want == "!" {
			if err == nil {
				t.Errorf("%q is read", text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := m.String(); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// TestFilterMistakesAreNamed pins what people read who mistype.
func TestFilterMistakesAreNamed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"failed":                       `at character 1: this is no condition: write field:value, such as status:failed, and error:"…" for words of the error message`,
		"status:failed timeout":        `at character 15: this is no condition: write field:value, such as status:failed, and error:"…" for words of the error message`,
		"über:1":                       `at character 1: this is no condition: write field:value, such as status:failed, and error:"…" for words of the error message`,
		"type:ü colour:red":            `at character 8: there is no field "colour": use one of status, type, outcome, error, worker, key, concurrency_key, failure, id, priority, attempts, created, finished, run_after, age`,
		"status:faild":                 `at character 8: there is no status "faild": use one of queued, processing, completed, failed`,
		"outcome:dead":                 `at character 9: there is no outcome "dead": use one of succeeded, cancelled, exhausted, rejected, expired`,
		"status:failed status:queued":  "at character 15: status is given twice: write its values once, with commas between",
		"status:failed -status:queued": "at character 15: status is given twice: name the values to be found, or with - those not to be",
		"-status:queued,processing,completed,failed": "at character 1: no status is left",
		"status>failed":             "at character 1: status has no order: write status:value",
		"status:":                   "at character 8: a value is missing: write it after status: without a space",
		"status: failed":            "at character 8: a value is missing: write it after status: without a space",
		"type:a,,b":                 "at character 8: a value is missing: write it after type: without a space",
		`error:"timeout`:            "at character 7: the quote is not closed",
		`error:time"out"`:           `at character 11: a quote must stand before the whole value: error:"…"`,
		`error:"a"b`:                "at character 10: a space or a comma must follow the quote",
		`error:"a\n"`:               `at character 9: a backslash in quotes stands before a quote or a backslash: write \\`,
		`error:""`:                  "at character 7: the value is empty: leave the condition out",
		"error:a,b":                 `at character 7: error takes one text: write error:"…" if there is a comma in it`,
		"failure:17":                "at character 9: a failure has an id of 16 digits from 0 to f, as thequeue failures list shows them",
		"-failure:0123456789abcdef": "at character 1: - goes with status, type, outcome, error, worker and concurrency_key",
		"failure:" + strings.Repeat("0123456789abcdef,", 20) + "0123456789abcdef": "at character 9: failure takes 20 ids at most",
		"-key:a":                           "at character 1: - goes with status, type, outcome, error, worker and concurrency_key",
		"-age>1h":                          "at character 1: - goes with status, type, outcome, error, worker and concurrency_key: turn the comparison round instead",
		"type:" + strings.Repeat("x", 201): "at character 6: a type is too long",
		"priority:high":                    "at character 10: priority takes a number up to 1000, or two of them with - between: priority:3, priority:3-5",
		"priority>1000":                    "at character 10: priority takes a number up to 1000, or two of them with - between: priority>3, priority:3-5",
		"attempts<0":                       "at character 10: attempts takes a number up to 100, or two of them with - between: attempts<3, attempts:3-5",
		"id:5-":                            "at character 4: id takes a number up to 9223372036854775807, or two of them with - between: id:3, id:3-5",
		"id:1,2":                           "at character 4: id takes a number up to 9223372036854775807, or two of them with - between: id:3, id:3-5",
		"id:9-5":                           "at character 1: no id is left: the lower end is above the upper one",
		"attempts>5 attempts<5":            "at character 12: no attempts is left: the lower end is above the upper one",
		"created>yesterday":                "at character 9: created takes a day or a time in UTC, such as created>2026-01-31 or created>2026-01-31T08:00:00Z, or two of them with .. between",
		"created:2026-11-02..2026-11-01":   "at character 1: no time is left for created: its beginning is not before its end",
		"age:1h":                           "at character 5: age is compared with a length of time in w, d, h, m and s: age>1h, age<2d12h",
		"age>1":                            "at character 5: age is compared with a length of time in w, d, h, m and s: age>1h, age<2d12h",
		"age>0s":                           "at character 5: age is compared with a length of time in w, d, h, m and s: age>1h, age<2d12h",
		"age>2h age<90m":                   "at character 8: no age is left: what is older than 2h is not younger than 1h30m",
		"type:a\x00":                       "must be valid UTF-8 without NUL",
		strings.Repeat("x", 5000):          "is too long",
	} {
		_, err := task.ParseMatch(text)
		bad, ok := errors.AsType[*task.InvalidError](err)
		if !ok {
			t.Errorf("%q: got %v", text, err)
			continue
		}
		if d := cmp.Diff([]task.FieldError{{Field: "filter", Message: want}}, bad.Fields); d != "" {
			t.Errorf("%q (-want +got):\n%s", text, d)
		}
	}
}

func TestMatchJudgesATask(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	made := now.Add(-2 * time.Hour)
	failed := task.Task{
		ID: 17, Type: "email", Priority: 10, Status: task.Failed, Outcome: new(task.Exhausted), Attempts: 3, RunAfterUTC: made, LastWorkerID: new("w-1"),
		FinishedAtUTC: new(now.Add(-time.Hour)), ErrorMessage: new("dial: Timed Out"), IdempotencyKey: new("order-17"), CreatedAtUTC: made, Payload: "{}",
		ErrorFingerprint: new("48ac435ab835309e"),
	}
	fresh := task.Task{ID: 18, Type: "email", Priority: 10, Status: task.Queued, RunAfterUTC: made, CreatedAtUTC: made}
	for text, want := range map[string][2]bool{
		"": {true, true}, "status:failed": {true, false}, "type:email": {true, true}, "-type:email": {}, "type:sms,email": {true, true}, "type:Email": {},
		"outcome:exhausted": {true, false}, "-outcome:exhausted": {false, true}, "error:timed": {true, false}, "-error:timed": {false, true}, "error:TIMED": {true, false},
		"worker:w-1": {true, false}, "-worker:w-1": {false, true}, "key:order-17": {true, false}, "failure:48ac435ab835309e": {true, false}, "failure:0123456789abcdef": {}, "id:17": {true, false}, "id>17": {false, true}, "attempts>=3": {true, false},
		"attempts<3": {false, true}, "priority:10": {true, true}, "priority<10": {}, "finished>=2026-11-02": {true, false}, "finished<2026-11-02": {}, "created:2026-11-02": {true, true},
		"age>1h": {true, true}, "age>2h": {}, "age>1h59m": {true, true}, "age<2h": {}, "age<121m": {true, true}, "run_after>2026-11-02": {},
	} {
		m, err := task.ParseMatch(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]bool{m.Matches(failed, now), m.Matches(fresh, now)}; got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

func TestMatchIsNarrowedToStatuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "status:completed,failed", "status:failed": "status:failed", "-status:failed": "status:completed", "status:queued": ""} {
		m, err := task.ParseMatch(text)
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := m.In(task.Failed, task.Completed); ok != (want != "") || ok && m.String() != want {
			t.Errorf("%q: got %q, %v, want %q", text, m, ok, want)
		}
	}
}

// FuzzParseMatch reads whatever comes, and what can be read again in its one form.
func FuzzParseMatch(f *testing.F) {
	for _, text := range []string{
		`status:failed type:email,sms outcome:exhausted error:"timeout" age>1h attempts>=3 priority<=10 id:100-200 worker:w-1 key:order-17 created>2026-11-01`,
		`-type:"a \"b\\",c -error:x finished:2026-11-01..2026-11-02T08:00:00.5Z run_after<=2026-11-01 age<1w2d3h4m5s`, "id:>=5 id:<9", `type:"`, "a:b:c", "-", "=", "age>", "created:..",
		"error:\u00a0x", "type:\xff", "attempts:1..2-3", `key:"\\"`, "status:queued,", "id>9223372036854775807", "created>9999-12-31", "created<1970-01-01",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := task.ParseMatch(text)
		if err != nil {
			if bad, ok := errors.AsType[*task.InvalidError](err); !ok || len(bad.Fields) != 1 || bad.Fields[0].Field != "filter" {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		form := m.String()
		again, err := task.ParseMatch(form)
		if err != nil {
			t.Fatalf("%q became %q: %v", text, form, err)
		}
		if d := cmp.Diff(m, again); d != "" || again.String() != form {
			t.Fatalf("%q became %q and %q:\n%s", text, form, again, d)
		}
		q := m.Query(time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC), 0, 1<<62, 10)
		for _, list := range []string{q.Types, q.NotTypes, q.Workers, q.NotWorkers, q.Keys, q.ConcurrencyKeys, q.NotConcurrencyKeys} {
			if !json.Valid([]byte(list)) {
				t.Fatalf("%q: %s is no JSON", text, list)
			}
		}
	})
}
