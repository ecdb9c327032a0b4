package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// line is one task of a JSON-lines file.
type line struct {
	Type           string             `json:"type"`
	Priority       int                `json:"priority"`
	Payload        json.RawMessage    `json:"payload"`
	Compatibility  json.RawMessage    `json:"compatibility,omitempty"`
	MaxAttempts    int                `json:"max_attempts,omitempty"`
	RunAfterUTC    *time.Time         `json:"run_after_utc,omitempty"`
	DeadlineUTC    *time.Time         `json:"deadline_utc,omitempty"`
	IdempotencyKey string             `json:"idempotency_key,omitempty"`
	RetryPolicy    map[string]float64 `json:"retry_policy,omitempty"`
}

// fate is how a task must end.
type fate struct {
	Type, Status, Outcome string
	Attempts, Priority    int
	Payload, Result       string
}

// mixture is a file of many kinds of tasks and what must become of it.
type mixture struct {
	file   []byte
	lines  int
	known  int               // lines that repeat a task under its key
	fates  map[int]fate      // by the number under n in the payload
	notYet map[int]time.Time // before which a task must not have been run
}

// kinds are the tasks of a mixture, and how many of a thousand lines are of each kind.
var kinds = []struct {
	share int
	line  line
	fate  fate
}{
	{820, line{Type: "echo"}, fate{Status: "completed", Outcome: "succeeded", Attempts: 1}},
	{60, line{Type: "sleep"}, fate{Status: "completed", Outcome: "succeeded", Attempts: 1}},
	{25, line{Type: "flaky", RetryPolicy: fast}, fate{Status: "completed", Outcome: "succeeded", Attempts: 3}},
	{35, line{Type: "hook", RetryPolicy: fast}, fate{Status: "completed", Outcome: "succeeded", Attempts: 3, Result: `{"ok":true}`}},
	{10, line{Type: "broken", RetryPolicy: fast, MaxAttempts: 2}, fate{Status: "failed", Outcome: "exhausted", Attempts: 2}},
	{10, line{Type: "named"}, fate{Status: "failed", Outcome: "rejected", Attempts: 1}},    // its command wants a value that is missing
	{25, line{Type: "echo"}, fate{Status: "completed", Outcome: "succeeded", Attempts: 1}}, // scheduled
	{10, line{Type: "echo", Compatibility: json.RawMessage(`{"gpu":true}`)}, fate{Status: "failed", Outcome: "expired"}},
	{5, line{Type: "nobody's"}, fate{Status: "queued"}},
}

// The places in kinds of those whose times are made for each line.
const (
	scheduled = 6
	expiring  = 7
)

// fast is a retry policy for tests.
var fast = map[string]float64{"initial_seconds": 0.02, "max_seconds": 0.1, "jitter": 0.5}

// mix draws a mixture. The same seed makes the same tasks; their times count from now.
func mix(t *testing.T, lines int, seed uint64, now time.Time) mixture {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	m := mixture{lines: lines, fates: map[int]fate{}, notYet: map[int]time.Time{}}
	var keyed [][]byte
	for n := range lines {
		if len(keyed) > 0 && r.IntN(50) == 0 {
			m.file = append(append(m.file, keyed[r.IntN(len(keyed))]...), '\n')
			m.known++
			continue
		}
		l := m.add(n, r, now)
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(l); err != nil {
			t.Fatal(err)
		}
		if l.IdempotencyKey != "" {
			keyed = append(keyed, bytes.TrimSpace(b.Bytes()))
		}
		m.file = append(m.file, b.Bytes()...)
	}
	return m
}

// add draws one task and notes its fate.
func (m *mixture) add(n int, r *rand.Rand, now time.Time) line {
	draw, kind := r.IntN(1000), 0
	for draw >= kinds[kind].share {
		draw -= kinds[kind].share
		kind++
	}
	l, f := kinds[kind].line, kinds[kind].fate
	l.Priority = 1 + r.IntN(1000)
	l.Payload = fmt.Appendf(nil, `{"n":%d,"seconds":0.001,"text":"größer ☃ <b>","exact":%d.%030d}`, n, r.Uint64(), r.Uint64())
	if r.IntN(3) == 0 {
		l.IdempotencyKey = fmt.Sprintf("line-%d", n)
	}
	switch kind {
	case scheduled:
		at := now.Add(time.Second + time.Duration(r.IntN(2000))*time.Millisecond)
		l.RunAfterUTC, m.notYet[n] = &at, at
	case expiring:
		before, deadline := now.Add(-time.Hour), now.Add(2*time.Second)
		l.RunAfterUTC, l.DeadlineUTC = &before, &deadline
	}
	f.Type, f.Priority, f.Payload = l.Type, l.Priority, string(l.Payload)
	switch {
	case l.Type == "echo" && f.Status == "completed":
		f.Result = f.Payload
	case f.Result == "":
		f.Result = "null"
	}
	m.fates[n] = f
	return l
}

// totals counts the tasks of each type, end and number of attempts.
func totals(fates map[int]fate) map[string]int {
	out := map[string]int{}
	for _, f := range fates {
		out[fmt.Sprintf("%s: %s %s after %d attempts", f.Type, f.Status, f.Outcome, f.Attempts)]++
	}
	return out
}
