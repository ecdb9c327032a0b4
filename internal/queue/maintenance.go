package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// maintenance is the long piece of maintenance that this process does, one at a time.
type maintenance struct {
	mu      sync.Mutex
	running *task.Running
	stop    context.CancelFunc
}

// maintain does a long piece of maintenance, unless there is one. It ends early when ctx does, when it is stopped, and when the queue is to give nothing more.
func maintain[T any](ctx context.Context, q *Queue, verb string, tell func(task.Progress), do func(context.Context, func(task.Progress)) (T, error)) (T, error) {
	var none T
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	m := &q.maintenance
	m.mu.Lock()
	if m.running != nil {
		defer m.mu.Unlock()
		return none, fmt.Errorf("%w: this server is busy with another piece of maintenance (%s): wait for its end, or stop it", task.ErrConflict, m.running.Verb)
	}
	m.running, m.stop = &task.Running{Verb: verb, Since: task.Time{Time: q.Now()}, Progress: task.Progress{Total: 1}}, stop
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.running, m.stop = nil, nil
	}()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-q.drained:
			stop()
		case <-ended:
		}
	}()
	out, err := do(ctx, func(p task.Progress) {
		m.mu.Lock()
		m.running.Progress = p
		m.mu.Unlock()
		if tell != nil {
			tell(p)
		}
	})
	if err != nil {
		err = fmt.Errorf("%s: %w", verb, err)
	}
	return out, err
}

// StopMaintenance ends the long piece of maintenance that this process does, early, and returns which. Error: task.ErrNotFound.
func (q *Queue) StopMaintenance() (string, error) {
	m := &q.maintenance
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running == nil {
		return "", task.ErrNotFound
	}
	m.stop()
	return m.running.Verb, nil
}

// DatabaseStats tells the sizes of the database.
func (q *Queue) DatabaseStats(ctx context.Context) (task.DatabaseStats, error) {
	stats, err := q.store.DatabaseStats(ctx)
	if err != nil {
		return stats, fmt.Errorf("describe the database: %w", err)
	}
	q.maintenance.mu.Lock()
	defer q.maintenance.mu.Unlock()
	if r := q.maintenance.running; r != nil {
		stats.Running = new(*r)
	}
	return stats, nil
}

// Checkpoint copies the write-ahead log of SQLite into the database, an empty mode standing for passive. Errors: *task.InvalidError, task.ErrConflict where the user of PostgreSQL may not.
func (q *Queue) Checkpoint(ctx context.Context, mode task.CheckpointMode) (task.Checkpoint, error) {
	if mode == "" {
		mode = task.CheckpointPassive
	}
	return q.store.Checkpoint(ctx, mode)
}

// Vacuum gives pages back to the disk that hold nothing, in small steps. Here and below tell is called now and then with how far it has come, nil for not at all; it is stopped by the end of ctx
// and by StopMaintenance, without an error, and only one such thing is done at a time: task.ErrConflict. The same when the SQLite file can give nothing back in steps.
func (q *Queue) Vacuum(ctx context.Context, tell func(task.Progress)) (task.Vacuum, error) {
	return maintain(ctx, q, "vacuum", tell, q.store.Vacuum)
}

// VacuumCost tells what FullVacuum takes.
func (q *Queue) VacuumCost(ctx context.Context) (task.VacuumCost, error) {
	return q.store.VacuumCost(ctx)
}

// FullVacuum writes the whole database anew, while everybody else waits. task.ErrConflict also while a server has the SQLite file, and where there is no room.
func (q *Queue) FullVacuum(ctx context.Context, tell func(task.Progress)) (task.Vacuum, error) {
	return maintain(ctx, q, "full vacuum", tell, q.store.FullVacuum)
}

// Analyze renews what the planner of the database knows of a table, or of all for the empty string. *task.InvalidError for an unknown table.
func (q *Queue) Analyze(ctx context.Context, table string, tell func(task.Progress)) (task.Analysis, error) {
	if table != "" {
		if _, err := store.ChooseTables(table); err != nil {
			return task.Analysis{}, err
		}
	}
	return maintain(ctx, q, "analyze", tell, func(ctx context.Context, tell func(task.Progress)) (task.Analysis, error) {
		return q.store.Analyze(ctx, table, tell)
	})
}

// CheckIntegrity looks for what is broken in the database.
func (q *Queue) CheckIntegrity(ctx context.Context, tell func(task.Progress)) (task.Integrity, error) {
	return maintain(ctx, q, "integrity check", tell, q.store.CheckIntegrity)
}

