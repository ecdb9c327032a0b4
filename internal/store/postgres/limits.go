package postgres

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/prismq/thequeue/db/postgressets"
	"github.com/prismq/thequeue/internal/task"
)

// room is how many more tasks of each type that has a limit may be claimed.
type room map[string]*quota

// quota is what one type has left.
type quota struct {
	left  int64
	given int64           // tasks claimed
	rate  *task.RateLimit // nil: none
	open  *time.Time      // from when on the rate has a token
}

// give notes that a task of the type was claimed.
func (r room) give(taskType string) {
	if q := r[taskType]; q != nil {
		q.left--
		q.given++
	}
}

// has reports whether a task of the lane may be claimed.
func (r room) has(l task.Lane) bool { return r[l.Type] == nil || r[l.Type].left > 0 }

// least returns how many tasks may be claimed from these lanes, whichever they come from; at most so many.
func (r room) least(lanes []task.Lane, most int) int {
	for _, l := range lanes {
		if q := r[l.Type]; q != nil {
			most = min(most, int(q.left))
		}
	}
	return most
}

// countRoom returns the room that the limits leave.
func countRoom(ctx context.Context, q *postgressets.Queries, limits map[string]int64) (room, error) {
	held, err := q.CountHeld(ctx, slices.Sorted(maps.Keys(limits)))
	r := make(room, len(limits))
	for taskType, most := range limits {
		r[taskType] = &quota{left: most}
	}
	for _, h := range held {
		r[h.Type].left -= h.Held
	}
	return r, err
}

// lockRoom keeps other claims off the types until the transaction ends, and returns the room that their limits and rates leave.
func (t *taking) lockRoom(ctx context.Context, types []string) (room, error) {
	limits, err := t.q.LockLimits(ctx, postgressets.LockLimitsParams{Types: types, Now: t.now})
	if err != nil {
		return nil, err
	}
	most := make(map[string]int64, len(limits))
	for _, l := range limits {
		most[l.Type] = l.Most
	}
	r, err := countRoom(ctx, t.q, most)
	for _, l := range limits {
		if q := r[l.Type]; l.RateLimit != nil {
			q.rate, q.open = l.RateLimit, l.RateOpenUTC
			q.left = min(q.left, l.RateLimit.Room(l.RateOpenUTC, t.now))
		}
	}
	return r, err
}

// spend notes what was claimed of types with a rate.
func (t *taking) spend(ctx context.Context) error {
	var p postgressets.SpendRatesParams
	for _, taskType := range slices.Sorted(maps.Keys(t.room)) {
		if q := t.room[taskType]; q.rate != nil && q.given > 0 {
			p.Types = append(p.Types, taskType)
			p.Opens = append(p.Opens, q.rate.Spend(q.open, t.now, q.given))
		}
	}
	if len(p.Types) == 0 {
		return nil
	}
	return t.q.SpendRates(ctx, p)
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
	maps.DeleteFunc(w.limits, func(taskType string, _ int64) bool { return r[taskType].left <= 0 })
	return err
}

// takeLimited is take for lanes of which some belong to types with a limit. Its transaction keeps other claims off these types until what was taken is
// counted, so nodes never exceed a limit or a rate together.
func (t *taking) takeLimited(ctx context.Context, w work) error {
	return t.within(ctx, func() error {
		if err := t.takeInRounds(ctx, w); err != nil {
			return err
		}
		return t.spend(ctx)
	})
}

// within runs do in a transaction. Nothing was taken when it fails.
func (t *taking) within(ctx context.Context, do func() error) error {
	tx, err := t.conn.Begin(ctx)
	if err != nil {
		return err
	}
	outside, before := t.q, slices.Clone(t.got)
	t.q = outside.WithTx(tx)
	if err = do(); err == nil {
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
	var err error
	if t.room, err = t.lockRoom(ctx, slices.Sorted(maps.Keys(w.limits))); err != nil {
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
