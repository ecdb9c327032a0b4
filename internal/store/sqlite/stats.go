package sqlite

import (
	"context"
	"strconv"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// mostCounted is up to how many rows of a table are counted; where there are more they are estimated.
const mostCounted = 10_000

// DatabaseStats counts the rows of tables that have few, and of task_queue, and knows those of others from their statistics.
func (s *Store) DatabaseStats(ctx context.Context) (task.DatabaseStats, error) {
	z, err := s.pages(ctx)
	if err != nil {
		return task.DatabaseStats{}, s.classify(ctx, err)
	}
	v, err := s.Vitals(ctx)
	if err != nil {
		return task.DatabaseStats{}, err
	}
	out := task.DatabaseStats{
		Engine: "sqlite", Bytes: z.bytes(), WALBytes: &v.File.WALBytes, PageBytes: z.size, Pages: &z.count, FreePages: &z.free,
		AutoVacuum: new([]string{"none", "full", "incremental"}[z.autoVacuum]), DiskFree: &v.File.FreeBytes,
	}
	rows, err := s.countRows(ctx, mostCounted)
	if err != nil {
		return out, s.classify(ctx, err)
	}
	for _, name := range store.Tables {
		t := task.TableStats{Name: name}
		if n := rows[name]; n >= 0 {
			t.Rows, t.Estimated = &n, n > mostCounted && name != "task_queue"
		}
		out.Tables = append(out.Tables, t)
	}
	out.Version, err = s.read.SQLiteVersion(ctx)
	return out, s.classify(ctx, err)
}

// countRows returns the rows of each table: counted up to most, else as its statistics say, and at least what was counted; -1 where there are none.
func (s *Store) countRows(ctx context.Context, most int64) (map[string]int64, error) {
	known, err := s.estimates(ctx)
	if err != nil {
		return nil, err
	}
	counted, err := s.read.CountRows(ctx, most+1)
	if err != nil {
		return nil, err
	}
	rows := make(map[string]int64, len(store.Tables))
	for _, c := range counted {
		n, estimate := c.RowCount, known[c.Name]
		if n > most {
			if n = -1; estimate > most {
				n = estimate
			}
		}
		rows[c.Name] = n
	}
	tasks, err := s.read.CountTasks(ctx)
	rows["task_queue"] = tasks.Ready + tasks.Scheduled + tasks.Processing + tasks.Completed + tasks.Failed
	return rows, err
}

// statistics is what ANALYZE leaves: for an index how many rows it has, and then other numbers.
const statistics = "SELECT tbl, stat FROM sqlite_stat1"

// estimates returns how many rows each table had when it was analyzed last.
func (s *Store) estimates(ctx context.Context) (map[string]int64, error) {
	out := make(map[string]int64)
	err := s.aside(ctx, "ro", func(c *sqlite3.Conn) error {
		analyzed := false
		err := each(c, "PRAGMA table_info(sqlite_stat1)", func(*sqlite3.Stmt) bool { analyzed = true; return false })
		if err != nil || !analyzed {
			return err
		}
		return each(c, statistics, func(stmt *sqlite3.Stmt) bool {
			first, _, _ := strings.Cut(stmt.ColumnText(1), " ")
			if n, err := strconv.ParseInt(first, 10, 64); err == nil {
				out[stmt.ColumnText(0)] = max(out[stmt.ColumnText(0)], n)
			}
			return true
		})
	})
	return out, err
}
