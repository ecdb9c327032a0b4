package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prismq/thequeue/internal/schedule"
	"github.com/prismq/thequeue/internal/task"
)

const (
	// MaxPreview is the greatest number of times that are looked ahead.
	MaxPreview = 1000
	// scheduleBatch is how many schedules one statement of the upkeep looks for.
	scheduleBatch = 100
	// putTries bounds how often a schedule is read again that somebody else has changed meanwhile.
	putTries = 10
)

// PutSchedule stores a schedule under a name, in place of one that has it. A tick that waits to be dealt with still does, unless the times or the
// pause change: then the next tick is the first from now. One that is as it was is not touched. Error: *task.InvalidError with every field that is wrong.
func (q *Queue) PutSchedule(ctx context.Context, name string, spec task.ScheduleSpec) (s task.Schedule, created bool, err error) {
	k, err := q.freshRules(ctx)
	if err != nil {
		return task.Schedule{}, false, fmt.Errorf("put schedule: %w", err)
	}
	want, err := schedule.Check(name, spec, func(t task.Spec) (task.Task, error) { return k.task(t, q.Now(), q.limits(MaxAttempts)) })
	if err != nil {
		return task.Schedule{}, false, err
	}
	s, err = q.changeSchedule(ctx, name, func(old task.Schedule) (task.Schedule, error) {
		created = old.Version == 0
		next := want
		next.Version, next.NextTickUTC, next.LastTickUTC, next.LastTaskID, next.LastSkipped = old.Version, old.NextTickUTC, old.LastTickUTC, old.LastTaskID, old.LastSkipped
		next.CreatedAtUTC = old.CreatedAtUTC
		if spec.Paused == nil {
			next.Paused = old.Paused
		}
		return next, nil
	})
	return s, created && err == nil, err
}

// PauseSchedule lets no tick of a schedule come until it is resumed; ticks meanwhile are not missed. Error: task.ErrNotFound.
func (q *Queue) PauseSchedule(ctx context.Context, name string) (task.Schedule, error) {
	return q.setPaused(ctx, name, true)
}

// ResumeSchedule lets ticks come again, from now on. Error: task.ErrNotFound.
func (q *Queue) ResumeSchedule(ctx context.Context, name string) (task.Schedule, error) {
	return q.setPaused(ctx, name, false)
}

func (q *Queue) setPaused(ctx context.Context, name string, paused bool) (task.Schedule, error) {
	return q.changeSchedule(ctx, name, func(old task.Schedule) (task.Schedule, error) {
		if old.Version == 0 {
			return old, task.ErrNotFound
		}
		old.Paused = paused
		return old, nil
	})
}

// changeSchedule stores what change makes of the schedule of this name, whose Version is 0 when there is none.
func (q *Queue) changeSchedule(ctx context.Context, name string, change func(old task.Schedule) (task.Schedule, error)) (s task.Schedule, err error) {
	for range putTries {
		var old task.Schedule
		old, err = q.store.GetSchedule(ctx, name)
		if err == nil || errors.Is(err, task.ErrNotFound) {
			s, err = change(old)
		}
		if err != nil {
			break
		}
		if s, err = q.replace(ctx, old, s); !errors.Is(err, task.ErrConflict) {
			break
		}
	}
	if err != nil {
		return task.Schedule{}, fmt.Errorf("change schedule: %w", err)
	}
	return s, nil
}

// replace stores a schedule in place of the old one, with its next tick.
func (q *Queue) replace(ctx context.Context, old, s task.Schedule) (task.Schedule, error) {
	s.UpdatedAtUTC = q.Now()
	if s.Paused {
		s.NextTickUTC = nil
	} else if s.NextTickUTC == nil || s.Cron != old.Cron || s.Timezone != old.Timezone {
		rule, err := schedule.RuleOf(s)
		if err != nil {
			return s, err
		}
		s.NextTickUTC = instant(rule.Next(lookFrom(s, s.UpdatedAtUTC)))
	}
	if old.Version != 0 && sameSchedule(old, s) {
		return old, nil
	}
	s, err := q.store.PutSchedule(ctx, s)
	if err == nil && s.NextTickUTC != nil {
		q.upkeep.at(*s.NextTickUTC)
	}
	return s, err
}

// lookFrom is the instant after which the next tick is looked for: a tick that has been dealt with does not come again when the clock was set back.
func lookFrom(s task.Schedule, now time.Time) time.Time {
	if s.LastTickUTC != nil && s.LastTickUTC.After(now) {
		return *s.LastTickUTC
	}
	return now
}

