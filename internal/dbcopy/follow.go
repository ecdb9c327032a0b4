package dbcopy

import (
	"context"
	"fmt"
	"slices"

	"github.com/prismq/thequeue/db/sqlitecopy"
)

// follow brings what has changed since the last call to the target: each task with all that belongs to it, each answer. It returns how many
// changes there were. What is gone, or will be written anew, is taken away first, so that no key is there twice.
func (m *mover) follow(ctx context.Context) (int, error) {
	p := m.status.copied
	var list []change
	if err := m.from.see(ctx, func(r *rows) (err error) { list, err = r.changes(ctx, p.Change); return err }); err != nil {
		return 0, fmt.Errorf("from: %w", err)
	}
	if len(list) == 0 {
		return 0, nil
	}
	ids, keys := changed(list)
	for part := range slices.Chunk(ids, chunkRows) {
		if err := m.cutTasks(ctx, part); err != nil {
			return 0, fmt.Errorf("to: %w", err)
		}
	}
	for part := range slices.Chunk(keys, chunkRows) {
		if err := m.cutAnswers(ctx, part); err != nil {
			return 0, fmt.Errorf("to: %w", err)
		}
	}
	done := 0
	for part := range slices.Chunk(ids, chunkRows) {
		if err := m.followPart(ctx, part); err != nil {
			return 0, err
		}
		done += len(part)
		m.tell("follow changes", int64(done), int64(len(ids)))
	}
	for part := range slices.Chunk(keys, chunkRows) {
		if err := m.followAnswersPart(ctx, part); err != nil {
			return 0, err
		}
	}
	p.Change = list[len(list)-1].seq
	if err := m.to.fill(ctx, func(r *rows) error { return r.setCopied(ctx, p) }); err != nil {
		return 0, fmt.Errorf("to: %w", err)
	}
	m.status.copied = p
	if err := m.from.forget(ctx, list); err != nil {
		return 0, fmt.Errorf("from: %w", err)
	}
	return len(list), nil
}

// changed returns the tasks and the answers of changes, each once.
func changed(list []change) (ids []int64, keys []string) {
	for _, c := range list {
		if c.taskID != nil {
			ids = append(ids, *c.taskID)
		} else {
			keys = append(keys, *c.key)
		}
	}
	slices.Sort(ids)
	slices.Sort(keys)
	return slices.Compact(ids), slices.Compact(keys)
}

// cutTasks takes tasks away from the target.
func (m *mover) cutTasks(ctx context.Context, ids []int64) error {
	return m.to.fill(ctx, func(r *rows) error {
		if t := m.tallies; t != nil {
			sizes, err := r.taskSizes(ctx, slices.DeleteFunc(slices.Clone(ids), func(id int64) bool { return t.tasks[id] }))
			if err == nil {
				err = inChunks(sizes, func(compared []int64) error { return m.forgetTasks(ctx, r, compared) })
			}
			if err != nil {
				return err
			}
		}
		return r.cutTasks(ctx, ids)
	})
}

// forgetTasks takes tasks that have been compared out of the tallies.
func (m *mover) forgetTasks(ctx context.Context, r *rows, ids []int64) error {
	for _, table := range r.tasks {
		old, err := table.ofTasks(ctx, ids)
		if err != nil {
			return err
		}
		m.tallies.subtract(table.name, old)
	}
	return nil
}

func (m *mover) cutAnswers(ctx context.Context, keys []string) error {
	return m.to.fill(ctx, func(r *rows) error {
		if t := m.tallies; t != nil {
			sizes, err := r.answerSizes(ctx, slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return t.answers[key] }))
			if err == nil {
				err = inChunks(sizes, func(compared []string) error {
					old, err := r.answers.ofKeys(ctx, compared)
					if err == nil {
						t.subtract(r.answers.name, old)
					}
					return err
				})
			}
			if err != nil {
				return err
			}
		}
		return r.cutAnswers(ctx, keys)
	})
}

// followPart copies tasks as they are now, as many at once as have not too many bytes. Those that are gone have been taken away.
func (m *mover) followPart(ctx context.Context, ids []int64) error {
	var sizes []step[int64]
	if err := m.from.see(ctx, func(r *rows) (err error) { sizes, err = r.taskSizes(ctx, ids); return err }); err != nil {
		return fmt.Errorf("from: %w", err)
	}
	err := inChunks(sizes, func(there []int64) error { return m.followTasks(ctx, there) })
	if err == nil && m.tallies != nil {
		for _, id := range ids {
			delete(m.tallies.tasks, id)
		}
	}
	return err
}

