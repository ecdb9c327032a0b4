package store

import (
	"context"
	"math"

	"github.com/prismq/thequeue/internal/task"
)

// LogLines is what an engine stores of the log of a task.
type LogLines interface {
	// Last returns id and fence of the last line with an id not above upto and a fence below before; zeros without one.
	Last(ctx context.Context, upto, before int64) (id, fence int64, err error)
	// Lines returns up to max lines of a level with ids above after in their order; of an empty level all, and of info also whatever has happened to the task.
	Lines(ctx context.Context, after int64, level task.Level, max int) ([]task.Log, error)
	// Attempts returns the ended attempts with fences above after and not above upto in their order.
	Attempts(ctx context.Context, after, upto int64) ([]task.Attempt, error)
}

// ListLogs does that for a task on an engine, all of one snapshot: it puts the lines that the task and its attempts tell of themselves among those that are stored.
//
// In the log of a task a line has a greater id than every line that was there before it. A stored line is given such a one. One that is told has its instant, or one
// more than the line before it where that is not less; what is before it is known by the claims: every stored line has the fence of the last of them.
func ListLogs(ctx context.Context, t task.Task, f task.LogFilter, stored LogLines) ([]task.Log, error) {
	if f.Level != "" && f.Level != task.Info { // what is told is of level info
		return stored.Lines(ctx, f.After, f.Level, f.Limit)
	}
	m := logMerge{after: f.After, at: t.CreatedAtUTC.UnixMicro()}
	switch id, fence, err := stored.Last(ctx, f.After, math.MaxInt64); {
	case err != nil:
		return nil, err
	case id > 0:
		m.at, m.fence = id, fence
	case m.at > f.After:
		l := t.EnqueuedLine()
		l.LogID = m.at
		m.out = append(m.out, l)
	}
	for after, more := f.After, true; more && len(m.out) < f.Limit; {
		lines, err := stored.Lines(ctx, after, f.Level, f.Limit)
		if err != nil {
			return nil, err
		}
		upto := int64(math.MaxInt64)
		if more = len(lines) == f.Limit; more {
			after, upto = lines[len(lines)-1].LogID, lines[len(lines)-1].Fence
		}
		claims, err := stored.Attempts(ctx, m.fence, upto)
		if err != nil {
			return nil, err
		}
		if own, ok := t.ClaimOf(); ok && own.Fence > m.fence && own.Fence <= upto {
			claims = append(claims, own)
		}
		m.merge(lines, claims, f.Level)
		if !more && t.Status == task.Completed {
			id, _, err := stored.Last(ctx, math.MaxInt64, math.MaxInt64) // it may be of another level
			if err != nil {
				return nil, err
			}
			m.at = max(m.at, id)
			m.tell(t.CompletedLine())
		}
	}
	return m.out[:min(len(m.out), f.Limit)], nil
}

// logMerge is how far the log of a task has been put together.
type logMerge struct {
	after int64 // only lines with greater ids go out
	at    int64 // id of the last line
	fence int64 // the last claim before it
	out   []task.Log
}

// merge adds stored lines and claims. The claims after the last line are added as well.
func (m *logMerge) merge(lines []task.Log, claims []task.Attempt, level task.Level) {
	for _, l := range lines {
		for len(claims) > 0 && claims[0].Fence <= l.Fence {
			if claims[0].Fence < l.Fence || l.Event == nil || *l.Event != task.EventClaimed {
				m.tell(claims[0].ClaimedLine())
			}
			claims = claims[1:]
		}
		if m.at, m.fence = l.LogID, l.Fence; level == "" || l.Level == level {
			m.out = append(m.out, l)
		}
	}
	for _, c := range claims {
		m.tell(c.ClaimedLine())
	}
}

// tell adds a line that is not stored.
func (m *logMerge) tell(l task.Log) {
	m.at, m.fence = max(l.AtUTC.UnixMicro(), m.at+1), l.Fence
	if l.LogID = m.at; l.LogID > m.after {
		m.out = append(m.out, l)
	}
}

// ClaimedLine returns the line of the claim that t is held by, with the id that ListLogs gives it.
func ClaimedLine(ctx context.Context, t task.Task, stored LogLines) (task.Log, error) {
	own, _ := t.ClaimOf()
	m := logMerge{after: math.MaxInt64, at: t.CreatedAtUTC.UnixMicro()}
	id, fence, err := stored.Last(ctx, math.MaxInt64, t.Fence)
	if err != nil {
		return task.Log{}, err
	}
	if id > 0 {
		m.at, m.fence = id, fence
	}
	claims, err := stored.Attempts(ctx, m.fence, t.Fence)
	if err != nil {
		return task.Log{}, err
	}
	l := own.ClaimedLine()
	m.merge(nil, append(claims, own), "")
	l.LogID = m.at
	return l, nil
}

// lookLines is at how many lines one query for the lines of a type or with a word looks, and lookQueries how many such queries one call makes.
const (
	lookLines   = 10_000
	lookQueries = 25
)

// RecentLines is what an engine stores of the logs of all tasks.
type RecentLines interface {
	// OfTask returns up to f.Limit lines of the task of f below f.Before, newest first.
	OfTask(ctx context.Context, f task.RecentLogFilter) ([]task.RecentLog, error)
	// Lines returns those of the next most lines of the level below f.Before that match, up to f.Limit, newest first.
	Lines(ctx context.Context, f task.RecentLogFilter, most int) ([]task.RecentLog, error)
	// Last returns the place of the last line at which Lines looks; zero when there is none.
	Last(ctx context.Context, f task.RecentLogFilter, most int) (task.LogPlace, error)
}

// ListRecentLogs does that on an engine.
func ListRecentLogs(ctx context.Context, f task.RecentLogFilter, stored RecentLines) (out []task.RecentLog, next *task.LogPlace, err error) {
	if f.Before == (task.LogPlace{}) {
		f.Before = task.LogPlace{LogID: math.MaxInt64, TaskID: math.MaxInt64}
	}
	if !f.Until.IsZero() && f.Until.UnixMicro() <= f.Before.LogID {
		f.Before = task.LogPlace{LogID: f.Until.UnixMicro()}
	}
	if f.TaskID != 0 {
		out, err = stored.OfTask(ctx, f)
		return out, lastPlace(out, f.Limit), err
	}
	if f.Type == "" && f.Word == "" {
		out, err = stored.Lines(ctx, f, f.Limit)
		return out, lastPlace(out, f.Limit), err
	}
	want := f.Limit
	for range lookQueries {
		last, err := stored.Last(ctx, f, lookLines)
		if err != nil {
			return nil, nil, err
		}
		if last == (task.LogPlace{}) {
			return out, nil, nil
		}
		f.Limit = want - len(out)
		found, err := stored.Lines(ctx, f, lookLines)
		if err != nil {
			return nil, nil, err
		}
		if out = append(out, found...); len(out) == want {
			return out, lastPlace(out, want), nil
		}
		f.Before = last
	}
	return out, &f.Before, nil
}

// lastPlace is where a full page ends; nil for another, which is the last.
func lastPlace(page []task.RecentLog, limit int) *task.LogPlace {
	if len(page) < limit || len(page) == 0 {
		return nil
	}
	l := page[len(page)-1]
	return &task.LogPlace{LogID: l.LogID, TaskID: l.TaskID}
}

// Since is the least id of a line for ListRecentLogs.
func Since(f task.RecentLogFilter) int64 {
	if f.Since.IsZero() {
		return 0
	}
	return f.Since.UnixMicro()
}
