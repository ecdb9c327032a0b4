package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// logBatch is how many lines one step of a deletion takes, and logSteps how many steps one call of DeleteLogs makes.
	logBatch = 500
	logSteps = 100
)

// DeleteLogs deletes stored lines from before an instant, 50,000 or so at most, or counts them where dryRun says so. What a task and its attempts tell of themselves stays.
func (q *Queue) DeleteLogs(ctx context.Context, before time.Time, dryRun bool) (task.DeletedLogs, error) {
	out := task.DeletedLogs{Before: before.UTC(), DryRun: dryRun}
	if before.After(q.Now()) {
		return out, task.Invalid("before", "must not lie in the future")
	}
	if dryRun {
		n, err := q.store.CountLogs(ctx, before)
		out.Lines = n
		return out, err
	}
	for range logSteps {
		n, err := q.store.PurgeLogs(ctx, before, logBatch)
		if out.Lines += int64(n); err != nil || n == 0 {
			return out, err
		}
	}
	out.More = true
	return out, nil
}

// purgeLogs deletes the lines whose retention is over, where there is one.
func (q *Queue) purgeLogs(ctx context.Context, now time.Time) error {
	keep := q.o.LogRetention
	if keep == 0 || now.Before(q.purgeLogsFrom) {
		return nil
	}
	if _, err := q.purgeLines(ctx, now.Add(-keep)); err != nil {
		return err
	}
	q.purgeLogsFrom = now.Add(min(max(keep/purgeShare, upkeepEvery), purgeAtMost))
	return nil
}

// purgeLines deletes lines from before an instant whose retention is over, and returns how many.
func (q *Queue) purgeLines(ctx context.Context, before time.Time) (total int, err error) {
	for {
		n, err := q.store.PurgeLogs(ctx, before, logBatch)
		if total += n; err != nil {
			return total, fmt.Errorf("purge logs: %w", err)
		}
		if n == 0 {
			break
		}
	}
	if total > 0 {
		q.o.Log.Info("lines of logs deleted, their retention is over", "lines", total)
	}
	return total, nil
}
