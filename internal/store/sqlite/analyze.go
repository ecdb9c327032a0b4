package sqlite

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// outdated has SQLite tell, without doing it, which tables it would analyze: those without statistics, and those that have ten times as many rows as these say, or a tenth.
const outdated = "PRAGMA optimize(0x10003)"

// analysisLimit has it look at about so many rows of each index, but for their number, which it counts one by one: that is why only tables of analyzedBeside rows or fewer are analyzed
// while a server has the file (measured: some 25 ms of the writer for an index of 100,000 entries).
const (
	analysisLimit  = "PRAGMA analysis_limit = 1000"
	analyzedBeside = 100_000
)

// Analyze analyzes one index after the other, and never a whole table: that would count its rows as well. Without statistics SQLite takes a table to have about a million rows, for which
// the queries of the service are made; so those that are outdated, and cannot be renewed beside a server, are dropped.
func (s *Store) Analyze(ctx context.Context, table string, tell func(task.Progress)) (task.Analysis, error) {
	out := task.Analysis{Tables: []string{}, Skipped: []string{}}
	rows, err := s.countRows(ctx, analyzedBeside)
	if err != nil {
		return out, s.classify(ctx, err)
	}
	tables, err := s.toAnalyze(ctx, table, rows)
	if err != nil {
		return out, s.classify(ctx, err)
	}
	unlock, occupied := s.alone(byAnalyze)
	if occupied == nil {
		defer unlock()
	}
	m := s.meter(tell, int64(len(tables)))
	for i, t := range tables {
		m.at(t, int64(i))
		if large := rows[t] < 0 || rows[t] > analyzedBeside; large && occupied != nil {
			if out.Skipped = append(out.Skipped, t); table == store.OutdatedTables {
				err = s.writer.between(func() error { return s.writer.raw.Exec(dropStatistics + "'" + t + "'; ANALYZE sqlite_schema") })
			}
			if err != nil {
				return out, s.classify(ctx, err)
			}
			continue
		}
		done, err := s.analyzeTable(ctx, t)
		if err != nil {
			return out, s.classify(context.WithoutCancel(ctx), err)
		}
		if !done {
			out.Stopped = true
			break
		}
		out.Tables = append(out.Tables, t)
	}
	return out, nil
}

// dropStatistics is followed by the name of a table.
const dropStatistics = "DELETE FROM sqlite_stat1 WHERE tbl = "

// toAnalyze returns the tables that Analyze is about. Outdated are those that have statistics which do not fit any more.
func (s *Store) toAnalyze(ctx context.Context, table string, rows map[string]int64) (tables []string, err error) {
	if table != store.OutdatedTables {
		return store.ChooseTables(table)
	}
	known, err := s.estimates(ctx)
	if err != nil || len(known) == 0 {
		return nil, err
	}
	var judged []string
	err = s.writer.between(func() error {
		return each(s.writer.raw, outdated, func(stmt *sqlite3.Stmt) bool {
			judged = append(judged, strings.Trim(stmt.ColumnText(0)[strings.LastIndex(stmt.ColumnText(0), ".")+1:], `"`))
			return true
		})
	})
	for _, t := range store.Tables {
		if err != nil {
			break
		}
		if known[t] == 0 {
			continue
		}
		var indexes []index
		indexes, err = s.indexesOf(ctx, t)
		if whole := slices.ContainsFunc(indexes, func(i index) bool { return !i.partial }); whole && slices.Contains(judged, t) || !whole && changedMuch(rows[t], known[t]) {
			tables = append(tables, t)
		}
	}
	return tables, err
}

// changedMuch is SQLite's own rule, for the tables of which it does not know the rows: those with indexes of some of their rows alone.
func changedMuch(rows, known int64) bool {
	return rows >= 1000 && rows > 10*known || known >= 1000 && rows < known/10
}

// index is one of a table; partial: it has some of the rows alone.
type index struct {
	name    string
	partial bool
}

func (s *Store) indexesOf(ctx context.Context, table string) (out []index, err error) {
	err = s.aside(ctx, "ro", func(c *sqlite3.Conn) error {
		return each(c, "PRAGMA index_list("+quoted(table)+")", func(stmt *sqlite3.Stmt) bool {
			out = append(out, index{stmt.ColumnText(1), stmt.ColumnBool(4)})
			return true
		})
	})
	return out, err
}

// analyzeTable reports whether it came to its end.
func (s *Store) analyzeTable(ctx context.Context, table string) (done bool, err error) {
	indexes, err := s.indexesOf(ctx, table)
	for _, i := range indexes {
		var took time.Duration
		if err == nil {
			err = s.writer.between(func() error {
				began := s.clock.Now()
				defer func() { took = s.clock.Now().Sub(began) }()
				return s.writer.raw.Exec(analysisLimit + "; ANALYZE main." + quoted(i.name))
			})
		}
		if err != nil || !pause(ctx, took) {
			break
		}
	}
	if ctx.Err() != nil {
		return false, nil
	}
	return err == nil, err
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
