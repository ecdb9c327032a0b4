package postgres

import (
	"context"
	"time"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/task"
)

// PurgeTasks deletes ended tasks of one type and status that ended not later than before.
func (s *Store) PurgeTasks(ctx context.Context, taskType string, status task.Status, before time.Time, after int64, max int) (deleted int, next int64, err error) {
	rows, err := search(ctx, s, "list ended tasks", func(ctx context.Context) ([]postgresdb.ListCompletedRow, error) {
		p := postgresdb.ListCompletedParams{Type: taskType, After: after, Max: int64(max)}
		if status == task.Completed {
			return s.lists.ListCompleted(ctx, p)
		}
		rows, err := s.lists.ListFailures(ctx, postgresdb.ListFailuresParams(p))
		return column(rows, func(r postgresdb.ListFailuresRow) postgresdb.ListCompletedRow { return postgresdb.ListCompletedRow(r) }), err
	})
	if err != nil {
		return 0, 0, err
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
	n, err := do(ctx, s, "purge tasks", func(ctx context.Context) (int64, error) {
		return s.q.DeleteEnded(ctx, postgresdb.DeleteEndedParams{Ids: idArray(over), Status: status, Before: &before})
	})
	return int(n), next, err
}
