package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/prismq/thequeue/internal/task"
)

func newTask(t *testing.T, st *Store, s task.Spec) task.Task {
	t.Helper()
	n, err := s.Task(st.Clock().Now(), task.Limits{MaxAttempts: 5, PayloadBytes: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// claimed returns how many tasks of type b a worker gets.
func claimed(t *testing.T, st *Store, offers task.Capabilities, now time.Time) int {
	t.Helper()
	got, err := st.ClaimTasks(t.Context(), task.Claim{WorkerID: "w", Types: []string{"b"}, Capabilities: offers, Max: 1, Lease: time.Minute, Now: now, Secret: "s"})
	if err != nil {
		t.Fatal(err)
	}
	return len(got)
}

// foreign runs statements on a connection of its own, which no CHECK stops.
func foreign(t *testing.T, st *Store, statements ...string) {
	t.Helper()
	c, err := sqlite3.Open(st.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, s := range append([]string{"PRAGMA ignore_check_constraints = on"}, statements...) {
		if err := c.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// TestALaneThatWasUndoneLeavesNothing makes a lane in a transaction that is undone, and then another one, which gets its id.
func TestALaneThatWasUndoneLeavesNothing(t *testing.T) {
	t.Parallel()
	st := openAt(t, filepath.Join(t.TempDir(), "queue.db"), Options{Migrate: true})
	insert(t, st, "")
	var undone int64
	if _, err := write(t.Context(), st, func(ctx context.Context, x tx) (struct{}, error) {
		key, err := keyOf(newTask(t, st, task.Spec{Type: "a", Compatibility: `{"gpu":1}`}))
		l, made := x.lane(ctx, key)
		undone = l.ID
		return struct{}{}, errors.Join(err, made, st.writer.raw.Exec("ROLLBACK"))
	}); err == nil {
		t.Fatal("the group was committed")
	}
	stored, _, err := st.InsertTask(t.Context(), newTask(t, st, task.Spec{Type: "b", Compatibility: `{"gpu":2}`}))
	if err != nil || stored.LaneID != undone {
		t.Fatalf("lane %d, want %d again; %v", stored.LaneID, undone, err)
	}
	now := st.Clock().Now()
	if one, two := claimed(t, st, task.Capabilities{"gpu": 1.0}, now), claimed(t, st, task.Capabilities{"gpu": 2.0}, now); one != 0 || two != 1 {
		t.Errorf("the worker with gpu 1 was given %d tasks, the one with gpu 2 %d; want 0 and 1", one, two)
	}
}

// TestNothingIsStoredOnceTheTransactionIsUndone has a new lane undo the transaction of a group, as a full disk does.
func TestNothingIsStoredOnceTheTransactionIsUndone(t *testing.T) {
	t.Parallel()
	st := openAt(t, filepath.Join(t.TempDir(), "queue.db"), Options{Migrate: true})
	insert(t, st, "")
	onWriter(t, st, func(w *writer) (struct{}, error) {
		return struct{}{}, w.raw.Exec("CREATE TEMP TRIGGER full BEFORE INSERT ON main.lanes WHEN NEW.type = 'full' BEGIN SELECT RAISE(ROLLBACK, 'no room'); END")
	})
	begun, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		_, _ = write(t.Context(), st, func(context.Context, tx) (struct{}, error) {
			close(begun)
			<-release
			return struct{}{}, nil
		})
	})
	<-begun
	for i, kind := range []string{"full", "test", "test", "test", "test"} {
		all.Go(func() {
			if got, created, err := st.InsertTask(t.Context(), newTask(t, st, task.Spec{Type: kind})); err == nil || created || got.ID != 0 {
				t.Errorf("%s: task %d, created %v, error %v", kind, got.ID, created, err)
			}
		})
		for len(st.writer.ops) <= i {
			runtime.Gosched()
		}
	}
	close(release)
	all.Wait()
	if got, err := st.ListTasks(t.Context(), task.Filter{Limit: 10}); err != nil || len(got) != 1 {
		t.Errorf("%d tasks are stored, want 1; %v", len(got), err)
	}
	if err := compare(t.Context(), st); err != nil {
		t.Error(err)
	}
}

func TestARowThatCannotBeReadChangesNothing(t *testing.T) {
	t.Parallel()
	st := openAt(t, filepath.Join(t.TempDir(), "queue.db"), Options{Migrate: true})
	now := st.Clock().Now()
	due := task.Time{Time: now.Add(time.Second)}
	bad, _, err := st.InsertTask(t.Context(), newTask(t, st, task.Spec{Type: "a", RunAfterUTC: &due}))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := st.InsertTask(t.Context(), newTask(t, st, task.Spec{Type: "b", RunAfterUTC: &due})); err != nil {
		t.Fatal(err)
	}
	foreign(t, st, fmt.Sprintf("UPDATE task_queue SET timeout_seconds = 'soon' WHERE id = %d", bad.ID))
	if _, err := st.PromoteDue(t.Context(), now.Add(2*time.Second), 10); err == nil {
		t.Fatal("the row could be read")
	}
	if err := compare(t.Context(), st); err != nil {
		t.Error(err)
	}
	foreign(t, st, fmt.Sprintf("UPDATE task_queue SET timeout_seconds = NULL WHERE id = %d", bad.ID))
	if _, err := st.PromoteDue(t.Context(), now.Add(2*time.Second), 10); err != nil {
		t.Fatal(err)
	}
	if n := claimed(t, st, nil, now.Add(3*time.Second)); n != 1 {
		t.Errorf("%d tasks, want 1", n)
	}
}

func TestALaneThatCannotBeReadStopsNobody(t *testing.T) {
	t.Parallel()
	st := openAt(t, filepath.Join(t.TempDir(), "queue.db"), Options{Migrate: true})
	foreign(t, st, `INSERT INTO lanes (type, compatibility, priority) VALUES ('b', '{"a":{"b":1}}', 5)`)
	if _, _, err := st.InsertTask(t.Context(), newTask(t, st, task.Spec{Type: "b"})); err != nil {
		t.Fatal(err)
	}
	if n := claimed(t, st, nil, st.Clock().Now()); n != 1 {
		t.Errorf("%d tasks, want 1", n)
	}
}

// TestTheSchemaTakesNothingThatCannotBeRead writes what SQLite would take for JSON or a number.
func TestTheSchemaTakesNothingThatCannotBeRead(t *testing.T) {
	t.Parallel()
	st := openAt(t, filepath.Join(t.TempDir(), "queue.db"), Options{Migrate: true})
	insert(t, st, "")
	c, err := sqlite3.Open(st.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, set := range []string{
		`payload = '{a:1,}'`, `payload = jsonb('{"a":1}')`, `payload = '[]'`, `payload = '{'`,
		`retry_policy = '{a:1}'`, `retry_policy = jsonb('{}')`, `result = '{a:1}'`, `result = jsonb('1')`,
		`timeout_seconds = 'soon'`, `attempts = 0.5`, `max_attempts = 5.5`,
	} {
		if err := c.Exec("UPDATE task_queue SET " + set); !errors.Is(err, sqlite3.CONSTRAINT_CHECK) {
			t.Errorf("%s: %v, want a failed CHECK", set, err)
		}
	}
	for _, values := range []string{`'x', '{a:1}', 5`, `'x', jsonb('{"a":1}'), 5`} {
		if err := c.Exec("INSERT INTO lanes (type, compatibility, priority) VALUES (" + values + ")"); !errors.Is(err, sqlite3.CONSTRAINT_CHECK) {
			t.Errorf("lane %s: %v, want a failed CHECK", values, err)
		}
	}
	if err := c.Exec(`UPDATE task_queue SET payload = '{"a": 1}', timeout_seconds = 3, max_attempts = 9, result = '7', retry_policy = '{}'`); err != nil {
		t.Errorf("what is right: %v", err)
	}
}
