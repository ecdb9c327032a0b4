package client_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// TestRuns takes a run through its life by the calls of older clients, some of whose answers are lost.
func TestRuns(t *testing.T) {
	t.Parallel()
	s := serve(t, testdb.SQLite(t))
	c, err := client.New(s.URL, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const id = "run/✓ 1"
	s.loseNext("run", 1)
	made, err := c.StartRun(t.Context(), "a b", `{"n":1.50}`, id)
	must(err)
	if made.RunID != id || made.ModuleID != "a b" || made.Status != task.RunQueued || made.Parameters != `{"n":1.50}` {
		t.Errorf("got %+v", made)
	}
	var seen []string
	ended := make(chan error, 1)
	go func() {
		status, err := c.FollowRun(t.Context(), id, func(l task.RunLog) error { seen = append(seen, l.Level+" "+l.Message); return nil })
		if err == nil && status != task.RunCompleted {
			err = errors.New(string(status))
		}
		ended <- err
	}()
	leases, err := c.Claim(t.Context(), task.Claim{WorkerID: "w", Max: 1})
	must(err)
	running, err := c.Runs(t.Context(), task.RunFilter{Status: task.RunRunning, Type: "a b"})
	must(err)
	if running.Total != 1 || len(running.Runs) != 1 || running.Runs[0].RunID != id || running.Limit != 50 {
		t.Errorf("got %+v", running)
	}
	_, err = c.Complete(t.Context(), leases[0].ID, leases[0].LeaseToken, nil)
	must(err)
	must(<-ended)
	if diff := cmp.Diff([]string{"INFO Enqueued", "INFO Claimed by w", "INFO Completed by w"}, seen); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	logs, err := c.RunLogs(t.Context(), id, 1, time.Time{})
	must(err)
	if len(logs.Logs) != 1 || logs.Logs[0].Message != "Completed by w" || !logs.Truncated {
		t.Errorf("got %+v", logs)
	}
	if _, err := c.CancelRun(t.Context(), id); !errors.Is(err, task.ErrConflict) {
		t.Errorf("the cancellation of an ended run: %v", err)
	}
	other, err := c.StartRun(t.Context(), "b", "", "")
	must(err)
	cancelled, err := c.CancelRun(t.Context(), other.RunID)
	must(err)
	if got, err := c.Run(t.Context(), other.RunID); err != nil || got.Status != task.RunCancelled || got.RunID != cancelled.RunID {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := c.Run(t.Context(), "none"); !errors.Is(err, task.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if _, err := c.FollowRun(t.Context(), "none", nil); !errors.Is(err, task.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
