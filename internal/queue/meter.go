package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// storeEvery is how often what was counted is stored: of a node that is killed, so much is not in the metrics.
	storeEvery = 5 * time.Second
	// minutesKept is how long minutes are kept, before they become hours, and hoursKept how long hours are.
	minutesKept = 3 * time.Hour
	hoursKept   = 90 * 24 * time.Hour
	// foldEvery is how often a node that counts looks for minutes that are to become hours.
	foldEvery = 10 * time.Minute
	// pendingMinutes is how many minutes are kept in memory at most while they cannot be stored.
	pendingMinutes = 60
)

// meter counts what happens on this node, for each minute and type, until it is stored.
type meter struct {
	mu     sync.Mutex
	minute time.Time           // that is being counted
	all    counted             // in that minute, of all types
	types  map[string]*counted // and of each
	ended  [][]task.Rollup     // of earlier minutes, not yet stored
	before counts              // of all earlier minutes since this node began

	store  sync.Mutex // held by who stores; guards what follows
	folded time.Time  // when minutes were last made hours
}

// counted is what was counted in a minute; fresh: it has changed since it was stored.
type counted struct {
	task.Measures
	fresh bool
}

func (c *counted) note(name task.EventName, t *task.Task) {
	c.Note(name, t)
	c.fresh = true
}

// counts is what was counted of all types and of each.
type counts struct {
	all   task.Measures
	types map[string]*task.Measures
}

// add adds what was counted in a minute.
func (c *counts) add(all task.Measures, types map[string]*counted) {
	c.all.Add(all)
	if c.types == nil {
		c.types = make(map[string]*task.Measures)
	}
	for name, of := range types {
		if c.types[name] == nil {
			c.types[name] = new(task.Measures)
		}
		c.types[name].Add(of.Measures)
	}
}

// Counted returns what has happened through this node since it began, of all types and of each.
func (q *Queue) Counted() (all task.Measures, types map[string]task.Measures) {
	q.meter.mu.Lock()
	defer q.meter.mu.Unlock()
	var sum counts
	sum.all = q.meter.before.all.Copy()
	sum.types = make(map[string]*task.Measures)
	for name, of := range q.meter.before.types {
		sum.types[name] = new(of.Copy())
	}
	sum.add(q.meter.all.Measures, q.meter.types)
	types = make(map[string]task.Measures, len(sum.types))
	for name, of := range sum.types {
		types[name] = *of
	}
	return sum.all, types
}

// note counts an event of tasks at now.
func (m *meter) note(now time.Time, node string, name task.EventName, tasks []task.Task) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(now, node)
	for i := range tasks {
		t := &tasks[i]
		c := m.types[t.Type]
		if c == nil {
			c = new(counted)
			m.types[t.Type] = c
		}
		c.note(name, t)
		m.all.note(name, t)
	}
}

// see notes a depth at now. It is worth a write of its own when it is the first of its minute or the greatest number of tasks in it; an age that grows goes with the next.
func (m *meter) see(now time.Time, node string, p task.Peak) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(now, node)
	before := m.all.Peak
	m.all.Peak = before.Over(p)
	after := m.all.Peak
	if before.OldestSeconds > 0 {
		before.OldestSeconds = after.OldestSeconds
	}
	m.all.fresh = m.all.fresh || before != after
}

// turn begins the minute of now, where it has come. The caller holds mu.
func (m *meter) turn(now time.Time, node string) {
	if now.Sub(m.minute) >= time.Minute {
		m.end(node)
		m.minute = now.Truncate(time.Minute)
	}
}

// end puts the minute that is over aside. The caller holds mu.
func (m *meter) end(node string) {
	if rows := m.rows(node); len(rows) > 0 {
		m.ended = append(m.ended, rows)
		m.ended = m.ended[max(0, len(m.ended)-pendingMinutes):]
	}
	m.before.add(m.all.Measures, m.types)
	m.all, m.types = counted{}, make(map[string]*counted)
}