// Optimize analyzes the tables that have changed much. A full one vacuums, analyzes every table, and makes a checkpoint; a SQLite file that can give nothing back in steps is not vacuumed.
func (q *Queue) Optimize(ctx context.Context, full bool, tell func(task.Progress)) (task.Optimization, error) {
	return maintain(ctx, q, "optimize", tell, func(ctx context.Context, tell func(task.Progress)) (out task.Optimization, err error) {
		out = task.Optimization{Full: full, Analyzed: []string{}}
		which := store.OutdatedTables
		if full {
			which = ""
			v, err := q.store.Vacuum(ctx, tell)
			if out.Vacuum = &v; errors.Is(err, task.ErrConflict) {
				out.Vacuum = nil
			} else if err != nil || v.Stopped {
				out.Stopped = v.Stopped
				return out, err
			}
		}
		a, err := q.store.Analyze(ctx, which, tell)
		out.Analyzed, out.Stopped = a.Tables, a.Stopped
		if err != nil || !full || a.Stopped {
			return out, err
		}
		c, err := q.store.Checkpoint(ctx, task.CheckpointTruncate)
		if errors.Is(err, task.ErrConflict) {
			return out, nil
		}
		out.Checkpoint = &c
		return out, err
	})
}

// Retain deletes at once the ended tasks and lines of logs whose retention is over, which the upkeep does by and by. What has no retention stays.
func (q *Queue) Retain(ctx context.Context, tell func(task.Progress)) (task.Retained, error) {
	return maintain(ctx, q, "retention", tell, func(ctx context.Context, tell func(task.Progress)) (task.Retained, error) {
		out, err := q.retain(ctx, tell)
		if ctx.Err() != nil {
			out.Stopped, err = true, nil
		}
		return out, err
	})
}

func (q *Queue) retain(ctx context.Context, tell func(task.Progress)) (task.Retained, error) {
	out, now := task.Retained{Types: map[string]int64{}}, q.Now()
	k, err := q.freshRules(ctx)
	if err != nil {
		return out, err
	}
	for i, t := range k.kept {
		tell(task.Progress{Step: t.Type, Done: int64(i), Total: int64(len(k.kept) + 1)})
		for _, status := range []task.Status{task.Completed, task.Failed} {
			keep, ok := t.Retention.Of(status)
			if !ok {
				continue
			}
			n, err := q.purge(ctx, ending{t.Type, status}, now.Add(-keep))
			if out.Tasks += int64(n); n > 0 {
				out.Types[t.Type] += int64(n)
			}
			if err != nil {
				return out, err
			}
		}
	}
	tell(task.Progress{Step: "logs", Done: int64(len(k.kept)), Total: int64(len(k.kept) + 1)})
	if keep := q.o.LogRetention; keep > 0 {
		var n int
		n, err = q.purgeLines(ctx, now.Add(-keep))
		out.Lines = int64(n)
	}
	return out, err
}

// Reclaim takes back the leases that have run out, which the upkeep of a server does within a second.
func (q *Queue) Reclaim(ctx context.Context) (out task.Reclaimed, err error) {
	now := q.Now()
	for n := upkeepBatch; n == upkeepBatch; {
		lost, err := q.reap(ctx, now, upkeepBatch)
		if err != nil {
			return out, fmt.Errorf("reclaim leases: %w", err)
		}
		q.queued(lost...)
		for _, t := range lost {
			if t.Status == task.Queued {
				out.Requeued++
			} else {
				out.Failed++
			}
		}
		n = len(lost)
	}
	return out, nil
}

const (
	// careEvery is how often the upkeep looks whether the database needs care.
	careEvery = 10 * time.Minute
	// A file is vacuumed of whose pages vacuumShare, and vacuumLeast bytes or more, are free at two looks: what is free for a moment is taken by new tasks soon.
	vacuumShare = 0.25
	vacuumLeast = 16 << 20
)

// runCare gives the database the care that it needs until ctx ends.
func (q *Queue) runCare(ctx context.Context) {
	for failing := false; ; {
		timer := time.NewTimer(careEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		err := q.Care(ctx)
		if err != nil && ctx.Err() == nil && !errors.Is(err, task.ErrStopped) && !failing {
			q.o.Log.Error("maintenance", "error", err)
		}
		failing = err != nil
	}
}

// Care renews the statistics of tables that have changed much, and gives pages back to the disk where many have been free since the call before. It does nothing while an operator has
// maintenance under way. Run calls it every ten minutes; tests do without the wait. Only one caller at a time.
func (q *Queue) Care(ctx context.Context) error {
	o, err := q.Optimize(ctx, false, nil)
	if errors.Is(err, task.ErrConflict) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(o.Analyzed) > 0 {
		q.o.Log.Info("the database has analyzed tables that have changed much", "tables", o.Analyzed)
	}
	stats, err := q.DatabaseStats(ctx)
	if err != nil {
		return err
	}
	was := q.manyFree
	q.manyFree = stats.AutoVacuum != nil && *stats.AutoVacuum == "incremental" && float64(*stats.FreePages) >= vacuumShare*float64(*stats.Pages) && *stats.FreePages*stats.PageBytes >= vacuumLeast
	if !was || !q.manyFree {
		return nil
	}
	v, err := q.Vacuum(ctx, nil)
	if errors.Is(err, task.ErrConflict) {
		return nil
	}
	if err == nil && v.FreedPages != nil {
		q.o.Log.Info("pages that held nothing are given back to the disk", "pages", *v.FreedPages, "bytes_before", v.BytesBefore, "bytes_after", v.BytesAfter)
	}
	return err
}
