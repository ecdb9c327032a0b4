package task

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxFilterBytes is the longest filter.
	MaxFilterBytes = 4096
	maxPriority    = 1000
	maxAttempts    = 100
	// maxFailures is how many fingerprints one filter may name: tasks are looked for by each of them.
	maxFailures = 20
)

// The names before the colon, as the messages list them; those of listFields take values that are equal or not, the others are compared.
var (
	listFields  = []string{"status", "type", "outcome", "error", "worker", "key", "concurrency_key", "failure"}
	rangeFields = []string{"id", "priority", "attempts", "created", "finished", "run_after", "age"}
)

// ParseMatch reads a filter: conditions with spaces between, all of which must hold, such as
//
//	status:failed type:email,sms error:"timed out" attempts>=3 age>1h
//
// A condition with - or ! in front must not hold. An empty text asks nothing. What cannot be read is an *InvalidError about the field filter that names the place, counted in characters from 1, and
// says what to write. docs/bulk.md has the grammar.
func ParseMatch(text string) (Match, error) {
	if msg := CheckText(text, MaxFilterBytes); msg != "" {
		return Match{}, Invalid("filter", "%s", msg)
	}
	p := matchParser{text: text, given: make(map[string]bool)}
	for p.space(); p.at < len(p.text); p.space() {
		if err := p.condition(); err != nil {
			return Match{}, err
		}
	}
	return p.match, nil
}

type matchParser struct {
	text  string
	at    int // the next byte
	match Match
	given map[string]bool // lists that have been given
}

// fail says what is wrong at a byte of the text.
func (p *matchParser) fail(at int, format string, args ...any) error {
	return Invalid("filter", "at character %d: %s", utf8.RuneCountInString(p.text[:at])+1, fmt.Sprintf(format, args...))
}

func (p *matchParser) space() {
	p.at = len(p.text) - len(strings.TrimLeftFunc(p.text[p.at:], unicode.IsSpace))
}

// condition is one field, an operator and what follows it.
type condition struct {
	at     int // of its first byte
	field  string
	not    bool
	op     string // : > >= < <=
	value  int    // the byte at which the values begin
	values []string
	bare   bool // one value without quotes
}

func (p *matchParser) condition() error {
	c := condition{at: p.at}
	if c.not = strings.ContainsRune("-!", rune(p.text[p.at])); c.not {
		p.at++
	}
	rest := p.text[p.at:]
	c.field = rest[:len(rest)-len(strings.TrimLeftFunc(rest, func(r rune) bool { return r == '_' || 'a' <= r && r <= 'z' }))]
	p.at += len(c.field)
	if c.op = p.operator(); c.field == "" || c.op == "" {
		return p.fail(c.at, `this is no condition: write field:value, such as status:failed, and error:"…" for words of the error message`)
	}
	c.value = p.at
	if err := p.values(&c); err != nil {
		return err
	}
	return p.take(c)
}

// operator reads one of : = > >= < <=, the last four also after a colon, and returns it with : for =; empty when there is none.
func (p *matchParser) operator() string {
	for _, op := range []string{":>=", ":<=", ":>", ":<", ">=", "<=", ">", "<", ":", "="} {
		if strings.HasPrefix(p.text[p.at:], op) {
			p.at += len(op)
			if op == "=" || op == ":" {
				return ":"
			}
			return strings.TrimPrefix(op, ":")
		}
	}
	return ""
}

// values reads values with commas between, each as it is or in quotes.
func (p *matchParser) values(c *condition) error {
	for {
		v, quoted, err := p.one(*c)
		if err != nil {
			return err
		}
		c.values = append(c.values, v)
		if p.at == len(p.text) || p.text[p.at] != ',' {
			c.bare = len(c.values) == 1 && !quoted
			return nil
		}
		p.at++
	}
}

func (p *matchParser) one(c condition) (v string, quoted bool, err error) {
	start, rest := p.at, p.text[p.at:]
	if strings.HasPrefix(rest, `"`) {
		v, err := p.quoted()
		return v, true, err
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return r == ',' || r == '"' || unicode.IsSpace(r) })
	if end < 0 {
		end = len(rest)
	}
	p.at += end
	switch {
	case end < len(rest) && rest[end] == '"':
		return "", false, p.fail(p.at, `a quote must stand before the whole value: %s%s"…"`, c.field, c.op)
	case end == 0:
		return "", false, p.fail(start, "a value is missing: write it after %s%s without a space", c.field, c.op)
	}
	return rest[:end], false, nil
}

