package dbcopy

import (
	"context"
	"fmt"

	"github.com/prismq/thequeue/db/sqlitecopy"
)

const (
	// chunkRows and chunkBytes bound what is read and written in one transaction.
	chunkRows  = 1000
	chunkBytes = 8 << 20
)

// inChunks calls do with the steps that go together, one chunk after the other, until it fails.
func inChunks[K any](list []step[K], do func([]K) error) error {
	for len(list) > 0 {
		keys := chunk(list)
		if err := do(keys); err != nil {
			return err
		}
		list = list[len(keys):]
	}
	return nil
}

// chunk returns the first of the steps that go together: one at least, if there is one.
func chunk[K any](list []step[K]) []K {
	var keys []K
	var bytes int64
	for _, s := range list {
		if len(keys) > 0 && (len(keys) == chunkRows || bytes+s.bytes > chunkBytes) {
			break
		}
		keys, bytes = append(keys, s.key), bytes+s.bytes
	}
	return keys
}

// family is what is read of some tasks: the rows of each of the tables of tasks, and lanes that come with them.
type family struct {
	rows  [][]any // by table
	lanes []any
}

// readFamily reads tasks with all that belongs to them, and their lanes if the target may lack them.
func (m *mover) readFamily(ctx context.Context, r *rows, ids []int64) (f family, err error) {
	f.rows = make([][]any, len(r.tasks))
	for i, t := range r.tasks {
		if f.rows[i], err = t.ofTasks(ctx, ids); err != nil {
			return f, fmt.Errorf("read %s: %w", t.name, err)
		}
	}
	for _, row := range f.rows[0] {
		if !m.lanes[row.(sqlitecopy.Task).LaneID] {
			err = r.short[0].all(ctx, func(lane any) error {
				if !m.lanes[lane.(sqlitecopy.Lane).ID] {
					f.lanes = append(f.lanes, lane)
				}
				return nil
			})
			return f, err
		}
	}
	return f, nil
}

// write puts a family into the target.
func (f family) write(ctx context.Context, r *rows) error {
	if err := r.short[0].paste(ctx, f.lanes); err != nil {
		return fmt.Errorf("write lanes: %w", err)
	}
	for i, t := range r.tasks {
		if err := t.paste(ctx, f.rows[i]); err != nil {
			return fmt.Errorf("write %s: %w", t.name, err)
		}
	}
	return nil
}

// know remembers the lanes that the target has got.
func (m *mover) know(lanes []any) {
	for _, l := range lanes {
		m.lanes[l.(sqlitecopy.Lane).ID] = true
	}
}

// firstPass copies all tasks and answers in the order of their keys. What changes meanwhile is noted, and followed later.
func (m *mover) firstPass(ctx context.Context) error {
	if err := m.firstTasks(ctx); err != nil {
		return err
	}
	return m.firstAnswers(ctx)
}

func (m *mover) firstTasks(ctx context.Context) error {
	p := &m.status.copied
	if !p.Begun {
		// Changes are noted by now: tasks that come later are among them.
		if err := m.from.see(ctx, func(r *rows) (err error) { p.LastTask, err = r.lastTask(ctx); return err }); err != nil {
			return err
		}
		p.Begun = true
		if err := m.to.fill(ctx, func(r *rows) error { return r.setCopied(ctx, *p) }); err != nil {
			return err
		}
	}
	if p.TasksDone {
		return nil
	}
	for !p.TasksDone {
		f, next, err := m.nextTasks(ctx, *p)
		if err != nil {
			return fmt.Errorf("from: %w", err)
		}
		if err := m.to.fill(ctx, func(r *rows) error {
			if err := f.write(ctx, r); err != nil {
				return err
			}
			return r.setCopied(ctx, next)
		}); err != nil {
			return fmt.Errorf("to: %w", err)
		}
		m.know(f.lanes)
		*p = next
		m.tell("copy", p.Task, p.LastTask)
	}
	return nil
}

// nextTasks reads the next tasks of the first pass, and how far it has come with them.
func (m *mover) nextTasks(ctx context.Context, p progress) (f family, next progress, err error) {
	next = p
	err = m.from.see(ctx, func(r *rows) error {
		list, err := r.taskIDs(ctx, p.Task, p.LastTask)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			next.Task, next.TasksDone = p.LastTask, true
			f.rows = make([][]any, len(r.tasks))
			return nil
		}
		ids := chunk(list)
		next.Task = ids[len(ids)-1]
		f, err = m.readFamily(ctx, r, ids)
		return err
	})
	return f, next, err
}

func (m *mover) firstAnswers(ctx context.Context) error {
	p := &m.status.copied
	for !p.Passed {
		next := *p
		var found []any
		if err := m.from.see(ctx, func(r *rows) error {
			list, err := r.answerKeys(ctx, p.Answer)
			if err != nil || len(list) == 0 {
				next.Passed = err == nil
				return err
			}
			keys := chunk(list)
			next.Answer = keys[len(keys)-1]
			found, err = r.answers.ofKeys(ctx, keys)
			return err
		}); err != nil {
			return fmt.Errorf("from: %w", err)
		}
		if err := m.to.fill(ctx, func(r *rows) error {
			if err := r.answers.paste(ctx, found); err != nil {
				return err
			}
			return r.setCopied(ctx, next)
		}); err != nil {
			return fmt.Errorf("to: %w", err)
		}
		*p = next
	}
	return nil
}
