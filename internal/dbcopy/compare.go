package dbcopy

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/prismq/thequeue/db/sqlitecopy"
)

// tallies are what the tables of the target hold, read from it and found to be what the store holds.
type tallies struct {
	of map[string]Tally
	// What has not been compared because it has changed: it is not in the tallies.
	tasks   map[int64]bool
	answers map[string]bool
	digests digester
}

func differs(table string, from, to Tally) error {
	return fmt.Errorf("%w: %s has %d rows with the hash %s there and %d with %s here", ErrDiffer, table, from.Rows, from.Hash(), to.Rows, to.Hash())
}

func tallyOf(rows keyed) Tally {
	var d digester
	var t Tally
	for _, r := range rows {
		t.add(d.of(r))
	}
	return t
}

func (d *digester) tally(rows []any) (t Tally) {
	for _, r := range rows {
		t.add(d.of(r))
	}
	return t
}

// subtract takes rows out of the tally of a table.
func (t *tallies) subtract(table string, rows []any) {
	of := t.of[table]
	for _, r := range rows {
		of.subtract(t.digests.of(r))
	}
	t.of[table] = of
}

// replace adds rows that have been written and read again, if they are what they were.
func (t *tallies) replace(table string, want, have []any) error {
	a, b := t.digests.tally(want), t.digests.tally(have)
	if a != b {
		return differs("what has changed of "+table, a, b)
	}
	of := t.of[table]
	of.merge(b)
	t.of[table] = of
	return nil
}

// compare reads everything that has not changed since it was copied from both sides, and finds it the same.
func (m *mover) compare(ctx context.Context) error {
	m.tallies = &tallies{of: map[string]Tally{}, tasks: map[int64]bool{}, answers: map[string]bool{}}
	// Later tasks than these are among the changes: the target has none of them.
	var upper int64
	if err := m.to.see(ctx, func(r *rows) (err error) { upper, err = r.lastTask(ctx); return err }); err != nil {
		return fmt.Errorf("to: %w", err)
	}
	for after := int64(0); after < upper; {
		last, err := m.compareTasks(ctx, after, upper)
		if err != nil {
			return err
		}
		after = last
		m.tell("compare", after, upper)
	}
	for _, table := range []string{"task_queue", "task_attempts", "task_logs", "schedule_ticks", "task_unique_keys"} {
		m.tallies.of[table] = m.tallies.of[table] // also where there are none
	}
	m.tallies.of["http_answers"] = Tally{}
	different := map[string]bool{}
	for _, look := range []func(context.Context, string, map[string]bool) (string, bool, error){m.compareAnswers, m.findAnswers} {
		for after, more := "", true; more; {
			var err error
			if after, more, err = look(ctx, after, different); err != nil {
				return err
			}
		}
	}
	return m.allow(ctx, different)
}

// compareTasks compares the tasks after one, up to the one that it returns: upper at the end.
func (m *mover) compareTasks(ctx context.Context, after, upper int64) (last int64, err error) {
	from, to := map[string]Tally{}, map[string]Tally{}
	var both errgroup.Group
	if err := m.from.see(ctx, func(r *rows) error {
		list, err := r.taskIDs(ctx, after, upper)
		if err != nil {
			return err
		}
		ids := chunk(list)
		if last = upper; len(ids) > 0 {
			last = ids[len(ids)-1]
		}
		pending, err := r.tasksChanged(ctx, m.status.copied.Change, after, last)
		if err != nil {
			return err
		}
		for _, id := range pending {
			m.tallies.tasks[id] = true
		}
		both.Go(func() error {
			return m.to.see(ctx, func(r *rows) error { return m.tallyRange(ctx, r, after, last, to) })
		})
		return m.tallyTasks(ctx, r, ids, from)
	}); err != nil {
		return 0, joined(fmt.Errorf("from: %w", err), both.Wait())
	}
	if err := both.Wait(); err != nil {
		return 0, fmt.Errorf("to: %w", err)
	}
	for _, table := range slices.Sorted(maps.Keys(from)) {
		if from[table] != to[table] {
			return 0, fmt.Errorf("tasks %d to %d: %w", after+1, last, differs(table, from[table], to[table]))
		}
		t := m.tallies.of[table]
		t.merge(to[table])
		m.tallies.of[table] = t
	}
	return last, nil
}

