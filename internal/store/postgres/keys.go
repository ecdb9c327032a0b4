package postgres

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/db/postgressets"
	"github.com/prismq/thequeue/internal/task"
)

// keysAtOnce is at how many keys of a lane one look looks, and maxLooks how often it goes on where none of them has a task that may be taken.
const (
	keysAtOnce = 8
	maxLooks   = 32
	// openingKeys is at how many keys that open a look for their types looks.
	openingKeys = 1000
)

// takeInTurn takes tasks one after the other, from lanes of which some have tasks with concurrency keys. Its transaction keeps others from all that has to do with keys
// until what was taken is counted, so that keys take turns and no node exceeds what one may have.
func (t *taking) takeInTurn(ctx context.Context, w work) error {
	return t.within(ctx, func() error {
		if err := t.q.LockKeys(ctx); err != nil {
			return err
		}
		if err := t.q.OpenDueKeys(ctx, &t.now); err != nil {
			return err
		}
		if len(w.limits) > 0 {
			var err error
			if t.room, err = t.lockRoom(ctx, slices.Sorted(maps.Keys(w.limits))); err != nil {
				return err
			}
		}
		rules, err := keyRules(ctx, t.q, w.lanes)
		if err != nil {
			return err
		}
		next := turns{taking: t, lanes: w.lanes, rules: rules, heads: make(map[int64]laneHead)}
		for len(t.wanted) > 0 {
			if taken, err := next.takeNext(ctx, t.wanted[0]); err != nil || !taken {
				if err != nil {
					return err
				}
				break
			}
		}
		return t.spend(ctx)
	})
}

// keyRules returns what holds for each key of the types of the keyed lanes.
func keyRules(ctx context.Context, q *postgressets.Queries, lanes []task.Lane) (map[string]*task.KeyRules, error) {
	var types []string
	for _, l := range lanes {
		if l.Keyed && !slices.Contains(types, l.Type) {
			types = append(types, l.Type)
		}
	}
	rows, err := q.ListKeyRules(ctx, types)
	rules := make(map[string]*task.KeyRules, len(rows))
	for _, r := range rows {
		rules[r.Type] = r.PerKey
	}
	return rules, err
}

// laneHead is the task that a lane gives next. No id: there is none now.
type laneHead struct {
	id   int64
	key  string     // of a keyed lane
	open *time.Time // from when on the rate of the key gives a task; nil: it is full
}

// turns is the work of claims among whose lanes are keyed ones.
type turns struct {
	*taking
	lanes []task.Lane // by priority and id
	rules map[string]*task.KeyRules
	heads map[int64]laneHead // by lane, as far as they are known
}

// takeNext takes the next task for a claim. False: there is none.
func (t *turns) takeNext(ctx context.Context, claim int) (bool, error) {
	l, err := t.choose(ctx, claim)
	if err != nil || l == nil {
		return false, err
	}
	head := t.heads[l.ID]
	rows, err := t.q.ClaimTask(ctx, t.one(t.claims[claim], head.id))
	if err != nil || len(rows) == 0 { // it has gone, or the rules have changed: the next look goes by what is now
		return false, err
	}
	t.give(rows)
	task.Drawn(t.lanes, task.Draw{LaneID: l.ID, N: 1}, 1)
	for _, other := range t.lanes {
		if other.ID == l.ID || other.Keyed && other.Type == l.Type {
			delete(t.heads, other.ID)
		}
	}
	if l.Keyed {
		err = tookKey(ctx, t.q, t.rules[l.Type], *l, head.key, head.open, t.now)
	}
	return true, err
}

// choose returns the lane from which the strategy takes next, whose head is known then; nil when none has a task.
func (t *turns) choose(ctx context.Context, claim int) (*task.Lane, error) {
	lanes := slices.DeleteFunc(slices.Clone(t.lanes), func(l task.Lane) bool { return !t.room.has(l) })
	switch t.claims[claim].Strategy {
	case task.WeightedRandom:
		return t.draw(ctx, claim, lanes)
	case task.FIFO:
		return t.first(ctx, lanes, func(id, best int64) bool { return id < best })
	case task.LIFO:
		return t.first(ctx, lanes, func(id, best int64) bool { return id > best })
	}
	for len(lanes) > 0 {
		n := slices.IndexFunc(lanes, func(l task.Lane) bool { return l.Priority != lanes[0].Priority })
		if n < 0 {
			n = len(lanes)
		}
		if l, err := t.first(ctx, lanes[:n], func(id, best int64) bool { return id < best }); err != nil || l != nil {
			return l, err
		}
		lanes = lanes[n:]
	}
	return nil, nil
}

