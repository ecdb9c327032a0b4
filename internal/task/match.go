package task

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Match is what a filter asks of a task: each of its conditions holds. The zero value asks nothing. ParseMatch reads one, String writes it in one form, the
// stores look for it, and Matches judges one task. Lists are sorted and hold nothing twice; nil: any value will do.
type Match struct {
	Statuses    []Status  // in the order of a task's life
	Types       []string  // one of these
	NotTypes    []string  // none of these
	Outcomes    []Outcome // one of these: live tasks have none
	NotOutcomes []Outcome
	Workers     []string // of the current or last attempt
	NotWorkers  []string
	Keys        []string // idempotency keys

	ConcurrencyKeys    []string
	NotConcurrencyKeys []string

	Failures []string // fingerprints of the error by which it has failed
	Error    string   // the error message contains it, in small letters A to Z as in capitals; empty: any message, or none
	NotError string   // the error message does not; a task without one passes

	ID, Priority, Attempts Span

	Created, Finished, RunAfter Period

	OlderThan, YoungerThan time.Duration // since its creation; 0: any age
}

// Span is the integers from From to To, both included; nil: without end.
type Span struct{ From, To *int64 }

// holds reports whether n lies in s.
func (s Span) holds(n int64) bool {
	return (s.From == nil || n >= *s.From) && (s.To == nil || n <= *s.To)
}

// Period is the instants from From on and before To, in whole microseconds; nil: without end.
type Period struct{ From, To *time.Time }

// holds reports whether t lies in p. What has not happened, nil, lies in the period without ends alone.
func (p Period) holds(t *time.Time) bool {
	if t == nil {
		return p == Period{}
	}
	return (p.From == nil || !t.Before(*p.From)) && (p.To == nil || t.Before(*p.To))
}

// created is the period in which a task was made that passes, its age measured at now.
func (m Match) created(now time.Time) Period {
	p := m.Created
	if m.OlderThan > 0 {
		p.To = sooner(p.To, now.Add(-m.OlderThan))
	}
	if m.YoungerThan > 0 {
		p.From = later(p.From, now.Add(-m.YoungerThan+time.Microsecond))
	}
	return p
}

func sooner(a *time.Time, b time.Time) *time.Time {
	if a == nil || b.Before(*a) {
		return &b
	}
	return a
}

func later(a *time.Time, b time.Time) *time.Time {
	if a == nil || b.After(*a) {
		return &b
	}
	return a
}

// Matches reports whether every condition holds for the task; its age is measured at now. The queries of the stores say the same of a row.
func (m Match) Matches(t Task, now time.Time) bool {
	return among(m.Statuses, &t.Status) && among(m.Types, &t.Type) && !slices.Contains(m.NotTypes, t.Type) &&
		among(m.Outcomes, t.Outcome) && barred(m.NotOutcomes, t.Outcome) &&
		among(m.Workers, t.LastWorkerID) && barred(m.NotWorkers, t.LastWorkerID) && among(m.Keys, t.IdempotencyKey) && among(m.ConcurrencyKeys, t.ConcurrencyKey) && barred(m.NotConcurrencyKeys, t.ConcurrencyKey) && among(m.Failures, t.ErrorFingerprint) &&
		(m.Error == "" || tells(t.ErrorMessage, m.Error)) && (m.NotError == "" || !tells(t.ErrorMessage, m.NotError)) &&
		m.ID.holds(t.ID) && m.Priority.holds(int64(t.Priority)) && m.Attempts.holds(int64(t.Attempts)) &&
		m.created(now).holds(&t.CreatedAtUTC) && m.Finished.holds(t.FinishedAtUTC) && m.RunAfter.holds(&t.RunAfterUTC)
}

// among reports whether v is one of the list, which holds everything when it is nil.
func among[T comparable](list []T, v *T) bool {
	return list == nil || v != nil && slices.Contains(list, *v)
}

// barred reports whether v is none of the list.
func barred[T comparable](list []T, v *T) bool { return v == nil || !slices.Contains(list, *v) }

func tells(message *string, part string) bool {
	return message != nil && strings.Contains(lowerASCII(*message), lowerASCII(part))
}

