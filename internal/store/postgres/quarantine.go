package postgres

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/prismq/thequeue/db/postgressets"
	"github.com/prismq/thequeue/internal/task"
)

// inQuarantine marks the row that says that there are tasks in quarantine.
const inQuarantine = -1

// claimApart does claims one by one while there are tasks in quarantine. Claims of one worker wait for each other, so that it is never given such a task
// beside another one. A claim statement that began before the second worker was lost is not seen; it takes a moment.
func (s *Store) claimApart(ctx context.Context, conn *pgx.Conn, cs []task.Claim) []outcome[[]task.Task] {
	out := make([]outcome[[]task.Task], len(cs))
	for i, c := range cs {
		var got []task.Task
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			t := taking{conn: tx, q: postgressets.New(tx), claims: []task.Claim{c}, now: c.Now, got: make([][]task.Task, 1), rngs: make(map[int]*rand.Rand)}
			if err := t.q.LockWorker(ctx, c.WorkerID); err != nil {
				return err
			}
			done, err := s.takeAlone(ctx, &t)
			if err == nil && !done {
				err = s.takeWork(ctx, &t)
			}
			got = t.got[0]
			return err
		})
		if err == nil {
			out[i].value = inOrder(c.Strategy, got)
		}
		out[i].err = err
	}
	return out
}

// takeAlone does the part of a claim that concerns tasks in quarantine. When done is true, that was all of it: the worker runs such a task already, takes
// one now, or stands by for one and holds something still.
func (s *Store) takeAlone(ctx context.Context, t *taking) (done bool, err error) {
	c := t.claims[0]
	rows, err := t.q.ListQuarantined(ctx, t.now)
	if err != nil || slices.ContainsFunc(rows, func(r postgressets.ListQuarantinedRow) bool { return r.WorkerID == c.WorkerID }) {
		return true, err
	}
	slices.SortFunc(rows, func(a, b postgressets.ListQuarantinedRow) int { return cmp.Compare(a.ID, b.ID) })
	s.standby.Keep(func(id int64) bool {
		return slices.ContainsFunc(rows, func(r postgressets.ListQuarantinedRow) bool { return r.ID == id })
	})
	w, err := s.findWork(ctx, t.q, t.now, false)
	if err != nil {
		return false, err
	}
	w.lanes = c.Eligible(w.lanes)
	if err := t.leaveFull(ctx, &w); err != nil {
		return false, err
	}
	t.version = w.version
	for _, r := range rows {
		at := slices.IndexFunc(w.lanes, func(l task.Lane) bool { return l.ID == r.LaneID })
		if !r.Due || at < 0 {
			continue
		}
		held, err := t.q.HoldsTask(ctx, c.WorkerID)
		if err != nil {
			return false, err
		}
		if held {
			drains := func(worker string) (bool, error) { return t.q.Drains(ctx, worker) }
			if stands, err := s.standby.Take(r.ID, c.WorkerID, t.now, drains); stands || err != nil {
				return stands, err
			}
			continue
		}
		if done, err := t.takeQuarantined(ctx, r.ID, w, w.lanes[at]); done || err != nil {
			return done, err
		}
	}
	return false, nil
}

// takeQuarantined claims one task, unless somebody else holds it or the limit of its type has been reached meanwhile.
func (t *taking) takeQuarantined(ctx context.Context, id int64, w work, l task.Lane) (taken bool, err error) {
	look := keyLook{taking: t}
	if l.Keyed {
		if isShut, err := look.at(ctx, l, id); err != nil || isShut {
			return false, err
		}
	}
	if _, limited := w.limits[l.Type]; limited {
		if t.room, err = t.lockRoom(ctx, []string{l.Type}); err != nil || !t.room.has(l) {
			return false, err
		}
		defer func() {
			if err == nil {
				err = t.spend(ctx)
			}
			t.room = nil
		}()
	}
	c := t.claims[0]
	rows, err := t.q.ClaimTask(ctx, t.one(c, id))
	for _, r := range rows {
		t.got[0] = append(t.got[0], task.Task(r))
		t.room.give(r.Type)
	}
	if err == nil && l.Keyed && len(rows) > 0 {
		err = look.took(ctx, l)
	}
	return len(rows) > 0, err
}

// one is the claim of one task.
func (t *taking) one(c task.Claim, id int64) postgressets.ClaimTaskParams {
	return postgressets.ClaimTaskParams{
		Now: t.now, Secret: c.Secret, WorkerID: c.WorkerID, Lease: c.Lease.Seconds(), DefaultLease: task.DefaultLease.Seconds(), ID: id, Version: t.version,
	}
}

// entersQuarantine reports whether one of the tasks, whose leases have just run out, is in quarantine from now on.
func entersQuarantine(ts []task.Task) bool {
	return slices.ContainsFunc(ts, func(t task.Task) bool { return t.Quarantined() && t.Lost == task.QuarantineAfter })
}

// starter is a connection, or a transaction, within which another one may be begun.
type starter interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}
