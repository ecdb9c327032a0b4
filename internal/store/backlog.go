package store

import (
	"cmp"
	"slices"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// NewBacklog makes a lane of the columns of a row. Requirements that cannot be read are met by nobody.
func NewBacklog(id int64, taskType, compatibility string, priority int, ready, scheduled int64) task.Backlog {
	requires, err := task.ParseRequirements(task.JSON(compatibility))
	if err != nil {
		requires = task.Unmeetable
	}
	return task.Backlog{Lane: task.Lane{ID: id, Type: taskType, Requires: requires, Priority: priority, Ready: ready}, Scheduled: scheduled}
}

// SortBacklog orders lanes by priority and id.
func SortBacklog(lanes []task.Backlog) []task.Backlog {
	slices.SortFunc(lanes, func(a, b task.Backlog) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.ID, b.ID))
	})
	return lanes
}

// Finishes returns the times of a column that has one in each row.
func Finishes(rows []*time.Time) []time.Time {
	out := make([]time.Time, 0, len(rows))
	for _, t := range rows {
		if t != nil {
			out = append(out, *t)
		}
	}
	return out
}
