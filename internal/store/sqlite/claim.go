package sqlite

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/task"
)

const (
	// readAhead is how many tasks of a lane are read at a time.
	readAhead = 32
	// maxPassed bounds the tasks of a lane that a claim passes over because their time has not come or is over; the upkeep takes them out
	// of its way.
	maxPassed = 256
)

// ClaimTasks reads nothing but tasks it takes, and these only where they are not known: which lanes have work, and the ids at their ends, the
// writer knows.
func (s *Store) ClaimTasks(ctx context.Context, c task.Claim) ([]task.Task, error) {
	profile, err := profileOf(c)
	if err != nil {
		return nil, err
	}
	if s.atRest(ctx) {
		return []task.Task{}, nil
	}
	o := op{single: c.Max == 1, claim: true}
	return submit(ctx, s, o, func(ctx context.Context, x tx) ([]task.Task, error) {
		x.reopen(c.Now)
		p := picker{tx: x, claim: c, view: x.view(profile, c)}
		taken, err := p.run(ctx)
		if err == nil {
			err = x.keepRates(ctx, taken)
		}
		return taken, err
	})
}

// atRest reports whether the file is as it was when somebody last counted its tasks and found none that is ready. A claim then finds none either.
func (s *Store) atRest(ctx context.Context) bool {
	c, known := s.counts.peek(s.index)
	return known && c.stats.ReadyTasks == 0 && ctx.Err() == nil && !s.closed.Load() && s.sound() == nil
}

// profileOf returns the text of all that decides over the lanes from which a claim may take.
func profileOf(c task.Claim) (string, error) {
	if c.Types == nil && len(c.Capabilities) == 0 {
		return "", nil
	}
	b, err := json.Marshal([]any{c.Types, c.Capabilities}) // names are in order
	return string(b), err
}

// picker takes tasks for one claim.
type picker struct {
	tx
	claim  task.Claim
	view   *view
	rng    *rand.Rand      // of weighted_random; nil before the first draw
	passed map[int64]bool  // tasks that are ready but not for this claim
	spent  map[*lane]int   // how many were passed over in each lane
	heads  map[*lane]int64 // which task comes next in lanes of tasks with keys, as far as that is known; 0: none
	taken  []task.Task
}

func (p *picker) run(ctx context.Context) ([]task.Task, error) {
	done := false
	if len(p.apart) > 0 {
		var err error
		if done, err = p.alone(ctx); err != nil {
			return nil, err
		}
	}
	for !done && len(p.taken) < p.claim.Max {
		l, id, err := p.pick(ctx)
		if err != nil {
			return nil, err
		}
		if l == nil {
			break
		}
		if err := p.take(ctx, l, id); err != nil {
			return nil, err
		}
	}
	if p.claim.Strategy == task.WeightedRandom {
		slices.SortFunc(p.taken, func(a, b task.Task) int { return cmp.Compare(a.ID, b.ID) })
	}
	if p.taken == nil {
		return []task.Task{}, nil
	}
	return p.taken, nil
}

// pick returns the task that comes first for this claim, and its lane; nil when there is none.
func (p *picker) pick(ctx context.Context) (*lane, int64, error) {
	switch p.claim.Strategy {
	case task.FIFO:
		return p.first(ctx, p.head, false, func(id, best int64) bool { return id < best })
	case task.LIFO:
		return p.first(ctx, p.tail, false, func(id, best int64) bool { return id > best })
	case task.WeightedRandom:
		return p.draw(ctx)
	}
	return p.first(ctx, p.head, true, func(id, best int64) bool { return id < best })
}

// first returns the lane whose end comes before those of the others; with byPriority only lanes of the first priority that has a task
// are looked at.
func (p *picker) first(ctx context.Context, end func(context.Context, *lane) (int64, error), byPriority bool, before func(id, best int64) bool) (*lane, int64, error) {
	var best *lane
	var bestID int64
	for _, l := range p.view.lanes {
		if best != nil && byPriority && l.Priority > best.Priority {
			break
		}
		id, err := end(ctx, l)
		if err != nil {
			return nil, 0, err
		}
		if id != 0 && (best == nil || before(id, bestID)) {
			best, bestID = l, id
		}
	}
	return best, bestID, nil
}

// draw chooses a lane by its weight and the number of its tasks, so that each waiting task is as likely as its weight says, and takes the
// oldest of it.
func (p *picker) draw(ctx context.Context) (*lane, int64, error) {
	if p.rng == nil {
		p.rng = rand.New(rand.NewPCG(p.claim.Seed, 0))
	}
	empty := make(map[*lane]bool)
	for {
		total := 0.0
		for _, l := range p.view.lanes {
			if !empty[l] {
				total += p.weight(l)
			}
		}
		if total <= 0 {
			return nil, 0, nil
		}
		var drawn *lane
		x := p.rng.Float64() * total
		for _, l := range p.view.lanes {
			if w := p.weight(l); w > 0 && !empty[l] {
				drawn = l // rounding may leave x at the very end
				if x -= w; x < 0 {
					break
				}
			}
		}
		if id, err := p.head(ctx, drawn); err != nil || id != 0 {
			return drawn, id, err
		}
		empty[drawn] = true
	}
}

