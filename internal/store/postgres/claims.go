package postgres

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/prismq/thequeue/db/postgressets"
	"github.com/prismq/thequeue/internal/task"
)

const (
	// maxWanted is how many tasks one set of claims asks for at most.
	maxWanted = 1000
	// spareWidth is how many tasks more than asked for a set looks at, in case others hold the first ones.
	spareWidth = 8
	// maxWidth bounds what it looks at when others hold all it has seen.
	maxWidth = 2048
	// sameInstant is how far apart in time claims may be that are done as one.
	sameInstant = time.Second
)

// ClaimTasks moves up to c.Max ready tasks from queued to processing.
func (s *Store) ClaimTasks(ctx context.Context, c task.Claim) ([]task.Task, error) {
	return do(ctx, s, "claim tasks", func(ctx context.Context) ([]task.Task, error) { return s.claims.do(ctx, c) })
}

func (s *Store) claimOne(ctx context.Context, c task.Claim, haste bool) ([]task.Task, error) {
	out, err := onConn(ctx, s.poolFor(haste), func(conn *pgx.Conn) (outcome[[]task.Task], error) {
		o := s.claimAlike(ctx, conn, []task.Claim{c})[0]
		return o, o.err
	})
	return out.value, err
}

// claimMany does a set of claims. Those that are alike are one claim for the tasks of all.
func (s *Store) claimMany(ctx context.Context, cs []task.Claim) ([]outcome[[]task.Task], error) {
	return onConn(ctx, s.setDB, func(conn *pgx.Conn) ([]outcome[[]task.Task], error) {
		out := make([]outcome[[]task.Task], len(cs))
		for g, group := range alike(cs) {
			same := make([]task.Claim, len(group))
			for i, at := range group {
				same[i] = cs[at]
			}
			claimed := s.claimAlike(ctx, conn, same)
			if err := claimed[0].err; g == 0 && pgconn.SafeToRetry(err) {
				return nil, err
			}
			for i, o := range claimed {
				out[group[i]] = o
			}
		}
		return out, nil
	})
}

// alike returns the places of the claims, those together that may take the same tasks in the same order.
func alike(cs []task.Claim) [][]int {
	var groups [][]int
	for i, c := range cs {
		g := slices.IndexFunc(groups, func(group []int) bool {
			first := cs[group[0]]
			return c.Strategy == first.Strategy && c.Now.Sub(first.Now).Abs() < sameInstant &&
				(c.Types == nil) == (first.Types == nil) && slices.Equal(c.Types, first.Types) &&
				(len(c.Capabilities) == 0 && len(first.Capabilities) == 0 || reflect.DeepEqual(c.Capabilities, first.Capabilities))
		})
		if g < 0 {
			g, groups = len(groups), append(groups, nil)
		}
		groups[g] = append(groups[g], i)
	}
	return groups
}

// claimAlike returns what each of the claims takes, the first served first. They happen at one instant, the latest of theirs. While one has
// nothing and there is work, others hold what was looked at, and the next look goes wider; or the rules have changed meanwhile, and it goes by the new ones.
func (s *Store) claimAlike(ctx context.Context, conn *pgx.Conn, cs []task.Claim) []outcome[[]task.Task] {
	t := taking{
		conn: conn, q: postgressets.New(conn), claims: cs, now: latest(cs), got: make([][]task.Task, len(cs)), rngs: make(map[int]*rand.Rand), together: true,
	}
	err := s.takeWork(ctx, &t)
	if errors.Is(err, errApart) {
		return s.claimApart(ctx, conn, cs)
	}
	out := make([]outcome[[]task.Task], len(cs))
	for i, got := range t.got {
		out[i].value = inOrder(cs[i].Strategy, got)
		if len(got) == 0 {
			out[i].err = err // who has something is told of it, whatever failed later
		}
	}
	return out
}

// errApart says that there are tasks in quarantine, and that nothing was taken.
var errApart = errors.New("there are tasks in quarantine")

