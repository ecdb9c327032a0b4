package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/db/postgressets"
	"github.com/prismq/thequeue/internal/task"
)

// maxLanes bounds what is remembered of lanes; beyond, all is forgotten and read again.
const maxLanes = 10_000

// lanes remembers rows of the table lanes, which never change, unless somebody makes the tables anew under this process.
type lanes struct {
	mu   sync.Mutex
	ids  map[postgresdb.GetLaneParams]int64
	byID map[int64]task.Lane // with Ready 0
}

func (l *lanes) id(key postgresdb.GetLaneParams) (int64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, ok := l.ids[key]
	return id, ok
}

func (l *lanes) keepID(key postgresdb.GetLaneParams, id int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ids == nil || len(l.ids) >= maxLanes {
		l.ids = make(map[postgresdb.GetLaneParams]int64)
	}
	l.ids[key] = id
}

// find returns the lanes that are remembered, and the ids of the others.
func (l *lanes) find(ids []int64) (found []task.Lane, unknown []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if lane, ok := l.byID[id]; ok {
			found = append(found, lane)
		} else {
			unknown = append(unknown, id)
		}
	}
	return found, unknown
}

func (l *lanes) keep(lane task.Lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byID == nil || len(l.byID) >= maxLanes {
		l.byID = make(map[int64]task.Lane)
	}
	l.byID[lane.ID] = lane
}

// forget makes everything be read again.
func (l *lanes) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ids, l.byID = nil, nil
}

// laneKey is what tells the lane of a task from others.
func laneKey(t task.Task) (postgresdb.GetLaneParams, error) {
	c, err := t.LaneCompatibility()
	if err != nil {
		return postgresdb.GetLaneParams{}, fmt.Errorf("compatibility: %w", err)
	}
	return postgresdb.GetLaneParams{Type: t.Type, Compatibility: c, Priority: t.Priority}, nil
}

// laneOf returns the id of a lane, making it when it is new. It is committed before it is used or remembered: a lane without tasks does no
// harm, and an insert never waits for another one's lane.
func (s *Store) laneOf(ctx context.Context, key postgresdb.GetLaneParams) (int64, error) {
	if id, ok := s.lanes.id(key); ok {
		return id, nil
	}
	id, err := s.q.GetLane(ctx, key)
	if errors.Is(err, sql.ErrNoRows) {
		if err := s.q.InsertLane(ctx, postgresdb.InsertLaneParams(key)); err != nil {
			return 0, notSent(ctx, err)
		}
		id, err = s.q.GetLane(ctx, key)
	}
	if err != nil {
		return 0, notSent(ctx, err)
	}
	s.lanes.keepID(key, id)
	return id, nil
}

// setLanes returns the tasks with their lanes.
func (s *Store) setLanes(ctx context.Context, ts []task.Task) ([]task.Task, error) {
	ts = slices.Clone(ts)
	for i := range ts {
		key, err := laneKey(ts[i])
		if err != nil {
			return nil, err
		}
		if ts[i].LaneID, err = s.laneOf(ctx, key); err != nil {
			return nil, err
		}
	}
	return ts, nil
}

// lanesByID returns the lanes, in no order.
func (s *Store) lanesByID(ctx context.Context, q *postgressets.Queries, ids []int64) ([]task.Lane, error) {
	found, unknown := s.lanes.find(ids)
	if len(unknown) == 0 {
		return found, nil
	}
	rows, err := q.ListLanes(ctx, unknown)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		requires, err := task.ParseRequirements(task.JSON(r.Compatibility))
		if err != nil {
			return nil, fmt.Errorf("lane %d: compatibility %w", r.ID, err)
		}
		lane := task.Lane{ID: r.ID, Type: r.Type, Requires: requires, Priority: r.Priority, Keyed: task.KeyedLane(r.Compatibility)}
		s.lanes.keep(lane)
		found = append(found, lane)
	}
	return found, nil
}

// work is what there is to claim at one instant.
type work struct {
	lanes   []task.Lane      // with tasks to claim, of types that are not closed
	limits  map[string]int64 // of these types not more tasks than so many may be held
	version int64            // of the rules that say so

	quarantine bool // there are tasks in quarantine
}

// findWork returns what there is to claim at now. How many tasks each lane has is read when it must be counted, which costs a look at the counters of all
// lanes; else Ready is as great as can be.
func (s *Store) findWork(ctx context.Context, q *postgressets.Queries, now time.Time, counted bool) (work, error) {
	rows, err := readyRows(ctx, q, now, counted)
	if err != nil {
		return work{}, err
	}
	var w work
	ids := make([]int64, 0, len(rows))
	var ready map[int64]int64
	var closed []string
	if counted {
		ready = make(map[int64]int64, len(rows))
	}
	for _, r := range rows {
		switch {
		case r.LaneID == inQuarantine:
			w.quarantine = true
		case r.LaneID == 0 && r.Type == "":
			w.version = r.Version
		case r.LaneID == 0 && r.Most == 0:
			closed = append(closed, r.Type)
		case r.LaneID == 0:
			w.limit(r.Type, r.Most)
		default:
			ids = append(ids, r.LaneID)
			if counted {
				ready[r.LaneID] = r.Ready
			}
		}
	}
	if w.lanes, err = s.lanesByID(ctx, q, ids); len(closed) > 0 {
		w.lanes = slices.DeleteFunc(w.lanes, func(l task.Lane) bool { return slices.Contains(closed, l.Type) })
	}
	for i := range w.lanes {
		if w.lanes[i].Ready = math.MaxInt64; counted {
			w.lanes[i].Ready = ready[w.lanes[i].ID]
		}
	}
	return w, err
}

func (w *work) limit(taskType string, most int64) {
	if w.limits == nil {
		w.limits = make(map[string]int64)
	}
	w.limits[taskType] = most
}

// readyRows reads the lanes with work, the rows about rules among them.
func readyRows(ctx context.Context, q *postgressets.Queries, now time.Time, counted bool) ([]postgressets.CountReadyRow, error) {
	if counted {
		return q.CountReady(ctx, now)
	}
	rows, err := q.ListLanesWithWork(ctx, now)
	return column(rows, func(r postgressets.ListLanesWithWorkRow) postgressets.CountReadyRow {
		return postgressets.CountReadyRow{LaneID: r.LaneID, Ready: math.MaxInt64, Type: r.Type, Most: r.Most, Version: r.Version}
	}), err
}

// tasks converts rows, in the order of their ids: RETURNING has none.
func tasks(rows []postgresdb.Task) []task.Task {
	out := make([]task.Task, len(rows))
	for i, r := range rows {
		out[i] = task.Task(r)
	}
	sortByID(out)
	return out
}

func sortByID(ts []task.Task) {
	slices.SortFunc(ts, func(a, b task.Task) int { return cmp.Compare(a.ID, b.ID) })
}
