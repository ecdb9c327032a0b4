package sqlite

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// stepTime is how long a step of an operation holds the writer, beyond its first task: claims wait behind it.
const stepTime = 2 * time.Millisecond

func (s *Store) FindTasks(ctx context.Context, m task.Match, now time.Time, after, upto int64, max int) ([]int64, int64, error) {
	if m.Failures != nil {
		ids, next, err := store.FindFailedUp(ctx, m, now, after, upto, max, s.findFailed)
		return ids, next, s.classify(ctx, err)
	}
	ids, next, err := store.FindUp(ctx, m.Query(now, after, upto, max), upto, s.read.TaskIDAbove, func(ctx context.Context, q task.MatchQuery) ([]int64, error) {
		return s.read.FindTasks(ctx, sqlitedb.FindTasksParams(q))
	})
	return ids, next, s.classify(ctx, err)
}

func (s *Store) ListMatching(ctx context.Context, m task.Match, now time.Time, before int64, max int) ([]task.Task, int64, error) {
	if m.Failures != nil {
		ts, next, err := store.FindFailedDown(ctx, m, now, store.Top(before), max, s.findFailedDown, func(ctx context.Context, id int64) (task.Task, error) {
			t, err := s.getTask(ctx, id)
			if noRow(err) {
				err = task.ErrNotFound
			}
			return t, err
		})
		return ts, next, s.classify(ctx, err)
	}
	ts, next, err := store.FindDown(ctx, m.Query(now, 0, store.Top(before), max), s.read.TaskIDBelow, func(ctx context.Context, q task.MatchQuery) ([]task.Task, error) {
		rows, err := s.read.ListMatching(ctx, sqlitedb.ListMatchingParams(q))
		return tasksOf(rows), err
	})
	return ts, next, s.classify(ctx, err)
}

func (s *Store) ProposeOperation(ctx context.Context, o task.Operation, now time.Time) error {
	_, err := write(ctx, s, func(ctx context.Context, x tx) (struct{}, error) {
		if err := x.DropProposals(ctx, now); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, x.ProposeOperation(ctx, sqlitedb.ProposeOperationParams{
			Action: o.Action, Filter: o.Filter, Priority: o.Priority, ConfirmHash: o.ConfirmHash, ExpiresAtUTC: o.ExpiresAtUTC, Now: now,
		})
	})
	return err
}

func (s *Store) StartOperation(ctx context.Context, o task.Operation, now time.Time) (task.Operation, error) {
	arg := sqlitedb.StartOperationParams{Now: now, ConfirmHash: o.ConfirmHash, Action: o.Action, Filter: o.Filter}
	if o.Priority != nil {
		arg.Priority = int64(*o.Priority)
	}
	return write(ctx, s, func(ctx context.Context, x tx) (task.Operation, error) {
		row, err := x.StartOperation(ctx, arg)
		if noRow(err) {
			err = task.ErrConflict
		}
		return task.Operation(row), err
	})
}

func (s *Store) GetOperation(ctx context.Context, id int64) (task.Operation, error) {
	row, err := s.read.GetOperation(ctx, id)
	return task.Operation(row), s.classify(ctx, err)
}

func (s *Store) ListOperations(ctx context.Context, before int64, max int) ([]task.Operation, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	rows, err := s.read.ListOperations(ctx, sqlitedb.ListOperationsParams{Before: before, Max: int64(max)})
	return operationsOf(rows), s.classify(ctx, err)
}

func operationsOf(rows []sqlitedb.Operation) []task.Operation {
	out := make([]task.Operation, len(rows))
	for i, r := range rows {
		out[i] = task.Operation(r)
	}
	return out
}

func (s *Store) CancelOperation(ctx context.Context, id int64, now time.Time) (task.Operation, error) {
	return write(ctx, s, func(ctx context.Context, x tx) (task.Operation, error) {
		row, err := x.CancelOperation(ctx, sqlitedb.CancelOperationParams{Now: &now, ID: id})
		if noRow(err) {
			if row, err = x.GetOperation(ctx, id); err == nil {
				err = fmt.Errorf("%w: operation %d is %s and cannot be cancelled", task.ErrConflict, id, row.Status)
			}
		}
		return task.Operation(row), err
	})
}

