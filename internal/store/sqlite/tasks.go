package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/task"
)

// tasksOf converts rows; the columns of task_queue are the fields of Task.
func tasksOf(rows []sqlitedb.Task) []task.Task {
	out := make([]task.Task, len(rows))
	for i, r := range rows {
		out[i] = task.Task(r)
	}
	return out
}

func (s *Store) GetTask(ctx context.Context, id int64) (task.Task, error) {
	t, err := s.getTask(ctx, id)
	return t, s.classify(ctx, err)
}

func (s *Store) getTask(ctx context.Context, id int64) (task.Task, error) {
	row, err := s.read.GetTask(ctx, id)
	return task.Task(row), err
}

func (s *Store) ListTasks(ctx context.Context, f task.Filter) ([]task.Task, error) {
	if f.Before == 0 {
		f.Before = math.MaxInt64
	}
	var rows []sqlitedb.Task
	var err error
	if f.Status == "" && f.Type == "" {
		rows, err = s.read.ListTasks(ctx, sqlitedb.ListTasksParams{Before: f.Before, Max: int64(f.Limit)})
	} else {
		rows, err = s.read.ListTasksByStatus(ctx, sqlitedb.ListTasksByStatusParams{Status: string(f.Status), Before: f.Before, Type: f.Type, Max: int64(f.Limit)})
	}
	return tasksOf(rows), s.classify(ctx, err)
}

// counted is what the file holds; oldest is when its oldest queued task was created, nil without one.
type counted struct {
	stats  task.Stats
	oldest *time.Time
}

func (s *Store) Stats(ctx context.Context, now time.Time) (task.Stats, error) {
	c, err := s.counts.get(ctx, s.index, func() (counted, error) { return s.count(ctx) })
	if err != nil {
		return task.Stats{}, s.classify(ctx, err)
	}
	if c.oldest != nil {
		c.stats.OldestQueuedAgeSeconds = new(max(now.Sub(*c.oldest).Seconds(), 0))
	}
	return c.stats, nil
}

func (s *Store) count(ctx context.Context) (counted, error) {
	tx, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return counted{}, err
	}
	defer tx.Rollback() // nothing was changed
	q := s.read.WithTx(tx)
	c, err := q.CountTasks(ctx)
	if err != nil {
		return counted{}, err
	}
	out := counted{stats: task.Stats{
		ReadyTasks: c.Ready, ScheduledTasks: c.Scheduled, QueuedTasks: c.Ready + c.Scheduled, ProcessingTasks: c.Processing,
		CompletedTasks: c.Completed, FailedTasks: c.Failed, DeletedTasks: c.Purged,
		TotalTasks: c.Ready + c.Scheduled + c.Processing + c.Completed + c.Failed,
	}}
	oldest, err := q.OldestQueuedAt(ctx)
	if noRow(err) {
		return out, nil
	}
	out.oldest = &oldest
	return out, err
}

func (s *Store) CancelTask(ctx context.Context, id int64, now time.Time) (task.Task, bool, error) {
	out, err := write(ctx, s, func(ctx context.Context, x tx) (inserted, error) {
		before, err := x.task(ctx, id)
		if err != nil || before.Status.Ended() {
			return inserted{task: before}, err
		}
		after, err := x.cancel(ctx, before, now)
		return inserted{task: after, created: true}, err
	})
	return out.task, out.created, err
}

// cancel ends a live task.
func (x tx) cancel(ctx context.Context, before task.Task, now time.Time) (task.Task, error) {
	if before.Status == task.Processing {
		if err := x.leaves(ctx, keptAttempt(before, task.AttemptCancelled, &cancelled, now)); err != nil {
			return task.Task{}, err
		}
	}
	row, err := x.CancelTask(ctx, sqlitedb.CancelTaskParams{ID: before.ID, Now: now})
	if err != nil {
		return task.Task{}, err
	}
	after := task.Task(row)
	x.move(&before, &after)
	return after, x.tell(ctx, before, after)
}

// tell writes into the log what has become of a task.
func (x tx) tell(ctx context.Context, before, after task.Task) error {
	if x.triggers {
		return nil
	}
	for _, l := range task.ChangedLines(before, after) {
		if err := x.hot.AddLog(ctx, sqlitedb.AddLogParams(insertLog(l))); err != nil {
			return err
		}
	}
	return nil
}

// cancelled is the message of a cancelled task, as its query writes it.
var cancelled = "Cancelled by user"

func (s *Store) RequeueTask(ctx context.Context, id int64, now time.Time) (task.Task, error) {
	return write(ctx, s, func(ctx context.Context, x tx) (task.Task, error) {
		before, err := x.task(ctx, id)
		if err != nil {
			return task.Task{}, err
		}
		return x.requeue(ctx, before, now)
	})
}

// requeue queues a failed task again.
func (x tx) requeue(ctx context.Context, before task.Task, now time.Time) (task.Task, error) {
	row, err := x.RequeueTask(ctx, sqlitedb.RequeueTaskParams{ID: before.ID, Now: now})
	if noRow(err) {
		return task.Task{}, conflict(before, "requeued")
	}
	if err != nil {
		return task.Task{}, err
	}
	after := task.Task(row)
	x.move(&before, &after)
	return after, x.tell(ctx, before, after)
}

func (s *Store) DeleteTask(ctx context.Context, id int64) error {
	_, err := writeOne(ctx, s, func(ctx context.Context, x tx) (struct{}, error) {
		before, err := x.task(ctx, id)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, x.remove(ctx, before)
	})
	return err
}

// remove deletes an ended task.
func (x tx) remove(ctx context.Context, before task.Task) error {
	n, err := x.DeleteTask(ctx, before.ID)
	if err == nil && n == 0 {
		err = conflict(before, "deleted")
	}
	if err == nil {
		x.move(&before, nil)
	}
	return err
}

// conflict says why a statement found no row to change.
func conflict(t task.Task, verb string) error {
	return fmt.Errorf("%w: task %d is %s and cannot be %s", task.ErrConflict, t.ID, t.Status, verb)
}
