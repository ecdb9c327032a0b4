package store

import (
	"context"
	"fmt"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// TickTx is what an engine does for AdvanceSchedule in the transaction that has locked the schedule.
type TickTx interface {
	// MadeBy returns the task that a schedule of this name has made for a tick; 0: none.
	MadeBy(ctx context.Context, schedule string, tick time.Time) (taskID int64, err error)
	// Live returns the tasks of a schedule that are queued or processing, the oldest first.
	Live(ctx context.Context, schedule string) (taskIDs []int64, err error)
	// Cancel is CancelTask.
	Cancel(ctx context.Context, id int64, now time.Time) (t task.Task, changed bool, err error)
	// Make stores a task and that it is the one of the tick.
	Make(ctx context.Context, schedule string, tick task.Tick) (task.Task, error)
}

// MakeTicks does for both engines what AdvanceSchedule says of ticks. The Schedule that it returns is as it is to be stored; its Version is the one
// that was read.
func MakeTicks(ctx context.Context, x TickTx, a task.Advance) (task.Advanced, error) {
	out := task.Advanced{Schedule: a.Schedule}
	s := &out.Schedule
	s.NextTickUTC, s.LastTickUTC, s.LastSkipped, s.UpdatedAtUTC = a.NextTickUTC, &a.LastTickUTC, a.Skipped, a.Now
	for _, tick := range a.Ticks {
		made, skipped, err := makeTick(ctx, x, a, tick, &out)
		if err != nil {
			return task.Advanced{}, err
		}
		if tick.AtUTC.Equal(a.LastTickUTC) && skipped != "" {
			s.LastSkipped = &skipped
		}
		if made != 0 {
			s.LastTaskID = &made
		}
	}
	return out, nil
}

// makeTick adds the task of one tick to out and returns it, or why there is none.
func makeTick(ctx context.Context, x TickTx, a task.Advance, tick task.Tick, out *task.Advanced) (made int64, skipped string, err error) {
	made, err = x.MadeBy(ctx, a.Schedule.Name, tick.AtUTC)
	if err != nil || made != 0 {
		return made, fmt.Sprintf("task %d has been made for it before", made), err
	}
	if a.Schedule.Overlap != task.OverlapAllow {
		live, err := x.Live(ctx, a.Schedule.Name)
		if err != nil {
			return 0, "", err
		}
		if len(live) > 0 && a.Schedule.Overlap == task.OverlapSkip {
			return 0, fmt.Sprintf("task %d of an earlier tick has not ended", live[0]), nil
		}
		if err := cancelAll(ctx, x, live, a.Now, out); err != nil {
			return 0, "", err
		}
	}
	t, err := x.Make(ctx, a.Schedule.Name, tick)
	out.Made = append(out.Made, t)
	return t.ID, "", err
}

func cancelAll(ctx context.Context, x TickTx, ids []int64, now time.Time, out *task.Advanced) error {
	for _, id := range ids {
		t, changed, err := x.Cancel(ctx, id, now)
		if err != nil {
			return err
		}
		if changed {
			out.Cancelled = append(out.Cancelled, t)
		}
	}
	return nil
}
