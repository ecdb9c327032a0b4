package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/task"
)

// maxLanes bounds what is remembered of lanes; beyond, all is forgotten and read again.
const maxLanes = 10_000

// lanes remembers rows of the table lanes, which never change.
type lanes struct {
	mu       sync.Mutex
	ids      map[postgresdb.GetLaneParams]int64
	requires map[int64]task.Requirements
}

func (l *lanes) id(key postgresdb.GetLaneParams) (int64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, ok := l.ids[key]
	return id, ok
}

func (l *lanes) keep(key postgresdb.GetLaneParams, id int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ids == nil || len(l.ids) >= maxLanes {
		l.ids = make(map[postgresdb.GetLaneParams]int64)
	}
	l.ids[key] = id
}

// parse returns the requirements of a lane.
func (l *lanes) parse(id int64, compatibility string) (task.Requirements, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r, ok := l.requires[id]; ok {
		return r, nil
	}
	r, err := task.ParseRequirements(task.JSON(compatibility))
	if err != nil {
		return nil, fmt.Errorf("lane %d: compatibility %w", id, err)
	}
	if l.requires == nil || len(l.requires) >= maxLanes {
		l.requires = make(map[int64]task.Requirements)
	}
	l.requires[id] = r
	return r, nil
}

// laneKey is what tells the lane of a task from others.
func laneKey(t task.Task) (postgresdb.GetLaneParams, error) {
	key := postgresdb.GetLaneParams{Type: t.Type, Compatibility: "{}", Priority: t.Priority}
	if t.Compatibility == "{}" {
		return key, nil
	}
	r, err := task.ParseRequirements(t.Compatibility)
	if err != nil {
		return key, fmt.Errorf("compatibility: %w", err)
	}
	key.Compatibility = r.Canonical()
	return key, nil
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
			return 0, err
		}
		id, err = s.q.GetLane(ctx, key)
	}
	if err != nil {
		return 0, err
	}
	s.lanes.keep(key, id)
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

// readyLanes returns the lanes that have tasks to claim.
func (s *Store) readyLanes(ctx context.Context) ([]task.Lane, error) {
	rows, err := s.q.ListReadyLanes(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]task.Lane, len(rows))
	for i, r := range rows {
		requires, err := s.lanes.parse(r.ID, r.Compatibility)
		if err != nil {
			return nil, err
		}
		out[i] = task.Lane{ID: r.ID, Type: r.Type, Requires: requires, Priority: r.Priority, Ready: r.Ready}
	}
	return out, nil
}

// tasks converts rows, in the order of their ids: RETURNING has none.
func tasks(rows []postgresdb.Task) []task.Task {
	out := make([]task.Task, len(rows))
	for i, r := range rows {
		out[i] = task.Task(r)
	}
	slices.SortFunc(out, func(a, b task.Task) int { return cmp.Compare(a.ID, b.ID) })
	return out
}
