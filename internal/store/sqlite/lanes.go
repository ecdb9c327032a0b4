package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/task"
)

// laneKey is what the tasks of one lane have in common.
type laneKey struct {
	taskType      string
	compatibility string // canonical
	priority      int
}

func keyOf(t task.Task) (laneKey, error) {
	if t.Compatibility == "{}" {
		return laneKey{taskType: t.Type, compatibility: "{}", priority: t.Priority}, nil
	}
	r, err := task.ParseRequirements(t.Compatibility)
	return laneKey{taskType: t.Type, compatibility: r.Canonical(), priority: t.Priority}, err
}

// findLane returns the id of the lane, making it when it is new.
func (s *Store) findLane(ctx context.Context, q *sqlitedb.Queries, k laneKey) (int64, error) {
	if id, ok := s.knownLane(k); ok {
		return id, nil
	}
	get := sqlitedb.GetLaneParams{Type: k.taskType, Compatibility: k.compatibility, Priority: k.priority}
	id, err := q.GetLane(ctx, get)
	if !errors.Is(err, sql.ErrNoRows) {
		return id, err
	}
	if err := q.InsertLane(ctx, sqlitedb.InsertLaneParams(get)); err != nil {
		return 0, err
	}
	return q.GetLane(ctx, get)
}

// knownLane returns the id of a lane that is known to be stored.
func (s *Store) knownLane(k laneKey) (int64, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	id, ok := s.lanes[k]
	return id, ok
}

// keepLane remembers a lane whose transaction has been committed.
func (s *Store) keepLane(k laneKey, id int64) {
	s.mu.Lock()
	s.lanes[k] = id
	s.mu.Unlock()
}

// readyLanes returns the lanes with work.
func (s *Store) readyLanes(ctx context.Context, q *sqlitedb.Queries) ([]task.Lane, error) {
	rows, err := q.ListReadyLanes(ctx)
	if err != nil {
		return nil, err
	}
	lanes := make([]task.Lane, len(rows))
	for i, r := range rows {
		lanes[i] = task.Lane{ID: r.ID, Type: r.Type, Priority: r.Priority, Ready: r.Ready}
		if lanes[i].Requires, err = s.requirements(r.ID, r.Compatibility); err != nil {
			return nil, err
		}
	}
	return lanes, nil
}

// requirements parses the compatibility of a lane once; a lane never changes.
func (s *Store) requirements(laneID int64, compatibility string) (task.Requirements, error) {
	if compatibility == "{}" {
		return nil, nil
	}
	s.mu.RLock()
	r, ok := s.requires[laneID]
	s.mu.RUnlock()
	if ok {
		return r, nil
	}
	r, err := task.ParseRequirements(task.JSON(compatibility))
	if err != nil {
		return nil, fmt.Errorf("lane %d: %w", laneID, err)
	}
	s.mu.Lock()
	s.requires[laneID] = r
	s.mu.Unlock()
	return r, nil
}
