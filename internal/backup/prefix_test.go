package backup_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	_ "github.com/ncruces/go-sqlite3/driver"

	"github.com/prismq/thequeue/internal/backup"
	"github.com/prismq/thequeue/internal/clock"
	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/store/sqlite"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// step is how far a task has come; the operation that brings it there is of that rank.
type step int

const (
	absent step = iota
	enqueued
	claimed
	completed
)

// did is one operation that was acknowledged.
type did struct {
	id            int64
	to            step
	issued, acked int64 // places in the order of all that was sent and answered
}

// history is what clients have done, in an order that all of them share.
type history struct {
	clock atomic.Int64
	mu    sync.Mutex
	done  []did
}

// note carries an operation out and keeps it.
func (h *history) note(to step, do func() (int64, error)) (int64, error) {
	issued := h.clock.Add(1)
	id, err := do()
	if err != nil {
		return 0, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.done = append(h.done, did{id, to, issued, h.clock.Add(1)})
	return id, nil
}

// live works on tasks of its own type until ctx ends: each is enqueued, claimed and completed.
func (h *history) live(ctx context.Context, q *queue.Queue, name string) error {
	for ctx.Err() == nil {
		id, err := h.note(enqueued, func() (int64, error) {
			t, _, err := q.Enqueue(context.WithoutCancel(ctx), task.Spec{Type: name}, 5)
			return t.ID, err
		})
		if err != nil {
			return err
		}
		var token string
		if _, err := h.note(claimed, func() (int64, error) {
			ls, err := q.Claim(context.WithoutCancel(ctx), task.Claim{WorkerID: name, Types: []string{name}})
			if err != nil || len(ls) != 1 || ls[0].ID != id {
				return 0, fmt.Errorf("claimed %d tasks, want task %d: %w", len(ls), id, err)
			}
			token = ls[0].LeaseToken
			return id, nil
		}); err != nil {
			return err
		}
		if _, err := h.note(completed, func() (int64, error) {
			_, err := q.Complete(context.WithoutCancel(ctx), id, token, nil)
			return id, err
		}); err != nil {
			return err
		}
	}
	return nil
}

// taken is a backup, and the places in the history between which it was made.
type taken struct {
	name       string
	begun, end int64
}

// violations says where a state is not that after a part of the history without a gap: what was acknowledged before the backup began is in it, what is in it
// was sent before it ended, and nothing is in it that was sent after something that is not in it was acknowledged.
func (h *history) violations(state map[int64]step, of taken) (wrong []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var lastIn, firstOut did
	inside := 0
	for _, d := range h.done {
		if state[d.id] >= d.to {
			inside++
			if d.issued > of.end {
				wrong = append(wrong, fmt.Sprintf("task %d: step %d was sent at %d, after the backup had ended at %d", d.id, d.to, d.issued, of.end))
			}
			if d.issued > lastIn.issued {
				lastIn = d
			}
			continue
		}
		if d.acked < of.begun {
			wrong = append(wrong, fmt.Sprintf("task %d: step %d was acknowledged at %d, before the backup began at %d", d.id, d.to, d.acked, of.begun))
		}
		if firstOut.acked == 0 || d.acked < firstOut.acked {
			firstOut = d
		}
	}
	if firstOut.acked > 0 && firstOut.acked < lastIn.issued {
		wrong = append(wrong, fmt.Sprintf("a gap: step %d of task %d was acknowledged at %d and is not in it, step %d of task %d was sent at %d and is", firstOut.to, firstOut.id, firstOut.acked, lastIn.to, lastIn.id, lastIn.issued))
	}
	if inside == 0 {
		wrong = append(wrong, "nothing is in it")
	}
	return wrong
}

// stateOf reads how far each task is, and compares the counters with the tasks.
func stateOf(ctx context.Context, st store.Store) (map[int64]step, error) {
	stats, err := st.Stats(ctx, st.Clock().Now())
	if err != nil {
		return nil, err
	}
	state, count := make(map[int64]step), map[task.Status]int64{}
	for before := int64(0); ; {
		ts, err := st.ListTasks(ctx, task.Filter{Before: before, Limit: 1000})
		if err != nil {
			return nil, err
		}
		for _, t := range ts {
			count[t.Status]++
			switch t.Status {
			case task.Queued:
				state[t.ID] = enqueued
			case task.Processing:
				state[t.ID] = claimed
			case task.Completed:
				state[t.ID] = completed
			}
			before = t.ID
		}
		if len(ts) < 1000 {
			break
		}
	}
	if stats.QueuedTasks != count[task.Queued] || stats.ProcessingTasks != count[task.Processing] || stats.CompletedTasks != count[task.Completed] {
		return nil, fmt.Errorf("the counters are %+v, the tasks %v", stats, count)
	}
	return state, nil
}

const (
	clients = 6
	// ballast are tasks of some length, which make a backup take so long at ballastRate that much happens meanwhile.
	ballast     = 24
	ballastSize = 64 << 10
	ballastRate = 4 << 20
)

// underLoad makes backups while clients work, in turn as quick and as slow as they go.
func underLoad(t *testing.T, st store.Store, dir *backup.Directory, n int) (h *history, all []taken) {
	t.Helper()
	q := queue.New(st, queue.Options{})
	for range ballast {
		if _, _, err := q.Enqueue(t.Context(), task.Spec{Type: "ballast", Payload: task.JSON(`{"x":"` + strings.Repeat("x", ballastSize) + `"}`)}, 5); err != nil {
			t.Fatal(err)
		}
	}
	h = new(history)
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	defer working.Wait()
	defer stop()
	for i := range clients {
		working.Go(func() {
			if err := h.live(ctx, q, fmt.Sprintf("client-%d", i)); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	eventually(t, "every client has worked", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.done) >= 6*clients
	})
	for i := range n {
		was := int64(-1)
		b := taken{begun: h.clock.Add(1)}
		made, err := dir.Create(t.Context(), backup.Options{Compress: i%2 == 1, BytesPerSecond: int64((i + 1) % 2 * ballastRate), Progress: func(done, _ int64) {
			if done < was {
				t.Errorf("the backup has begun again: %d bytes are written, after %d", done, was)
			}
			was = done
		}})
		if err != nil {
			t.Fatal(err)
		}
		b.name, b.end = made.Name, h.clock.Add(1)
		all = append(all, b)
	}
	return h, all
}

// check demands that each backup is a part of the history without a gap.
func (h *history) check(t *testing.T, all []taken, open func(name string) store.Store) {
	t.Helper()
	meanwhile := int64(0)
	for _, b := range all {
		st := open(b.name)
		state, err := stateOf(t.Context(), st)
		if err != nil {
			t.Fatalf("%s: %v", b.name, err)
		}
		for _, wrong := range h.violations(state, b) {
			t.Errorf("%s: %s", b.name, wrong)
		}
		meanwhile += b.end - b.begun
	}
	t.Logf("%d operations, %d backups, %d events while they were made", len(h.done), len(all), meanwhile)
	if meanwhile < int64(20*len(all)) {
		t.Error("too little happened while they were made: the test proves nothing")
	}
}

// TestBackupsUnderLoad: each backup has all that was acknowledged before it, nothing that was sent after it, and no gap. What is made otherwise is found out.
func TestBackupsUnderLoad(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "queue.db")
		st, err := sqlite.Open(t.Context(), path, sqlite.Options{Migrate: true, Serve: true})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		dir := &backup.Directory{Path: path + ".backups", Engine: st.Backups(), Now: clock.Wall}
		h, all := underLoad(t, st, dir, 4)
		restored := func(name string) string {
			to := filepath.Join(t.TempDir(), name+".db")
			if _, err := dir.Verify(t.Context(), name, 0, nil); err != nil {
				t.Fatal(err)
			}
			if _, err := dir.Restore(t.Context(), name, to, nil); err != nil {
				t.Fatal(err)
			}
			return to
		}
		opened := func(path string) store.Store {
			st, err := sqlite.Open(t.Context(), path, sqlite.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { st.Close() })
			return st
		}
		h.check(t, all, func(name string) store.Store { return opened(restored(name)) })

		t.Run("ADoctoredOneIsFound", func(t *testing.T) {
			path := restored(all[0].name)
			doctor(t, path)
			state, err := stateOf(t.Context(), opened(path))
			if wrong := h.violations(state, all[0]); err != nil || len(wrong) == 0 || !strings.Contains(strings.Join(wrong, "\n"), "a gap") {
				t.Errorf("an operation that is missing is not found: %v, %v", wrong, err)
			}
		})
		t.Run("ACopyOfTheFileIsFound", func(t *testing.T) {
			copied := filepath.Join(t.TempDir(), "copy.db")
			now := taken{begun: h.clock.Add(1)}
			text, err := os.ReadFile(path) // what is in the WAL alone is missing
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(copied, text, 0o600); err != nil {
				t.Fatal(err)
			}
			now.end = h.clock.Add(1)
			copy, err := sqlite.Open(t.Context(), copied, sqlite.Options{})
			if err != nil {
				t.Logf("it cannot even be opened: %v", err)
				return
			}
			defer copy.Close()
			state, err := stateOf(t.Context(), copy)
			if wrong := h.violations(state, now); err == nil && len(wrong) == 0 {
				t.Error("a copy of the file alone is taken for a backup")
			}
		})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		url := testdb.PostgresURL(t)
		st, err := postgres.Open(t.Context(), url, postgres.Options{MaxConns: 8})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		dir := &backup.Directory{Path: t.TempDir(), Engine: st.Backups(), Now: clock.Wall}
		h, all := underLoad(t, st, dir, 2)
		h.check(t, all, func(name string) store.Store {
			to := testdb.EmptyPostgresURL(t)
			if _, err := dir.Verify(t.Context(), name, 0, nil); err != nil {
				t.Fatal(err)
			}
			if _, err := dir.Restore(t.Context(), name, to, nil); err != nil {
				t.Fatal(err)
			}
			st, err := postgres.Open(t.Context(), to, postgres.Options{MaxConns: 4})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { st.Close() })
			return st
		})
	})
}

// doctor takes the first task that a client has completed out of a file, as if it had never been there.
func doctor(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.ToSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "DELETE FROM task_queue WHERE id = (SELECT min(id) FROM task_queue WHERE status = 'completed')"); err != nil {
		t.Fatal(err)
	}
}
