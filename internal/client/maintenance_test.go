package client_test

import (
	"context"
	"errors"
	"testing"

	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// The client is told how far maintenance has come, and what the server does ends when the client goes, or when somebody else says so.
func TestMaintenanceIsFollowedAndStopped(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		s := serve(t, st)
		c, err := client.New(s.URL, client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var steps []string
		a, err := c.Analyze(t.Context(), "", func(p task.Progress) {
			if steps = append(steps, p.Step); len(steps) == 1 {
				d, err := c.DatabaseStats(t.Context())
				if err != nil || d.Running == nil || d.Running.Verb != "analyze" {
					t.Errorf("under way: %+v, %v", d.Running, err)
				}
			}
		})
		if err != nil || a.Stopped || len(a.Tables) != len(store.Tables) || len(steps) < len(store.Tables) {
			t.Errorf("got %+v after %q, %v", a, steps, err)
		}
		if _, err = c.Analyze(t.Context(), "nothing", nil); !isInvalid(err) {
			t.Errorf("an unknown table: %v", err)
		}
		if _, err = c.FullVacuum(t.Context(), nil); !errors.Is(err, task.ErrConflict) {
			t.Errorf("a full vacuum: %v", err)
		}

		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		if _, err = c.Analyze(ctx, "", func(task.Progress) { leave() }); !errors.Is(err, context.Canceled) {
			t.Errorf("who has gone gets %v", err)
		}
		for running := true; running; {
			d, err := c.DatabaseStats(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			running = d.Running != nil
		}
	})
}

func isInvalid(err error) bool {
	_, ok := errors.AsType[*task.InvalidError](err)
	return ok
}
