package background_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/prismq/thequeue/internal/background"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// What was started when the end came is cancelled, begun with or not.
func TestRunsThatNeverBeganAreCancelled(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	for range 20 { // which of both Run sees first is chance
		m, err := background.New(background.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.StartTask(task.Run{RunID: "one", ModuleID: "m"}, func(context.Context, *background.Running) (*task.JSON, error) { return nil, nil }); err != nil {
			t.Fatal(err)
		}
		if err := m.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if r, _ := m.GetRun("one"); r.Status != task.RunCancelled || m.ActiveTaskCount() != 0 {
			t.Fatalf("it is %s", r.Status)
		}
	}
}

// ending is a registry that ends the manager when it is asked for a run, which is when that is about to be resumed.
type ending struct {
	background.Memory
	end func()
}

func (e *ending) GetRun(id string) (task.Run, bool) {
	e.end()
	return e.Memory.GetRun(id)
}

// A run that is taken over when the end comes is handed back at once, and does not wait for the end of its lease.
func TestRunsThatWereAboutToBeResumedAreHandedBack(t *testing.T) {
	t.Parallel()
	q := background.Local(serve(t, testdb.SQLite(t)))
	for n := range 12 { // which of both Run sees first is chance
		worker := fmt.Sprint("w", n)
		id, _, _, err := q.Put(t.Context(), task.Spec{Type: "m", IdempotencyKey: &worker, Compatibility: task.JSON(fmt.Sprintf(`{"background":%q}`, worker))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), patience)
		began := func(ctx context.Context, _ *background.Running) (*task.JSON, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		m, err := background.New(background.Options{
			Queue: q, WorkerID: worker, Registry: &ending{end: stop}, Handlers: map[string]background.Work{"m": began},
		})
		if err != nil {
			t.Fatal(err)
		}
		err = m.Run(ctx)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) || err != nil {
			t.Fatalf("it was not resumed: %v", err)
		}
		if got, err := q.Get(t.Context(), id); err != nil || got.Status != task.Queued || m.ActiveTaskCount() != 0 {
			t.Fatalf("number %d is %s: %v", n, got.Status, err)
		}
	}
}
