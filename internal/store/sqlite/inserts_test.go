package sqlite

import (
	"context"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/prismq/thequeue/internal/task"
)

func TestRepeatNumbersTheParametersOfEachRow(t *testing.T) {
	t.Parallel()
	got := repeat("INSERT INTO t (a, b, c)\nVALUES (?1, 'VALUES', ?2)\n", 3, 2)
	if want := "INSERT INTO t (a, b, c)\nVALUES (?1, 'VALUES', ?2), (?3, 'VALUES', ?4), (?5, 'VALUES', ?6)"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRowCountsLeaveNothing(t *testing.T) {
	t.Parallel()
	for rows := 1; rows <= 200; rows++ {
		statements := 0
		for left := rows; left > 0; left -= rowCount(left) {
			statements++
		}
		if statements > rows/64+3+3+3 {
			t.Errorf("%d rows take %d statements", rows, statements)
		}
	}
}

// TestAnArrivalThatIsRefusedFailsAlone puts new tasks into one group, some of which the schema refuses.
func TestAnArrivalThatIsRefusedFailsAlone(t *testing.T) {
	t.Parallel()
	st := openAt(t, filepath.Join(t.TempDir(), "queue.db"), Options{Migrate: true})
	begun, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		_, err := write(t.Context(), st, func(context.Context, tx) (struct{}, error) {
			close(begun)
			<-release
			return struct{}{}, nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-begun
	const callers = 30
	ids := make([]int64, callers)
	for i := range callers {
		all.Go(func() {
			n, err := task.Spec{Type: "test"}.Task(st.Clock().Now(), task.Limits{MaxAttempts: 5, PayloadBytes: 1000})
			if err != nil {
				t.Error(err)
			}
			if i%10 == 3 {
				n.Payload = "[]"
			}
			stored, created, err := st.InsertTask(t.Context(), n)
			if refused := i%10 == 3; refused != (err != nil) || created == refused {
				t.Errorf("task %d: created %v, %v", i, created, err)
			}
			ids[i] = stored.ID
		})
	}
	for len(st.writer.ops) < callers {
		runtime.Gosched()
	}
	close(release)
	all.Wait()
	seen := map[int64]bool{0: true}
	for i, id := range ids {
		if refused := i%10 == 3; refused != seen[id] {
			t.Errorf("task %d has the id %d", i, id)
		}
		seen[id] = true
	}
	if err := compare(t.Context(), st); err != nil {
		t.Error(err)
	}
}