// quoted reads a value in quotes, in which \" stands for a quote and \\ for a backslash.
func (p *matchParser) quoted() (string, error) {
	start := p.at
	var b strings.Builder
	for p.at++; p.at < len(p.text); p.at++ {
		switch ch := p.text[p.at]; {
		case ch == '\\' && p.at+1 < len(p.text):
			if p.at++; p.text[p.at] != '"' && p.text[p.at] != '\\' {
				return "", p.fail(p.at-1, `a backslash in quotes stands before a quote or a backslash: write \\`)
			}
			b.WriteByte(p.text[p.at])
		case ch == '"':
			p.at++
			if b.Len() == 0 {
				return "", p.fail(start, "the value is empty: leave the condition out")
			}
			if rest := p.text[p.at:]; rest != "" && rest[0] != ',' && strings.IndexFunc(rest, unicode.IsSpace) != 0 {
				return "", p.fail(p.at, "a space or a comma must follow the quote")
			}
			return b.String(), nil
		default:
			b.WriteByte(ch)
		}
	}
	return "", p.fail(start, "the quote is not closed")
}

// take adds the condition to the match.
func (p *matchParser) take(c condition) error {
	m := &p.match
	switch c.field {
	case "status":
		return takeWords(p, c, &m.Statuses, Statuses, Statuses)
	case "outcome":
		if c.not {
			return takeWords(p, c, &m.NotOutcomes, Outcomes, nil)
		}
		return takeWords(p, c, &m.Outcomes, Outcomes, nil)
	case "type":
		return p.takeNames(c, &m.Types, &m.NotTypes, 200)
	case "worker":
		return p.takeNames(c, &m.Workers, &m.NotWorkers, 200)
	case "key":
		return p.takeNames(c, &m.Keys, nil, 500)
	case "concurrency_key":
		return p.takeNames(c, &m.ConcurrencyKeys, &m.NotConcurrencyKeys, MaxKey)
	case "failure":
		return p.takeFailures(c)
	case "error":
		return p.takeError(c)
	}
	if c.not && slices.Contains(rangeFields, c.field) {
		return p.fail(c.at, "- goes with status, type, outcome, error, worker and concurrency_key: turn the comparison round instead")
	}
	switch c.field {
	case "id":
		return p.takeSpan(c, &m.ID, 1<<63-1)
	case "priority":
		return p.takeSpan(c, &m.Priority, maxPriority)
	case "attempts":
		return p.takeSpan(c, &m.Attempts, maxAttempts)
	case "created":
		return p.takePeriod(c, &m.Created)
	case "finished":
		return p.takePeriod(c, &m.Finished)
	case "run_after":
		return p.takePeriod(c, &m.RunAfter)
	case "age":
		return p.takeAge(c)
	}
	return p.fail(c.at, "there is no field %q: use one of %s", c.field, strings.Join(slices.Concat(listFields, rangeFields), ", "))
}

// listed checks what all conditions with a list of values have in common.
func (p *matchParser) listed(c condition) error {
	if c.op != ":" {
		return p.fail(c.at, "%s has no order: write %s:value", c.field, c.field)
	}
	name := c.field
	if c.not {
		name = "-" + name
	}
	if p.given[name] {
		return p.fail(c.at, "%s is given twice: write its values once, with commas between", name)
	}
	p.given[name] = true
	return nil
}

// takeWords takes values that are some of the words in known, in that order. With complement, a condition with - asks for the others of it.
func takeWords[T ~string](p *matchParser, c condition, into *[]T, known, complement []T) error {
	if err := p.listed(c); err != nil {
		return err
	}
	for _, v := range c.values {
		if !slices.Contains(known, T(v)) {
			return p.fail(c.value, "there is no %s %q: use one of %s", c.field, v, strings.Join(texts(known), ", "))
		}
	}
	turned := c.not && complement != nil
	if turned && p.given[c.field] || complement != nil && !c.not && p.given["-"+c.field] {
		return p.fail(c.at, "%s is given twice: name the values to be found, or with - those not to be", c.field)
	}
	*into = nil
	for _, k := range known {
		if slices.Contains(c.values, string(k)) != turned {
			*into = append(*into, k)
		}
	}
	if *into == nil {
		return p.fail(c.at, "no %s is left", c.field)
	}
	return nil
}

// takeNames takes free values; without nots the condition cannot be turned round.
func (p *matchParser) takeNames(c condition, into, nots *[]string, longest int) error {
	if err := p.listed(c); err != nil {
		return err
	}
	for _, v := range c.values {
		if msg := CheckName(v, longest); msg != "" {
			return p.fail(c.value, "a %s %s", c.field, msg)
		}
	}
	if c.not {
		into = nots
	}
	if into == nil {
		return p.fail(c.at, "- goes with status, type, outcome, error, worker and concurrency_key")
	}
	slices.Sort(c.values)
	*into = slices.Compact(c.values)
	return nil
}

