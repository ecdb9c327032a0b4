package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/prismq/thequeue/internal/task"
)

// printJSON writes one value on one line. A task keeps its payload byte for byte.
func (s *session) printJSON(v any) error {
	if t, ok := v.(task.Task); ok {
		_, err := s.stdout.Write(append(t.AppendJSON(nil), '\n'))
		return err
	}
	enc := json.NewEncoder(s.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// printTasksJSON writes one array, a task on each line.
func (s *session) printTasksJSON(ts []task.Task) error {
	b := []byte{'['}
	for i, t := range ts {
		if i > 0 {
			b = append(b, ",\n "...)
		}
		b = t.AppendJSON(b)
	}
	_, err := s.stdout.Write(append(b, "]\n"...))
	return err
}

// printRows writes a table whose columns are lined up.
func (s *session) printRows(rows [][]string) error {
	w := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i := range row {
			row[i] = clean(row[i])
		}
		if _, err := fmt.Fprintln(w, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	return w.Flush()
}

func (s *session) printTasks(ts []task.Task) error {
	rows := [][]string{{"ID", "TYPE", "STATUS", "PRIORITY", "ATTEMPTS", "LOST", "CREATED", "WORKER"}}
	for _, t := range ts {
		rows = append(rows, []string{
			fmt.Sprint(t.ID), t.Type, state(t), fmt.Sprint(t.Priority), fmt.Sprintf("%d/%d", t.Attempts, t.MaxAttempts), fmt.Sprint(t.Lost), when(t.CreatedAtUTC), text(t.LockedBy),
		})
	}
	return s.printRows(rows)
}

// printTask writes what is known of a task, one field a line, without those that are not set.
func (s *session) printTask(t task.Task) error {
	rows := [][]string{
		{"task", fmt.Sprint(t.ID)}, {"type", t.Type}, {"status", state(t)}, {"priority", fmt.Sprint(t.Priority)},
		{"attempts", fmt.Sprintf("%d of %d", t.Attempts, t.MaxAttempts)}, {"payload", string(t.Payload)}, {"compatibility", string(t.Compatibility)},
		{"created", when(t.CreatedAtUTC)}, {"run after", when(t.RunAfterUTC)},
	}
	set := func(name, value string) {
		if value != "" && value != "-" {
			rows = append(rows, []string{name, value})
		}
	}
	if t.Lost > 0 {
		set("workers lost", fmt.Sprint(t.Lost))
	}
	set("deadline", instant(t.DeadlineUTC))
	set("key", text(t.IdempotencyKey))
	set("concurrency key", text(t.ConcurrencyKey))
	set("traceparent", text(t.Traceparent))
	set("worker", text(t.LockedBy))
	set("lease until", instant(t.LeaseUntilUTC))
	if t.Progress != nil {
		set("progress", strings.TrimSuffix(fmt.Sprintf("%d %% %s", *t.Progress, text(t.ProgressMessage)), " -"))
	}
	set("started", instant(t.ProcessingStartedUTC))
	set("finished", instant(t.FinishedAtUTC))
	set("error", text(t.ErrorMessage))
	set("failure", text(t.ErrorFingerprint))
	if t.Result != nil {
		set("result", string(*t.Result))
	}
	return s.printRows(rows)
}

// state is the status, and how an ended task ended.
func state(t task.Task) string {
	if t.Outcome != nil && *t.Outcome != task.Succeeded {
		return fmt.Sprintf("%s (%s)", t.Status, *t.Outcome)
	}
	return string(t.Status)
}

func when(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func instant(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return when(*t)
}

func text(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}

// clean replaces what would move the cursor of a terminal, colour it or turn the direction of its lines: texts come from strangers.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			return ' '
		}
		return r
	}, s)
}
