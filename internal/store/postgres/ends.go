package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prismq/thequeue/db/postgresdb"
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

func (e end) ready() bool { return e.runAfter != nil && !e.runAfter.After(e.now) }

// endOne returns sql.ErrNoRows when the task is not held under the token.
func (s *Store) endOne(ctx context.Context, e end) (task.Task, error) {
	var row postgresdb.Task
	var err error
	switch {
	case e.as == task.AttemptSucceeded:
		row, err = s.q.CompleteTask(ctx, postgresdb.CompleteTaskParams{Now: e.now, Result: e.result, ID: e.id, Fence: e.tok.Fence, LeaseSecret: e.tok.Secret})
	case e.as == task.AttemptReleased:
		row, err = s.q.ReleaseTask(ctx, postgresdb.ReleaseTaskParams{
			Now: e.now, RunAfterUTC: *e.runAfter, Ready: e.ready(), ID: e.id, Fence: e.tok.Fence, LeaseSecret: e.tok.Secret,
		})
	case e.runAfter != nil:
		row, err = s.q.RetryTask(ctx, postgresdb.RetryTaskParams{
			Now: e.now, RunAfterUTC: *e.runAfter, Ready: e.ready(), ErrorMessage: e.message, ID: e.id, Fence: e.tok.Fence, LeaseSecret: e.tok.Secret,
		})
	default:
		row, err = s.q.FailTask(ctx, postgresdb.FailTaskParams{
			Now: e.now, Outcome: &e.outcome, AttemptOutcome: &e.as, ErrorMessage: e.message, ID: e.id, Fence: e.tok.Fence, LeaseSecret: e.tok.Secret,
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
	ends, err := encodeEnds(set)
	if err != nil {
		return nil, err
	}
	rows, err := s.q.EndAttempts(ctx, ends)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		out[at[r.ID]] = outcome[task.Task]{value: task.Task(r)}
	}
	return out, nil
}

// encodeEnds returns the JSON array that the query EndAttempts takes. Results travel as strings inside it, so that they arrive byte for byte.
func encodeEnds(es []end) (string, error) {
	type row struct {
		ID             int64               `json:"id"`
		Fence          int64               `json:"fence"`
		Secret         string              `json:"secret"`
		Now            time.Time           `json:"now"`
		Status         task.Status         `json:"status"`
		Outcome        *task.Outcome       `json:"outcome,omitempty"`
		AttemptOutcome task.AttemptOutcome `json:"attempt_outcome"`
		GivenBack      int                 `json:"given_back"`
		RunAfter       *time.Time          `json:"run_after,omitempty"`
		Ready          bool                `json:"ready"`
		Result         *string             `json:"result,omitempty"`
		ErrorMessage   *string             `json:"error_message,omitempty"`
	}
	es = slices.SortedFunc(slices.Values(es), func(a, b end) int { return cmp.Compare(a.id, b.id) })
	rows := make([]row, len(es))
	for i, e := range es {
		r := row{ID: e.id, Fence: e.tok.Fence, Secret: e.tok.Secret, Now: e.now, AttemptOutcome: e.as, RunAfter: e.runAfter, Ready: e.ready(), Result: (*string)(e.result)}
		switch succeeded := task.Succeeded; {
		case e.as == task.AttemptSucceeded:
			r.Status, r.Outcome = task.Completed, &succeeded
		case e.runAfter != nil:
			r.Status = task.Queued
		default:
			r.Status, r.Outcome = task.Failed, &es[i].outcome
		}
		switch e.as {
		case task.AttemptReleased:
			r.GivenBack = 1
		case task.AttemptFailed, task.AttemptRejected:
			r.ErrorMessage = &es[i].message
		}
		rows[i] = r
	}
	b, err := json.Marshal(rows)
	if err != nil {
		return "", fmt.Errorf("encode ends of attempts: %w", err)
	}
	return string(b), nil
}

// settleEnd finds out what became of an end during which the connection broke. Trying again waits for what the server may still be doing with
// it; when that finds the lease over, the task says whether this end was what ended it.
func (s *Store) settleEnd(ctx context.Context, e end, _ error) (task.Task, error) {
	t, err := s.endOne(ctx, e)
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
	return task.Task{}, task.ErrLeaseLost
}
