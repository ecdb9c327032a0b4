package store

import (
	"encoding/json"
	"fmt"

	"github.com/prismq/thequeue/internal/task"
)

// EncodeBatch returns the tasks as the JSON array that the query InsertTasks takes on both engines. Objects travel as
// strings inside it, so that they arrive byte for byte; times are microseconds since 1970.
func EncodeBatch(ts []task.Task) (string, error) {
	type row struct {
		LaneID         int64    `json:"lane_id"`
		Type           string   `json:"type"`
		Priority       int      `json:"priority"`
		Payload        string   `json:"payload"`
		Compatibility  string   `json:"compatibility"`
		MaxAttempts    int      `json:"max_attempts"`
		RunAfterMicros int64    `json:"run_after_micros"`
		DeadlineMicros *int64   `json:"deadline_micros"`
		TimeoutSeconds *float64 `json:"timeout_seconds"`
		RetryPolicy    *string  `json:"retry_policy"`
		Ready          bool     `json:"ready"`
		IdempotencyKey *string  `json:"idempotency_key"`
		NowMicros      int64    `json:"now_micros"`
	}
	rows := make([]row, len(ts))
	for i, t := range ts {
		rows[i] = row{
			LaneID: t.LaneID, Type: t.Type, Priority: t.Priority, Payload: string(t.Payload), Compatibility: string(t.Compatibility),
			MaxAttempts: t.MaxAttempts, RunAfterMicros: t.RunAfterUTC.UnixMicro(), TimeoutSeconds: t.TimeoutSeconds, RetryPolicy: (*string)(t.RetryPolicy),
			Ready: t.Ready, IdempotencyKey: t.IdempotencyKey, NowMicros: t.CreatedAtUTC.UnixMicro(),
		}
		if t.DeadlineUTC != nil {
			micros := t.DeadlineUTC.UnixMicro()
			rows[i].DeadlineMicros = &micros
		}
	}
	b, err := json.Marshal(rows)
	if err != nil {
		return "", fmt.Errorf("encode batch: %w", err)
	}
	return string(b), nil
}

// MatchBatch puts the rows that InsertTasks returned, ordered by id, back into the order of the batch. Ids grow in that order, so
// the next row belongs to the next task that has no key, or whose key came back and was not met before. The tasks of the
// batch that were not created come back with id 0.
func MatchBatch(batch, rows []task.Task) (stored []task.Task, created []bool) {
	byKey := make(map[string]task.Task)
	var unkeyed []task.Task
	for _, r := range rows {
		if r.IdempotencyKey == nil {
			unkeyed = append(unkeyed, r)
		} else {
			byKey[*r.IdempotencyKey] = r
		}
	}
	stored, created = make([]task.Task, len(batch)), make([]bool, len(batch))
	for i, t := range batch {
		if t.IdempotencyKey == nil {
			stored[i], created[i] = unkeyed[0], true
			unkeyed = unkeyed[1:]
		} else if r, ok := byKey[*t.IdempotencyKey]; ok {
			stored[i], created[i] = r, true
			delete(byKey, *t.IdempotencyKey)
		}
	}
	return stored, created
}
