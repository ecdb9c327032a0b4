package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// found are the results of one search.
type found[T any] struct {
	list []T
	next int64
}

// FindTasks returns ids that match a filter, ascending.
func (s *Store) FindTasks(ctx context.Context, m task.Match, now time.Time, after, upto int64, max int) ([]int64, int64, error) {
	out, err := search(ctx, s, "find tasks", func(ctx context.Context) (out found[int64], err error) {
		if m.Failures != nil {
			out.list, out.next, err = store.FindFailedUp(ctx, m, now, after, upto, max, s.findFailed)
			return out, err
		}
		out.list, out.next, err = store.FindUp(ctx, m.Query(now, after, upto, max), upto, s.lists.TaskIDAbove, func(ctx context.Context, q task.MatchQuery) ([]int64, error) {
			return s.lists.FindTasks(ctx, postgresdb.FindTasksParams(q))
		})
		return out, err
	})
	return out.list, out.next, err
}

// ListMatching returns tasks that match a filter, newest first.
func (s *Store) ListMatching(ctx context.Context, m task.Match, now time.Time, before int64, max int) ([]task.Task, int64, error) {
	out, err := search(ctx, s, "list matching tasks", func(ctx context.Context) (out found[task.Task], err error) {
		if m.Failures != nil {
			out.list, out.next, err = store.FindFailedDown(ctx, m, now, store.Top(before), max, s.findFailedDown, func(ctx context.Context, id int64) (task.Task, error) {
				row, err := s.lists.GetTask(ctx, id)
				if errors.Is(err, sql.ErrNoRows) {
					err = task.ErrNotFound
				}
				return task.Task(row), err
			})
			return out, err
		}
		out.list, out.next, err = store.FindDown(ctx, m.Query(now, 0, store.Top(before), max), s.lists.TaskIDBelow, func(ctx context.Context, q task.MatchQuery) ([]task.Task, error) {
			rows, err := s.lists.ListMatching(ctx, postgresdb.ListMatchingParams(q))
			ts := make([]task.Task, len(rows))
			for i, r := range rows {
				ts[i] = task.Task(r)
			}
			return ts, err
		})
		return out, err
	})
	return out.list, out.next, err
}

// ProposeOperation keeps what a dry run may become.
func (s *Store) ProposeOperation(ctx context.Context, o task.Operation, now time.Time) error {
	_, err := do(ctx, s, "propose operation", func(ctx context.Context) (struct{}, error) {
		if err := s.q.DropProposals(ctx, now); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.q.ProposeOperation(ctx, postgresdb.ProposeOperationParams{
			Action: o.Action, Filter: o.Filter, Priority: o.Priority, ConfirmHash: o.ConfirmHash, ExpiresAtUTC: o.ExpiresAtUTC, Now: now,
		})
	})
	return err
}

// StartOperation begins what was proposed. A task whose insert was under way has its id already, and may be among those that it finds.
func (s *Store) StartOperation(ctx context.Context, o task.Operation, now time.Time) (task.Operation, error) {
	arg := postgresdb.StartOperationParams{Now: now, ConfirmHash: o.ConfirmHash, Action: o.Action, Filter: o.Filter}
	if o.Priority != nil {
		arg.Priority = int64(*o.Priority)
	}
	return do(ctx, s, "start operation", func(ctx context.Context) (task.Operation, error) {
		row, err := s.q.StartOperation(ctx, arg)
		if errors.Is(err, sql.ErrNoRows) {
			err = task.ErrConflict
		}
		return task.Operation(row), err
	})
}

// GetOperation returns ErrNotFound when no operation has this id.
func (s *Store) GetOperation(ctx context.Context, id int64) (task.Operation, error) {
	return look(ctx, s, "get operation", func(ctx context.Context) (task.Operation, error) {
		row, err := s.q.GetOperation(ctx, id)
		return task.Operation(row), err
	})
}

// ListOperations returns operations, newest first.
func (s *Store) ListOperations(ctx context.Context, before int64, max int) ([]task.Operation, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	return search(ctx, s, "list operations", func(ctx context.Context) ([]task.Operation, error) {
		rows, err := s.lists.ListOperations(ctx, postgresdb.ListOperationsParams{Before: before, Max: int64(max)})
		return operations(rows), err
	})
}

func operations(rows []postgresdb.Operation) []task.Operation {
	out := make([]task.Operation, len(rows))
	for i, r := range rows {
		out[i] = task.Operation(r)
	}
	return out
}

// CancelOperation ends a running operation.
func (s *Store) CancelOperation(ctx context.Context, id int64, now time.Time) (task.Operation, error) {
	return do(ctx, s, "cancel operation", func(ctx context.Context) (task.Operation, error) {
		row, err := s.q.CancelOperation(ctx, postgresdb.CancelOperationParams{Now: &now, ID: id})
		if errors.Is(err, sql.ErrNoRows) {
			if row, err = s.q.GetOperation(ctx, id); err == nil {
				err = fmt.Errorf("%w: operation %d is %s and cannot be cancelled", task.ErrConflict, id, row.Status)
			}
		}
		return task.Operation(row), err
	})
}