// joined returns the first of two errors: the other one follows from it.
func joined(first, _ error) error { return first }

// tallyRange tallies the tasks of a range.
func (m *mover) tallyRange(ctx context.Context, r *rows, after, last int64, into map[string]Tally) error {
	for {
		list, err := r.taskIDs(ctx, after, last)
		if err != nil {
			return err
		}
		ids := chunk(list)
		if err := m.tallyTasks(ctx, r, ids, into); err != nil || len(ids) == 0 {
			return err
		}
		after = ids[len(ids)-1]
	}
}

// tallyTasks adds tasks that have not changed, with all that belongs to them.
func (m *mover) tallyTasks(ctx context.Context, r *rows, ids []int64, into map[string]Tally) error {
	same := slices.DeleteFunc(slices.Clone(ids), func(id int64) bool { return m.tallies.tasks[id] })
	return tallyFamilies(ctx, r, same, into)
}

// tallyFamilies adds tasks with all that belongs to them.
func tallyFamilies(ctx context.Context, r *rows, ids []int64, into map[string]Tally) error {
	var d digester
	for _, table := range r.tasks {
		found, err := table.ofTasks(ctx, ids)
		if err != nil {
			return err
		}
		t := into[table.name]
		t.merge(d.tally(found))
		into[table.name] = t
	}
	return nil
}

// compareAnswers compares the answers with the next keys of the target, and adds those that are not the same in the store to differ.
func (m *mover) compareAnswers(ctx context.Context, after string, differ map[string]bool) (last string, more bool, err error) {
	var keys []string
	var have []any
	if err := m.to.see(ctx, func(r *rows) error {
		list, err := r.answerKeys(ctx, after)
		if err != nil || len(list) == 0 {
			return err
		}
		keys = chunk(list)
		last, more = keys[len(keys)-1], true
		have, err = r.answers.ofKeys(ctx, keys)
		return err
	}); err != nil {
		return last, false, fmt.Errorf("to: %w", err)
	}
	if !more {
		return last, false, nil
	}
	return last, true, m.from.see(ctx, func(r *rows) error {
		found, err := r.answers.ofKeys(ctx, keys)
		if err != nil {
			return fmt.Errorf("from: %w", err)
		}
		m.tallyAnswers(found, have, differ)
		return nil
	})
}

// tallyAnswers adds each answer of the target to the tallies where it is the same in the store, else its key to differ.
func (m *mover) tallyAnswers(found, have []any, differ map[string]bool) {
	there := make(map[string][4]uint64, len(found))
	for _, row := range found {
		there[row.(sqlitecopy.Answer).RequestKey] = m.tallies.digests.of(row)
	}
	t := m.tallies.of["http_answers"]
	for _, row := range have {
		key, sum := row.(sqlitecopy.Answer).RequestKey, m.tallies.digests.of(row)
		if is, ok := there[key]; ok && is == sum {
			t.add(sum)
		} else {
			differ[key] = true
		}
	}
	m.tallies.of["http_answers"] = t
}

// findAnswers looks for the answers with the next keys of the store in the target, and adds those that are not there to differ. The two engines need not have keys in the
// same order.
func (m *mover) findAnswers(ctx context.Context, after string, differ map[string]bool) (last string, more bool, err error) {
	var keys []string
	if err := m.from.see(ctx, func(r *rows) error {
		list, err := r.answerKeys(ctx, after)
		keys = chunk(list)
		return err
	}); err != nil || len(keys) == 0 {
		return "", false, err
	}
	return keys[len(keys)-1], true, m.to.see(ctx, func(r *rows) error {
		found, err := r.answerSizes(ctx, keys)
		there := make(map[string]bool, len(found))
		for _, s := range found {
			there[s.key] = true
		}
		for _, key := range keys {
			if err == nil && !there[key] {
				differ[key] = true
			}
		}
		return err
	})
}

