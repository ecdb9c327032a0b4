package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// A check works for checkWork and then lets go of its processor for checkRest: on a machine with one of them everything else would wait for the end of a slice otherwise.
const (
	checkWork = 2 * time.Millisecond
	checkRest = 2 * time.Millisecond
)

// intact is what SQLite says of a table in which it has found nothing.
const intact = "ok"

// CheckIntegrity reads one table after the other with its indexes, each in a read transaction of its own, so that the write-ahead log need not grow for the length of the whole.
func (s *Store) CheckIntegrity(ctx context.Context, tell func(task.Progress)) (task.Integrity, error) {
	out := task.Integrity{Problems: []string{}, Checked: []string{}}
	rows, err := s.countRows(ctx, analyzedBeside)
	if err != nil {
		return out, s.classify(ctx, err)
	}
	work := &polling{Context: ctx}
	err = s.aside(ctx, "ro", func(c *sqlite3.Conn) error {
		total := int64(0)
		for _, t := range store.Tables {
			steps, err := stepsOf(c, t, rows[t])
			if err != nil {
				return err
			}
			work.parts = append(work.parts, steps)
			total += steps
		}
		work.meter = s.meter(tell, total)
		c.SetInterrupt(work)
		for _, t := range store.Tables {
			work.begin(t)
			if err := s.checkTable(c, t, &out); err != nil {
				return err
			}
			out.Checked = append(out.Checked, t)
		}
		return nil
	})
	if ctx.Err() != nil {
		out.Stopped, err = true, nil
	}
	if err == nil && (!out.Stopped || len(out.Problems) > 0) {
		out.OK = new(len(out.Problems) == 0)
	}
	return out, s.classify(ctx, err)
}

func (s *Store) checkTable(c *sqlite3.Conn, table string, out *task.Integrity) error {
	tell := func(problem string) bool {
		if problem != intact {
			out.Problems = append(out.Problems, problem)
		}
		return len(out.Problems) < task.MaxProblems
	}
	err := each(c, "PRAGMA integrity_check("+quoted(table)+")", func(stmt *sqlite3.Stmt) bool { return tell(stmt.ColumnText(0)) })
	if err != nil || len(out.Problems) >= task.MaxProblems {
		return err
	}
	return each(c, "PRAGMA foreign_key_check("+quoted(table)+")", func(stmt *sqlite3.Stmt) bool {
		row := "a row" // of a table without numbers
		if stmt.ColumnType(1) != sqlite3.NULL {
			row = "row " + stmt.ColumnText(1)
		}
		return tell(fmt.Sprintf("%s of %s refers to a row of %s that is not there", row, stmt.ColumnText(0), stmt.ColumnText(2)))
	})
}

// stepsOf is about how often SQLite asks for the error of a context while it checks a table.
func stepsOf(c *sqlite3.Conn, table string, rows int64) (steps int64, err error) {
	columns, indexes := int64(0), int64(0)
	count := func(n *int64) func(*sqlite3.Stmt) bool { return func(*sqlite3.Stmt) bool { *n++; return true } }
	if err = each(c, "PRAGMA table_info("+quoted(table)+")", count(&columns)); err == nil {
		err = each(c, "PRAGMA index_list("+quoted(table)+")", count(&indexes))
	}
	return max(rows, 0)*(3*columns+12*indexes)/1000 + 1, err
}

// polling is a context that counts how often SQLite asks for its error, and so how far it has come in the part that it does.
type polling struct {
	context.Context
	*meter
	parts []int64 // the steps that each is to take
	done  int64   // the steps of the parts before
	part  int     // those begun
	steps int64   // of this part
	step  string
	since time.Time // the last rest
}

func (p *polling) begin(step string) {
	if p.part > 0 {
		p.done += p.parts[p.part-1]
	}
	p.part++
	p.steps, p.step = 0, step
}

// Err is asked about every 1,000 steps of SQLite's machine.
func (p *polling) Err() error {
	if p.steps++; p.part > 0 {
		p.at(p.step, p.done+min(p.steps, p.parts[p.part-1]))
		if now := p.now(); now.Sub(p.since) >= checkWork {
			time.Sleep(checkRest)
			p.since = p.now()
		}
	}
	return p.Context.Err()
}
