package task_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/prismq/thequeue/internal/task"
)

var limits = task.Limits{MaxAttempts: 10, PayloadBytes: 100}

// badFields returns the fields of which err complains.
func badFields(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var bad *task.InvalidError
	if !errors.As(err, &bad) {
		t.Fatalf("got error %v (%T), want an InvalidError", err, err)
	}
	var fields []string
	for _, f := range bad.Fields {
		fields = append(fields, f.Field)
		if f.Message == "" {
			t.Errorf("no message for %s", f.Field)
		}
	}
	return fields
}

func TestSpecTakesTheDefaults(t *testing.T) {
	t.Parallel()
	for _, s := range []task.Spec{{Type: " a\t"}, {Type: "a", Payload: "null", Compatibility: "null", RetryPolicy: ptr(task.JSON("null"))}} {
		got, err := s.Task(start, limits)
		if err != nil {
			t.Fatal(err)
		}
		diff(t, "task", task.Task{
			Type: "a", Priority: 100, Payload: "{}", Compatibility: "{}", Status: task.Queued, MaxAttempts: 5, RunAfterUTC: start, Ready: true,
			CreatedAtUTC: start, UpdatedAtUTC: start,
		}, got)
	}
	got, err := task.Spec{Type: "a"}.Task(start, task.Limits{MaxAttempts: 3, PayloadBytes: 2})
	if err != nil || got.MaxAttempts != 3 {
		t.Errorf("max_attempts %d, error %v: the default must not exceed the limit", got.MaxAttempts, err)
	}
}

func TestSpecKeepsEveryField(t *testing.T) {
	t.Parallel()
	s := task.Spec{
		Type: "a", Priority: ptr(1000), Payload: `{ "n" : 1.0 }`, Compatibility: `{"gpu": true}`, MaxAttempts: ptr(10),
		RunAfterUTC: &task.Time{Time: start.Add(time.Hour)}, IdempotencyKey: ptr(" k "), DeadlineUTC: &task.Time{Time: start.Add(2 * time.Hour)},
		TimeoutSeconds: ptr(0.001), RetryPolicy: ptr(task.JSON(`{"multiplier": 3}`)),
	}
	got, err := s.Task(start, limits)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "task", task.Task{
		Type: "a", Priority: 1000, Payload: `{ "n" : 1.0 }`, Compatibility: `{"gpu": true}`, Status: task.Queued, MaxAttempts: 10,
		RunAfterUTC: start.Add(time.Hour), DeadlineUTC: ptr(start.Add(2 * time.Hour)), TimeoutSeconds: ptr(0.001),
		RetryPolicy: ptr(task.JSON(`{"multiplier": 3}`)), IdempotencyKey: ptr(" k "), CreatedAtUTC: start, UpdatedAtUTC: start,
	}, got)
}

