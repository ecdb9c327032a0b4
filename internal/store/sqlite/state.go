package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

const (
	// maxRows and maxRowBytes bound the tasks that the writer remembers.
	maxRows     = 4096
	maxRowBytes = 8 << 20
	// maxViews bounds the profiles of workers for which the lanes are remembered.
	maxViews = 64
)

// state is what the writer knows of the file without reading it, exact as of the transaction under way: the lanes with the number of their
// ready tasks, the ids at the ends of those in use, and some whole tasks. It belongs to the writer's goroutine. Whatever puts it in
// doubt, a transaction undone or another process that has written, makes the writer load it again.
type state struct {
	triggers bool // the triggers of the schema keep counters and history; else this does
	log      *slog.Logger

	lanes    map[int64]*lane
	byKey    map[laneKey]*lane
	rules    map[string]*rule             // by type, one for each type that has a lane or is in task_types
	timed    map[*rule]bool               // those that are shut until a time
	requires map[string]task.Requirements // by canonical compatibility, so this outlives a load
	views    map[string]*view
	dirty    []*lane // with counts to add before the commit
	rows     map[int64]*task.Task
	rowBytes int
	changes  []change        // of the operation under way
	apart    map[int64]apart // tasks in quarantine
	standby  store.Standby   // who is to take the next of them
	keys     keyNotes        // what has become of concurrency keys since lane_keys was brought up to date
	doubt    bool            // something was found that cannot be: load before the next group
}

// lane is a lane with what is known of its tasks.
type lane struct {
	task.Lane
	rule   *rule
	counts sqlitedb.AddLaneCountsParams // of this transaction
	dirty  bool
	oldest ends // the ids of its first ready tasks
	newest ends // the ids of its last ready tasks
	bulky  bool // it has had a payload so long that its tasks are read one by one
}

// claimable reports whether there is something in the lane that may be claimed.
func (l *lane) claimable() bool { return l.Ready > 0 && l.rule.allows() }

// laneKey is what the tasks of one lane have in common.
type laneKey struct {
	taskType      string
	compatibility string // as Task.LaneCompatibility has it
	priority      int
}

func keyOf(t task.Task) (laneKey, error) {
	c, err := t.LaneCompatibility()
	return laneKey{taskType: t.Type, compatibility: c, priority: t.Priority}, err
}

// change is one step of an operation, kept so that it can be taken back.
type change struct {
	lane   *lane
	counts sqlitedb.AddLaneCountsParams
	id     int64
	made   bool  // the lane itself is new
	rule   *rule // not nil: its settings were those in was
	was    settings
	apart  *apart // what was known of the task; nil: it was not in quarantine
}

// load forgets everything and reads the rules and the lanes.
func (s *state) load(ctx context.Context, q *sqlitedb.Queries) error {
	types, err := q.ListTypes(ctx, "")
	if err != nil {
		return err
	}
	all, err := q.ListLanes(ctx)
	if err != nil {
		return err
	}
	s.rules, s.timed = make(map[string]*rule, len(types)), make(map[*rule]bool)
	for _, t := range types {
		r := s.rule(t.Type)
		r.settings = settingsOf(t)
		s.shutOrOpen(r)
	}
	s.lanes, s.byKey = make(map[int64]*lane, len(all)), make(map[laneKey]*lane, len(all))
	s.views, s.rows, s.rowBytes = make(map[string]*view), make(map[int64]*task.Task), 0
	s.dirty, s.changes, s.doubt = s.dirty[:0], s.changes[:0], false
	s.keys.clear()
	for _, r := range all {
		key := laneKey{taskType: r.Type, compatibility: string(r.Compatibility), priority: r.Priority}
		s.addLane(r.ID, key, r.Ready)
		s.rule(r.Type).held += r.Processing
	}
	return s.loadQuarantine(ctx, q)
}

func (s *state) addLane(id int64, key laneKey, ready int64) *lane {
	requires, ok := s.requires[key.compatibility]
	if !ok && strings.TrimSpace(key.compatibility) != "{}" {
		var err error
		if requires, err = task.ParseRequirements(task.JSON(key.compatibility)); err != nil {
			requires = task.Unmeetable
			s.log.Warn("no worker can take tasks of a lane whose compatibility cannot be read", "lane_id", id, "error", err)
		}
		s.requires[key.compatibility] = requires
	}
	l := &lane{Lane: task.Lane{ID: id, Type: key.taskType, Priority: key.priority, Requires: requires, Ready: ready, Keyed: task.KeyedLane(key.compatibility)}, rule: s.rule(key.taskType)}
	l.counts.LaneID = id
	s.lanes[id], s.byKey[key] = l, l
	l.rule.lanes = append(l.rule.lanes, l)
	if l.claimable() {
		s.activate(l)
	}
	return l
}

