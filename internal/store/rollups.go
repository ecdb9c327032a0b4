package store

import (
	"maps"
	"slices"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// Fold adds minutes up to one rollup of the hour for each type, ordered by type.
func Fold(minutes []task.Rollup, hour time.Time, node string) []task.Rollup {
	sums := make(map[string]*task.Rollup)
	for _, m := range minutes {
		r := sums[m.Type]
		if r == nil {
			r = &task.Rollup{Seconds: task.Hour, Type: m.Type, AtUTC: hour, Node: node}
			sums[m.Type] = r
		}
		r.Counts.Add(m.Counts)
	}
	out := make([]task.Rollup, 0, len(sums))
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		out = append(out, *sums[name])
	}
	return out
}

// Flag is a condition as a parameter of a query.
func Flag(is bool) int64 {
	if is {
		return 1
	}
	return 0
}
