package dbcopy

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/prismq/thequeue/internal/clock"
	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/task"
)

var (
	// ErrNotEmpty: the database to be filled has rows that are not of this move.
	ErrNotEmpty = errors.New("is not empty")
	// ErrDiffer: the two sides do not hold the same, which is a mistake of this program or of a disk.
	ErrDiffer = errors.New("the two sides differ")
)

// Progress tells how far a move has come.
type Progress struct {
	Phase string // what is done just now
	Done  int64  // tasks or changes, of Of
	Of    int64  // 0: not known
}

// Result is what a move came to.
type Result struct {
	From, To string           `json:"-"`
	Tables   map[string]Tally `json:"-"` // what the store holds now, by table
	Fence    time.Duration    // how long the store has taken no changes when it could be used at its new place
	Took     time.Duration
	Already  bool // the move had been done before
}

// Options of a move.
type Options struct {
	Tell func(Progress) // nil: nobody is told
}

// open opens a database, a path or a postgres:// URL. The one to be filled is made and migrated.
func open(ctx context.Context, database string, fill bool) (side, error) {
	if config.IsPostgres(database) {
		return openPostgres(ctx, database, fill)
	}
	return openSQLite(ctx, database, fill)
}

// mover moves a store.
type mover struct {
	from, to side
	clock    task.Clock
	o        Options

	status  Status         // of the target
	lanes   map[int64]bool // that the target has
	tallies *tallies       // nil until the copy has been compared
}

func (m *mover) tell(phase string, done, of int64) {
	if m.o.Tell != nil {
		m.o.Tell(Progress{Phase: phase, Done: done, Of: of})
	}
}

// Move copies the store at from into the empty database at to while it is in use, then has it refuse changes, copies the rest, compares the
// two and leaves the store refusing, with the name of its new place. A move that was broken off goes on where it was. ErrNotEmpty, ErrDiffer;
// task.ErrMoved for a store that has been moved elsewhere; errors of opening the two. Until the fence the store is as it was; an error after
// that lifts the fence.
func Move(ctx context.Context, from, to string, o Options) (_ Result, err error) {
	m := &mover{o: o, clock: clock.NewSystem(time.Time{})}
	began := m.clock.Now()
	if err := differ(ctx, from, to); err != nil {
		return Result{}, err
	}
	if m.from, err = open(ctx, from, false); err != nil {
		return Result{}, fmt.Errorf("from: %w", err)
	}
	defer func() { err = errors.Join(err, m.from.close()) }()
	if pg, ok := m.from.(*onPostgres); ok {
		pg.tell = func(what string) { m.tell(what, 0, 0) }
	}
	if m.to, err = open(ctx, to, true); err != nil {
		return Result{}, fmt.Errorf("to: %w", err)
	}
	defer func() { err = errors.Join(err, m.to.close()) }()
	out := Result{From: m.from.place(), To: m.to.place()}
	if done, err := m.begin(ctx); err != nil || done {
		out.Already = done
		return out, err
	}
	if err := m.copy(ctx); err != nil {
		return out, err
	}
	out.Fence, err = m.finish(ctx)
	if err == nil {
		out.Tables = m.tallies.of
	}
	out.Took = m.clock.Now().Sub(began)
	return out, err
}

// statuses reads what both sides know of a move.
func (m *mover) statuses(ctx context.Context) (from, to Status, err error) {
	err = m.from.see(ctx, func(r *rows) (err error) { from, err = r.move(ctx); return err })
	if err == nil {
		err = m.to.see(ctx, func(r *rows) (err error) { to, err = r.move(ctx); return err })
	}
	return from, to, err
}

