package sqlite

import (
	"context"
	"time"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/task"
)

// PurgeTasks finds what is to go without the writer, which then deletes for stepTime at most.
func (s *Store) PurgeTasks(ctx context.Context, taskType string, status task.Status, before time.Time, after int64, max int) (deleted int, next int64, err error) {
	rows, err := s.endedTasks(ctx, status, sqlitedb.ListCompletedParams{Type: taskType, After: after, Max: int64(max)})
	if err != nil {
		return 0, 0, s.classify(ctx, err)
	}
	if len(rows) == max {
		next = rows[max-1].ID
	}
	var over []int64
	for _, r := range rows {
		if !r.FinishedAtUTC.After(before) {
			over = append(over, r.ID)
		}
	}
	if len(over) == 0 {
		return 0, next, nil
	}
	type purged struct {
		tasks int
		last  int64 // the last one looked at
	}
	out, err := write(ctx, s, func(ctx context.Context, x tx) (out purged, err error) {
		began := s.clock.Now()
		for i, id := range over {
			if i > 0 && s.clock.Now().Sub(began) > stepTime {
				break
			}
			out.last = id
			t, err := x.task(ctx, id)
			if noRow(err) || (err == nil && (t.Status != status || t.FinishedAtUTC.After(before))) {
				continue
			}
			if err == nil {
				err = x.remove(ctx, t)
			}
			if err != nil {
				return out, err
			}
			out.tasks++
		}
		return out, nil
	})
	if out.last != over[len(over)-1] {
		next = out.last
	}
	return out.tasks, next, err
}

func (s *Store) endedTasks(ctx context.Context, status task.Status, p sqlitedb.ListCompletedParams) ([]sqlitedb.ListCompletedRow, error) {
	if status == task.Completed {
		return s.read.ListCompleted(ctx, p)
	}
	rows, err := s.read.ListFailures(ctx, sqlitedb.ListFailuresParams(p))
	out := make([]sqlitedb.ListCompletedRow, len(rows))
	for i, r := range rows {
		out[i] = sqlitedb.ListCompletedRow(r)
	}
	return out, err
}