// takeFailures takes the ids of groups of failures, which are fingerprints.
func (p *matchParser) takeFailures(c condition) error {
	for _, v := range c.values {
		if !IsFingerprint(v) {
			return p.fail(c.value, "a failure has an id of 16 digits from 0 to f, as thequeue failures list shows them")
		}
	}
	if len(c.values) > maxFailures {
		return p.fail(c.value, "failure takes %d ids at most", maxFailures)
	}
	return p.takeNames(c, &p.match.Failures, nil, 2*fingerprintBytes)
}

func (p *matchParser) takeError(c condition) error {
	if err := p.listed(c); err != nil {
		return err
	}
	if len(c.values) > 1 {
		return p.fail(c.value, `error takes one text: write error:"…" if there is a comma in it`)
	}
	if c.not {
		p.match.NotError = c.values[0]
	} else {
		p.match.Error = c.values[0]
	}
	return nil
}

func (p *matchParser) takeSpan(c condition, s *Span, most int64) error {
	wrong := func() error {
		return p.fail(c.value, "%s takes a number up to %d, or two of them with - between: %s%s3, %s:3-5", c.field, most, c.field, c.op, c.field)
	}
	if !c.bare {
		return wrong()
	}
	first, second, isRange := strings.Cut(strings.Replace(c.values[0], "..", "-", 1), "-")
	from, err := parseNumber(first, most)
	to := from
	if isRange && err == nil {
		to, err = parseNumber(second, most)
	}
	if err != nil || isRange && c.op != ":" {
		return wrong()
	}
	switch c.op {
	case ":":
		s.narrow(&from, &to)
	case ">=":
		s.narrow(&from, nil)
	case "<=":
		s.narrow(nil, &to)
	case ">":
		if from == most {
			return wrong()
		}
		from++
		s.narrow(&from, nil)
	case "<":
		if to == 0 {
			return wrong()
		}
		to--
		s.narrow(nil, &to)
	}
	if s.From != nil && s.To != nil && *s.From > *s.To {
		return p.fail(c.at, "no %s is left: the lower end is above the upper one", c.field)
	}
	return nil
}

func parseNumber(s string, most int64) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err == nil && int64(n) > most {
		err = strconv.ErrRange
	}
	return int64(n), err
}

// narrow leaves what lies between the ends as well; nil: no end.
func (s *Span) narrow(from, to *int64) {
	if from != nil && (s.From == nil || *from > *s.From) {
		s.From = from
	}
	if to != nil && (s.To == nil || *to < *s.To) {
		s.To = to
	}
}

func (p *matchParser) takePeriod(c condition, into *Period) error {
	wrong := func() error {
		return p.fail(c.value, "%s takes a day or a time in UTC, such as %s%s2026-01-31 or %s%s2026-01-31T08:00:00Z, or two of them with .. between", c.field, c.field, c.op, c.field, c.op)
	}
	if len(c.values) != 1 {
		return wrong()
	}
	first, second, isRange := strings.Cut(c.values[0], "..")
	a, ok := parsePeriod(first)
	b := a
	if isRange && ok {
		b, ok = parsePeriod(second)
	}
	if !ok || isRange && c.op != ":" {
		return wrong()
	}
	switch c.op {
	case ":":
		a.To = b.To
	case ">=":
		a.To = nil
	case ">":
		a.From, a.To = a.To, nil
	case "<":
		a.From, a.To = nil, a.From
	case "<=":
		a.From = nil
	}
	if a.From != nil {
		into.From = later(into.From, *a.From)
	}
	if a.To != nil {
		into.To = sooner(into.To, *a.To)
	}
	if into.From != nil && into.To != nil && !into.From.Before(*into.To) {
		return p.fail(c.at, "no time is left for %s: its beginning is not before its end", c.field)
	}
	return nil
}

// parsePeriod reads a day, or an instant, which is a microsecond long.
func parsePeriod(s string) (Period, bool) {
	length := 24 * time.Hour
	from, err := time.Parse(time.DateOnly, s)
	if err != nil {
		t, err := ParseTime(s)
		if err != nil {
			return Period{}, false
		}
		from, length = t.Time, time.Microsecond
	}
	to := from.Add(length)
	return Period{&from, &to}, from.Year() >= 1970 && to.Year() <= 9999
}

func (p *matchParser) takeAge(c condition) error {
	d, ok := ParseAge(c.values[0])
	if !ok || !c.bare || c.op == ":" {
		return p.fail(c.value, "age is compared with a length of time in w, d, h, m and s: age>1h, age<2d12h")
	}
	m := &p.match
	switch {
	case c.op[0] == '>':
		m.OlderThan = max(m.OlderThan, d)
	case m.YoungerThan == 0 || d < m.YoungerThan:
		m.YoungerThan = d
	}
	if m.YoungerThan > 0 && m.OlderThan >= m.YoungerThan {
		return p.fail(c.at, "no age is left: what is older than %s is not younger than %s", FormatAge(m.OlderThan), FormatAge(m.YoungerThan))
	}
	return nil
}