// begin notes the move on both sides, first where it comes from, or finds the one that was broken off. done: that had come to its end.
func (m *mover) begin(ctx context.Context) (done bool, err error) {
	from, to, err := m.statuses(ctx)
	if err != nil {
		return false, err
	}
	mine := from.ID != "" && from.ID == to.ID
	switch {
	case from.State == task.MoveArriving:
		return false, fmt.Errorf("from: %w", &task.MovedError{State: from.State, Peer: from.Peer})
	case mine && to.State == task.MoveArrived && from.State == task.MoveLeaving:
		return false, fmt.Errorf("from: %w: it takes changes, although it has been moved to %s: name a new database, or take the move back with --undo", task.ErrConflict, from.Peer)
	case mine && to.State == task.MoveArrived:
		if from.State != task.MoveLeft {
			from.State, from.Since = task.MoveLeft, m.clock.Now()
			err = m.from.enter(ctx, from)
		}
		return true, err
	case mine && to.State == task.MoveArriving:
		m.status = to
		return false, nil
	case from.State == task.MoveLeft:
		return false, fmt.Errorf("from: %w", &task.MovedError{State: from.State, Peer: from.Peer})
	case to.State == task.MoveArriving && to.copied != progress{}:
		return false, fmt.Errorf("to: %w", &task.MovedError{State: to.State, Peer: to.Peer})
	}
	if err := m.to.see(ctx, func(r *rows) error { return empty(ctx, r) }); err != nil {
		return false, fmt.Errorf("to: %s %w", m.to.place(), err)
	}
	id, now := rand.Text(), m.clock.Now()
	if err := m.from.enter(ctx, Status{ID: id, State: task.MoveLeaving, Peer: m.to.place(), Since: now, fresh: true}); err != nil {
		return false, fmt.Errorf("from: %w", err)
	}
	m.status = Status{ID: id, State: task.MoveArriving, Peer: m.from.place(), Since: now, fresh: true}
	if err := m.to.enter(ctx, m.status); err != nil {
		return false, fmt.Errorf("to: %w", err)
	}
	return false, nil
}

// empty returns ErrNotEmpty with the name of a table that has rows.
func empty(ctx context.Context, r *rows) error {
	counts, err := r.count(ctx)
	if err != nil {
		return err
	}
	for name, n := range counts {
		if n > 0 {
			return fmt.Errorf("%w: %s has %d rows; name a new database", ErrNotEmpty, name, n)
		}
	}
	for _, t := range r.short {
		found, err := t.page(ctx, 0)
		if err != nil {
			return err
		}
		if len(found) > 0 && t.name != "type_rules" { // which every database has
			return fmt.Errorf("%w: %s has rows; name a new database", ErrNotEmpty, t.name)
		}
	}
	for _, t := range r.spanned {
		if _, highest, err := t.bounds(ctx); err != nil || highest != 0 {
			return cmp.Or(err, fmt.Errorf("%w: %s has rows; name a new database", ErrNotEmpty, t.name))
		}
	}
	return nil
}

// few is how many changes are left to the fence.
const few = 500

// copy fills the target from the store in use, and compares the two.
func (m *mover) copy(ctx context.Context) error {
	if err := m.syncTables(ctx, nil); err != nil {
		return err
	}
	if err := m.firstPass(ctx); err != nil {
		return err
	}
	if err := m.catchUp(ctx); err != nil {
		return err
	}
	if err := m.to.settle(ctx); err != nil {
		return fmt.Errorf("to: %w", err)
	}
	if err := m.compare(ctx); err != nil {
		return err
	}
	return m.catchUp(ctx)
}

// catchUp follows changes until there are few, or until they come as fast as they can be followed: what is left then is for the fence.
func (m *mover) catchUp(ctx context.Context) error {
	for before := math.MaxInt; ; {
		n, err := m.follow(ctx)
		if err != nil || n < few || (n < maxChanges && n > before/2) {
			return err
		}
		before = n
	}
}

// finish has the store refuse changes and copies the rest. An error lifts the fence, unless the target may be ready already.
func (m *mover) finish(ctx context.Context) (fence time.Duration, err error) {
	began := m.clock.Now()
	fenced := Status{ID: m.status.ID, State: task.MoveFenced, Peer: m.to.place(), Since: began}
	arrived := false
	defer func() {
		if err != nil && !arrived {
			fenced.State = task.MoveLeaving
			err = errors.Join(err, m.from.enter(context.WithoutCancel(ctx), fenced))
		}
	}()
	if err := m.from.enter(ctx, fenced); err != nil {
		return 0, fmt.Errorf("from: %w", err)
	}
	for {
		if n, err := m.follow(ctx); err != nil {
			return 0, err
		} else if n == 0 {
			break
		}
	}
	if err := m.syncTables(ctx, m.tallies); err != nil {
		return 0, err
	}
	if err := m.raiseSequences(ctx); err != nil {
		return 0, err
	}
	m.status.State, m.status.Since, m.status.fresh = task.MoveArrived, m.clock.Now(), false
	// From here on the fence stays, even where an error leaves it open whether the target has been made ready: the same command finds that out.
	ctx, arrived = context.WithoutCancel(ctx), true
	if err := m.to.enter(ctx, m.status); err != nil {
		return 0, fmt.Errorf("to: %w; the store refuses changes until the same command is run again", err)
	}
	fence = m.clock.Now().Sub(began)
	fenced.State = task.MoveLeft
	return fence, m.from.enter(ctx, fenced)
}