// begin starts an operation.
func (s *state) begin() { s.changes = s.changes[:0] }

// undo takes back what the operation under way has changed here; its statements have been undone.
func (s *state) undo() {
	for _, c := range slices.Backward(s.changes) {
		if c.rule != nil {
			s.set(c.rule, c.was)
			continue
		}
		if c.made {
			delete(s.lanes, c.lane.ID)
			c.lane.rule.lanes = slices.DeleteFunc(c.lane.rule.lanes, func(l *lane) bool { return l == c.lane })
			for key, l := range s.byKey {
				if l == c.lane {
					delete(s.byKey, key)
				}
			}
			continue
		}
		s.add(c.lane, c.counts, -1)
		c.lane.oldest, c.lane.newest = nil, nil
		s.forget(c.id)
		if delete(s.apart, c.id); c.apart != nil {
			s.enter(c.id, *c.apart)
		}
	}
	s.changes = s.changes[:0]
}

// move notes that a task has changed from before to after: nil before for a new one, nil after for one deleted.
func (s *state) move(before, after *task.Task) {
	t := cmp.Or(after, before)
	c := change{lane: s.lanes[t.LaneID], id: t.ID}
	if before != nil {
		*count(&c.counts, *before)--
	}
	if after != nil {
		*count(&c.counts, *after)++
	} else {
		c.counts.Purged++
	}
	if t.Lost >= task.QuarantineAfter {
		c.apart = s.quarantine(*t, after == nil)
	}
	s.changes = append(s.changes, c)
	s.forget(t.ID)
	if t.ConcurrencyKey != nil {
		s.noteKey(c.lane, *t.ConcurrencyKey, before, after)
	}
	wasReady, isReady := before != nil && before.Ready, after != nil && after.Ready
	if wasReady && !isReady {
		c.lane.oldest.remove(t.ID)
		c.lane.newest.remove(t.ID)
	}
	if isReady && !wasReady {
		first := c.lane.oldest.addOldest(t.ID, c.lane.Ready)
		last, dropped := c.lane.newest.addNewest(t.ID)
		if dropped != 0 && !c.lane.oldest.has(dropped) {
			s.forget(dropped)
		}
		if c.lane.bulky = c.lane.bulky || bulky(*t); first || last {
			s.keep(*t)
		}
	}
	s.add(c.lane, c.counts, 1)
}

// relane notes that a task has gone from one lane to another.
func (s *state) relane(before, after task.Task) {
	c := change{lane: s.lanes[before.LaneID], id: before.ID}
	*count(&c.counts, before)--
	if a, ok := s.apart[before.ID]; ok {
		c.apart = &a
	}
	s.changes = append(s.changes, c)
	if before.ConcurrencyKey != nil {
		s.noteKey(c.lane, *before.ConcurrencyKey, &before, nil)
	}
	if before.Ready {
		c.lane.oldest.remove(before.ID)
		c.lane.newest.remove(before.ID)
	}
	s.add(c.lane, c.counts, 1)
	s.move(nil, &after)
}

// bulky reports whether the task is too long to be read before its turn.
func bulky(t task.Task) bool { return len(t.Payload) > 16<<10 }

// count returns the counter in which a task is counted.
func count(c *sqlitedb.AddLaneCountsParams, t task.Task) *int64 {
	switch t.Status {
	case task.Queued:
		if t.Ready {
			return &c.Ready
		}
		return &c.Scheduled
	case task.Processing:
		return &c.Processing
	case task.Completed:
		return &c.Completed
	}
	return &c.Failed
}

// add adds counts to a lane, sign times.
func (s *state) add(l *lane, c sqlitedb.AddLaneCountsParams, sign int64) {
	n := &l.counts
	n.Ready += sign * c.Ready
	n.Scheduled += sign * c.Scheduled
	n.Processing += sign * c.Processing
	n.Completed += sign * c.Completed
	n.Failed += sign * c.Failed
	n.Purged += sign * c.Purged
	if !l.dirty {
		l.dirty = true
		s.dirty = append(s.dirty, l)
	}
	was, open := l.claimable(), l.rule.allows()
	l.Ready += sign * c.Ready
	l.rule.held += sign * c.Processing
	switch is := l.claimable(); {
	case l.rule.allows() != open:
		s.turned(l.rule, open)
	case is && !was:
		s.activate(l)
	case was && !is:
		s.deactivate(l)
	}
}