// allow demands that the answers that differ have changed since they were copied, and leaves them to be followed. It reads the changes once, after all of the answers: what
// was there at the look at an answer is among them.
func (m *mover) allow(ctx context.Context, differ map[string]bool) error {
	if len(differ) == 0 {
		return nil
	}
	return m.from.see(ctx, func(r *rows) error {
		pending, err := r.answersChanged(ctx, m.status.copied.Change)
		if err != nil {
			return err
		}
		for _, key := range pending {
			if differ[key] {
				m.tallies.answers[key] = true
				delete(differ, key)
			}
		}
		for key := range differ {
			return fmt.Errorf("%w: the answer to the request %q", ErrDiffer, key)
		}
		return nil
	})
}

// Difference is what a table holds on both sides.
type Difference struct {
	Table    string
	From, To Tally
}

// Same reports whether both sides hold the same.
func (d Difference) Same() bool { return d.From == d.To }

// Check compares two stores table by table, in the order of their names. Each is read as it is at one moment; one in use is not the same at the next.
func Check(ctx context.Context, from, to string, o Options) ([]Difference, error) {
	if err := differ(ctx, from, to); err != nil {
		return nil, err
	}
	a, err := tallyStore(ctx, from, "from", o)
	if err != nil {
		return nil, err
	}
	b, err := tallyStore(ctx, to, "to", o)
	if err != nil {
		return nil, err
	}
	out := make([]Difference, 0, len(a))
	for _, name := range slices.Sorted(maps.Keys(a)) {
		out = append(out, Difference{Table: name, From: a[name], To: b[name]})
	}
	return out, nil
}

// tallyStore reads all tables of a store.
func tallyStore(ctx context.Context, database, which string, o Options) (_ map[string]Tally, err error) {
	s, err := open(ctx, database, false)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", which, err)
	}
	out := map[string]Tally{}
	err = s.see(ctx, func(r *rows) error {
		short, err := readShort(ctx, r)
		if err != nil {
			return err
		}
		for i, t := range r.short {
			out[t.name] = tallyOf(short[i])
		}
		var d digester
		for _, t := range r.spanned {
			var sum Tally
			if err := t.everyPart(ctx, func(rows []any) { sum.merge(d.tally(rows)) }); err != nil {
				return err
			}
			out[t.name] = sum
		}
		last, err := r.lastTask(ctx)
		if err != nil {
			return err
		}
		if err := tallyFamilies(ctx, r, nil, out); err != nil {
			return err
		}
		for after := int64(0); after < last; {
			list, err := r.taskIDs(ctx, after, last)
			if err != nil {
				return err
			}
			ids := chunk(list)
			after = ids[len(ids)-1]
			if err := tallyFamilies(ctx, r, ids, out); err != nil {
				return err
			}
			if o.Tell != nil {
				o.Tell(Progress{Phase: "read " + which, Done: after, Of: last})
			}
		}
		return tallyAnswers(ctx, r, out)
	})
	if err != nil {
		err = fmt.Errorf("%s: %w", which, err)
	}
	if closing := s.close(); err == nil {
		err = closing
	}
	return out, err
}

func tallyAnswers(ctx context.Context, r *rows, into map[string]Tally) error {
	var d digester
	into[r.answers.name] = Tally{}
	for after := ""; ; {
		list, err := r.answerKeys(ctx, after)
		if err != nil || len(list) == 0 {
			return err
		}
		keys := chunk(list)
		after = keys[len(keys)-1]
		found, err := r.answers.ofKeys(ctx, keys)
		if err != nil {
			return err
		}
		t := into[r.answers.name]
		t.merge(d.tally(found))
		into[r.answers.name] = t
	}
}