// TakeOperation returns the first running operation that no other runner holds.
func (s *Store) TakeOperation(ctx context.Context, runner string, now, until time.Time) (task.Operation, error) {
	return do(ctx, s, "take operation", func(ctx context.Context) (task.Operation, error) {
		running, err := s.q.ListRunningOperations(ctx)
		for _, o := range operations(running) {
			if !o.FreeFor(runner, now) {
				continue
			}
			row, err := s.q.TakeOperation(ctx, postgresdb.TakeOperationParams{Runner: runner, RunnerUntil: until, ID: o.ID, Now: now})
			if !errors.Is(err, sql.ErrNoRows) { // else another one was faster
				return task.Operation(row), err
			}
		}
		if err == nil {
			err = task.ErrNotFound
		}
		return task.Operation{}, err
	})
}

// stepped is what a step has come to.
type stepped struct {
	operation task.Operation
	tasks     []task.Task
}

// StepOperation does the action to those tasks that still match, and moves the operation on.
func (s *Store) StepOperation(ctx context.Context, step task.Step) (task.Operation, []task.Task, error) {
	out, err := do(ctx, s, "step operation", func(ctx context.Context) (stepped, error) {
		if o := step.Operation; o.Action == task.ActionSetPriority && len(step.IDs) > 0 {
			// Committed before it is used, as every lane.
			if err := s.q.InsertLanesBeside(ctx, postgresdb.InsertLanesBesideParams{Priority: int32(*o.Priority), Ids: idArray(step.IDs)}); err != nil {
				return stepped{}, err
			}
		}
		return inTx(ctx, s.db, nil, func(q *postgresdb.Queries) (stepped, error) { return stepIn(ctx, q, step) })
	})
	s.announce(out.tasks...)
	return out.operation, out.tasks, err
}

// stepIn undoes everything when the operation is no more as the step has it.
func stepIn(ctx context.Context, q *postgresdb.Queries, step task.Step) (out stepped, err error) {
	locked, err := q.LockTasks(ctx, idArray(step.IDs))
	if err != nil {
		return out, err
	}
	chosen := make(map[int64]task.Task, len(locked))
	var ids []int64
	for _, r := range locked {
		t := task.Task{
			ID: r.ID, LaneID: r.LaneID, Type: r.Type, Priority: r.Priority, Compatibility: r.Compatibility, Status: r.Status, Outcome: r.Outcome,
			Attempts: r.Attempts, RunAfterUTC: r.RunAfterUTC, DeadlineUTC: r.DeadlineUTC, Ready: r.Ready, LastWorkerID: r.LastWorkerID,
			FinishedAtUTC: r.FinishedAtUTC, ErrorMessage: r.ErrorMessage, IdempotencyKey: r.IdempotencyKey, ConcurrencyKey: r.ConcurrencyKey, CreatedAtUTC: r.CreatedAtUTC,
			ErrorFingerprint: r.ErrorFingerprint,
		}
		if step.Match.Matches(t, step.Operation.CreatedAtUTC) {
			chosen[t.ID], ids = t, append(ids, t.ID)
		}
	}
	changed := 0
	if len(ids) > 0 {
		if out.tasks, changed, err = act(ctx, q, step, chosen, idArray(ids)); err != nil {
			return out, err
		}
	}
	row, err := q.StepOperation(ctx, postgresdb.StepOperationParams{
		Next: step.NextID, Changed: int64(changed), Skipped: int64(len(step.IDs) - changed), Failed: step.Failed, ErrorMessage: step.Message,
		Now: step.Now, RunnerUntil: step.Until, ID: step.Operation.ID, Runner: *step.Operation.Runner, DoneID: step.Operation.DoneID,
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = task.ErrConflict
	}
	out.operation = task.Operation(row)
	return out, err
}

// act does the action to the tasks with the ids, which are locked, and returns them as they are then, but for deleted ones, and their number.
func act(ctx context.Context, q *postgresdb.Queries, step task.Step, before map[int64]task.Task, ids string) (after []task.Task, changed int, err error) {
	o, now := step.Operation, step.Now
	var done []int64
	switch o.Action {
	case task.ActionCancel:
		done, err = q.CancelTasks(ctx, postgresdb.CancelTasksParams{Now: now, Ids: ids, Message: task.CancelledByOperator, Details: string(o.LogDetails(task.Task{}))})
	case task.ActionRequeue:
		done, err = q.RequeueTasks(ctx, postgresdb.RequeueTasksParams{Now: now, Ids: ids})
	case task.ActionDelete:
		done, err = q.DeleteTasks(ctx, ids)
		return nil, len(done), err
	case task.ActionSetPriority:
		rows, err := q.SetPriorities(ctx, postgresdb.SetPrioritiesParams{Now: now, Ids: ids, Priority: int32(*o.Priority), Message: task.PriorityChanged, Operation: o.ID})
		for _, r := range rows {
			t := before[r.ID]
			t.Priority, t.LaneID = *o.Priority, r.LaneID
			after = append(after, t)
		}
		sortByID(after)
		return after, len(after), err
	}
	for _, id := range done {
		after = append(after, acted(before[id], o.Action, now))
	}
	sortByID(after)
	return after, len(after), err
}

// acted is what a task has become.
func acted(t task.Task, a task.Action, now time.Time) task.Task {
	if a == task.ActionCancel {
		t.Status, t.Ready, t.FinishedAtUTC = task.Failed, false, &now
		return t
	}
	t.Status, t.Outcome, t.Ready, t.RunAfterUTC, t.Attempts, t.FinishedAtUTC, t.ErrorMessage, t.ErrorFingerprint = task.Queued, nil, true, now, 0, nil, nil, nil
	if t.DeadlineUTC != nil && !t.DeadlineUTC.After(now) {
		t.DeadlineUTC = nil
	}
	return t
}
