package postgres

import (
	"context"
	"maps"
	"slices"

	"github.com/prismq/thequeue/db/postgressets"
	"github.com/prismq/thequeue/internal/task"
)

// room is how many more tasks of each type that has a limit may be held.
type room map[string]int64

// give notes that a task of the type was claimed.
func (r room) give(taskType string) {
	if _, limited := r[taskType]; limited {
		r[taskType]--
	}
}

// has reports whether a task of the lane may be claimed.
func (r room) has(l task.Lane) bool {
	left, limited := r[l.Type]
	return !limited || left > 0
}

// least returns how many tasks may be claimed from these lanes, whichever they come from; at most so many.
func (r room) least(lanes []task.Lane, most int) int {
	for _, l := range lanes {
		if left, limited := r[l.Type]; limited {
			most = min(most, int(left))
		}
	}
	return most
}

// countRoom returns the room that the limits leave.
func countRoom(ctx context.Context, q *postgressets.Queries, limits map[string]int64) (room, error) {
	held, err := q.CountHeld(ctx, slices.Sorted(maps.Keys(limits)))
	r := room(maps.Clone(limits))
	for _, h := range held {
		r[h.Type] -= h.Held
	}
	return r, err
}

// leaveFull takes out of the work the lanes of types that have no room now, and the limits of types that have no lane in it. What is left with a limit
// must be counted again under lock.
func (t *taking) leaveFull(ctx context.Context, w *work) error {
	types := make(map[string]bool)
	for _, l := range w.lanes {
		types[l.Type] = true
	}
	maps.DeleteFunc(w.limits, func(taskType string, _ int64) bool { return !types[taskType] })
	if len(w.limits) == 0 {
		return nil
	}
	r, err := countRoom(ctx, t.q, w.limits)
	w.lanes = slices.DeleteFunc(w.lanes, func(l task.Lane) bool { return !r.has(l) })
	maps.DeleteFunc(w.limits, func(taskType string, _ int64) bool { return r[taskType] <= 0 })
	return err
}

// takeLimited is take for lanes of which some belong to types with a limit. Its transaction keeps other claims off these types until what was taken is
// counted, so nodes never exceed a limit together.
func (t *taking) takeLimited(ctx context.Context, w work) error {
	tx, err := t.conn.Begin(ctx)
	if err != nil {
		return err
	}
	outside, before := t.q, slices.Clone(t.got)
	t.q = outside.WithTx(tx)
	if err = t.takeInRounds(ctx, w); err == nil {
		err = tx.Commit(ctx)
	} else {
		_ = tx.Rollback(ctx) // a connection that cannot is closed, which does
	}
	if t.q, t.room = outside, nil; err != nil {
		t.got = before
	}
	return err
}

// takeInRounds takes in each round no more than the type with the least room has, so that no type gives more, in whichever order tasks come.
func (t *taking) takeInRounds(ctx context.Context, w work) error {
	limits, err := t.q.LockLimits(ctx, slices.Sorted(maps.Keys(w.limits)))
	if err != nil {
		return err
	}
	for _, l := range limits {
		w.limits[l.Type] = l.Most
	}
	if t.room, err = countRoom(ctx, t.q, w.limits); err != nil {
		return err
	}
	for all := t.wanted; len(all) > 0; all = append(t.wanted, all...) {
		if w.lanes = slices.DeleteFunc(w.lanes, func(l task.Lane) bool { return !t.room.has(l) }); len(w.lanes) == 0 {
			return nil
		}
		n := t.room.least(w.lanes, len(all))
		t.wanted, all = slices.Clone(all[:n]), all[n:]
		if err := t.take(ctx, w.lanes); err != nil {
			return err
		}
		if len(t.wanted) == n { // the rest is in other hands
			return nil
		}
	}
	return nil
}
