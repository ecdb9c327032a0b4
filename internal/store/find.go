package store

import (
	"context"
	"math"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// findIDs is how many ids one query for a filter looks at, and findQueries how many such queries one call makes: a query takes about 20 ms, so that it
	// keeps no snapshot for long, and a call less than a second.
	findIDs     = 20_000
	findQueries = 25
)

// FindUp does FindTasks on an engine: above returns the next id there is above another, 0 for none, and find the ids of one query. q may end before upto.
func FindUp(ctx context.Context, q task.MatchQuery, upto int64, above func(context.Context, int64) (int64, error), find func(context.Context, task.MatchQuery) ([]int64, error)) (ids []int64, next int64, err error) {
	end := q.Upto
	for n := 0; n < findQueries && q.After < end; n++ {
		first, err := above(ctx, q.After)
		if err != nil {
			return nil, 0, err
		}
		if first == 0 || first > end {
			return nil, upto, nil
		}
		q.After = first - 1
		q.Upto = min(end, first+findIDs)
		if ids, err = find(ctx, q); err != nil {
			return nil, 0, err
		}
		if len(ids) > 0 {
			if len(ids) == int(q.Max) {
				return ids, ids[len(ids)-1], nil
			}
			return ids, q.Upto, nil
		}
		q.After = q.Upto
	}
	if q.After >= end {
		return nil, upto, nil
	}
	return nil, q.After, nil
}

// FindDown does ListMatching on an engine, from before on: below returns the next id there is below another, 0 for none, and list the tasks of one query.
func FindDown(ctx context.Context, q task.MatchQuery, below func(context.Context, int64) (int64, error), list func(context.Context, task.MatchQuery) ([]task.Task, error)) (found []task.Task, next int64, err error) {
	end, want := q.After, int(q.Max)
	for n := 0; n < findQueries; n++ {
		last, err := below(ctx, q.Upto+1)
		if err != nil || last <= end {
			return found, 0, err
		}
		q.Upto = last
		q.After, q.Max = max(end, last-findIDs), int64(want-len(found))
		ts, err := list(ctx, q)
		if err != nil {
			return nil, 0, err
		}
		if found = append(found, ts...); len(found) == want {
			return found, ts[len(ts)-1].ID, nil
		}
		q.Upto = q.After
	}
	return found, q.Upto + 1, nil
}

// Top is the id from which ListMatching goes down: below before, or from the greatest when it is 0.
func Top(before int64) int64 {
	if before == 0 {
		return math.MaxInt64 - 1
	}
	return before - 1
}
