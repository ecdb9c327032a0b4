package sqlite

import (
	"context"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/task"
)

// aheadOfKey is how many tasks of a key are looked at for one that may be taken now.
const aheadOfKey = 32

// keyNotes is what has become of tasks with concurrency keys since lane_keys was last brought up to date.
type keyNotes struct {
	comes []keyNote // a task became ready
	goes  []keyNote // one ceased to be
	ends  []keyNote // an attempt ended
}

// keyNote names a key in a lane; id is that of the task.
type keyNote struct {
	lane *lane
	key  string
	id   int64
}

func (n *keyNotes) clear() { n.comes, n.goes, n.ends = n.comes[:0], n.goes[:0], n.ends[:0] }

// noteKey notes a change of a task with a key. What is noted is looked at again in the tables, so that a change which is taken back does no harm.
func (s *state) noteKey(l *lane, key string, before, after *task.Task) {
	if s.triggers {
		return
	}
	switch was, is := before != nil && before.Ready, after != nil && after.Ready; {
	case is && !was:
		s.keys.comes = append(s.keys.comes, keyNote{l, key, after.ID})
	case was && !is:
		s.keys.goes = append(s.keys.goes, keyNote{lane: l, key: key})
	}
	if before != nil && before.Status == task.Processing && (after == nil || after.Status != task.Processing) {
		s.keys.ends = append(s.keys.ends, keyNote{lane: l, key: key})
	}
}

// keepKeys brings lane_keys up to date, as the triggers of the schema do. An error undoes the group.
func (s *state) keepKeys(ctx context.Context, q *sqlitedb.Queries) error {
	defer s.keys.clear()
	for _, n := range s.keys.goes {
		if err := q.LeaveKey(ctx, sqlitedb.LeaveKeyParams{ConcurrencyKey: n.key, LaneID: n.lane.ID}); err != nil {
			return err
		}
	}
	for _, n := range s.keys.comes {
		if err := q.EnterKey(ctx, sqlitedb.EnterKeyParams{LaneID: n.lane.ID, ConcurrencyKey: n.key, SinceID: n.id}); err != nil {
			return err
		}
	}
	for _, n := range s.keys.ends {
		if err := q.FreeKey(ctx, sqlitedb.FreeKeyParams{ConcurrencyKey: n.key, Type: n.lane.Type}); err != nil {
			return err
		}
	}
	return nil
}

// nextOfKeys returns the task that comes next in such a lane: of the key whose turn it is, of those that may have one more, the oldest or else the newest. Keys
// that may not have more are shut.
func (p *picker) nextOfKeys(ctx context.Context, l *lane, newest bool) (int64, error) {
	if id, ok := p.heads[l]; ok {
		return id, nil
	}
	if p.heads == nil {
		p.heads = make(map[*lane]int64)
		if err := p.hot.OpenDueKeys(ctx, &p.claim.Now); err != nil {
			return 0, err
		}
	}
	id, err := p.findOfKeys(ctx, l, newest)
	if err == nil {
		p.heads[l] = id
	}
	return id, err
}

// findOfKeys returns 0 when there is none that may be taken.
func (p *picker) findOfKeys(ctx context.Context, l *lane, newest bool) (int64, error) {
	at := sqlitedb.NextKeyParams{LaneID: l.ID, Turn: -1}
	for passed := 0; passed < maxPassed; {
		k, err := p.NextKey(ctx, at)
		if noRow(err) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		at.Turn, at.SinceID = k.Turn, k.SinceID
		isShut, err := p.shutKey(ctx, l, k.ConcurrencyKey)
		if err != nil {
			return 0, err
		}
		if isShut {
			continue
		}
		id, err := p.ofKey(ctx, l, k.ConcurrencyKey, newest)
		if err != nil || id != 0 {
			return id, err
		}
		passed++
	}
	return 0, nil
}

// shutKey shuts a key that may have no more tasks of the type of the lane, and reports whether it is one.
func (p *picker) shutKey(ctx context.Context, l *lane, key string) (bool, error) {
	rules := l.rule.perKey
	if rules == nil {
		return false, nil
	}
	if rules.RateLimit != nil {
		open, err := p.GetKeyRate(ctx, sqlitedb.GetKeyRateParams{Type: l.Type, ConcurrencyKey: key})
		if err != nil && !noRow(err) {
			return false, err
		}
		if err == nil && open.After(p.claim.Now) {
			return true, p.hot.ShutKey(ctx, sqlitedb.ShutKeyParams{ConcurrencyKey: key, LaneID: l.ID, OpenUTC: &open})
		}
	}
	if rules.MaxConcurrency != nil {
		held, err := p.CountKeyHeld(ctx, sqlitedb.CountKeyHeldParams{Type: l.Type, ConcurrencyKey: &key, Most: int64(*rules.MaxConcurrency)})
		if err != nil {
			return false, err
		}
		if held >= int64(*rules.MaxConcurrency) {
			return true, p.hot.ShutKey(ctx, sqlitedb.ShutKeyParams{ConcurrencyKey: key, LaneID: l.ID})
		}
	}
	return false, nil
}

// ofKey returns the first task of a key that this claim may take now; 0 when there is none among those looked at.
func (p *picker) ofKey(ctx context.Context, l *lane, key string, newest bool) (int64, error) {
	arg := sqlitedb.ListOldestOfKeyParams{LaneID: l.ID, ConcurrencyKey: &key, Max: 1}
	for { // most often it is the first
		var rows []sqlitedb.Task
		var err error
		if newest {
			rows, err = p.ListNewestOfKey(ctx, sqlitedb.ListNewestOfKeyParams(arg))
		} else {
			rows, err = p.ListOldestOfKey(ctx, arg)
		}
		if err != nil {
			return 0, err
		}
		for _, r := range rows {
			if t := task.Task(r); p.free(t.ID) && !p.early(t) {
				p.keep(t)
				return t.ID, nil
			}
		}
		if len(rows) < int(arg.Max) || arg.Max == aheadOfKey {
			return 0, nil
		}
		arg.Max = aheadOfKey
	}
}

// tookKey notes that a task with a key was taken: the key has had its turn, and a token of its rate is spent.
func (p *picker) tookKey(ctx context.Context, l *lane, key string) error {
	for other := range p.heads { // what a key may have more has changed for all lanes of the type
		if other.rule == l.rule {
			delete(p.heads, other)
		}
	}
	rules := l.rule.perKey
	err := p.hot.TurnKey(ctx, sqlitedb.TurnKeyParams{Step: rules.Step(key), ConcurrencyKey: key, LaneID: l.ID})
	if err != nil || rules == nil || rules.RateLimit == nil {
		return err
	}
	open, err := p.GetKeyRate(ctx, sqlitedb.GetKeyRateParams{Type: l.Type, ConcurrencyKey: key})
	if err != nil && !noRow(err) {
		return err
	}
	was := &open
	if noRow(err) {
		was = nil
	}
	next := rules.RateLimit.Spend(was, p.claim.Now, 1)
	return p.hot.PutKeyRate(ctx, sqlitedb.PutKeyRateParams{Type: l.Type, ConcurrencyKey: key, OpenUTC: next, FullUTC: rules.RateLimit.Full(next)})
}
