package postgres

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// HeldTask returns a task by way of the pool that lists do not use.
func (s *Store) HeldTask(ctx context.Context, id int64) (task.Task, error) {
	return look(ctx, s, "get held task", func(ctx context.Context) (task.Task, error) {
		row, err := s.q.GetTask(ctx, id)
		return task.Task(row), err
	})
}

// StartTask notes that the attempt begins now.
func (s *Store) StartTask(ctx context.Context, id int64, tok task.Token, now time.Time) (task.Task, error) {
	return s.held(ctx, "start task", id, func(ctx context.Context) (task.Task, error) {
		return inTx(ctx, s.db, nil, func(q *postgresdb.Queries) (task.Task, error) {
			row, err := q.StartTask(ctx, postgresdb.StartTaskParams{Now: now, ID: id, Fence: tok.Fence, LeaseSecret: tok.Secret})
			if err != nil {
				return task.Task{}, err
			}
			return task.Task(row), logStart(ctx, q, task.Task(row))
		})
	})
}

// held runs an update that matches the task only under its live lease.
func (s *Store) held(ctx context.Context, what string, id int64, update func(context.Context) (task.Task, error)) (task.Task, error) {
	return do(ctx, s, what, func(ctx context.Context) (task.Task, error) {
		t, err := update(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			err = s.lost(ctx, id)
		}
		return t, err
	})
}

// lost says why an update under a lease matched no row: ErrNotFound without the task, else ErrLeaseLost.
func (s *Store) lost(ctx context.Context, id int64) error {
	if _, err := s.q.GetTask(ctx, id); err != nil {
		return err
	}
	return task.ErrLeaseLost
}

// ExtendLease moves the end of the lease and keeps the progress. A task cancelled under this token is returned as it is.
func (s *Store) ExtendLease(ctx context.Context, id int64, tok task.Token, b task.Beat, until, now time.Time) (task.Task, error) {
	p := postgresdb.ExtendLeaseParams{Now: now, LeaseUntil: until, Progress: -1, ID: id, Fence: tok.Fence, LeaseSecret: tok.Secret}
	if b.Progress != nil {
		p.Progress = int64(*b.Progress)
	}
	if b.Message != nil {
		p.ProgressMessage = *b.Message
	}
	return do(ctx, s, "extend lease", func(ctx context.Context) (task.Task, error) {
		row, err := s.q.ExtendLease(ctx, p)
		if unsettled(err) && ctx.Err() == nil {
			row, err = s.q.ExtendLease(ctx, p) // twice is as good as once
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return task.Task(row), err
		}
		row, err = s.q.GetTask(ctx, id)
		if err == nil && !task.Task(row).CancelledUnder(tok) {
			err = task.ErrLeaseLost
		}
		return task.Task(row), err
	})
}

// CompleteTask ends the task as completed/succeeded.
func (s *Store) CompleteTask(ctx context.Context, id int64, tok task.Token, result *task.JSON, now time.Time) (task.Task, error) {
	return s.end(ctx, "complete task", end{id: id, tok: tok, now: now, as: task.AttemptSucceeded, result: result})
}

// FailTask ends the attempt: with v.RetryAt the task is queued again, else it is failed.
func (s *Store) FailTask(ctx context.Context, id int64, tok task.Token, v store.Verdict, now time.Time) (task.Task, error) {
	return s.end(ctx, "fail task", end{id: id, tok: tok, now: now, as: v.AttemptOutcome(), outcome: v.Outcome, message: v.Message, runAfter: v.RetryAt})
}

// ReleaseTask queues the task for runAfter and gives the attempt back.
func (s *Store) ReleaseTask(ctx context.Context, id int64, tok task.Token, runAfter, now time.Time) (task.Task, error) {
	return s.end(ctx, "release task", end{id: id, tok: tok, now: now, as: task.AttemptReleased, runAfter: &runAfter})
}

func (s *Store) end(ctx context.Context, what string, e end) (task.Task, error) {
	t, err := s.held(ctx, what, e.id, func(ctx context.Context) (task.Task, error) { return s.ends.do(ctx, e) })
	s.announce(t)
	return t, err
}