// lowerASCII turns A to Z into small letters and leaves all others: what both databases do.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// Asks reports whether m has any condition.
func (m Match) Asks() bool { return m.String() != "" }

// In returns m for tasks in one of the statuses given. ok is false when m asks for none of them.
func (m Match) In(statuses ...Status) (narrowed Match, ok bool) {
	var both []Status
	for _, s := range Statuses {
		if slices.Contains(statuses, s) && among(m.Statuses, &s) {
			both = append(both, s)
		}
	}
	m.Statuses = both
	return m, len(both) > 0
}

// Narrowed returns what f asks for but for its bounds. ok is false when no task can be that.
func (f Filter) Narrowed() (m Match, ok bool) {
	m = f.Match
	if f.Type != "" {
		if !among(m.Types, &f.Type) || slices.Contains(m.NotTypes, f.Type) {
			return m, false
		}
		m.Types = []string{f.Type}
	}
	if f.Status == "" {
		return m, true
	}
	return m.In(f.Status)
}

// MatchQuery is a Match as the queries of both stores take it, but for Failures, whose tasks are found otherwise; its fields in the order of their parameters: lists are JSON arrays, of which an empty one
// stands for any value, and every range has both ends.
type MatchQuery struct {
	After       int64 // only greater ids
	Upto        int64 // only these ids and smaller ones
	Statuses    string
	Types       string
	NotTypes    string
	Outcomes    string
	NotOutcomes string
	Workers     string
	NotWorkers  string
	Keys        string

	ConcurrencyKeys    string
	NotConcurrencyKeys string

	Error        string // in small letters
	NotError     string
	PriorityFrom int64
	PriorityTo   int64
	AttemptsFrom int64
	AttemptsTo   int64
	CreatedFrom  time.Time
	CreatedTo    time.Time
	RunAfterFrom time.Time
	RunAfterTo   time.Time
	FinishedAny  int64 // 1: at any time or not at all; 0: as follows
	FinishedFrom time.Time
	FinishedTo   time.Time
	Max          int64
}

// The ends of time: no stored instant lies beyond.
var (
	firstInstant = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	lastInstant  = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Query returns what to look for, of ids above after and not above upto, at most limit rows. Ages are measured at now.
func (m Match) Query(now time.Time, after, upto int64, limit int) MatchQuery {
	q := MatchQuery{
		After: after, Upto: upto, Statuses: list(m.Statuses), Types: list(m.Types), NotTypes: list(m.NotTypes), Outcomes: list(m.Outcomes), NotOutcomes: list(m.NotOutcomes),
		Workers: list(m.Workers), NotWorkers: list(m.NotWorkers), Keys: list(m.Keys), ConcurrencyKeys: list(m.ConcurrencyKeys), NotConcurrencyKeys: list(m.NotConcurrencyKeys), Error: lowerASCII(m.Error), NotError: lowerASCII(m.NotError),
		Max: int64(limit),
	}
	if m.Finished == (Period{}) {
		q.FinishedAny = 1
	}
	if m.ID.From != nil {
		q.After = max(q.After, *m.ID.From-1)
	}
	if m.ID.To != nil && *m.ID.To < q.Upto {
		q.Upto = *m.ID.To
	}
	q.PriorityFrom, q.PriorityTo = m.Priority.ends()
	q.AttemptsFrom, q.AttemptsTo = m.Attempts.ends()
	q.CreatedFrom, q.CreatedTo = m.created(now).ends()
	q.RunAfterFrom, q.RunAfterTo = m.RunAfter.ends()
	q.FinishedFrom, q.FinishedTo = m.Finished.ends()
	return q
}

func (s Span) ends() (from, to int64) {
	from, to = 0, 1<<31-1
	if s.From != nil {
		from = *s.From
	}
	if s.To != nil {
		to = *s.To
	}
	return from, to
}

func (p Period) ends() (from, to time.Time) {
	from, to = firstInstant, lastInstant
	if p.From != nil {
		from = *p.From
	}
	if p.To != nil {
		to = *p.To
	}
	return from, to
}

// list writes a list as a JSON array, which may be empty.
func list[T ~string](of []T) string {
	if len(of) == 0 {
		return "[]"
	}
	b, _ := json.Marshal(of) // strings are always written
	return string(b)
}
