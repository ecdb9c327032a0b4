package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

func (s *Store) GetSchedule(ctx context.Context, name string) (task.Schedule, error) {
	row, err := s.read.GetSchedule(ctx, name)
	return task.Schedule(row), s.classify(ctx, err)
}

func (s *Store) ListSchedules(ctx context.Context) ([]task.Schedule, error) {
	rows, err := s.read.ListSchedules(ctx)
	return schedulesOf(rows), s.classify(ctx, err)
}

func (s *Store) DueSchedules(ctx context.Context, now time.Time, max int) ([]task.Schedule, error) {
	rows, err := s.read.ListDueSchedules(ctx, sqlitedb.ListDueSchedulesParams{Now: &now, Max: int64(max)})
	return schedulesOf(rows), s.classify(ctx, err)
}

func schedulesOf(rows []sqlitedb.Schedule) []task.Schedule {
	out := make([]task.Schedule, len(rows))
	for i, r := range rows {
		out[i] = task.Schedule(r)
	}
	return out
}

func (s *Store) PutSchedule(ctx context.Context, v task.Schedule) (task.Schedule, error) {
	return write(ctx, s, func(ctx context.Context, x tx) (task.Schedule, error) {
		var row sqlitedb.Schedule
		var err error
		if v.Version == 0 {
			row, err = x.InsertSchedule(ctx, sqlitedb.InsertScheduleParams{
				Name: v.Name, Cron: v.Cron, Timezone: v.Timezone, Task: v.Task, Misfire: v.Misfire, MaxMisfires: v.MaxMisfires, Overlap: v.Overlap,
				JitterSeconds: v.JitterSeconds, Paused: v.Paused, NextTickUTC: v.NextTickUTC, Version: v.UpdatedAtUTC.UnixMicro(), Now: v.UpdatedAtUTC,
			})
		} else {
			row, err = x.UpdateSchedule(ctx, sqlitedb.UpdateScheduleParams{
				Cron: v.Cron, Timezone: v.Timezone, Task: v.Task, Misfire: v.Misfire, MaxMisfires: v.MaxMisfires, Overlap: v.Overlap,
				JitterSeconds: v.JitterSeconds, Paused: v.Paused, NextTickUTC: v.NextTickUTC, Now: v.UpdatedAtUTC, Name: v.Name, Version: v.Version,
			})
		}
		return task.Schedule(row), changed(v, err)
	})
}

// changed says why a statement found no schedule of the version that was read.
func changed(s task.Schedule, err error) error {
	if noRow(err) {
		return fmt.Errorf("%w: schedule %q was changed meanwhile", task.ErrConflict, s.Name)
	}
	return err
}

func (s *Store) DeleteSchedule(ctx context.Context, name string) error {
	_, err := writeOne(ctx, s, func(ctx context.Context, x tx) (int64, error) {
		n, err := x.DeleteSchedule(ctx, name)
		if err == nil && n == 0 {
			err = task.ErrNotFound
		}
		return n, err
	})
	return err
}

func (s *Store) AdvanceSchedule(ctx context.Context, a task.Advance) (task.Advanced, error) {
	return write(ctx, s, func(ctx context.Context, x tx) (task.Advanced, error) {
		if _, err := x.LockSchedule(ctx, sqlitedb.LockScheduleParams{Name: a.Schedule.Name, Version: a.Schedule.Version}); err != nil {
			return task.Advanced{}, changed(a.Schedule, err)
		}
		out, err := store.MakeTicks(ctx, tickTx{x}, a)
		if err != nil {
			return task.Advanced{}, err
		}
		v := out.Schedule
		row, err := x.AdvanceSchedule(ctx, sqlitedb.AdvanceScheduleParams{
			NextTickUTC: v.NextTickUTC, LastTickUTC: v.LastTickUTC, LastTaskID: v.LastTaskID, LastSkipped: v.LastSkipped, Now: a.Now, Name: v.Name, Version: v.Version,
		})
		out.Schedule = task.Schedule(row)
		return out, err
	})
}

// tickTx is a store.TickTx.
type tickTx struct{ tx }

func (x tickTx) MadeBy(ctx context.Context, schedule string, tick time.Time) (int64, error) {
	id, err := x.GetTick(ctx, sqlitedb.GetTickParams{Schedule: schedule, TickUTC: tick})
	if noRow(err) {
		err = nil
	}
	return id, err
}

func (x tickTx) Live(ctx context.Context, schedule string) ([]int64, error) {
	if err := x.EndTicks(ctx, schedule); err != nil {
		return nil, err
	}
	return x.ListLiveTicks(ctx, schedule)
}

func (x tickTx) Cancel(ctx context.Context, id int64, now time.Time) (task.Task, bool, error) {
	before, err := x.task(ctx, id)
	if err != nil || before.Status.Ended() {
		return before, false, err
	}
	after, err := x.cancel(ctx, before, now)
	return after, err == nil, err
}

func (x tickTx) Make(ctx context.Context, schedule string, tick task.Tick) (task.Task, error) {
	t := tick.Task
	key, err := keyOf(t)
	if err != nil {
		return t, err
	}
	l, err := x.lane(ctx, key)
	if err != nil {
		return t, err
	}
	t.LaneID = l.ID
	if err := x.insertRows(ctx, []*task.Task{&t}); err != nil {
		return t, err
	}
	return t, x.InsertTick(ctx, sqlitedb.InsertTickParams{Schedule: schedule, TickUTC: tick.AtUTC, TaskID: t.ID})
}
