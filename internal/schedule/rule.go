package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Rule says which instants are ticks. Parse makes it.
//
// The fields of the expression are looked up on the clocks of the time zone. Where these are put forward or back:
//
//   - With hours that begin with * the ticks are the instants at which the clocks show a time that matches. A time that is left out is none, and one
//     that comes twice is a tick each time: the ticks stay as far apart as they always are.
//   - With hours that are given each time that matches is one tick. One that is left out comes at the instant at which the clocks go on, together with
//     others that are left out; one that comes twice is a tick the first time.
type Rule struct {
	fields *cron.SpecSchedule
	zone   *time.Location
	hourly bool // the hours begin with *
}

var parser = cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// Parse reads an expression: minute, hour, day of month, month and day of week, with the second in front where there are six, or a word like
// @daily. A day matches one of the two days where both are given. The error says what is wrong with it, and what to write instead.
func Parse(expression string, zone *time.Location) (Rule, error) {
	return parse(expression, zone, field.read)
}

// parseStored reads an expression that was taken once. What Parse has come to refuse since then means what it has always meant.
func parseStored(expression string, zone *time.Location) (Rule, error) {
	return parse(expression, zone, func(f field, text string) (string, error) {
		if read, err := f.read(text); err == nil {
			return read, nil
		}
		return text, nil
	})
}

func parse(expression string, zone *time.Location, read func(f field, text string) (string, error)) (Rule, error) {
	texts := strings.Fields(expression)
	switch {
	case len(texts) == 0:
		return Rule{}, errors.New("must not be empty: write five fields like 0 3 * * *, or six with the second in front")
	case strings.Contains(texts[0], "="):
		return Rule{}, errors.New("must not name a time zone: put it in timezone")
	case strings.EqualFold(texts[0], "@every"):
		return Rule{}, errors.New("@every is not known: write the times, like */5 * * * * for every five minutes")
	case texts[0][0] != '@' && len(texts) != 5 && len(texts) != 6:
		return Rule{}, fmt.Errorf("has %d fields, and must have minute, hour, day of month, month and day of week, or the second in front of these", len(texts))
	}
	hourly := strings.EqualFold(texts[0], "@hourly")
	if texts[0][0] != '@' {
		hourly = strings.ContainsAny(texts[len(texts)-4][:1], "*?")
		for i, f := range fields[len(fields)-len(texts):] {
			var err error
			if texts[i], err = read(f, texts[i]); err != nil {
				return Rule{}, err
			}
		}
	}
	parsed, err := parser.Parse(strings.ToLower(strings.Join(texts, " ")))
	if err != nil {
		return Rule{}, fmt.Errorf("is not a cron expression: %w", err)
	}
	r := Rule{fields: parsed.(*cron.SpecSchedule), zone: zone, hourly: hourly} // every descriptor but @every is one
	r.fields.Location = time.UTC
	if r.naive(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return Rule{}, errors.New("never comes: no month that it names has such a day")
	}
	return r, nil
}

// Zone returns the time zone called so in the IANA database.
func Zone(name string) (*time.Location, error) {
	if strings.EqualFold(name, "local") {
		return nil, errors.New("must be the name of a time zone like Europe/Berlin, and not that of this machine: another one may run the schedule")
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("%q is not in the IANA database of time zones: use a name like UTC or Europe/Berlin", name)
	}
	return zone, nil
}

// lastYear is that after which there are no ticks: it is the last that a time in JSON can have.
const lastYear = 9999

// Next returns the first tick after an instant, in UTC; the zero time when there is none.
func (r Rule) Next(after time.Time) time.Time {
	var next time.Time
	if r.hourly {
		next = r.nextShown(after)
	} else {
		next = r.nextOnce(after)
	}
	if next.IsZero() || next.Year() > lastYear {
		return time.Time{}
	}
	return next.UTC()
}

// naive returns the first time after another that matches the fields, on a clock that is never put forward or back: in UTC, whatever the zone. The
// zero time when there is none; the 29th of February may be eight years away.
func (r Rule) naive(after time.Time) time.Time {
	for range 3 {
		if next := r.fields.Next(after); !next.IsZero() {
			return next
		}
		after = after.AddDate(5, 0, 0) // as far as Next looks
	}
	return time.Time{}
}

// shown is what the clocks of the zone show, as a time in UTC.
func shown(t time.Time) time.Time { return t.Add(offset(t)).UTC() }

func offset(t time.Time) time.Duration {
	_, seconds := t.Zone()
	return time.Duration(seconds) * time.Second
}

// nextShown returns the first instant after another at which the clocks show a time that matches.
func (r Rule) nextShown(after time.Time) time.Time {
	for t := after.In(r.zone); ; {
		match := r.naive(shown(t))
		if match.IsZero() || match.Year() > lastYear {
			return time.Time{}
		}
		next, changed := match.Add(-offset(t)), end(t)
		if changed.IsZero() || next.Before(changed) {
			return next
		}
		if first := r.naive(shown(changed).Add(-time.Nanosecond)); first.Equal(shown(changed)) {
			return changed
		}
		t = changed
	}
}

// nextOnce returns the first instant after another that stands for a time that matches.
func (r Rule) nextOnce(after time.Time) time.Time {
	for match := r.naive(shown(after.In(r.zone))); !match.IsZero() && match.Year() <= lastYear; match = r.naive(match) {
		if t := r.instant(match); t.After(after) {
			return t
		}
	}
	return time.Time{}
}

// end is the instant at which the clocks are put forward or back next; the zero time when they never are.
func end(t time.Time) time.Time {
	_, e := t.ZoneBounds()
	return e
}

// instant returns when the clocks of the zone show a time: the first of two, or the instant at which they go on where they leave it out. A later
// time has never an earlier instant.
func (r Rule) instant(local time.Time) time.Time {
	const farthest = 30 * time.Hour // from UTC, and a day that is left out
	for t := local.Add(-farthest).In(r.zone); ; {
		start, end := t.ZoneBounds()
		at := local.Add(-offset(t))
		if !start.IsZero() && at.Before(start) {
			return start
		}
		if end.IsZero() || at.Before(end) {
			return at
		}
		t = end
	}
}