// TakeOperation goes to the writer only when there is something to take: what runs is remembered as long as nobody writes.
func (s *Store) TakeOperation(ctx context.Context, runner string, now, until time.Time) (task.Operation, error) {
	running, err := s.running.get(ctx, s.index, func() ([]task.Operation, error) {
		rows, err := s.read.ListRunningOperations(ctx)
		return operationsOf(rows), err
	})
	if err != nil {
		return task.Operation{}, s.classify(ctx, err)
	}
	for _, o := range running {
		if o.FreeFor(runner, now) {
			return write(ctx, s, func(ctx context.Context, x tx) (task.Operation, error) {
				row, err := x.TakeOperation(ctx, sqlitedb.TakeOperationParams{Runner: runner, RunnerUntil: until, ID: o.ID, Now: now})
				return task.Operation(row), err
			})
		}
	}
	return task.Operation{}, task.ErrNotFound
}

// stepped is what a step has come to.
type stepped struct {
	operation task.Operation
	tasks     []task.Task
}

func (s *Store) StepOperation(ctx context.Context, step task.Step) (task.Operation, []task.Task, error) {
	out, err := write(ctx, s, func(ctx context.Context, x tx) (out stepped, err error) {
		arg := sqlitedb.StepOperationParams{
			Next: step.NextID, Failed: step.Failed, ErrorMessage: step.Message, Now: step.Now, RunnerUntil: step.Until,
			ID: step.Operation.ID, Runner: *step.Operation.Runner, DoneID: step.Operation.DoneID,
		}
		began := s.clock.Now()
		for i, id := range step.IDs {
			if i > 0 && s.clock.Now().Sub(began) > stepTime {
				arg.Next = step.IDs[i-1]
				break
			}
			after, changed, err := x.act(ctx, step, id)
			switch {
			case err != nil:
				return out, err
			case !changed:
				arg.Skipped++
			default:
				arg.Changed++
				out.tasks = append(out.tasks, after)
			}
		}
		row, err := x.StepOperation(ctx, arg)
		if noRow(err) {
			err = task.ErrConflict
		}
		out.operation = task.Operation(row)
		return out, err
	})
	if step.Operation.Action == task.ActionDelete {
		out.tasks = nil
	}
	return out.operation, out.tasks, err
}

// act does the action of a step to one task, unless that has gone or does not match any more.
func (x tx) act(ctx context.Context, step task.Step, id int64) (after task.Task, changed bool, err error) {
	before, err := x.task(ctx, id)
	if noRow(err) {
		return task.Task{}, false, nil
	}
	o := step.Operation
	if err != nil || !step.Match.Matches(before, o.CreatedAtUTC) {
		return task.Task{}, false, err
	}
	switch o.Action {
	case task.ActionCancel:
		if err = x.logAction(ctx, id, step.Now, nil, task.CancelledByOperator, o.LogDetails(before)); err == nil {
			after, err = x.cancel(ctx, before, step.Now)
		}
	case task.ActionRequeue:
		after, err = x.requeue(ctx, before, step.Now)
	case task.ActionDelete:
		err = x.remove(ctx, before)
	case task.ActionSetPriority:
		if before.Priority == *o.Priority {
			return before, false, nil
		}
		if after, err = x.setPriority(ctx, before, *o.Priority, step.Now); err == nil {
			err = x.logAction(ctx, id, step.Now, new(task.EventPriority), task.PriorityChanged, o.LogDetails(before))
		}
	}
	return after.WithoutPayload(), err == nil, err
}

func (x tx) logAction(ctx context.Context, id int64, now time.Time, event *task.EventName, message string, details task.JSON) error {
	return x.hot.AddLog(ctx, sqlitedb.AddLogParams{TaskID: id, AtUTC: now, Level: task.Info, Message: message, Details: &details, Event: event})
}

// setPriority moves a queued task into the lane of another priority.
func (x tx) setPriority(ctx context.Context, before task.Task, priority int, now time.Time) (task.Task, error) {
	key, err := keyOf(before)
	if err != nil {
		return task.Task{}, err
	}
	key.priority = priority
	l, err := x.lane(ctx, key)
	if err != nil {
		return task.Task{}, err
	}
	row, err := x.SetPriority(ctx, sqlitedb.SetPriorityParams{Now: now, Priority: priority, LaneID: l.ID, ID: before.ID})
	if err != nil {
		return task.Task{}, err
	}
	after := task.Task(row)
	x.relane(before, after)
	return after, nil
}
