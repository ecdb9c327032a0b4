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
	minute time.Time                 // that is being counted
	counts map[string]*task.Measures // in that minute, by type; under "" all of them
	fresh  map[string]bool           // which of them have changed since they were stored
	ended  [][]task.Rollup           // of earlier minutes, not yet stored

	store  sync.Mutex // held by who stores; guards what follows
	folded time.Time  // when minutes were last made hours
}

// note counts an event of tasks at now.
func (m *meter) note(now time.Time, node string, name task.EventName, tasks []task.Task) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if minute := now.Truncate(time.Minute); minute.After(m.minute) {
		m.end(node)
		m.minute = minute
	}
	for _, t := range tasks {
		for _, of := range [...]string{"", t.Type} {
			c := m.counts[of]
			if c == nil {
				c = new(task.Measures)
				m.counts[of] = c
			}
			c.Note(name, t)
			m.fresh[of] = true
		}
	}
}

// end puts the minute that is over aside. The caller holds mu.
func (m *meter) end(node string) {
	if rows := m.rows(node); len(rows) > 0 {
		m.ended = append(m.ended, rows)
		m.ended = m.ended[max(0, len(m.ended)-pendingMinutes):]
	}
	m.counts, m.fresh = make(map[string]*task.Measures), make(map[string]bool)
}

// rows are the counts of this minute that are not stored yet. The caller holds mu.
func (m *meter) rows(node string) []task.Rollup {
	out := make([]task.Rollup, 0, len(m.fresh))
	for of := range m.fresh {
		out = append(out, task.Rollup{Seconds: task.Minute, Type: of, AtUTC: m.minute, Node: node, Counts: m.counts[of].Copy()})
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
		clear(m.fresh)
	}
	return out
}

// giveBack keeps what could not be stored for the next time.
func (m *meter) giveBack(minutes [][]task.Rollup) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, rows := range minutes {
		if rows[0].AtUTC.Equal(m.minute) {
			for _, r := range rows {
				m.fresh[r.Type] = true
			}
		} else {
			m.ended = append(m.ended, rows)
		}
	}
	m.ended = m.ended[max(0, len(m.ended)-pendingMinutes):]
}

// StoreMeasures stores what was counted since the last time. Run does so every few seconds; who stops the queue does so last.
func (q *Queue) StoreMeasures(ctx context.Context) error {
	q.meter.store.Lock()
	defer q.meter.store.Unlock()
	minutes := q.meter.take(q.runner)
	if len(minutes) == 0 {
		return nil
	}
	for i, rows := range minutes {
		if err := q.store.PutRollups(ctx, rows); err != nil {
			q.meter.giveBack(minutes[i:])
			return fmt.Errorf("store measures: %w", err)
		}
	}
	now := q.Now()
	if now.Sub(q.meter.folded) < foldEvery {
		return nil
	}
	if err := q.fold(ctx, now); err != nil {
		return fmt.Errorf("fold measures: %w", err)
	}
	q.meter.folded = now
	return nil
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
