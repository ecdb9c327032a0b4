package dbcopy

import (
	"context"
	"fmt"
	"time"
)

const (
	// auditStep is how many ids of the audit are read at once, and rollupStep of how long the metrics: a day of 100 types on one server has some thousand rows.
	auditStep  = 5000
	rollupStep = int64(24 * time.Hour / time.Microsecond)
)

// spans calls do for each part of a spanned table between two places, in their order, until it fails.
func (t table) spans(lowest, highest int64, do func(after, upto int64) error) error {
	for after := lowest - 1; after < highest; after += t.step {
		if err := do(after, min(after+t.step, highest)); err != nil {
			return err
		}
	}
	return nil
}

// everyPart calls do with the rows of each part of a spanned table.
func (t table) everyPart(ctx context.Context, do func(rows []any)) error {
	lowest, highest, err := t.bounds(ctx)
	if err != nil || highest == 0 {
		return err
	}
	return t.spans(lowest, highest, func(after, upto int64) error {
		rows, err := t.within(ctx, after, upto)
		do(rows)
		return err
	})
}

// around are the bounds of a spanned table on both sides together; 0 and 0: neither has rows.
func (m *mover) around(ctx context.Context, i int) (lowest, highest int64, err error) {
	for _, s := range []side{m.from, m.to} {
		if err := s.see(ctx, func(r *rows) error {
			low, high, err := r.spanned[i].bounds(ctx)
			if high == 0 {
				return err
			}
			if highest == 0 || low < lowest {
				lowest = low
			}
			highest = max(highest, high)
			return err
		}); err != nil {
			return 0, 0, err
		}
	}
	return lowest, highest, nil
}

// syncSpanned makes the spanned tables of the target those of the store, part by part. With into it reads them again, compares them, and notes what they hold.
func (m *mover) syncSpanned(ctx context.Context, into *tallies) error {
	var tables []table
	if err := m.from.see(ctx, func(r *rows) error { tables = r.spanned; return nil }); err != nil {
		return fmt.Errorf("from: %w", err)
	}
	for i, t := range tables { // of which only the name and the step are good outside of a transaction
		lowest, highest, err := m.around(ctx, i)
		if err != nil {
			return err
		}
		var sum Tally
		if highest != 0 {
			err = t.spans(lowest, highest, func(after, upto int64) error { return m.syncPart(ctx, i, after, upto, &sum, into != nil) })
		}
		if err != nil {
			return err
		}
		if into != nil {
			into.of[t.name] = sum
		}
	}
	return nil
}

// syncPart makes one part of a spanned table what it is in the store. With check it reads it again, and adds what it holds.
func (m *mover) syncPart(ctx context.Context, i int, after, upto int64, sum *Tally, check bool) error {
	want := keyed{}
	if err := m.from.see(ctx, func(r *rows) error { return readPart(ctx, r.spanned[i], after, upto, want) }); err != nil {
		return fmt.Errorf("from: %w", err)
	}
	if err := m.to.fill(ctx, func(r *rows) error {
		have := keyed{}
		if err := readPart(ctx, r.spanned[i], after, upto, have); err != nil {
			return err
		}
		return replace(ctx, r.spanned[i:i+1], []keyed{have}, []keyed{want})
	}); err != nil {
		return fmt.Errorf("to: %w", err)
	}
	if !check {
		return nil
	}
	return m.to.see(ctx, func(r *rows) error {
		have := keyed{}
		if err := readPart(ctx, r.spanned[i], after, upto, have); err != nil {
			return fmt.Errorf("to: %w", err)
		}
		a, b := tallyOf(want), tallyOf(have)
		if a != b {
			return differs(r.spanned[i].name, a, b)
		}
		sum.merge(b)
		return nil
	})
}

// readPart reads a part of a spanned table.
func readPart(ctx context.Context, t table, after, upto int64, into keyed) error {
	rows, err := t.within(ctx, after, upto)
	if err != nil {
		return fmt.Errorf("read %s: %w", t.name, err)
	}
	for _, row := range rows {
		into[t.key(row)] = row
	}
	return nil
}