// raiseSequences makes the next id that the target gives greater than any that the store has given.
func (m *mover) raiseSequences(ctx context.Context) error {
	var given map[string]int64
	if err := m.from.see(ctx, func(r *rows) (err error) { given, err = r.sequences(ctx); return err }); err != nil {
		return err
	}
	return m.to.fill(ctx, func(r *rows) error {
		have, err := r.sequences(ctx)
		if err != nil {
			return err
		}
		for lane := range m.lanes {
			given["lanes"] = max(given["lanes"], lane)
		}
		for _, table := range []string{"lanes", "task_queue", "operations", "audit_log"} {
			if given[table] > have[table] {
				if err := r.raise(ctx, table, given[table]); err != nil {
					return fmt.Errorf("to: next id of %s: %w", table, err)
				}
			}
		}
		return nil
	})
}

// Undo takes a move back: the store takes changes again, and the database that it was moved to is a copy of what it was. Nothing to take
// back is task.ErrNotFound.
func Undo(ctx context.Context, from string) (_ Status, err error) {
	s, err := open(ctx, from, false)
	if err != nil {
		return Status{}, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	var m Status
	if err := s.see(ctx, func(r *rows) (err error) { m, err = r.move(ctx); return err }); err != nil {
		return m, err
	}
	if m.State != task.MoveLeaving && !m.State.Refuses() || m.State == task.MoveArriving {
		return m, fmt.Errorf("%s: a move from here: %w", s.place(), task.ErrNotFound)
	}
	return m, s.remove(ctx)
}

// Plan is what a move would copy.
type Plan struct {
	From, To string
	Rows     map[string]int64
	Takes    time.Duration // about
}

// perRow is about how long a row takes: to be read, written, and read twice to be compared.
var perRow = map[string]time.Duration{"task_queue": 120 * time.Microsecond}

// otherRow is that of tables not in perRow.
const otherRow = 30 * time.Microsecond

// DryRun tells what Move would copy, and changes nothing. ErrNotEmpty, and errors of opening the two.
func DryRun(ctx context.Context, from, to string) (_ Plan, err error) {
	p := Plan{Rows: map[string]int64{}}
	if err := differ(ctx, from, to); err != nil {
		return p, err
	}
	s, err := open(ctx, from, false)
	if err != nil {
		return p, fmt.Errorf("from: %w", err)
	}
	defer func() { err = errors.Join(err, s.close()) }()
	p.From, p.To = s.place(), config.Redact(to)
	if err := s.see(ctx, func(r *rows) error {
		counts, err := r.count(ctx)
		if err != nil {
			return err
		}
		p.Rows = counts
		for _, t := range r.short {
			if err := t.all(ctx, func(any) error { p.Rows[t.name]++; return nil }); err != nil {
				return err
			}
		}
		for _, t := range r.spanned {
			p.Rows[t.name] = 0
			if err := t.everyPart(ctx, func(rows []any) { p.Rows[t.name] += int64(len(rows)) }); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return p, fmt.Errorf("from: %w", err)
	}
	for name, n := range p.Rows {
		each, ok := perRow[name]
		if !ok {
			each = otherRow
		}
		p.Takes += time.Duration(n) * each
	}
	return p, checkTarget(ctx, to)
}

// checkTarget looks at a database that is to be filled, if it is there.
func checkTarget(ctx context.Context, to string) (err error) {
	if !exists(to) {
		return nil
	}
	t, err := open(ctx, to, false)
	if errors.Is(err, schema.ErrOlder) {
		return nil // there is nothing in it, or the move will say what
	}
	if err != nil {
		return fmt.Errorf("to: %w", err)
	}
	defer func() { err = errors.Join(err, t.close()) }()
	return t.see(ctx, func(r *rows) error {
		m, err := r.move(ctx)
		if err == nil && m.State != task.MoveArriving {
			if err = empty(ctx, r); err != nil {
				err = fmt.Errorf("to: %s %w", t.place(), err)
			}
		}
		return err
	})
}
