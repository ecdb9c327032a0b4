package queue

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// DefaultWindow is the time of metrics when nobody says.
	DefaultWindow = 24 * time.Hour
	// MaxWindow is the longest time of metrics: what is kept.
	MaxWindow = hoursKept
)

// Metrics tells how many tasks there are and what has happened to them in the window up to now, of one type or, where it is empty, of all and of each. What other nodes have counted
// in their last seconds may be missing. Errors: *task.InvalidError, task.ErrNotFound for a type that is not known.
func (q *Queue) Metrics(ctx context.Context, window time.Duration, taskType string) (task.Metrics, error) {
	if err := checkWindow(window); err != nil {
		return task.Metrics{}, err
	}
	m := task.Metrics{ToUTC: q.Now(), Types: []task.TypeFigures{}}
	_ = q.StoreMeasures(ctx) // what cannot be stored now is tried again, and logged, by Run
	err := q.depths(ctx, &m, taskType)
	if err == nil {
		err = q.measured(ctx, &m, window, taskType)
	}
	if err == nil {
		m.Workers, err = q.CountWorkers(ctx)
	}
	if err == nil {
		m.Health, err = q.Health(ctx)
	}
	if err != nil {
		return task.Metrics{}, fmt.Errorf("metrics: %w", err)
	}
	return m, nil
}

// minutely is the longest window that History tells by the minute; a longer one it tells by the hour.
const minutely = minutesKept - time.Hour

// History tells what has happened in the window up to now, minute by minute or, where it is longer than two hours, hour by hour, of one type or, where it is empty, of all. The oldest is
// first, the last is not over yet, and those in which nothing happened are there too. Errors: as Metrics.
func (q *Queue) History(ctx context.Context, window time.Duration, taskType string) ([]task.Point, error) {
	if err := checkWindow(window); err != nil {
		return nil, err
	}
	if taskType != "" {
		if _, err := q.store.GetType(ctx, taskType); err != nil {
			return nil, fmt.Errorf("history: %w", err)
		}
	}
	_ = q.StoreMeasures(ctx) // what cannot be stored now is tried again, and logged, by Run
	now, step := q.Now(), time.Hour
	if window <= minutely {
		step = time.Minute
	}
	first := now.Add(-window).Truncate(step).Add(step)
	rows, _, err := q.rollups(ctx, task.RollupFilter{Type: taskType}, first, now)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	sums := make([]task.Measures, int(now.Sub(first)/step)+1)
	for _, r := range rows {
		if i := int(r.AtUTC.Sub(first) / step); i >= 0 && i < len(sums) && !r.AtUTC.Before(first) {
			sums[i].Add(r.Counts)
		}
	}
	points := make([]task.Point, len(sums))
	for i, m := range sums {
		at := first.Add(time.Duration(i) * step)
		points[i] = task.Point{FromUTC: at, Seconds: int(step.Seconds()), Figures: m.Figures(min(step, now.Sub(at))), Peak: m.Peak}
	}
	return points, nil
}

func checkWindow(window time.Duration) error {
	if window < time.Minute || window > MaxWindow {
		return task.Invalid("window", "must lie between 1m and %dd, such as 1h, 24h or 7d", int(MaxWindow.Hours()/24))
	}
	return nil
}

// depths counts what is stored now.
func (q *Queue) depths(ctx context.Context, m *task.Metrics, taskType string) error {
	if taskType != "" {
		t, err := q.store.GetType(ctx, taskType)
		m.Type, m.Depth = &taskType, depthOf(t.TypeCounts)
		return err
	}
	stats, err := q.store.Stats(ctx, m.ToUTC)
	if err != nil {
		return err
	}
	m.Depth = task.Depth{
		QueuedTasks: stats.QueuedTasks, ReadyTasks: stats.ReadyTasks, ScheduledTasks: stats.ScheduledTasks, ProcessingTasks: stats.ProcessingTasks,
		CompletedTasks: stats.CompletedTasks, FailedTasks: stats.FailedTasks, OldestQueuedAgeSeconds: stats.OldestQueuedAgeSeconds,
	}
	types, err := q.store.ListTypes(ctx)
	for _, t := range types {
		m.Types = append(m.Types, task.TypeFigures{Type: t.Type.Type, Depth: depthOf(t.TypeCounts)})
	}
	return err
}

func depthOf(c task.TypeCounts) task.Depth {
	return task.Depth{
		QueuedTasks: c.QueuedTasks, ReadyTasks: c.ReadyTasks, ScheduledTasks: c.ScheduledTasks, ProcessingTasks: c.ProcessingTasks, CompletedTasks: c.CompletedTasks, FailedTasks: c.FailedTasks,
	}
}

// measured adds up what was counted in the window.
func (q *Queue) measured(ctx context.Context, m *task.Metrics, window time.Duration, taskType string) error {
	from := m.ToUTC.Add(-window)
	all, first, err := q.rollups(ctx, task.RollupFilter{Type: taskType}, from, m.ToUTC)
	if err != nil {
		return err
	}
	m.FromUTC = first
	over := m.ToUTC.Sub(first)
	var sum task.Measures
	for _, r := range all {
		sum.Add(r.Counts)
	}
	m.Figures = sum.Figures(over)
	if taskType != "" {
		return nil
	}
	each, _, err := q.rollups(ctx, task.RollupFilter{EachType: true}, from, m.ToUTC)
	if err != nil {
		return err
	}
	sums := make(map[string]*task.Measures)
	for _, r := range each {
		if sums[r.Type] == nil {
			sums[r.Type] = new(task.Measures)
		}
		sums[r.Type].Add(r.Counts)
	}
	for i, t := range m.Types {
		if c := sums[t.Type]; c != nil {
			m.Types[i].Figures = c.Figures(over)
			delete(sums, t.Type)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(sums)) { // all of its tasks are deleted
		m.Types = append(m.Types, task.TypeFigures{Type: name, Figures: sums[name].Figures(over)})
	}
	slices.SortFunc(m.Types, func(a, b task.TypeFigures) int { return cmp.Compare(a.Type, b.Type) })
	return nil
}

// rollups returns what was counted from a time on, and when the first of that began at the earliest.
func (q *Queue) rollups(ctx context.Context, f task.RollupFilter, from, to time.Time) ([]task.Rollup, time.Time, error) {
	first := from.Truncate(time.Minute)
	f.Seconds, f.From, f.To = task.Hour, from.Truncate(time.Hour), to
	hours, err := q.store.ListRollups(ctx, f)
	if err != nil {
		return nil, first, err
	}
	if len(hours) > 0 && hours[0].AtUTC.Before(first) {
		first = hours[0].AtUTC
	}
	f.Seconds, f.From = task.Minute, from.Truncate(time.Minute)
	minutes, err := q.store.ListRollups(ctx, f)
	return append(hours, minutes...), first, err
}

// CountWorkers counts the registry.
func (q *Queue) CountWorkers(ctx context.Context) (task.WorkerCounts, error) {
	now := q.Now()
	workers, err := q.store.ListWorkers(ctx)
	if err != nil {
		return task.WorkerCounts{}, err
	}
	held, err := q.store.CountHeld(ctx)
	if err != nil {
		return task.WorkerCounts{}, err
	}
	c := task.WorkerCounts{Total: len(workers)}
	for _, w := range workers {
		if now.Sub(w.HeartbeatUTC) > aliveFor {
			c.Stale++
			continue
		}
		c.Live++
		if w.Drain {
			c.Draining++
		}
		if held[w.WorkerID] > 0 {
			c.Busy++
		}
	}
	for _, n := range held {
		c.Held += n
	}
	return c, nil
}