// followAnswersPart is followPart for answers.
func (m *mover) followAnswersPart(ctx context.Context, keys []string) error {
	var sizes []step[string]
	if err := m.from.see(ctx, func(r *rows) (err error) { sizes, err = r.answerSizes(ctx, keys); return err }); err != nil {
		return fmt.Errorf("from: %w", err)
	}
	err := inChunks(sizes, func(there []string) error { return m.followAnswers(ctx, there) })
	if err == nil && m.tallies != nil {
		for _, key := range keys {
			delete(m.tallies.answers, key)
		}
	}
	return err
}

func (m *mover) followTasks(ctx context.Context, ids []int64) error {
	var f family
	if err := m.from.see(ctx, func(r *rows) (err error) { f, err = m.readFamily(ctx, r, ids); return err }); err != nil {
		return fmt.Errorf("from: %w", err)
	}
	if err := m.to.fill(ctx, func(r *rows) error {
		if err := f.write(ctx, r); err != nil || m.tallies == nil {
			return err
		}
		for i, table := range r.tasks {
			now, err := table.ofTasks(ctx, ids)
			if err == nil {
				err = m.tallies.replace(table.name, f.rows[i], now)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return fmt.Errorf("to: %w", err)
	}
	m.know(f.lanes)
	return nil
}

func (m *mover) followAnswers(ctx context.Context, keys []string) error {
	var found []any
	if err := m.from.see(ctx, func(r *rows) (err error) { found, err = r.answers.ofKeys(ctx, keys); return err }); err != nil {
		return fmt.Errorf("from: %w", err)
	}
	if err := m.to.fill(ctx, func(r *rows) error {
		if err := r.answers.paste(ctx, found); err != nil || m.tallies == nil {
			return err
		}
		now, err := r.answers.ofKeys(ctx, keys)
		if err == nil {
			err = m.tallies.replace(r.answers.name, found, now)
		}
		return err
	}); err != nil {
		return fmt.Errorf("to: %w", err)
	}
	return nil
}

// keyed is a short table as it is on one side.
type keyed map[string]any

// readShort reads the short tables of one side.
func readShort(ctx context.Context, r *rows) ([]keyed, error) {
	out := make([]keyed, len(r.short))
	for i, t := range r.short {
		out[i] = keyed{}
		if err := t.all(ctx, func(row any) error { out[i][t.key(row)] = row; return nil }); err != nil {
			return nil, fmt.Errorf("read %s: %w", t.name, err)
		}
	}
	return out, nil
}

// syncTables makes the tables that do not belong to tasks those of the store; with into it compares them.
func (m *mover) syncTables(ctx context.Context, into *tallies) error {
	if err := m.syncShort(ctx, into); err != nil {
		return err
	}
	return m.syncSpanned(ctx, into)
}

// syncShort makes the short tables of the target those of the store. With into it reads them again, compares them, and notes what they
// hold.
func (m *mover) syncShort(ctx context.Context, into *tallies) error {
	var want []keyed
	if err := m.from.see(ctx, func(r *rows) (err error) { want, err = readShort(ctx, r); return err }); err != nil {
		return fmt.Errorf("from: %w", err)
	}
	if err := m.to.fill(ctx, func(r *rows) error {
		have, err := readShort(ctx, r)
		if err != nil {
			return err
		}
		return replace(ctx, r.short, have, want)
	}); err != nil {
		return fmt.Errorf("to: %w", err)
	}
	m.lanes = make(map[int64]bool, len(want[0]))
	for _, lane := range want[0] {
		m.lanes[lane.(sqlitecopy.Lane).ID] = true
	}
	if into == nil {
		return nil
	}
	return m.to.see(ctx, func(r *rows) error {
		have, err := readShort(ctx, r)
		if err != nil {
			return fmt.Errorf("to: %w", err)
		}
		for i, t := range r.short {
			a, b := tallyOf(want[i]), tallyOf(have[i])
			if a != b {
				return differs(t.name, a, b)
			}
			into.of[t.name] = b
		}
		return nil
	})
}

// replace makes tables, which are as have, what want says.
func replace(ctx context.Context, tables []table, have, want []keyed) error {
	var d digester
	same := func(i int, key string) bool {
		a, inHave := have[i][key]
		b, inWant := want[i][key]
		return inHave && inWant && d.of(a) == d.of(b)
	}
	for i, t := range slices.Backward(tables) {
		for key, row := range have[i] {
			if same(i, key) {
				continue
			}
			if err := t.cut(ctx, row); err != nil {
				return fmt.Errorf("take from %s: %w", t.name, err)
			}
		}
	}
	for i, t := range tables {
		var add []any
		for key, row := range want[i] {
			if !same(i, key) {
				add = append(add, row)
			}
		}
		if err := t.paste(ctx, add); err != nil {
			return fmt.Errorf("write %s: %w", t.name, err)
		}
	}
	return nil
}
