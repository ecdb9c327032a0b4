package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

const (
	// spareWidth is how many tasks more than asked for a claim looks at, in case others hold the first ones.
	spareWidth = 8
	// maxWidth bounds what a claim looks at when others hold all it has seen.
	maxWidth = 2048
)

// ClaimTasks moves up to c.Max ready tasks from queued to processing. One that finds all the tasks it looks at in the hands of other claims looks
// again, at more of them.
func (s *Store) ClaimTasks(ctx context.Context, c task.Claim) ([]task.Task, error) {
	return do(ctx, s, "claim tasks", func() ([]task.Task, error) {
		for width := c.Max + spareWidth; ; width *= 4 {
			ready, err := s.readyLanes(ctx)
			if err != nil {
				return nil, err
			}
			eligible := c.Eligible(ready)
			if len(eligible) == 0 || width > maxWidth {
				return []task.Task{}, nil
			}
			taken, err := s.take(ctx, c, eligible, width)
			if err != nil || len(taken) > 0 {
				return taken, err
			}
		}
	})
}

// take claims from the lanes given, looking at the first width tasks of each; where one lane is sure to have the first, at no other.
func (s *Store) take(ctx context.Context, c task.Claim, lanes []task.Lane, width int) ([]task.Task, error) {
	if lane, ok := c.SingleHead(lanes); ok {
		rows, err := s.q.ClaimHead(ctx, postgresdb.ClaimHeadParams{Now: c.Now, LeaseSecret: c.Secret, WorkerID: c.WorkerID, LeaseUntil: c.Now.Add(c.Lease), LaneID: lane})
		if err != nil || len(rows) > 0 {
			return tasks(rows), err
		}
	}
	var rows []postgresdb.Task
	var err error
	p := claimParams(c, lanes, c.Max, width)
	switch c.Strategy {
	case task.FIFO:
		rows, err = s.q.ClaimOldestTasks(ctx, postgresdb.ClaimOldestTasksParams(p))
	case task.LIFO:
		rows, err = s.q.ClaimNewestTasks(ctx, postgresdb.ClaimNewestTasksParams(p))
	case task.WeightedRandom:
		rows, err = s.takeWeighted(ctx, c, lanes, width)
	default:
		rows, err = s.q.ClaimTasksByPriority(ctx, p)
	}
	return inOrder(c.Strategy, tasks(rows)), err
}

func claimParams(c task.Claim, lanes []task.Lane, limit, width int) postgresdb.ClaimTasksByPriorityParams {
	return postgresdb.ClaimTasksByPriorityParams{
		Now: c.Now, LeaseSecret: c.Secret, WorkerID: c.WorkerID, LeaseUntil: c.Now.Add(c.Lease),
		Lanes: task.LaneIDs(lanes), Width: int64(width), Max: int64(limit),
	}
}

// inOrder sorts what is sorted by id the way the strategy wants it.
func inOrder(s task.Strategy, ts []task.Task) []task.Task {
	switch s {
	case task.LIFO:
		slices.Reverse(ts)
	case task.Priority:
		slices.SortStableFunc(ts, func(a, b task.Task) int { return cmp.Compare(a.Priority, b.Priority) })
	}
	return ts
}

// takeWeighted draws lanes and takes their oldest tasks. A single task needs no transaction around its draws.
func (s *Store) takeWeighted(ctx context.Context, c task.Claim, lanes []task.Lane, width int) ([]postgresdb.Task, error) {
	rng := rand.New(rand.NewPCG(c.Seed, 0))
	draw := func(q *postgresdb.Queries) ([]postgresdb.Task, error) { return drawFrom(ctx, q, c, lanes, width, rng) }
	if c.Max == 1 {
		return draw(s.q)
	}
	return inTx(ctx, s.db, nil, draw)
}

// drawFrom draws until it has c.Max tasks or no lane has any left. A lane that gives fewer than drawn has the rest in other hands.
func drawFrom(ctx context.Context, q *postgresdb.Queries, c task.Claim, lanes []task.Lane, width int, rng *rand.Rand) ([]postgresdb.Task, error) {
	var out []postgresdb.Task
	for {
		draws := task.DrawWeighted(lanes, c.Max-len(out), rng)
		if len(draws) == 0 {
			return out, nil
		}
		for _, d := range draws {
			i := slices.IndexFunc(lanes, func(l task.Lane) bool { return l.ID == d.LaneID })
			p := claimParams(c, lanes[i:i+1], d.N, max(width, d.N))
			rows, err := q.ClaimOldestTasks(ctx, postgresdb.ClaimOldestTasksParams(p))
			if err != nil {
				return nil, err
			}
			out = append(out, rows...)
			lanes[i].Ready -= int64(d.N)
			if len(rows) < d.N {
				lanes[i].Ready = 0
			}
		}
	}
}

// StartTask notes that the attempt begins now.
func (s *Store) StartTask(ctx context.Context, id int64, tok task.Token, now time.Time) (task.Task, error) {
	return s.held(ctx, "start task", id, func() (postgresdb.Task, error) {
		return s.q.StartTask(ctx, postgresdb.StartTaskParams{Now: now, ID: id, Fence: tok.Fence, LeaseSecret: tok.Secret})
	})
}

// held runs an update that matches the task only under its live lease.
func (s *Store) held(ctx context.Context, what string, id int64, update func() (postgresdb.Task, error)) (task.Task, error) {
	return do(ctx, s, what, func() (task.Task, error) {
		row, err := update()
		if errors.Is(err, sql.ErrNoRows) {
			err = s.lost(ctx, id)
		}
		return task.Task(row), err
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
	return do(ctx, s, "extend lease", func() (task.Task, error) {
		row, err := s.q.ExtendLease(ctx, p)
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
	return s.held(ctx, "complete task", id, func() (postgresdb.Task, error) {
		return s.q.CompleteTask(ctx, postgresdb.CompleteTaskParams{Now: now, Result: result, ID: id, Fence: tok.Fence, LeaseSecret: tok.Secret})
	})
}

// FailTask ends the attempt: with v.RetryAt the task is queued again, else it is failed.
func (s *Store) FailTask(ctx context.Context, id int64, tok task.Token, v store.Verdict, now time.Time) (task.Task, error) {
	return s.held(ctx, "fail task", id, func() (postgresdb.Task, error) {
		if v.RetryAt != nil {
			return s.q.RetryTask(ctx, postgresdb.RetryTaskParams{
				Now: now, RunAfterUTC: *v.RetryAt, Ready: !v.RetryAt.After(now), ErrorMessage: v.Message, ID: id, Fence: tok.Fence, LeaseSecret: tok.Secret,
			})
		}
		attempt := v.AttemptOutcome()
		return s.q.FailTask(ctx, postgresdb.FailTaskParams{
			Now: now, Outcome: &v.Outcome, AttemptOutcome: &attempt, ErrorMessage: v.Message, ID: id, Fence: tok.Fence, LeaseSecret: tok.Secret,
		})
	})
}

// ReleaseTask queues the task for runAfter and gives the attempt back.
func (s *Store) ReleaseTask(ctx context.Context, id int64, tok task.Token, runAfter, now time.Time) (task.Task, error) {
	return s.held(ctx, "release task", id, func() (postgresdb.Task, error) {
		return s.q.ReleaseTask(ctx, postgresdb.ReleaseTaskParams{
			Now: now, RunAfterUTC: runAfter, Ready: !runAfter.After(now), ID: id, Fence: tok.Fence, LeaseSecret: tok.Secret,
		})
	})
}