// first returns the lane whose head comes before those of the others.
func (t *turns) first(ctx context.Context, lanes []task.Lane, before func(id, best int64) bool) (best *task.Lane, err error) {
	if err := t.look(ctx, lanes); err != nil {
		return nil, err
	}
	for i, l := range lanes {
		if id := t.heads[l.ID].id; id != 0 && (best == nil || before(id, t.heads[best.ID].id)) {
			best = &lanes[i]
		}
	}
	return best, nil
}

// draw draws a lane until it finds one that has a task.
func (t *turns) draw(ctx context.Context, claim int, lanes []task.Lane) (*task.Lane, error) {
	if t.rngs[claim] == nil {
		t.rngs[claim] = rand.New(rand.NewPCG(t.claims[claim].Seed, 0))
	}
	for {
		d := task.DrawWeighted(lanes, 1, t.rngs[claim])
		if len(d) == 0 {
			return nil, nil
		}
		i := slices.IndexFunc(lanes, func(l task.Lane) bool { return l.ID == d[0].LaneID })
		if err := t.look(ctx, lanes[i:i+1]); err != nil {
			return nil, err
		}
		if t.heads[lanes[i].ID].id != 0 {
			return &lanes[i], nil
		}
		lanes[i].Ready = 0
	}
}

// look learns the heads of the lanes that are not known.
func (t *turns) look(ctx context.Context, lanes []task.Lane) error {
	var plain []int64
	for _, l := range lanes {
		if _, known := t.heads[l.ID]; known {
			continue
		}
		if !l.Keyed {
			plain = append(plain, l.ID)
			t.heads[l.ID] = laneHead{}
			continue
		}
		head, err := t.nextOfKeys(ctx, l)
		if err != nil {
			return err
		}
		t.heads[l.ID] = head
	}
	if len(plain) == 0 {
		return nil
	}
	p := postgressets.ListOldestHeadsParams{Lanes: plain, Now: t.now}
	if t.claims[0].Strategy == task.LIFO {
		rows, err := t.q.ListNewestHeads(ctx, postgressets.ListNewestHeadsParams(p))
		for _, r := range rows {
			t.heads[r.LaneID] = laneHead{id: r.ID}
		}
		return err
	}
	rows, err := t.q.ListOldestHeads(ctx, p)
	for _, r := range rows {
		t.heads[r.LaneID] = laneHead{id: r.ID}
	}
	return err
}

// nextOfKeys returns the task that comes next in a keyed lane: of the key whose turn it is, of those that may have one more, the oldest or for lifo the newest. Keys that may
// not have more are shut.
func (t *turns) nextOfKeys(ctx context.Context, l task.Lane) (laneHead, error) {
	rules := t.rules[l.Type]
	p := postgressets.ListKeyHeadsParams{LaneID: l.ID, Type: l.Type, Most: mostOf(rules), Now: t.now, Turn: -1, Max: keysAtOnce}
	for range maxLooks {
		rows, err := t.q.ListKeyHeads(ctx, p)
		if err != nil {
			return laneHead{}, err
		}
		for _, r := range rows {
			p.Turn, p.SinceID = r.Turn, r.SinceID
			if isShut, err := shutKey(ctx, t.q, rules, l, r.ConcurrencyKey, r.Held, rateOpens(r.OpenUTC), t.now); err != nil || isShut {
				if err != nil {
					return laneHead{}, err
				}
				continue
			}
			id := r.OldestID
			if t.claims[0].Strategy == task.LIFO {
				id = r.NewestID
			}
			if id != 0 {
				return laneHead{id, r.ConcurrencyKey, rateOpens(r.OpenUTC)}, nil
			}
		}
		if len(rows) < keysAtOnce {
			break
		}
	}
	return laneHead{}, nil
}