// flush stores the counts of this transaction.
func (s *state) flush(ctx context.Context, q *sqlitedb.Queries) error {
	for _, l := range s.dirty {
		none := sqlitedb.AddLaneCountsParams{LaneID: l.ID}
		if l.counts != none && !s.triggers {
			if err := q.AddLaneCounts(ctx, l.counts); err != nil {
				return err
			}
		}
		l.counts, l.dirty = none, false
	}
	s.dirty = s.dirty[:0]
	return nil
}

// keep remembers a task as it is stored.
func (s *state) keep(t task.Task) {
	s.forget(t.ID)
	size := rowSize(t)
	if len(s.rows) >= maxRows || s.rowBytes+size > maxRowBytes {
		return
	}
	s.rows[t.ID] = &t
	s.rowBytes += size
}

func (s *state) forget(id int64) {
	if t, ok := s.rows[id]; ok {
		s.rowBytes -= rowSize(*t)
		delete(s.rows, id)
	}
}

func rowSize(t task.Task) int { return len(t.Payload) + len(t.Compatibility) }

// view are the lanes that are claimable from which workers of one profile may take, ordered by priority and id.
type view struct {
	claim task.Claim
	lanes []*lane
}

func byPriority(a, b *lane) int {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.ID, b.ID))
}

// view returns the lanes for the claim, whose profile names all that decides over them.
func (s *state) view(profile string, c task.Claim) *view {
	v, ok := s.views[profile]
	if !ok {
		if len(s.views) >= maxViews {
			clear(s.views)
		}
		v = &view{claim: c}
		for _, l := range s.lanes {
			if l.claimable() && c.MayTake(l.Lane) {
				v.lanes = append(v.lanes, l)
			}
		}
		slices.SortFunc(v.lanes, byPriority)
		s.views[profile] = v
	}
	return v
}

// activate enters a lane that is claimable now.
func (s *state) activate(l *lane) {
	for _, v := range s.views {
		if v.claim.MayTake(l.Lane) {
			if i, found := slices.BinarySearchFunc(v.lanes, l, byPriority); !found {
				v.lanes = slices.Insert(v.lanes, i, l)
			}
		}
	}
}

func (s *state) deactivate(l *lane) {
	for _, v := range s.views {
		if i, found := slices.BinarySearchFunc(v.lanes, l, byPriority); found {
			v.lanes = slices.Delete(v.lanes, i, i+1)
		}
	}
}

// tx is what an operation works with: the statements of the transaction and what the writer knows.
type tx struct {
	*sqlitedb.Queries
	hot    *sqlitedb.Queries // the same, faster, for statements that return no rows
	direct *direct           // below hot
	*state
}

// lane returns a lane, making it when it is new.
func (x tx) lane(ctx context.Context, k laneKey) (*lane, error) {
	if l, ok := x.byKey[k]; ok {
		return l, nil
	}
	arg := sqlitedb.GetLaneParams{Type: k.taskType, Compatibility: k.compatibility, Priority: k.priority}
	if err := x.InsertLane(ctx, sqlitedb.InsertLaneParams(arg)); err != nil {
		return nil, err
	}
	id, err := x.GetLane(ctx, arg)
	if err != nil {
		return nil, err
	}
	l := x.addLane(id, k, 0)
	x.changes = append(x.changes, change{lane: l, made: true})
	return l, nil
}

// task returns a task as it is stored.
func (x tx) task(ctx context.Context, id int64) (task.Task, error) {
	if t, ok := x.rows[id]; ok {
		return *t, nil
	}
	row, err := x.GetTask(ctx, id)
	return task.Task(row), err
}

// leaves keeps in the history that the attempt under this lease ends, so. ErrLeaseLost or sql.ErrNoRows when it is not the live one.
func (x tx) leaves(ctx context.Context, a sqlitedb.KeepAttemptParams) error {
	if x.triggers {
		return nil
	}
	n, err := x.hot.KeepAttempt(ctx, a)
	if err == nil && n == 0 {
		err = x.lost(ctx, a.ID)
	}
	return err
}

// lost says why a statement that names a lease found no row.
func (x tx) lost(ctx context.Context, id int64) error {
	if _, err := x.GetTask(ctx, id); err != nil {
		return err
	}
	return task.ErrLeaseLost
}

func noRow(err error) bool { return errors.Is(err, sql.ErrNoRows) }
