package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/db/postgressets"
	"github.com/prismq/thequeue/internal/task"
)

// end is what a worker says of its attempt: it completed the task, failed, or gives it back.
type end struct {
	id       int64
	tok      task.Token
	now      time.Time
	as       task.AttemptOutcome // succeeded, failed, rejected or released
	outcome  task.Outcome        // of a task that fails for good
	message  string
	runAfter *time.Time // not nil: the task is queued for then
	result   *task.JSON
}

func (e end) size() int {
	if e.result == nil {
		return len(e.message)
	}
	return len(*e.result)
}

// status is that of the task after the attempt.
func (e end) status() task.Status {
	switch {
	case e.as == task.AttemptSucceeded:
		return task.Completed
	case e.runAfter != nil:
		return task.Queued
	}
	return task.Failed
}

// taskOutcome is nil while the task is live.
func (e end) taskOutcome() *task.Outcome {
	switch e.status() {
	case task.Completed:
		succeeded := task.Succeeded
		return &succeeded
	case task.Failed:
		return &e.outcome
	}
	return nil
}

func (e end) ready() bool { return e.runAfter != nil && !e.runAfter.After(e.now) }

// endOne returns sql.ErrNoRows when the task is not held under the token.
func (s *Store) endOne(ctx context.Context, e end, haste bool) (task.Task, error) {
	q := s.queries(haste)
	var row postgresdb.Task
	var err error
	switch {
	case e.as == task.AttemptSucceeded:
		row, err = q.CompleteTask(ctx, postgresdb.CompleteTaskParams{Now: e.now, Result: e.result, ID: e.id, Fence: e.tok.Fence, LeaseSecret: e.tok.Secret})
	case e.as == task.AttemptReleased:
		row, err = q.ReleaseTask(ctx, postgresdb.ReleaseTaskParams{
			Now: e.now, RunAfterUTC: *e.runAfter, Ready: e.ready(), ID: e.id, Fence: e.tok.Fence, LeaseSecret: e.tok.Secret,
		})
	case e.runAfter != nil:
		row, err = q.RetryTask(ctx, postgresdb.RetryTaskParams{
			Now: e.now, RunAfterUTC: *e.runAfter, Ready: e.ready(), ErrorMessage: e.message, ID: e.id, Fence: e.tok.Fence, LeaseSecret: e.tok.Secret,
		})
	default:
		row, err = q.FailTask(ctx, postgresdb.FailTaskParams{
			Now: e.now, Outcome: &e.outcome, AttemptOutcome: &e.as, ErrorMessage: e.message, ErrorFingerprint: task.Fingerprint(e.message), ID: e.id, Fence: e.tok.Fence, LeaseSecret: e.tok.Secret,
		})
	}
	return task.Task(row), err
}

// endMany ends a set of attempts. Of two that speak of one task the second is done alone, after the set.
func (s *Store) endMany(ctx context.Context, es []end) ([]outcome[task.Task], error) {
	out := make([]outcome[task.Task], len(es))
	at := make(map[int64]int, len(es))
	set := make([]end, 0, len(es))
	for i, e := range es {
		if _, twice := at[e.id]; twice {
			out[i].err = errAlone
			continue
		}
		at[e.id], out[i].err = i, sql.ErrNoRows
		set = append(set, e)
	}
	slices.SortFunc(set, func(a, b end) int { return cmp.Compare(a.id, b.id) })
	rows, err := onPgx(ctx, s.setDB, func(q *postgressets.Queries) ([]postgressets.Task, error) { return q.EndAttempts(ctx, endParams(set)) })
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		out[at[r.ID]] = outcome[task.Task]{value: task.Task(r)}
	}
	return out, nil
}

func endParams(es []end) postgressets.EndAttemptsParams {
	return postgressets.EndAttemptsParams{
		Ids:             column(es, func(e end) int64 { return e.id }),
		Fences:          column(es, func(e end) int64 { return e.tok.Fence }),
		Secrets:         column(es, func(e end) string { return e.tok.Secret }),
		Nows:            column(es, func(e end) time.Time { return e.now }),
		Statuses:        column(es, func(e end) string { return string(e.status()) }),
		Outcomes:        texts(es, func(e end) (string, bool) { return text(e.taskOutcome()) }),
		AttemptOutcomes: column(es, func(e end) string { return string(e.as) }),
		RunAfters:       texts(es, func(e end) (string, bool) { return timeText(e.runAfter) }),
		Readies:         column(es, end.ready),
		Results:         texts(es, func(e end) (string, bool) { return text(e.result) }),
		ErrorMessages:   texts(es, func(e end) (string, bool) { return e.message, e.message != "" }),
		ErrorFingerprints: texts(es, func(e end) (string, bool) {
			if e.status() != task.Failed {
				return "", false
			}
			return task.Fingerprint(e.message), true
		}),
	}
}

// settleEnd finds out what became of an end during which the connection broke. Trying again waits for what the server may still be doing with
// it; when that finds the lease over, the task says whether this end was what ended it, unless it has been claimed since.
func (s *Store) settleEnd(ctx context.Context, e end) (task.Task, error) {
	t, err := s.endOne(ctx, e, false)
	if !errors.Is(err, sql.ErrNoRows) {
		return t, err
	}
	row, err := s.q.GetTask(ctx, e.id)
	if err != nil {
		return task.Task{}, err
	}
	if row.Fence == e.tok.Fence && *row.LeaseSecret == e.tok.Secret && row.AttemptOutcome != nil && *row.AttemptOutcome == e.as {
		return task.Task(row), nil
	}
	if row.Fence > e.tok.Fence {
		return task.Task{}, errUnknown
	}
	return task.Task{}, task.ErrLeaseLost
}