// takeWork takes what the claims ask for. errApart when claims that were done together have to be done one by one.
func (s *Store) takeWork(ctx context.Context, t *taking) error {
	first := t.claims[0]
	for t.spare = spareWidth; t.spare <= maxWidth; t.spare *= 16 {
		if t.want(); len(t.wanted) == 0 {
			break
		}
		w, err := s.findWork(ctx, t.q, t.now, first.Strategy == task.WeightedRandom)
		if err != nil {
			return err
		}
		if w.quarantine && t.together {
			if t.spare > spareWidth { // some may have taken something by now; the rest asks again
				break
			}
			return errApart
		}
		w.lanes = first.Eligible(w.lanes)
		if len(w.limits) > 0 {
			err = t.leaveFull(ctx, &w)
		}
		if len(w.lanes) == 0 || err != nil {
			return err
		}
		t.version = w.version
		switch {
		case slices.ContainsFunc(w.lanes, func(l task.Lane) bool { return l.Keyed }):
			err = t.takeInTurn(ctx, w)
		case len(w.limits) > 0:
			err = t.takeLimited(ctx, w)
		default:
			err = t.take(ctx, w.lanes)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func latest(cs []task.Claim) time.Time {
	return slices.MaxFunc(cs, func(a, b task.Claim) int { return a.Now.Compare(b.Now) }).Now
}

// taking is the work of claims that are alike.
type taking struct {
	conn     starter
	q        *postgressets.Queries // on conn
	claims   []task.Claim
	together bool // claims of several workers, which are not to meet tasks in quarantine
	now      time.Time
	spare    int
	version  int64              // of the rules by which the lanes were chosen
	wanted   []int              // whose the next tasks are to be, by place in claims: one entry for each task
	got      [][]task.Task      // by claim
	room     room               // of types with a limit, in the transaction under way; nil outside
	rngs     map[int]*rand.Rand // of claims that draw
}

// want fills wanted with what the claims ask for that have nothing yet.
func (t *taking) want() {
	t.wanted = t.wanted[:0]
	for i, c := range t.claims {
		if len(t.got[i]) == 0 {
			t.wanted = append(t.wanted, slices.Repeat([]int{i}, c.Max)...)
		}
	}
}

// take looks once in the lanes given, which are as Eligible returns them.
func (t *taking) take(ctx context.Context, lanes []task.Lane) error {
	var err error
	switch strategy := t.claims[0].Strategy; {
	case strategy == task.LIFO:
		err = t.newest(ctx, lanes)
	case strategy == task.WeightedRandom:
		err = t.drawn(ctx, lanes)
	case len(lanes) == 1:
		_, err = t.laneByLane(ctx, lanes, t.wanted)
	case strategy == task.FIFO:
		err = t.oldest(ctx, lanes, t.spare)
	default:
		err = t.byPriority(ctx, lanes)
	}
	return err
}

// byPriority takes from one priority after the other. Lanes that have theirs alone are taken in one go; where several share one, the
// oldest tasks of all come first.
func (t *taking) byPriority(ctx context.Context, lanes []task.Lane) error {
	for len(t.wanted) > 0 && len(lanes) > 0 {
		alone := 0
		for alone < len(lanes) && (alone+1 == len(lanes) || lanes[alone].Priority != lanes[alone+1].Priority) {
			alone++
		}
		if alone > 0 {
			if _, err := t.laneByLane(ctx, lanes[:alone], t.wanted); err != nil {
				return err
			}
			lanes = lanes[alone:]
			continue
		}
		shared := 1
		for shared < len(lanes) && lanes[shared].Priority == lanes[0].Priority {
			shared++
		}
		for spare := t.spare; len(t.wanted) > 0 && spare <= maxWidth; spare *= 256 {
			if err := t.oldest(ctx, lanes[:shared], spare); err != nil {
				return err
			}
		}
		lanes = lanes[shared:]
	}
	return nil
}

// drawn lets each claim draw its tasks, and takes the oldest of each lane drawn. A lane that gives fewer than were drawn has the rest in other
// hands, and what is missing is drawn again from the others.
func (t *taking) drawn(ctx context.Context, lanes []task.Lane) error {
	for len(t.wanted) > 0 {
		drawers := make(map[int64][]int) // by lane
		for i := 0; i < len(t.wanted); {
			claim, n := t.wanted[i], 1
			for i+n < len(t.wanted) && t.wanted[i+n] == claim {
				n++
			}
			if t.rngs[claim] == nil {
				t.rngs[claim] = rand.New(rand.NewPCG(t.claims[claim].Seed, 0))
			}
			for _, d := range task.DrawWeighted(lanes, n, t.rngs[claim]) {
				drawers[d.LaneID] = append(drawers[d.LaneID], slices.Repeat([]int{claim}, d.N)...)
				task.Drawn(lanes, d, d.N)
			}
			i += n
		}
		var from []task.Lane
		var wanted []int
		for _, l := range lanes {
			if n := len(drawers[l.ID]); n > 0 {
				from = append(from, task.Lane{ID: l.ID, Ready: int64(n)})
				wanted = append(wanted, drawers[l.ID]...)
			}
		}
		if len(from) == 0 {
			return nil
		}
		given, err := t.laneByLane(ctx, from, wanted)
		if err != nil {
			return err
		}
		for i, l := range lanes {
			if given[l.ID] < len(drawers[l.ID]) {
				lanes[i].Ready = 0
			}
		}
	}
	return nil
}

// laneByLane takes the tasks wanted from the lanes in their order, the oldest of each, and returns how many each gave. From a lane with a number of
// ready tasks it takes no more than that.
func (t *taking) laneByLane(ctx context.Context, lanes []task.Lane, wanted []int) (map[int64]int, error) {
	given := make(map[int64]int, len(lanes))
	p := t.params(wanted)
	rows, err := t.q.ClaimInOrder(ctx, postgressets.ClaimInOrderParams{
		Now: p.Now, Lanes: column(lanes, laneID), Most: column(lanes, func(l task.Lane) int64 { return min(l.Ready, p.Max) }), Max: p.Max, Version: t.version,
		Secrets: p.Secrets, Workers: p.Workers, Leases: p.Leases, DefaultLease: p.DefaultLease,
	})
	for _, r := range rows {
		given[r.LaneID]++
	}
	t.give(rows)
	return given, err
}

func (t *taking) oldest(ctx context.Context, lanes []task.Lane, spare int) error {
	p := t.params(t.wanted)
	p.Lanes, p.Width = column(lanes, laneID), p.Max+int64(spare)
	rows, err := t.q.ClaimOldest(ctx, p)
	t.give(rows)
	return err
}

func (t *taking) newest(ctx context.Context, lanes []task.Lane) error {
	p := t.params(t.wanted)
	p.Lanes, p.Width = column(lanes, laneID), p.Max+int64(t.spare)
	rows, err := t.q.ClaimNewest(ctx, postgressets.ClaimNewestParams(p))
	t.give(rows)
	return err
}

// params says who gets the first task taken, the second, and so on.
func (t *taking) params(wanted []int) postgressets.ClaimOldestParams {
	return postgressets.ClaimOldestParams{
		Now: t.now, Max: int64(len(wanted)), Version: t.version,
		Secrets: column(wanted, func(claim int) string { return t.claims[claim].Secret }),
		Workers: column(wanted, func(claim int) string { return t.claims[claim].WorkerID }),
		Leases:  column(wanted, func(claim int) float64 { return t.claims[claim].Lease.Seconds() }), DefaultLease: task.DefaultLease.Seconds(),
	}
}

// give hands the tasks to the claims whose secret and name they bear, and takes them off wanted.
func (t *taking) give(rows []postgressets.Task) {
	for _, r := range rows {
		at := slices.IndexFunc(t.wanted, func(claim int) bool {
			return t.claims[claim].Secret == *r.LeaseSecret && t.claims[claim].WorkerID == *r.LockedBy
		})
		claim := t.wanted[at]
		t.got[claim] = append(t.got[claim], task.Task(r))
		t.room.give(r.Type)
		t.wanted = slices.Delete(t.wanted, at, at+1)
	}
}

// inOrder sorts the tasks the way the strategy wants it. RETURNING has no order.
func inOrder(s task.Strategy, ts []task.Task) []task.Task {
	if ts == nil {
		return []task.Task{}
	}
	slices.SortFunc(ts, func(a, b task.Task) int {
		switch s {
		case task.LIFO:
			return cmp.Compare(b.ID, a.ID)
		case task.Priority:
			return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.ID, b.ID))
		}
		return cmp.Compare(a.ID, b.ID)
	})
	return ts
}
