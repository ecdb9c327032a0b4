package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// purgeBatch is at how many ended tasks one step of a purge looks.
	purgeBatch = 500
	// purgeShare and purgeAtMost bound how long after the end of its retention a task may stay: this share of the retention, from upkeepEvery to purgeAtMost.
	purgeShare  = 50
	purgeAtMost = time.Hour
)

// purges is when the tasks of each type and status are looked at next. It belongs to the caller of PurgeEnded.
type purges map[ending]purge

// ending is what one purge is about.
type ending struct {
	taskType string
	status   task.Status
}

// purge is a purge that has been done.
type purge struct {
	keep time.Duration // the retention that it went by
	next time.Time
}

// runPurges deletes ended tasks whose retention is over until ctx ends.
func (q *Queue) runPurges(ctx context.Context) {
	failing := false
	for ctx.Err() == nil {
		next, err := q.PurgeEnded(ctx)
		if err != nil && ctx.Err() == nil && !errors.Is(err, task.ErrStopped) && !failing {
			q.o.Log.Error("purge", "error", err)
		}
		if failing = err != nil; failing {
			next = q.Now().Add(upkeepEvery)
		}
		timer := time.NewTimer(next.Sub(q.Now()))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// PurgeEnded deletes the tasks of every type that has a retention which have ended longer ago than that, and returns when to do so again, not later than upkeepEvery
// from now; lines of logs as well, where they have a retention. It looks at all ended tasks of such a type, but not each time: a task may stay for a fiftieth of its retention, from a second to an hour, beyond it. Run calls
// it; tests with a clock of their own do. Only one caller at a time.
func (q *Queue) PurgeEnded(ctx context.Context) (next time.Time, err error) {
	now := q.Now()
	next = now.Add(upkeepEvery)
	if err := q.purgeLogs(ctx, now); err != nil {
		return next, err
	}
	k, err := q.freshRules(ctx)
	if err != nil {
		return next, err
	}
	for _, t := range k.kept {
		for _, status := range []task.Status{task.Completed, task.Failed} {
			keep, ok := t.Retention.Of(status)
			if !ok {
				continue
			}
			of := ending{t.Type, status}
			if last := q.purges[of]; last.keep == keep && last.next.After(now) {
				continue
			}
			if _, err := q.purge(ctx, of, now.Add(-keep)); err != nil {
				return next, err
			}
			q.purges[of] = purge{keep: keep, next: now.Add(min(max(keep/purgeShare, upkeepEvery), purgeAtMost))}
		}
	}
	return next, nil
}

// purge deletes what ended not later than before, and returns how many.
func (q *Queue) purge(ctx context.Context, of ending, before time.Time) (total int, err error) {
	for after := int64(0); ; {
		n, next, err := q.store.PurgeTasks(ctx, of.taskType, of.status, before, after, purgeBatch)
		total += n
		if err != nil {
			return total, fmt.Errorf("purge %s tasks of type %s: %w", of.status, of.taskType, err)
		}
		if next == 0 {
			break
		}
		after = next
	}
	if total > 0 {
		q.o.Log.Info("ended tasks deleted, their retention is over", "type", of.taskType, "status", of.status, "tasks", total)
	}
	return total, nil
}
