package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// failedAtOnce is how many failed tasks one look reads at most, of all failures together that a filter names, and failedLooks how many looks one call makes: it takes less
	// than a second.
	failedAtOnce = 1000
	failedLooks  = 50
)

// FailedQuery asks for tasks that have failed with a fingerprint, of ids above After and not above Upto. Its fields have the order of the parameters of the queries.
type FailedQuery struct {
	Fingerprint string
	After       int64
	Upto        int64
	Max         int64
}

// findFailed returns the first tasks that a query asks for, upwards or downwards, with what a filter may ask about.
type findFailed func(context.Context, FailedQuery) ([]task.Task, error)

// FindFailedUp does FindTasks on an engine for a filter that names failures: it reads the tasks of those alone.
func FindFailedUp(ctx context.Context, m task.Match, now time.Time, after, upto int64, max int, find findFailed) (ids []int64, next int64, err error) {
	q := failedQuery(m, after, upto)
	for n := 0; n < failedLooks && q.After < q.Upto; n++ {
		ts, end, err := lookFailed(ctx, m, q, false, find)
		if err != nil {
			return nil, 0, err
		}
		for _, t := range ts {
			if m.Matches(t, now) {
				if ids = append(ids, t.ID); len(ids) == max {
					return ids, t.ID, nil
				}
			}
		}
		q.After = end
	}
	if q.After >= q.Upto {
		return ids, upto, nil
	}
	return ids, q.After, nil
}

// FindFailedDown does ListMatching so, from the id top on. get returns a whole task, or task.ErrNotFound.
func FindFailedDown(ctx context.Context, m task.Match, now time.Time, top int64, max int, find findFailed, get func(context.Context, int64) (task.Task, error)) (found []task.Task, next int64, err error) {
	q := failedQuery(m, 0, top)
	for n := 0; n < failedLooks && q.After < q.Upto; n++ {
		ts, end, err := lookFailed(ctx, m, q, true, find)
		if err != nil {
			return nil, 0, err
		}
		for _, t := range ts {
			if !m.Matches(t, now) {
				continue
			}
			whole, err := get(ctx, t.ID)
			if errors.Is(err, task.ErrNotFound) || err == nil && !m.Matches(whole, now) { // it has changed meanwhile
				continue
			}
			if err != nil {
				return nil, 0, err
			}
			if found = append(found, whole); len(found) == max {
				return found, whole.ID, nil
			}
		}
		q.Upto = end - 1
	}
	if q.After >= q.Upto {
		return found, 0, nil
	}
	return found, q.Upto + 1, nil
}

// failedQuery is for the ids between, as far as the filter asks for them.
func failedQuery(m task.Match, after, upto int64) FailedQuery {
	if m.ID.From != nil {
		after = max(after, *m.ID.From-1)
	}
	if m.ID.To != nil {
		upto = min(upto, *m.ID.To)
	}
	return FailedQuery{After: after, Upto: upto, Max: int64(failedAtOnce / len(m.Failures))}
}

// lookFailed returns the first tasks of the failures that the filter names, in their order, and the end of those of which it is sure that they are all.
func lookFailed(ctx context.Context, m task.Match, q FailedQuery, down bool, find findFailed) (ts []task.Task, end int64, err error) {
	if end = q.Upto; down {
		end = q.After + 1
	}
	beyond := func(id int64) bool { return id != end && id > end != down }
	for _, q.Fingerprint = range m.Failures {
		some, err := find(ctx, q)
		if err != nil {
			return nil, 0, err
		}
		if len(some) == int(q.Max) && !beyond(some[len(some)-1].ID) {
			end = some[len(some)-1].ID // this one may have more
		}
		ts = append(ts, some...)
	}
	ts = slices.DeleteFunc(ts, func(t task.Task) bool { return beyond(t.ID) })
	slices.SortFunc(ts, func(a, b task.Task) int {
		if down {
			a, b = b, a
		}
		return cmp.Compare(a.ID, b.ID)
	})
	return ts, end, nil
}
