package schedule

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// Grace is how long after its time a tick is still in time. One that nobody has dealt with by then was missed.
const Grace = time.Minute

// Plan is what becomes of the ticks of a schedule that have come.
type Plan struct {
	Ticks  []time.Time // that make a task, oldest first
	Newest time.Time   // the newest that has come; the zero time when none has
	Next   *time.Time  // the first that has not; nil: there is none any more
}

// PlanOf returns what the rule of a schedule asks for at now. The first tick that is not dealt with is s.NextTickUTC; nil: there is nothing to do.
func PlanOf(r Rule, s task.Schedule, now time.Time) Plan {
	if s.NextTickUTC == nil || s.NextTickUTC.After(now) {
		return Plan{Next: s.NextTickUTC}
	}
	first, inTime := *s.NextTickUTC, now.Add(-Grace)
	if inTime.Before(first) {
		inTime = first
	}
	p := Plan{Newest: first}
	next := r.Next(inTime.Add(-time.Nanosecond))
	for ; !next.IsZero() && !next.After(now); next = r.Next(next) {
		p.Ticks, p.Newest = append(p.Ticks, next), next
	}
	if !next.IsZero() {
		p.Next = &next
	}
	if first.Before(inTime) {
		missed := r.newest(first, inTime, s.MaxMisfires)
		n := min(len(missed), makeUp(s, len(p.Ticks) > 0))
		if len(p.Ticks) == 0 {
			p.Newest = missed[len(missed)-1]
		}
		p.Ticks = slices.Concat(missed[len(missed)-n:], p.Ticks)
	}
	return p
}

// makeUp is how many of the ticks that were missed make a task; others says that a tick in time makes one.
func makeUp(s task.Schedule, others bool) int {
	switch {
	case s.Misfire == task.MisfireAll:
		return s.MaxMisfires
	case s.Misfire == task.MisfireOnce && !others:
		return 1
	}
	return 0
}

// newest returns the newest n ticks from the first, which is one, to before an instant. It looks at little more than these, however long ago the
// first was.
func (r Rule) newest(first, before time.Time, n int) []time.Time {
	for span := time.Minute; ; span *= 2 {
		from := before.Add(-span)
		whole := !from.After(first)
		if whole {
			from = first
		}
		var found []time.Time
		for t := r.Next(from.Add(-time.Nanosecond)); !t.IsZero() && t.Before(before); t = r.Next(t) {
			if found = append(found, t); len(found) > 2*n {
				found = slices.Delete(found, 0, len(found)-n)
			}
		}
		if whole && len(found) == 0 {
			return []time.Time{first} // the rule was another one when the tick was set
		}
		if whole || len(found) >= n {
			return found[max(0, len(found)-n):]
		}
	}
}

// Jitter says how far, from 0 to below 1 of the longest, the task of a tick is moved.
type Jitter func(schedule string, tick time.Time) float64

// Spread is a Jitter that depends on the name and the tick alone, so that it is the same everywhere and at each preview.
func Spread(schedule string, tick time.Time) float64 {
	h := sha256.Sum256(fmt.Appendf(nil, "%d %s", tick.UnixMicro(), schedule))
	return rand.New(rand.NewPCG(binary.LittleEndian.Uint64(h[:8]), binary.LittleEndian.Uint64(h[8:16]))).Float64()
}

// RunAfter is when the task of a tick may run, in whole microseconds.
func RunAfter(s task.Schedule, tick time.Time, j Jitter) time.Time {
	if s.JitterSeconds == 0 {
		return tick
	}
	return tick.Add(time.Duration(j(s.Name, tick) * s.JitterSeconds * float64(time.Second))).Truncate(time.Microsecond)
}

// Preview returns the next n ticks of a schedule after an instant; fewer when there are no more.
func Preview(r Rule, s task.Schedule, after time.Time, n int, j Jitter) []task.Occurrence {
	out := []task.Occurrence{}
	for t := r.Next(after); len(out) < n && !t.IsZero(); t = r.Next(t) {
		out = append(out, task.Occurrence{TickUTC: t, Local: t.In(r.zone).Format(time.RFC3339), RunAfterUTC: RunAfter(s, t, j)})
	}
	return out
}
