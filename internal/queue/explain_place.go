package queue

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// aheadCounted bounds the tasks of one lane that are counted one by one, and lanesCounted the lanes in which they are.
	aheadCounted, lanesCounted = 10_000, 200
	// rateOver is the time over which it is measured how many tasks are completed, by ratedTasks of each of ratedTypes at most.
	rateOver, ratedTasks, ratedTypes = 5 * time.Minute, 100, 10
)

// line is what comes before a task.
type line struct {
	ahead   int64    // tasks
	ofType  int64    // those of its type
	ofKey   int64    // those of its concurrency key, in its lane
	atLeast bool     // there may be more of each
	types   []string // that of the task and those of the others
}

// place counts the tasks that workers which claim by priority take before this one. A task that nothing holds back is next.
func (q *Queue) place(ctx context.Context, s *scene, t task.Task, lane task.Lane, blocked bool) (*task.Reason, error) {
	takers := s.takers(lane)
	if len(takers) == 0 {
		return nil, nil
	}
	l, err := q.before(ctx, s, t, takers)
	if err != nil {
		return nil, err
	}
	if l.ahead == 0 {
		if blocked {
			return nil, nil
		}
		return &task.Reason{Code: "next", Message: fmt.Sprintf("Nothing holds it back: it is the next one by priority (live workers that may take it: %d).", len(takers))}, nil
	}
	perMinute, err := q.rate(ctx, l.types[:min(len(l.types), ratedTypes)])
	if err != nil {
		return nil, err
	}
	e, err := q.estimate(ctx, s, t, l, perMinute)
	if err != nil {
		return nil, err
	}
	return l.reason(perMinute, e), nil
}

// before counts the tasks that come before one for workers which claim by priority.
func (q *Queue) before(ctx context.Context, s *scene, t task.Task, takers []task.Claim) (l line, err error) {
	backlog, err := q.store.ListBacklog(ctx)
	if err != nil {
		return l, err
	}
	l.types = []string{t.Type}
	counted, free := 0, make(map[string]int64)
	for _, b := range backlog {
		shared := slices.ContainsFunc(takers, func(c task.Claim) bool { return c.MayTake(b.Lane) })
		if b.Priority > t.Priority || b.Ready == 0 || s.rules[b.Type].Paused || !shared {
			continue
		}
		if _, known := free[b.Type]; !known {
			free[b.Type] = s.free(b.Type, t.Type)
		}
		n := b.Ready
		if b.Priority == t.Priority && free[b.Type] > 0 {
			if counted++; counted > lanesCounted {
				l.atLeast = true
				break
			}
			if b.ID == t.LaneID && t.ConcurrencyKey != nil { // keys take turns: those of other keys come between
				n, err = q.store.CountKeyAhead(ctx, b.ID, *t.ConcurrencyKey, t.ID, aheadCounted)
				l.ofKey = n
			} else {
				n, err = q.store.CountAhead(ctx, b.ID, t.ID, aheadCounted)
			}
			if err != nil {
				return l, err
			}
			l.atLeast = l.atLeast || n == aheadCounted
		}
		n = min(n, free[b.Type])
		free[b.Type] -= n
		if b.Type == t.Type {
			l.ofType += n
		}
		if l.ahead += n; n > 0 && !slices.Contains(l.types, b.Type) {
			l.types = append(l.types, b.Type)
		}
	}
	return l, nil
}

// free is how many tasks of another type may come before those of own: what its breaker and its rate let be claimed now. What waits for them does not
// keep a worker from going on.
func (s *scene) free(taskType, own string) int64 {
	n, r := int64(math.MaxInt64), s.rules[taskType]
	if taskType == own {
		return n
	}
	if r.RateLimit != nil {
		n = r.RateLimit.Room(r.RateOpenUTC, s.now)
	}
	switch {
	case r.BreakerUntilUTC == nil:
	case r.BreakerUntilUTC.After(s.now):
		n = 0
	default:
		n = min(n, 1)
	}
	return n
}