// rateOpens returns nil for the epoch, which stands for a bucket that is full.
func rateOpens(at time.Time) *time.Time {
	if at.Unix() == 0 {
		return nil
	}
	return &at
}

// mostOf is how many tasks of a key need be counted at most.
func mostOf(rules *task.KeyRules) int64 {
	if rules == nil || rules.MaxConcurrency == nil {
		return 0
	}
	return int64(*rules.MaxConcurrency)
}

// shutKey shuts a key that may have no more tasks, and reports whether it is one.
func shutKey(ctx context.Context, q *postgressets.Queries, rules *task.KeyRules, l task.Lane, key string, held int64, open *time.Time, now time.Time) (bool, error) {
	p := postgressets.ShutKeyParams{ConcurrencyKey: key, LaneID: l.ID}
	switch {
	case rules == nil:
		return false, nil
	case rules.RateLimit != nil && open != nil && open.After(now):
		p.OpenUTC = open
	case rules.MaxConcurrency == nil || held < int64(*rules.MaxConcurrency):
		return false, nil
	}
	return true, q.ShutKey(ctx, p)
}

// tookKey notes that a task with a key was taken: the key has had its turn, and a token of its rate is spent.
func tookKey(ctx context.Context, q *postgressets.Queries, rules *task.KeyRules, l task.Lane, key string, open *time.Time, now time.Time) error {
	err := q.TurnKey(ctx, postgressets.TurnKeyParams{Step: rules.Step(key), ConcurrencyKey: key, LaneID: l.ID})
	if err != nil || rules == nil || rules.RateLimit == nil {
		return err
	}
	next := rules.RateLimit.Spend(open, now, 1)
	return q.PutKeyRate(ctx, postgressets.PutKeyRateParams{Type: l.Type, ConcurrencyKey: key, OpenUTC: next, FullUTC: rules.RateLimit.Full(next)})
}

// keyLook looks at the key of one task that is to be claimed.
type keyLook struct {
	*taking
	rules *task.KeyRules
	key   string
	open  *time.Time
}

// at locks the keys and reports whether the key of the task is shut.
func (k *keyLook) at(ctx context.Context, l task.Lane, id int64) (isShut bool, err error) {
	if err := k.q.LockKeys(ctx); err != nil {
		return false, err
	}
	rules, err := keyRules(ctx, k.q, []task.Lane{l})
	if err != nil {
		return false, err
	}
	k.rules = rules[l.Type]
	r, err := k.q.LookAtKey(ctx, postgressets.LookAtKeyParams{ID: id, Most: mostOf(k.rules)})
	if err != nil {
		return false, err
	}
	k.key, k.open = *r.ConcurrencyKey, rateOpens(r.OpenUTC)
	return shutKey(ctx, k.q, k.rules, l, k.key, r.Held, k.open, k.now)
}

func (k *keyLook) took(ctx context.Context, l task.Lane) error {
	return tookKey(ctx, k.q, k.rules, l, k.key, k.open, k.now)
}

// OpenKeys lets the keys have tasks again whose rate allows one at now.
func (s *Store) OpenKeys(ctx context.Context, now time.Time) ([]string, error) {
	types, err := do(ctx, s, "open keys", func(ctx context.Context) ([]string, error) {
		types, err := s.q.ListOpeningTypes(ctx, postgresdb.ListOpeningTypesParams{Now: &now, Max: openingKeys})
		if err != nil || len(types) == 0 {
			return nil, err
		}
		return types, s.openDue(ctx, now)
	})
	for _, taskType := range types {
		s.AnnounceRoom(task.Task{Type: taskType})
	}
	return types, err
}

func (s *Store) openDue(ctx context.Context, now time.Time) error {
	_, err := inTx(ctx, s.db, nil, func(q *postgresdb.Queries) (struct{}, error) {
		if err := q.LockKeys(ctx); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, q.OpenDueKeys(ctx, &now)
	})
	return err
}

// PurgeKeyRates forgets the rates of keys that allow as many tasks at now as ever.
func (s *Store) PurgeKeyRates(ctx context.Context, now time.Time) error {
	_, err := do(ctx, s, "purge rates of keys", func(ctx context.Context) (struct{}, error) { return struct{}{}, s.q.PurgeKeyRates(ctx, now) })
	return err
}
