package sqlite

import (
	"context"
	"time"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// leased runs one statement that names a lease and leaves it in force.
func (s *Store) leased(ctx context.Context, id int64, do func(context.Context, tx) (sqlitedb.Task, error)) (task.Task, error) {
	return writeOne(ctx, s, func(ctx context.Context, x tx) (task.Task, error) {
		row, err := do(ctx, x)
		if noRow(err) {
			return task.Task{}, x.lost(ctx, id)
		}
		if t := task.Task(row); err == nil && t.Status == task.Processing {
			x.keep(t)
		}
		return task.Task(row), err
	})
}

// ended is leased for a statement that ends the lease without success: the attempt goes into the history first.
func (s *Store) ended(ctx context.Context, a sqlitedb.KeepAttemptParams, do func(context.Context, tx) (sqlitedb.Task, error)) (task.Task, error) {
	return write(ctx, s, func(ctx context.Context, x tx) (task.Task, error) {
		if err := x.leaves(ctx, a); err != nil {
			return task.Task{}, err
		}
		row, err := do(ctx, x)
		if noRow(err) {
			return task.Task{}, x.lost(ctx, a.ID)
		}
		if err != nil {
			return task.Task{}, err
		}
		after := task.Task(row)
		before := after
		before.Status, before.Ready = task.Processing, false
		x.move(&before, &after)
		was := before
		if was.LockedBy = after.LastWorkerID; *a.Outcome == task.AttemptReleased {
			was.Attempts++
		}
		return after, x.tell(ctx, was, after)
	})
}

// HeldTask asks the writer, who most often knows the task.
func (s *Store) HeldTask(ctx context.Context, id int64) (task.Task, error) {
	return writeOne(ctx, s, func(ctx context.Context, x tx) (task.Task, error) { return x.task(ctx, id) })
}

func (s *Store) StartTask(ctx context.Context, id int64, tok task.Token, now time.Time) (task.Task, error) {
	return write(ctx, s, func(ctx context.Context, x tx) (task.Task, error) {
		row, err := x.StartTask(ctx, sqlitedb.StartTaskParams{ID: id, Fence: tok.Fence, LeaseSecret: tok.Secret, Now: now})
		if noRow(err) {
			return task.Task{}, x.lost(ctx, id)
		}
		if err != nil {
			return task.Task{}, err
		}
		x.keep(task.Task(row))
		return task.Task(row), logStart(ctx, x.Queries, task.Task(row))
	})
}

func (s *Store) ExtendLease(ctx context.Context, id int64, tok task.Token, b task.Beat, until, now time.Time) (task.Task, error) {
	arg := sqlitedb.ExtendLeaseParams{ID: id, Fence: tok.Fence, LeaseSecret: tok.Secret, LeaseUntil: until, Progress: -1, Now: now}
	if b.Progress != nil {
		arg.Progress = int64(*b.Progress)
	}
	if b.Message != nil {
		arg.ProgressMessage = *b.Message
	}
	return s.leased(ctx, id, func(ctx context.Context, x tx) (sqlitedb.Task, error) {
		row, err := x.ExtendLease(ctx, arg)
		if noRow(err) {
			if row, err := x.GetTask(ctx, id); err == nil && task.Task(row).CancelledUnder(tok) {
				return row, nil
			}
		}
		return row, err
	})
}

func (s *Store) CompleteTask(ctx context.Context, id int64, tok task.Token, result *task.JSON, now time.Time) (task.Task, error) {
	return writeOne(ctx, s, func(ctx context.Context, x tx) (task.Task, error) {
		n, err := x.hot.CompleteTask(ctx, sqlitedb.CompleteTaskParams{ID: id, Fence: tok.Fence, LeaseSecret: tok.Secret, Result: result, Now: now})
		if err == nil && n == 0 {
			err = x.lost(ctx, id)
		}
		if err != nil {
			return task.Task{}, err
		}
		before, known := x.rows[id]
		if !known {
			row, err := x.GetTask(ctx, id)
			if err != nil {
				return task.Task{}, err
			}
			t := task.Task(row)
			before = &t
		}
		after := *before
		after.UpdatedAtUTC, after.FinishedAtUTC, after.Status = now, &now, task.Completed
		after.Outcome, after.AttemptOutcome, after.Result, after.ErrorMessage = &succeeded, &attemptSucceeded, result, nil
		after.LockedBy, after.LeaseUntilUTC, after.ReservedAtUTC = nil, nil, nil
		was := after
		was.Status = task.Processing
		x.move(&was, &after)
		return after, nil
	})
}

// What a completed task says of its end, as its query writes it.
var (
	succeeded        = task.Succeeded
	attemptSucceeded = task.AttemptSucceeded
)

func (s *Store) FailTask(ctx context.Context, id int64, tok task.Token, v store.Verdict, now time.Time) (task.Task, error) {
	outcome := v.AttemptOutcome()
	a := sqlitedb.KeepAttemptParams{ID: id, Fence: tok.Fence, LeaseSecret: tok.Secret, Now: &now, Outcome: &outcome, ErrorMessage: &v.Message}
	return s.ended(ctx, a, func(ctx context.Context, x tx) (sqlitedb.Task, error) {
		if v.RetryAt != nil {
			return x.RetryTask(ctx, sqlitedb.RetryTaskParams{
				ID: id, Fence: tok.Fence, LeaseSecret: tok.Secret, RunAfterUTC: *v.RetryAt, Ready: !v.RetryAt.After(now), ErrorMessage: v.Message, Now: now,
			})
		}
		return x.FailTask(ctx, sqlitedb.FailTaskParams{
			ID: id, Fence: tok.Fence, LeaseSecret: tok.Secret, Outcome: &v.Outcome, AttemptOutcome: &outcome, ErrorMessage: v.Message, ErrorFingerprint: task.Fingerprint(v.Message), Now: now,
		})
	})
}

func (s *Store) ReleaseTask(ctx context.Context, id int64, tok task.Token, runAfter, now time.Time) (task.Task, error) {
	outcome := task.AttemptReleased
	a := sqlitedb.KeepAttemptParams{ID: id, Fence: tok.Fence, LeaseSecret: tok.Secret, Now: &now, Outcome: &outcome}
	return s.ended(ctx, a, func(ctx context.Context, x tx) (sqlitedb.Task, error) {
		return x.ReleaseTask(ctx, sqlitedb.ReleaseTaskParams{
			ID: id, Fence: tok.Fence, LeaseSecret: tok.Secret, RunAfterUTC: runAfter, Ready: !runAfter.After(now), Now: now,
		})
	})
}

// keptAttempt describes how the attempt that holds t ends.
func keptAttempt(t task.Task, o task.AttemptOutcome, message *string, now time.Time) sqlitedb.KeepAttemptParams {
	return sqlitedb.KeepAttemptParams{ID: t.ID, Fence: t.Fence, LeaseSecret: *t.LeaseSecret, Now: &now, Outcome: &o, ErrorMessage: message}
}