func (p *picker) weight(l *lane) float64 {
	return task.Weight(l.Priority) * float64(l.Ready-int64(p.spent[l]))
}

// head returns the oldest task of a lane that this claim has not passed over; 0 when there is none.
func (p *picker) head(ctx context.Context, l *lane) (int64, error) {
	if l.Keyed {
		return p.nextOfKeys(ctx, l, false)
	}
	for i := 0; p.spent[l] < maxPassed; i++ {
		if i == len(l.oldest) {
			if int64(i) >= l.Ready {
				break
			}
			after := int64(0)
			if i > 0 {
				after = l.oldest[i-1]
			}
			rows, err := p.ListOldestReady(ctx, sqlitedb.ListOldestReadyParams{LaneID: l.ID, After: after, Max: ahead(l)})
			if err != nil {
				return 0, err
			}
			if len(rows) == 0 { // the counter says more than there is
				p.doubt = true
				break
			}
			for _, r := range rows {
				l.oldest = append(l.oldest, r.ID)
				p.keep(task.Task(r))
				l.bulky = l.bulky || bulky(task.Task(r))
			}
		}
		if id := l.oldest[i]; p.free(id) {
			return id, nil
		}
	}
	return 0, nil
}

// tail returns the newest task of a lane that this claim has not passed over; 0 when there is none.
func (p *picker) tail(ctx context.Context, l *lane) (int64, error) {
	if l.Keyed {
		return p.nextOfKeys(ctx, l, true)
	}
	for i := 1; p.spent[l] < maxPassed; i++ {
		known := l.newest
		if int64(len(l.oldest)) == l.Ready { // all are known
			known = l.oldest
		}
		if i > len(known) {
			if int64(i) > l.Ready {
				break
			}
			before := int64(math.MaxInt64)
			if len(known) > 0 {
				before = known[0]
			}
			rows, err := p.ListNewestReady(ctx, sqlitedb.ListNewestReadyParams{LaneID: l.ID, Before: before, Max: ahead(l)})
			if err != nil {
				return 0, err
			}
			if len(rows) == 0 {
				p.doubt = true
				break
			}
			more := make(ends, len(rows), len(rows)+len(known))
			for j, r := range rows {
				more[len(rows)-1-j] = r.ID
				p.keep(task.Task(r))
				l.bulky = l.bulky || bulky(task.Task(r))
			}
			l.newest = append(more, known...)
			known = l.newest
		}
		if id := known[len(known)-i]; p.free(id) {
			return id, nil
		}
	}
	return 0, nil
}

func ahead(l *lane) int64 {
	if l.bulky {
		return 1
	}
	return readAhead
}

// take claims a task, or passes over it when its time has not come or is over.
func (p *picker) take(ctx context.Context, l *lane, id int64) error {
	before, err := p.task(ctx, id)
	if noRow(err) {
		p.doubt = true
		p.pass(l, id)
		return nil
	}
	if err != nil {
		return err
	}
	c := p.claim
	if p.early(before) {
		p.pass(l, id)
		return nil
	}
	until := c.Now.Add(l.rule.leaseOf(c))
	n, err := p.hot.ClaimTask(ctx, sqlitedb.ClaimTaskParams{Now: c.Now, LeaseSecret: c.Secret, WorkerID: c.WorkerID, LeaseUntil: until, ID: id, Fence: before.Fence})
	if err != nil {
		return err
	}
	if n == 0 { // it is not as it was known to be
		p.doubt = true
		p.pass(l, id)
		return nil
	}
	t := before
	t.UpdatedAtUTC, t.Status, t.Ready = c.Now, task.Processing, false
	t.Attempts, t.Fence, t.LeaseSecret = t.Attempts+1, t.Fence+1, &c.Secret
	t.LockedBy, t.LastWorkerID, t.LeaseUntilUTC, t.ReservedAtUTC, t.ProcessingStartedUTC = &c.WorkerID, &c.WorkerID, &until, &c.Now, &c.Now
	t.AttemptOutcome, t.Progress, t.ProgressMessage = nil, nil, nil
	p.move(&before, &t)
	p.keep(t)
	p.spend(l.rule, c.Now)
	p.taken = append(p.taken, t)
	if t.ConcurrencyKey != nil {
		return p.tookKey(ctx, l, *t.ConcurrencyKey)
	}
	return nil
}

// early reports whether the time of a task has not come, or is over.
func (p *picker) early(t task.Task) bool {
	return t.RunAfterUTC.After(p.claim.Now) || (t.DeadlineUTC != nil && !t.DeadlineUTC.After(p.claim.Now))
}

// free reports whether a ready task may be taken together with others, and was not passed over.
func (p *picker) free(id int64) bool {
	_, apart := p.apart[id]
	return !apart && !p.passed[id]
}

func (p *picker) pass(l *lane, id int64) {
	if p.passed == nil {
		p.passed, p.spent = make(map[int64]bool), make(map[*lane]int)
	}
	p.passed[id] = true
	p.spent[l]++
	delete(p.heads, l)
}
