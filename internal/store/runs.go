package store

import (
	"context"

	"github.com/prismq/thequeue/internal/task"
)

// MaxRunsCounted is how many failed, and how many cancelled, runs CountRuns counts.
const MaxRunsCounted = 100_000

// Runs looks at tasks as runs.
type Runs interface {
	// GetTaskByKey returns the task that has this idempotency key, ErrNotFound when none has.
	GetTaskByKey(ctx context.Context, key string) (task.Task, error)
	// ListRuns returns the tasks whose runs f chooses, newest first. Empty when there are not more than f.Skip.
	ListRuns(ctx context.Context, f task.RunFilter) ([]task.Task, error)
	// CountRuns counts the runs of a status, of all for an empty one, and of a type, likewise. It reads counters, but that failed and cancelled ones are counted, each up to
	// MaxRunsCounted: where there are more, that or an estimate by the counter of both comes back.
	CountRuns(ctx context.Context, status task.RunStatus, taskType string) (int64, error)
	// TailLogs returns the last n stored lines of a task's log with ids above after, and the lines among and after them that are not stored, oldest first. total is their number when
	// all are returned; else it is that of the stored ones, up to MaxRunsCounted, and of the others returned. ErrNotFound without the task.
	TailLogs(ctx context.Context, taskID, after int64, n int) (lines []task.Log, total int64, err error)
}

// RunCounts is what an engine counts of runs.
type RunCounts interface {
	// Counters returns the counters of a type, of all for an empty one.
	Counters(ctx context.Context, taskType string) (task.TypeCounts, error)
	// Cancelled and Unsuccessful count failed tasks that were cancelled, and those that were not, up to max.
	Cancelled(ctx context.Context, taskType string, max int64) (int64, error)
	Unsuccessful(ctx context.Context, taskType string, max int64) (int64, error)
}

// CountRuns does that for an engine.
func CountRuns(ctx context.Context, status task.RunStatus, taskType string, by RunCounts) (int64, error) {
	c, err := by.Counters(ctx, taskType)
	if err != nil {
		return 0, err
	}
	switch status {
	case task.RunQueued:
		return c.QueuedTasks, nil
	case task.RunRunning:
		return c.ProcessingTasks, nil
	case task.RunCompleted:
		return c.CompletedTasks, nil
	case task.RunCancelled:
		return by.Cancelled(ctx, taskType, MaxRunsCounted)
	case task.RunFailed:
		cancelled, err := by.Cancelled(ctx, taskType, MaxRunsCounted)
		if err != nil || cancelled < MaxRunsCounted {
			return max(c.FailedTasks-cancelled, 0), err
		}
		return by.Unsuccessful(ctx, taskType, MaxRunsCounted)
	}
	return c.QueuedTasks + c.ProcessingTasks + c.CompletedTasks + c.FailedTasks, nil
}

// LogTail is what an engine tells of the end of a log.
type LogTail interface {
	LogLines
	// First returns the id of the first of the last n stored lines above after; 0 without any.
	First(ctx context.Context, after int64, n int) (int64, error)
	// Count counts the stored lines above after, up to max.
	Count(ctx context.Context, after int64, max int) (int64, error)
}

// logPage is how many lines of a log are read at once.
const logPage = 1000

// TailLogs does that for a task on an engine, all of one snapshot.
func TailLogs(ctx context.Context, t task.Task, after int64, n int, stored LogTail) (lines []task.Log, total int64, err error) {
	if total, err = stored.Count(ctx, after, MaxRunsCounted); err != nil {
		return nil, 0, err
	}
	from := after
	if total > int64(n) {
		first, err := stored.First(ctx, after, n)
		if err != nil {
			return nil, 0, err
		}
		from = first - 1
	}
	told := -min(total, int64(n))
	for {
		page, err := ListLogs(ctx, t, task.LogFilter{TaskID: t.ID, After: from, Limit: logPage}, stored)
		if err != nil {
			return nil, 0, err
		}
		lines = append(lines, page...)
		if len(page) < logPage {
			break
		}
		from = page[len(page)-1].LogID
	}
	told += int64(len(lines))
	return lines, total + max(told, 0), nil
}
