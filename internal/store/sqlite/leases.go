package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

func (s *Store) ClaimTasks(ctx context.Context, c task.Claim) ([]task.Task, error) {
	single := c.Strategy != task.WeightedRandom || c.Max == 1
	return submit(ctx, s, single, func(ctx context.Context, q *sqlitedb.Queries) ([]task.Task, error) {
		all, err := s.readyLanes(ctx, q)
		if err != nil {
			return nil, err
		}
		lanes := c.Eligible(all)
		if len(lanes) == 0 {
			return []task.Task{}, nil
		}
		if lane, ok := c.SingleHead(lanes); ok {
			rows, err := q.ClaimHead(ctx, sqlitedb.ClaimHeadParams{
				Now: c.Now, LeaseSecret: c.Secret, WorkerID: c.WorkerID, LeaseUntil: c.Now.Add(c.Lease), LaneID: lane,
			})
			if err != nil || len(rows) > 0 {
				return tasksOf(rows), err
			}
		}
		rows, err := claim(ctx, q, c, lanes)
		return tasksOf(rows), err
	})
}

// claim takes from lanes that have work. RETURNING knows no order, so the rows are sorted here.
func claim(ctx context.Context, q *sqlitedb.Queries, c task.Claim, lanes []task.Lane) ([]sqlitedb.Task, error) {
	arg := sqlitedb.ClaimOldestTasksParams{
		Now: c.Now, LeaseSecret: c.Secret, WorkerID: c.WorkerID, LeaseUntil: c.Now.Add(c.Lease), Lanes: task.LaneIDs(lanes), Width: int64(c.Max), Max: int64(c.Max),
	}
	var rows []sqlitedb.Task
	var err error
	order := func(a, b sqlitedb.Task) int { return cmp.Compare(a.ID, b.ID) }
	switch c.Strategy {
	case task.FIFO:
		rows, err = q.ClaimOldestTasks(ctx, arg)
	case task.LIFO:
		rows, err = q.ClaimNewestTasks(ctx, sqlitedb.ClaimNewestTasksParams(arg))
		order = func(a, b sqlitedb.Task) int { return cmp.Compare(b.ID, a.ID) }
	case task.WeightedRandom:
		rows, err = claimDrawn(ctx, q, arg, slices.Clone(lanes), rand.New(rand.NewPCG(c.Seed, 0)))
	default:
		rows, err = q.ClaimTasksByPriority(ctx, sqlitedb.ClaimTasksByPriorityParams(arg))
		order = func(a, b sqlitedb.Task) int {
			return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.ID, b.ID))
		}
	}
	slices.SortFunc(rows, order)
	return rows, err
}

// claimDrawn takes from the head of each lane as many as were drawn for it. A lane that gives less holds nothing but tasks past their
// deadline any more, and the rest is drawn again from the others.
func claimDrawn(ctx context.Context, q *sqlitedb.Queries, arg sqlitedb.ClaimOldestTasksParams, lanes []task.Lane, rng *rand.Rand) ([]sqlitedb.Task, error) {
	var out []sqlitedb.Task
	for left := int(arg.Max); left > 0; left = int(arg.Max) - len(out) {
		draws := task.DrawWeighted(lanes, left, rng)
		if len(draws) == 0 {
			break
		}
		for _, d := range draws {
			one := arg
			one.Lanes, one.Width, one.Max = task.LaneIDs([]task.Lane{{ID: d.LaneID}}), int64(d.N), int64(d.N)
			rows, err := q.ClaimOldestTasks(ctx, one)
			if err != nil {
				return nil, err
			}
			task.Drawn(lanes, d, len(rows))
			out = append(out, rows...)
		}
	}
	return out, nil
}

// leased runs one statement that names a lease.
func (s *Store) leased(ctx context.Context, id int64, do func(context.Context, *sqlitedb.Queries) (sqlitedb.Task, error)) (task.Task, error) {
	return writeOne(ctx, s, func(ctx context.Context, q *sqlitedb.Queries) (task.Task, error) {
		row, err := do(ctx, q)
		if errors.Is(err, sql.ErrNoRows) {
			return task.Task{}, lost(ctx, q, id)
		}
		return task.Task(row), err
	})
}

// lost says why a statement that names a lease found no row.
func lost(ctx context.Context, q *sqlitedb.Queries, id int64) error {
	if _, err := q.GetTask(ctx, id); err != nil {
		return err
	}
	return task.ErrLeaseLost
}

func (s *Store) StartTask(ctx context.Context, id int64, tok task.Token, now time.Time) (task.Task, error) {
	return s.leased(ctx, id, func(ctx context.Context, q *sqlitedb.Queries) (sqlitedb.Task, error) {
		return q.StartTask(ctx, sqlitedb.StartTaskParams{ID: id, Fence: tok.Fence, LeaseSecret: tok.Secret, Now: now})
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
	return s.leased(ctx, id, func(ctx context.Context, q *sqlitedb.Queries) (sqlitedb.Task, error) {
		row, err := q.ExtendLease(ctx, arg)
		if errors.Is(err, sql.ErrNoRows) {
			if row, err := q.GetTask(ctx, id); err == nil && task.Task(row).CancelledUnder(tok) {
				return row, nil
			}
		}
		return row, err
	})
}

func (s *Store) CompleteTask(ctx context.Context, id int64, tok task.Token, result *task.JSON, now time.Time) (task.Task, error) {
	return s.leased(ctx, id, func(ctx context.Context, q *sqlitedb.Queries) (sqlitedb.Task, error) {
		return q.CompleteTask(ctx, sqlitedb.CompleteTaskParams{ID: id, Fence: tok.Fence, LeaseSecret: tok.Secret, Result: result, Now: now})
	})
}

func (s *Store) FailTask(ctx context.Context, id int64, tok task.Token, v store.Verdict, now time.Time) (task.Task, error) {
	return s.leased(ctx, id, func(ctx context.Context, q *sqlitedb.Queries) (sqlitedb.Task, error) {
		if v.RetryAt != nil {
			return q.RetryTask(ctx, sqlitedb.RetryTaskParams{
				ID: id, Fence: tok.Fence, LeaseSecret: tok.Secret, RunAfterUTC: *v.RetryAt, Ready: !v.RetryAt.After(now), ErrorMessage: v.Message, Now: now,
			})
		}
		outcome := v.AttemptOutcome()
		return q.FailTask(ctx, sqlitedb.FailTaskParams{
			ID: id, Fence: tok.Fence, LeaseSecret: tok.Secret, Outcome: &v.Outcome, AttemptOutcome: &outcome, ErrorMessage: v.Message, Now: now,
		})
	})
}

func (s *Store) ReleaseTask(ctx context.Context, id int64, tok task.Token, runAfter, now time.Time) (task.Task, error) {
	return s.leased(ctx, id, func(ctx context.Context, q *sqlitedb.Queries) (sqlitedb.Task, error) {
		return q.ReleaseTask(ctx, sqlitedb.ReleaseTaskParams{
			ID: id, Fence: tok.Fence, LeaseSecret: tok.Secret, RunAfterUTC: runAfter, Ready: !runAfter.After(now), Now: now,
		})
	})
}
