package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// GetSchedule returns ErrNotFound when no schedule has this name.
func (s *Store) GetSchedule(ctx context.Context, name string) (task.Schedule, error) {
	return look(ctx, s, "get schedule", func(ctx context.Context) (task.Schedule, error) {
		row, err := s.q.GetSchedule(ctx, name)
		return task.Schedule(row), err
	})
}

// ListSchedules returns all schedules, ordered by name.
func (s *Store) ListSchedules(ctx context.Context) ([]task.Schedule, error) {
	return search(ctx, s, "list schedules", func(ctx context.Context) ([]task.Schedule, error) {
		rows, err := s.lists.ListSchedules(ctx)
		return schedules(rows), err
	})
}

// DueSchedules returns schedules with a tick that has come, the longest waiting first.
func (s *Store) DueSchedules(ctx context.Context, now time.Time, max int) ([]task.Schedule, error) {
	return search(ctx, s, "find due schedules", func(ctx context.Context) ([]task.Schedule, error) {
		rows, err := s.q.ListDueSchedules(ctx, postgresdb.ListDueSchedulesParams{Now: &now, Max: int64(max)})
		return schedules(rows), err
	})
}

func schedules(rows []postgresdb.Schedule) []task.Schedule {
	out := make([]task.Schedule, len(rows))
	for i, r := range rows {
		out[i] = task.Schedule(r)
	}
	return out
}

// PutSchedule stores a new schedule, or changes the one that was read.
func (s *Store) PutSchedule(ctx context.Context, v task.Schedule) (task.Schedule, error) {
	return do(ctx, s, "put schedule", func(ctx context.Context) (task.Schedule, error) {
		var row postgresdb.Schedule
		var err error
		if v.Version == 0 {
			row, err = s.q.InsertSchedule(ctx, postgresdb.InsertScheduleParams{
				Name: v.Name, Cron: v.Cron, Timezone: v.Timezone, Task: v.Task, Misfire: v.Misfire, MaxMisfires: v.MaxMisfires, Overlap: v.Overlap,
				JitterSeconds: v.JitterSeconds, Paused: v.Paused, NextTickUTC: v.NextTickUTC, Version: v.UpdatedAtUTC.UnixMicro(), Now: v.UpdatedAtUTC,
			})
		} else {
			row, err = s.q.UpdateSchedule(ctx, postgresdb.UpdateScheduleParams{
				Cron: v.Cron, Timezone: v.Timezone, Task: v.Task, Misfire: v.Misfire, MaxMisfires: v.MaxMisfires, Overlap: v.Overlap,
				JitterSeconds: v.JitterSeconds, Paused: v.Paused, NextTickUTC: v.NextTickUTC, Now: v.UpdatedAtUTC, Name: v.Name, Version: v.Version,
			})
		}
		return task.Schedule(row), changed(v, err)
	})
}

// changed says why a statement found no schedule of the version that was read.
func changed(s task.Schedule, err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: schedule %q was changed meanwhile", task.ErrConflict, s.Name)
	}
	return err
}

// DeleteSchedule returns ErrNotFound when there is no such schedule.
func (s *Store) DeleteSchedule(ctx context.Context, name string) error {
	_, err := do(ctx, s, "delete schedule", func(ctx context.Context) (int64, error) {
		n, err := s.q.DeleteSchedule(ctx, name)
		if err == nil && n == 0 {
			err = task.ErrNotFound
		}
		return n, err
	})
	return err
}

// AdvanceSchedule stores the tasks of ticks and sets the next one, unless another caller has done it.
func (s *Store) AdvanceSchedule(ctx context.Context, a task.Advance) (task.Advanced, error) {
	out, err := do(ctx, s, "advance schedule", func(ctx context.Context) (task.Advanced, error) {
		a, err := s.ticksInLanes(ctx, a)
		if err != nil {
			return task.Advanced{}, err
		}
		return inTx(ctx, s.db, nil, func(q *postgresdb.Queries) (task.Advanced, error) { return advance(ctx, q, a) })
	})
	s.announce(out.Made...)
	return out, err
}

// ticksInLanes gives the tasks their lanes.
func (s *Store) ticksInLanes(ctx context.Context, a task.Advance) (task.Advance, error) {
	ts, err := s.setLanes(ctx, column(a.Ticks, func(t task.Tick) task.Task { return t.Task }))
	ticks := make([]task.Tick, len(ts))
	for i, t := range ts {
		ticks[i] = task.Tick{AtUTC: a.Ticks[i].AtUTC, Task: t}
	}
	a.Ticks = ticks
	return a, err
}

func advance(ctx context.Context, q *postgresdb.Queries, a task.Advance) (task.Advanced, error) {
	if _, err := q.LockSchedule(ctx, postgresdb.LockScheduleParams{Name: a.Schedule.Name, Version: a.Schedule.Version}); err != nil {
		return task.Advanced{}, changed(a.Schedule, err)
	}
	out, err := store.MakeTicks(ctx, tickTx{q}, a)
	if err != nil {
		return task.Advanced{}, err
	}
	v := out.Schedule
	row, err := q.AdvanceSchedule(ctx, postgresdb.AdvanceScheduleParams{
		NextTickUTC: v.NextTickUTC, LastTickUTC: v.LastTickUTC, LastTaskID: v.LastTaskID, LastSkipped: v.LastSkipped, Now: a.Now, Name: v.Name, Version: v.Version,
	})
	out.Schedule = task.Schedule(row)
	return out, err
}

// tickTx is a store.TickTx.
type tickTx struct{ q *postgresdb.Queries }

func (x tickTx) MadeBy(ctx context.Context, schedule string, tick time.Time) (int64, error) {
	id, err := x.q.GetTick(ctx, postgresdb.GetTickParams{Schedule: schedule, TickUTC: tick})
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return id, err
}

func (x tickTx) Live(ctx context.Context, schedule string) ([]int64, error) {
	if err := x.q.EndTicks(ctx, schedule); err != nil {
		return nil, err
	}
	return x.q.ListLiveTicks(ctx, schedule)
}

func (x tickTx) Cancel(ctx context.Context, id int64, now time.Time) (task.Task, bool, error) {
	row, err := x.q.CancelTask(ctx, postgresdb.CancelTaskParams{Now: now, ID: id})
	if errors.Is(err, sql.ErrNoRows) { // it has ended meanwhile
		return task.Task{}, false, nil
	}
	return task.Task(row), err == nil, err
}

func (x tickTx) Make(ctx context.Context, schedule string, tick task.Tick) (task.Task, error) {
	t := tick.Task
	var err error
	if t.ID, err = x.q.InsertTask(ctx, insertParamsOf(t)); err != nil {
		return t, err
	}
	return t, x.q.InsertTick(ctx, postgresdb.InsertTickParams{Schedule: schedule, TickUTC: tick.AtUTC, TaskID: t.ID})
}