func TestSpecNamesTheFieldThatIsWrong(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) *task.Time { return &task.Time{Time: start.Add(d)} }
	for name, c := range map[string]struct {
		change func(*task.Spec)
		field  string // empty: nothing is wrong
	}{
		"empty type":               {func(s *task.Spec) { s.Type = "" }, "type"},
		"blank type":               {func(s *task.Spec) { s.Type = " \t\u00a0" }, "type"},
		"type with NUL":            {func(s *task.Spec) { s.Type = "a\x00" }, "type"},
		"type in no UTF-8":         {func(s *task.Spec) { s.Type = "a\xff" }, "type"},
		"longest type":             {func(s *task.Spec) { s.Type = " " + strings.Repeat("語", 200) }, ""},
		"type too long":            {func(s *task.Spec) { s.Type = strings.Repeat("語", 201) }, "type"},
		"priority 0":               {func(s *task.Spec) { s.Priority = ptr(0) }, "priority"},
		"priority 1":               {func(s *task.Spec) { s.Priority = ptr(1) }, ""},
		"priority 1001":            {func(s *task.Spec) { s.Priority = ptr(1001) }, "priority"},
		"negative priority":        {func(s *task.Spec) { s.Priority = ptr(math.MinInt) }, "priority"},
		"no attempts":              {func(s *task.Spec) { s.MaxAttempts = ptr(0) }, "max_attempts"},
		"one attempt":              {func(s *task.Spec) { s.MaxAttempts = ptr(1) }, ""},
		"too many attempts":        {func(s *task.Spec) { s.MaxAttempts = ptr(11) }, "max_attempts"},
		"payload is an array":      {func(s *task.Spec) { s.Payload = `[]` }, "payload"},
		"payload is a text":        {func(s *task.Spec) { s.Payload = `"{}"` }, "payload"},
		"payload is broken":        {func(s *task.Spec) { s.Payload = `{"a":}` }, "payload"},
		"two payloads":             {func(s *task.Spec) { s.Payload = `{}{}` }, "payload"},
		"payload in no UTF-8":      {func(s *task.Spec) { s.Payload = "{\"a\":\"\xff\"}" }, "payload"},
		"longest payload":          {func(s *task.Spec) { s.Payload = task.JSON(`{"a":"` + strings.Repeat("x", 92) + `"}`) }, ""},
		"payload too long":         {func(s *task.Spec) { s.Payload = task.JSON(`{"a":"` + strings.Repeat("x", 93) + `"}`) }, "payload"},
		"requires an array":        {func(s *task.Spec) { s.Compatibility = `["gpu"]` }, "compatibility"},
		"requires a range of text": {func(s *task.Spec) { s.Compatibility = `{"a":{"min":"1"}}` }, "compatibility"},
		"due in the past":          {func(s *task.Spec) { s.RunAfterUTC = at(-time.Hour) }, ""},
		"deadline now":             {func(s *task.Spec) { s.DeadlineUTC = at(0) }, "deadline_utc"},
		"deadline soon":            {func(s *task.Spec) { s.DeadlineUTC = at(time.Microsecond) }, ""},
		"deadline before due":      {func(s *task.Spec) { s.RunAfterUTC, s.DeadlineUTC = at(2), at(1) }, "deadline_utc"},
		"timeout 0":                {func(s *task.Spec) { s.TimeoutSeconds = ptr(0.0) }, "timeout_seconds"},
		"timeout NaN":              {func(s *task.Spec) { s.TimeoutSeconds = ptr(math.NaN()) }, "timeout_seconds"},
		"timeout infinite":         {func(s *task.Spec) { s.TimeoutSeconds = ptr(math.Inf(1)) }, "timeout_seconds"},
		"longest timeout":          {func(s *task.Spec) { s.TimeoutSeconds = ptr(2592000.0) }, ""},
		"timeout too long":         {func(s *task.Spec) { s.TimeoutSeconds = ptr(2592000.1) }, "timeout_seconds"},
		"empty key":                {func(s *task.Spec) { s.IdempotencyKey = ptr("") }, "idempotency_key"},
		"blank key":                {func(s *task.Spec) { s.IdempotencyKey = ptr("  ") }, "idempotency_key"},
		"longest key":              {func(s *task.Spec) { s.IdempotencyKey = ptr(strings.Repeat("k", 500)) }, ""},
		"key too long":             {func(s *task.Spec) { s.IdempotencyKey = ptr(strings.Repeat("k", 501)) }, "idempotency_key"},
		"unknown policy":           {func(s *task.Spec) { s.RetryPolicy = ptr(task.JSON(`{"retries":1}`)) }, "retry_policy"},
		"policy is a number":       {func(s *task.Spec) { s.RetryPolicy = ptr(task.JSON(`1`)) }, "retry_policy"},
		"policy out of bounds":     {func(s *task.Spec) { s.RetryPolicy = ptr(task.JSON(`{"jitter":1.1}`)) }, "retry_policy"},
	} {
		s := task.Spec{Type: "a"}
		c.change(&s)
		_, err := s.Task(start, limits)
		var want []string
		if c.field != "" {
			want = []string{c.field}
		}
		if got := badFields(t, err); !slices.Equal(got, want) {
			t.Errorf("%s: complaints %v (%v), want %v", name, got, err, want)
		}
	}
}

func TestSpecNamesAllFieldsAtOnce(t *testing.T) {
	t.Parallel()
	s := task.Spec{
		Priority: ptr(0), MaxAttempts: ptr(0), Payload: "1", Compatibility: "1", DeadlineUTC: &task.Time{Time: start}, TimeoutSeconds: ptr(-1.0),
		IdempotencyKey: ptr(""), RetryPolicy: ptr(task.JSON("1")),
	}
	_, err := s.Task(start, limits)
	got := badFields(t, err)
	slices.Sort(got)
	diff(t, "fields", []string{"compatibility", "deadline_utc", "idempotency_key", "max_attempts", "payload", "priority", "retry_policy", "timeout_seconds", "type"}, got)
	var bad *task.InvalidError
	if errors.As(err, &bad) {
		diff(t, "field of an element", "tasks[3].type", bad.Within("tasks[3]").Fields[0].Field)
		if !strings.Contains(err.Error(), "priority: must lie between 1 and 1000") {
			t.Errorf("message %q", err)
		}
	}
}

// TestSpecTimesAreUTCInWholeMicroseconds: a spec made in Go can carry any time.
func TestSpecTimesAreUTCInWholeMicroseconds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		zone := time.FixedZone("", rapid.IntRange(-50000, 50000).Draw(t, "offset"))
		due := start.Add(time.Duration(rapid.Int64Range(-1e18, 1e18).Draw(t, "due"))).In(zone)
		s := task.Spec{Type: "a", RunAfterUTC: &task.Time{Time: due}, DeadlineUTC: &task.Time{Time: due.Add(time.Hour)}}
		got, err := s.Task(start, limits)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range []time.Time{got.RunAfterUTC, *got.DeadlineUTC} {
			if x.Location() != time.UTC || x.Nanosecond()%1000 != 0 {
				t.Fatalf("%v", x)
			}
		}
		if late := due.Sub(got.RunAfterUTC); late < 0 || late >= time.Microsecond {
			t.Fatalf("%v became %v", due, got.RunAfterUTC)
		}
		if got.Ready == got.RunAfterUTC.After(start) {
			t.Fatalf("due %v and ready %v", got.RunAfterUTC, got.Ready)
		}
	})
}
