package sqlite

import (
	"context"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
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
		for left := slices.Repeat([]*task.Task{{Payload: "{}"}}, rows); len(left) > 0; left = left[rowCount(left):] {
			statements++
		}
		if statements > rows/64+3+3+3 {
			t.Errorf("%d rows take %d statements", rows, statements)
		}
	}
}

func TestRowsOfOneStatementAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	of := func(bytes int) *task.Task { return &task.Task{Payload: task.JSON(strings.Repeat("x", bytes))} }
	for _, c := range []struct{ each, want int }{{maxRowsBytes / 64, 64}, {maxRowsBytes/64 + 1, 16}, {maxRowsBytes / 4, 4}, {maxRowsBytes/4 + 1, 1}, {2 * maxRowsBytes, 1}} {
		if got := rowCount(slices.Repeat([]*task.Task{of(c.each)}, 100)); got != c.want {
			t.Errorf("of %d bytes each: %d rows, want %d", c.each, got, c.want)
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
	gone, cancel := context.WithCancel(t.Context())
	for i := range callers {
		all.Go(func() {
			ctx, withdrawn := t.Context(), i%10 == 5
			if withdrawn {
				ctx = gone
			}
			n, err := task.Spec{Type: "test"}.Task(st.Clock().Now(), task.Limits{MaxAttempts: 5, PayloadBytes: 1000})
			if err != nil {
				t.Error(err)
			}
			if i%10 == 3 {
				n.Payload = "[]"
			}
			stored, created, err := st.InsertTask(ctx, n)
			if refused := i%10 == 3 || withdrawn; refused != (err != nil) || created == refused {
				t.Errorf("task %d: created %v, %v", i, created, err)
			}
			ids[i] = stored.ID
		})
	}
	for len(st.writer.ops) < callers {
		runtime.Gosched()
	}
	cancel()
	close(release)
	all.Wait()
	if !slices.ContainsFunc(slices.Collect(maps.Keys(st.writer.direct.repeated)), func(k rowsOf) bool { return k.rows > 1 }) {
		t.Error("no tasks were stored together")
	}
	seen := map[int64]bool{0: true}
	for i, id := range ids {
		if refused := i%10 == 3 || i%10 == 5; refused != seen[id] {
			t.Errorf("task %d has the id %d", i, id)
		}
		seen[id] = true
	}
	if err := compare(t.Context(), st); err != nil {
		t.Error(err)
	}
}
