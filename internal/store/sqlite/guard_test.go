package sqlite

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/task"
)

// TestTheSchemaJudgesTheWriter has the writer's own connection run what must not happen: the database refuses it and nothing changes.
func TestTheSchemaJudgesTheWriter(t *testing.T) {
	t.Parallel()
	st := openAt(t, filepath.Join(t.TempDir(), "queue.db"), Options{Migrate: true})
	insert(t, st, "")
	insert(t, st, "")
	insert(t, st, "")
	held, err := st.ClaimTasks(t.Context(), task.Claim{WorkerID: "w", Max: 2, Lease: time.Minute, Now: st.Clock().Now(), Secret: "s"})
	if err != nil || len(held) != 2 {
		t.Fatalf("claimed %v, %v", held, err)
	}
	if _, err := st.CompleteTask(t.Context(), held[1].ID, task.Token{Fence: held[1].Fence, Secret: "s"}, nil, st.Clock().Now()); err != nil {
		t.Fatal(err)
	}
	// Task 1 is held, 2 completed, 3 queued.
	const (
		noLease = "ready = 0, locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL"
		lock    = "ready = 0, locked_by = 'x', last_worker_id = 'x', lease_secret = 'x', lease_until_utc = 9, reserved_at_utc = 1, finished_at_utc = NULL, outcome = NULL"
	)
	for name, statement := range map[string]string{
		"QueuedToCompleted":            "UPDATE task_queue SET status = 'completed', outcome = 'succeeded', finished_at_utc = 1, " + noLease + " WHERE id = 3",
		"ClaimThatSkipsAFence":         "UPDATE task_queue SET status = 'processing', attempts = attempts + 1, fence = fence + 2, " + lock + " WHERE id = 3",
		"ClaimThatCountsNoAttempt":     "UPDATE task_queue SET status = 'processing', fence = fence + 1, " + lock + " WHERE id = 3",
		"AnotherHolderOfALeaseInForce": "UPDATE task_queue SET locked_by = 'x', last_worker_id = 'x' WHERE id = 1",
		"AnotherSecretOfALeaseInForce": "UPDATE task_queue SET lease_secret = 'x' WHERE id = 1",
		"CompletedToQueued":            "UPDATE task_queue SET status = 'queued', finished_at_utc = NULL, outcome = NULL, " + noLease + " WHERE id = 2",
		"CompletedToProcessing":        "UPDATE task_queue SET status = 'processing', fence = fence + 1, attempts = attempts + 1, " + lock + " WHERE id = 2",
		"CompletedToFailed":            "UPDATE task_queue SET status = 'failed', outcome = 'cancelled' WHERE id = 2",
		"AnotherTimeOfCreation":        "UPDATE task_queue SET created_at_utc = 1 WHERE id = 2",
		"DeletionOfALiveTask":          "DELETE FROM task_queue WHERE id = 3",
	} {
		t.Run(name, func(t *testing.T) {
			before := everyTask(t, st)
			_, err := submit(t.Context(), st, op{single: true}, func(context.Context, tx) (int64, error) {
				err := st.writer.raw.Exec(statement)
				return st.writer.raw.Changes(), err
			})
			if err == nil {
				t.Error("was taken")
			}
			if diff := cmp.Diff(before, everyTask(t, st)); diff != "" {
				t.Error(diff)
			}
		})
	}
	insert(t, st, "") // the writer goes on
	if err := compare(t.Context(), st); err != nil {
		t.Error(err)
	}
}

func everyTask(t *testing.T, st *Store) []task.Task {
	t.Helper()
	all := make([]task.Task, 0, 3)
	for id := int64(1); id <= 3; id++ {
		one, err := st.GetTask(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}
