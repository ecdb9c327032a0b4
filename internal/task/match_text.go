package task

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// String writes the filter in its one form, which ParseMatch reads as the same Match: conditions in a fixed order, lists sorted, ranges with their ends.
// Empty when m asks nothing.
func (m Match) String() string {
	var w matchWriter
	w.list("status", ":", texts(m.Statuses))
	w.list("type", ":", m.Types)
	w.list("-type", ":", m.NotTypes)
	w.list("outcome", ":", texts(m.Outcomes))
	w.list("-outcome", ":", texts(m.NotOutcomes))
	w.span("id", m.ID)
	w.span("priority", m.Priority)
	w.span("attempts", m.Attempts)
	w.list("worker", ":", m.Workers)
	w.list("-worker", ":", m.NotWorkers)
	w.list("key", ":", m.Keys)
	w.list("concurrency_key", ":", m.ConcurrencyKeys)
	w.list("-concurrency_key", ":", m.NotConcurrencyKeys)
	w.list("failure", ":", m.Failures)
	w.list("error", ":", some(m.Error))
	w.list("-error", ":", some(m.NotError))
	w.period("created", m.Created)
	w.period("run_after", m.RunAfter)
	w.period("finished", m.Finished)
	if m.OlderThan > 0 {
		w.term("age", ">", FormatAge(m.OlderThan))
	}
	if m.YoungerThan > 0 {
		w.term("age", "<", FormatAge(m.YoungerThan))
	}
	return w.String()
}

type matchWriter struct{ strings.Builder }

func (w *matchWriter) term(field, op, value string) {
	if w.Len() > 0 {
		w.WriteByte(' ')
	}
	w.WriteString(field + op + value)
}

func (w *matchWriter) list(field, op string, values []string) {
	if len(values) == 0 {
		return
	}
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = quoteValue(v)
	}
	w.term(field, op, strings.Join(quoted, ","))
}

func (w *matchWriter) span(field string, s Span) {
	switch {
	case s.From != nil && s.To != nil && *s.From == *s.To:
		w.term(field, ":", strconv.FormatInt(*s.From, 10))
	case s.From != nil && s.To != nil:
		w.term(field, ":", strconv.FormatInt(*s.From, 10)+"-"+strconv.FormatInt(*s.To, 10))
	case s.From != nil:
		w.term(field, ">=", strconv.FormatInt(*s.From, 10))
	case s.To != nil:
		w.term(field, "<=", strconv.FormatInt(*s.To, 10))
	}
}

func (w *matchWriter) period(field string, p Period) {
	if p.From != nil {
		w.term(field, ">=", formatInstant(*p.From))
	}
	if p.To != nil {
		w.term(field, "<", formatInstant(*p.To))
	}
}

// formatInstant writes the beginning of a day as the day.
func formatInstant(t time.Time) string {
	if t.Equal(t.Truncate(24 * time.Hour)) {
		return t.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339Nano)
}

func some(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func texts[T ~string](of []T) []string {
	out := make([]string, len(of))
	for i, v := range of {
		out[i] = string(v)
	}
	return out
}

// quoteValue puts a value between quotes if it could not be read without.
func quoteValue(v string) string {
	if v != "" && !strings.ContainsRune("<>=", rune(v[0])) && !strings.ContainsFunc(v, func(r rune) bool { return r == '"' || r == ',' || unicode.IsSpace(r) }) {
		return v
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`
}

// ageUnits are the units of an age, the longest first.
var ageUnits = []struct {
	name string
	of   time.Duration
}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}

// FormatAge writes a whole number of seconds, each unit once: 1d12h.
func FormatAge(d time.Duration) string {
	var b strings.Builder
	for _, u := range ageUnits {
		if n := d / u.of; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10) + u.name)
			d -= n * u.of
		}
	}
	return b.String()
}

// ParseAge reads numbers with units, each of whole seconds at least: 90m, 1d12h. ok is false for anything else, for nothing, and for more than a century.
func ParseAge(s string) (d time.Duration, ok bool) {
	const longest = 100 * 365 * 24 * time.Hour
	for s != "" {
		digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
		n, err := strconv.ParseInt(s[:digits], 10, 32)
		if err != nil || digits == len(s) {
			return 0, false
		}
		i := slices.IndexFunc(ageUnits, func(u struct {
			name string
			of   time.Duration
		}) bool {
			return u.name == s[digits:digits+1]
		})
		if i < 0 || time.Duration(n) > longest/ageUnits[i].of {
			return 0, false
		}
		if d += time.Duration(n) * ageUnits[i].of; d > longest {
			return 0, false
		}
		s = s[digits+1:]
	}
	return d, d > 0
}