// rows are the counts of this minute that are not stored yet. The caller holds mu.
func (m *meter) rows(node string) []task.Rollup {
	if !m.all.fresh {
		return nil
	}
	out := []task.Rollup{{Seconds: task.Minute, AtUTC: m.minute, Node: node, Counts: m.all.Copy()}}
	for name, c := range m.types {
		if c.fresh {
			out = append(out, task.Rollup{Seconds: task.Minute, Type: name, AtUTC: m.minute, Node: node, Counts: c.Copy()})
		}
	}
	return out
}

// take returns what is to be stored, by minute, and takes it for stored.
func (m *meter) take(node string) [][]task.Rollup {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := m.ended
	m.ended = nil
	if now := m.rows(node); len(now) > 0 {
		out = append(out, now)
		m.all.fresh = false
		for _, c := range m.types {
			c.fresh = false
		}
	}
	return out
}

// giveBack keeps what could not be stored for the next time.
func (m *meter) giveBack(minutes [][]task.Rollup) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, rows := range minutes {
		if rows[0].AtUTC.Equal(m.minute) {
			for _, r := range rows[1:] {
				m.types[r.Type].fresh = true
			}
			m.all.fresh = true
		} else {
			m.ended = append(m.ended, rows)
		}
	}
	m.ended = m.ended[max(0, len(m.ended)-pendingMinutes):]
}

// StoreMeasures stores what was counted since the last time. Run does so every few seconds; who stops the queue does so last. A store that has been moved keeps no more of it.
func (q *Queue) StoreMeasures(ctx context.Context) error {
	if err := q.storeMeasures(ctx); !errors.Is(err, task.ErrMoved) {
		return err
	}
	return nil
}

func (q *Queue) storeMeasures(ctx context.Context) error {
	q.meter.store.Lock()
	defer q.meter.store.Unlock()
	now := q.Now()
	stats, err := q.store.Stats(ctx, now)
	if err != nil {
		return fmt.Errorf("store measures: %w", err)
	}
	q.meter.see(now, q.runner, peakOf(stats))
	minutes := q.meter.take(q.runner)
	for i, rows := range minutes {
		if err := q.store.PutRollups(ctx, rows); err != nil {
			q.meter.giveBack(minutes[i:])
			return fmt.Errorf("store measures: %w", err)
		}
	}
	if err := q.storeFailures(ctx); err != nil {
		return err
	}
	if len(minutes) == 0 || now.Sub(q.meter.folded) < foldEvery {
		return nil
	}
	if err := q.fold(ctx, now); err != nil {
		return fmt.Errorf("fold measures: %w", err)
	}
	if err := q.store.PurgeFailures(ctx, now.Add(-failuresKept), maxFailures); err != nil {
		return fmt.Errorf("purge failures: %w", err)
	}
	q.meter.folded = now
	return nil
}

func peakOf(s task.Stats) task.Peak {
	p := task.Peak{Ready: s.ReadyTasks, Scheduled: s.ScheduledTasks, Processing: s.ProcessingTasks}
	if s.OldestQueuedAgeSeconds != nil {
		p.OldestSeconds = *s.OldestQueuedAgeSeconds
	}
	return p
}

// fold makes old minutes hours, and deletes old hours.
func (q *Queue) fold(ctx context.Context, now time.Time) error {
	for {
		oldest, err := q.store.OldestRollup(ctx, task.Minute)
		if err != nil {
			return err
		}
		if oldest == nil || now.Sub(*oldest) < minutesKept {
			break
		}
		hour := oldest.Truncate(time.Hour)
		if err := q.store.FoldRollups(ctx, hour, q.o.Secret()); err != nil {
			return err
		}
	}
	oldest, err := q.store.OldestRollup(ctx, task.Hour)
	if err != nil || oldest == nil || now.Sub(*oldest) < hoursKept {
		return err
	}
	return q.store.PurgeRollups(ctx, now.Add(-hoursKept))
}

// runMeter stores what was counted until ctx ends.
func (q *Queue) runMeter(ctx context.Context) {
	ticker := time.NewTicker(storeEvery)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := q.StoreMeasures(ctx)
		if err != nil && ctx.Err() == nil && !errors.Is(err, task.ErrStopped) && !failing {
			q.o.Log.Error("metrics", "error", err)
		}
		failing = err != nil
	}
}