// estimate is when a task may begin.
type estimate struct {
	seconds float64 // from now; 0: nothing tells
	by      string  // what takes so long, for programs
	because string  // the same for people
}

// estimate is the longest of the times that the tasks before t take: at the pace at which such were completed lately, and at the rates of its type and its key.
func (q *Queue) estimate(ctx context.Context, s *scene, t task.Task, l line, perMinute float64) (e estimate, err error) {
	atLeast := func(seconds float64, by, because string) {
		if seconds > e.seconds {
			e = estimate{seconds: seconds, by: by, because: because}
		}
	}
	if perMinute > 0 {
		atLeast(float64(l.ahead)/perMinute*60, "completions", short(perMinute)+" a minute were completed lately")
	}
	r := s.rules[t.Type]
	if r.BreakerUntilUTC != nil {
		atLeast(r.BreakerUntilUTC.Sub(s.now).Seconds(), "breaker", "the circuit breaker of its type is open")
	}
	if r.RateLimit != nil {
		atLeast(r.RateLimit.Wait(r.RateOpenUTC, s.now, l.ofType), "rate_limit", "of its type "+pace(*r.RateLimit))
	}
	if rate := r.PerKey.Rate(); t.ConcurrencyKey != nil && rate != (task.RateLimit{}) {
		open, err := q.store.KeyRateOpens(ctx, t.Type, *t.ConcurrencyKey)
		if err != nil {
			return e, err
		}
		atLeast(rate.Wait(open, s.now, l.ofKey), "key_rate_limit", "of its key "+pace(rate))
	}
	return e, nil
}

// reason says what comes before the task, and when it may begin.
func (l line) reason(perMinute float64, e estimate) *task.Reason {
	figures := map[string]any{"ahead": l.ahead, "at_least": l.atLeast}
	least := ""
	if l.atLeast {
		least = "at least "
	}
	r := &task.Reason{Code: "tasks_ahead", Message: fmt.Sprintf("By priority %s%s before it", least, count(l.ahead, "task comes", "tasks come"))}
	if perMinute > 0 {
		figures["completed_per_minute"] = perMinute
	}
	switch {
	case e.seconds > 0:
		figures["estimate_seconds"], figures["estimate_by"] = math.Round(e.seconds), e.by
		r.Message += fmt.Sprintf("; %s, so it may begin in about %s.", e.because, about(e.seconds))
	case perMinute == 0:
		r.Message += ", and none of their kind was completed lately."
	default:
		r.Message += "."
	}
	r.Details = details(figures)
	return r
}

// short is a number with the digits that matter, never with an exponent.
func short(v float64) string {
	if v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return fmt.Sprintf("%.3g", v)
}

// about is a length of time as people say it.
func about(seconds float64) string {
	const day = 24 * 60 * 60
	switch {
	case seconds >= 2*365*day:
		return fmt.Sprintf("%.0f years", seconds/(365*day))
	case seconds >= 2*day:
		return fmt.Sprintf("%.0f days", seconds/day)
	}
	d := time.Duration(seconds * float64(time.Second))
	if d >= time.Hour {
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return d.Round(time.Second).String()
}

// rate is how many tasks of some types were completed a minute lately.
func (q *Queue) rate(ctx context.Context, types []string) (perMinute float64, err error) {
	now := q.Now()
	for _, name := range types {
		ends, err := q.store.ListFinishes(ctx, name, ratedTasks)
		if err != nil {
			return 0, err
		}
		ends = slices.DeleteFunc(ends, func(e time.Time) bool { return now.Sub(e) > rateOver })
		over := rateOver
		if len(ends) == ratedTasks {
			over = max(now.Sub(slices.MinFunc(ends, time.Time.Compare)), time.Second)
		}
		perMinute += float64(len(ends)) / over.Minutes()
	}
	return perMinute, nil
}