// instant is nil for the zero time.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// sameSchedule reports whether storing b in place of a would change nothing.
func sameSchedule(a, b task.Schedule) bool {
	sameTick := a.NextTickUTC == b.NextTickUTC || a.NextTickUTC != nil && b.NextTickUTC != nil && a.NextTickUTC.Equal(*b.NextTickUTC)
	a.NextTickUTC, a.UpdatedAtUTC = b.NextTickUTC, b.UpdatedAtUTC
	return sameTick && a == b
}

// DeleteSchedule removes a schedule; the tasks that it has made stay. Error: task.ErrNotFound.
func (q *Queue) DeleteSchedule(ctx context.Context, name string) error {
	if err := q.store.DeleteSchedule(ctx, name); err != nil {
		return fmt.Errorf("delete schedule: %w", err)
	}
	return nil
}

// PreviewSchedule returns the next n times of a schedule, 1 to MaxPreview, as if it were not paused; fewer when there are no more. Error:
// task.ErrNotFound.
func (q *Queue) PreviewSchedule(ctx context.Context, name string, n int) ([]task.Occurrence, error) {
	if n < 1 || n > MaxPreview {
		return nil, task.Invalid("n", "must lie between 1 and %d", MaxPreview)
	}
	s, err := q.store.GetSchedule(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("preview schedule: %w", err)
	}
	rule, err := schedule.RuleOf(s)
	if err != nil {
		return nil, err
	}
	return schedule.Preview(rule, s, lookFrom(s, q.Now()), n, q.o.Jitter), nil
}

// tick deals with the ticks that have come at now. What goes wrong with one schedule does not keep others waiting.
func (q *Queue) tick(ctx context.Context, now time.Time) error {
	for n := scheduleBatch; n == scheduleBatch; {
		due, err := q.store.DueSchedules(ctx, now, scheduleBatch)
		if err != nil {
			return err
		}
		errs := make([]error, len(due))
		for i, s := range due {
			errs[i] = q.advance(ctx, now, s)
		}
		if err := errors.Join(errs...); err != nil {
			return fmt.Errorf("schedules: %w", err)
		}
		n = len(due)
	}
	return nil
}

// advance makes the tasks of one schedule, unless somebody else does.
func (q *Queue) advance(ctx context.Context, now time.Time, s task.Schedule) error {
	k, err := q.freshRules(ctx)
	if err != nil {
		return err
	}
	a := q.advanceOf(s, k, now)
	spans := q.traceTicks(ctx, a.Ticks)
	out, err := q.store.AdvanceSchedule(ctx, a)
	if errors.Is(err, task.ErrConflict) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%q: %w", s.Name, err)
	}
	spans.endMade(a.Ticks, out.Made)
	if why := out.Schedule.LastSkipped; why != nil {
		q.o.Log.Warn("a tick has made no task", "schedule", s.Name, "tick_utc", out.Schedule.LastTickUTC, "reason", *why)
	}
	q.happened(task.EventEnqueued, out.Made...)
	q.happened(task.EventCancelled, out.Cancelled...)
	q.queued(out.Made...)
	for _, t := range out.Cancelled {
		q.watchers.tell(t.ID)
	}
	if len(out.Cancelled) > 0 {
		q.ended(ctx, out.Cancelled...)
	}
	return nil
}

// advanceOf says what becomes of the ticks that have come. A schedule that cannot be read here has no further tick: it is stopped, and says why.
func (q *Queue) advanceOf(s task.Schedule, k *knownRules, now time.Time) task.Advance {
	a := task.Advance{Schedule: s, Now: now, LastTickUTC: *s.NextTickUTC}
	rule, err := schedule.RuleOf(s)
	if err != nil {
		return skip(a, "the schedule has stopped: "+err.Error())
	}
	p := schedule.PlanOf(rule, s, now)
	a.LastTickUTC, a.NextTickUTC = p.Newest, p.Next
	if len(p.Ticks) == 0 {
		return skip(a, missedTick)
	}
	for _, at := range p.Ticks {
		t, err := q.taskOf(s, k, at, now)
		if err != nil {
			return skip(a, "its task is not valid: "+err.Error())
		}
		a.Ticks = append(a.Ticks, task.Tick{AtUTC: at, Task: t})
	}
	return a
}

// missedTick is why a tick has made no task that nobody was there to deal with in time.
const missedTick = "it was missed"

func skip(a task.Advance, why string) task.Advance {
	a.Ticks, a.Skipped = nil, &why
	return a
}

// taskOf returns the task of a tick.
func (q *Queue) taskOf(s task.Schedule, k *knownRules, tick, now time.Time) (task.Task, error) {
	spec, err := s.Spec()
	if err != nil {
		return task.Task{}, err
	}
	spec.RunAfterUTC = &task.Time{Time: schedule.RunAfter(s, tick, q.o.Jitter)}
	return k.task(spec, now, q.limits(MaxAttempts))
}
