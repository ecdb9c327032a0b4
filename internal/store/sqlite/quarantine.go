package sqlite

import (
	"context"
	"maps"
	"slices"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/task"
)

// apart is what the writer knows of a task in quarantine.
type apart struct {
	lane   *lane
	ready  bool
	holder string // the worker that runs it; empty while it is queued
}

// quarantine notes whether a task that has changed is in quarantine, and returns what was known of it before: nil for nothing.
func (s *state) quarantine(t task.Task, gone bool) (was *apart) {
	if a, ok := s.apart[t.ID]; ok {
		was = &a
		delete(s.apart, t.ID)
	}
	if !gone && t.Quarantined() {
		s.enter(t.ID, apartOf(s.lanes[t.LaneID], t.Ready, t.Status, t.LastWorkerID))
	}
	return was
}

func (s *state) enter(id int64, a apart) {
	if s.apart == nil {
		s.apart = make(map[int64]apart)
	}
	s.apart[id] = a
}

func apartOf(l *lane, ready bool, status task.Status, worker *string) apart {
	a := apart{lane: l, ready: ready}
	if status == task.Processing {
		a.holder = *worker
	}
	return a
}

// loadQuarantine reads the tasks in quarantine. Their lanes are known.
func (s *state) loadQuarantine(ctx context.Context, q *sqlitedb.Queries) error {
	rows, err := q.ListQuarantined(ctx)
	s.apart = nil
	for _, r := range rows {
		s.enter(r.ID, apartOf(s.lanes[r.LaneID], r.Ready, r.Status, r.LastWorkerID))
	}
	return err
}

// alone does the part of the claim that concerns tasks in quarantine. When done is true, that was all of it: the worker runs such a task already, takes
// one now, or stands by for one and holds something still.
func (p *picker) alone(ctx context.Context) (done bool, err error) {
	p.standby.Keep(func(id int64) bool { _, ok := p.apart[id]; return ok })
	for _, a := range p.apart {
		if a.holder == p.claim.WorkerID {
			return true, nil
		}
	}
	for _, id := range slices.Sorted(maps.Keys(p.apart)) {
		a := p.apart[id]
		if !a.ready || !a.lane.claimable() || !p.claim.MayTake(a.lane.Lane) {
			continue
		}
		t, err := p.task(ctx, id)
		if err != nil {
			return false, err
		}
		if p.early(t) {
			continue
		}
		if t.ConcurrencyKey != nil {
			if isShut, err := p.shutKey(ctx, a.lane, *t.ConcurrencyKey); err != nil || isShut {
				if err != nil {
					return false, err
				}
				continue
			}
		}
		switch _, err := p.HoldsTask(ctx, p.claim.WorkerID); {
		case noRow(err):
			err := p.take(ctx, a.lane, id)
			return len(p.taken) > 0, err
		case err != nil:
			return false, err
		}
		if stands, err := p.standby.Take(id, p.claim.WorkerID, p.claim.Now, p.drains(ctx)); stands || err != nil {
			return stands, err
		}
	}
	return false, nil
}

// drains tells whether a worker is to take nothing new.
func (p *picker) drains(ctx context.Context) func(worker string) (bool, error) {
	return func(worker string) (bool, error) {
		w, err := p.GetWorker(ctx, worker)
		if noRow(err) {
			return false, nil
		}
		return w.Drain, err
	}
}
