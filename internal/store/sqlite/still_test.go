package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// A claim that can find nothing must not wait for another process that writes, nor write itself; one that can must see what others have written.
func TestAClaimAtRestAsksTheFileNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	st, other := openAt(t, path, Options{Migrate: true}), openAt(t, path, Options{})
	claim := func() int {
		t.Helper()
		now := st.Clock().Now()
		got, err := st.ClaimTasks(t.Context(), task.Claim{WorkerID: "w", Strategy: task.FIFO, Max: 1, Lease: time.Minute, Secret: "s", Now: now})
		if err != nil {
			t.Fatal(err)
		}
		return len(got)
	}
	count := func() {
		t.Helper()
		if _, err := st.Stats(t.Context(), st.Clock().Now()); err != nil {
			t.Fatal(err)
		}
	}
	count()
	writing, _ := connTo(t, path)
	if err := writing.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	if n := claim(); n != 0 {
		t.Errorf("claimed %d tasks of an empty queue", n)
	}
	if err := writing.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	for _, from := range []*Store{other, st} {
		insert(t, from, "")
		if n := claim(); n != 1 {
			t.Errorf("claimed %d tasks, want the one that was put in", n)
		}
		count()
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := st.ClaimTasks(t.Context(), task.Claim{WorkerID: "w", Strategy: task.FIFO, Max: 1, Lease: time.Minute}); err == nil {
		t.Error("a closed store answers a claim")
	}
}
