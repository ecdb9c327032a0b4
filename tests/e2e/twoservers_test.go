package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/testdb"
)

// TestTwoServersShareADatabase puts tasks through two servers on one PostgreSQL database: those of one type are run by the workers inside
// the servers, those of the other by workers that claim from both.
func TestTwoServersShareADatabase(t *testing.T) {
	t.Parallel()
	const each, runners = 1000, 8 // tasks of each type; workers outside
	database := testdb.PostgresURL(t)
	m, seed := newMachine(t), newSeed(t)
	var servers [2]server
	for i := range servers {
		m.env = []string{fmt.Sprintf("PRISMQ_WORKER_ID=inside-%d", i)}
		servers[i] = m.serve(database, "--log-level", "error")
	}
	rec := recorder{history: history{tried: map[string]bool{}}}
	clientOf := func(n int) client { return client{t, &rec, func() string { return servers[n%2].url }} }
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()

	var producing, consuming sync.WaitGroup
	for n := range runners {
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		consuming.Go(func() { clientOf(n).work(ctx, fmt.Sprintf("outside-%d", n), "job", r) })
		producing.Go(func() {
			for i := n; i < each; i += runners {
				clientOf(i).enqueue(ctx, "job", fmt.Sprintf("job-%d", i))
				clientOf(i).enqueue(ctx, "echo", fmt.Sprintf("echo-%d", i))
			}
		})
	}
	producing.Wait()
	eventually(t, "all tasks have ended", time.Minute, func() bool {
		s := servers[0].stats()
		return s.Queued+s.Processing == 0
	})
	stop()
	consuming.Wait()

	stored := servers[1].list("")
	for _, wrong := range rec.history.violations(stored, servers[1].stats()) {
		t.Error(wrong)
	}
	if len(stored) != 2*each {
		t.Errorf("%d tasks are stored, want %d", len(stored), 2*each)
	}
	ranBy := map[string]int{}
	for _, v := range stored {
		if v.Type == "echo" && (v.Attempts != 1 || v.Fence != 1) {
			t.Errorf("task %d was claimed %d times", v.TaskID, v.Fence)
		}
		ranBy[v.LastWorkerID]++
	}
	if len(ranBy) != 2+runners {
		t.Errorf("not every worker had a share: %v", ranBy)
	}
	for _, s := range servers {
		s.stop(soon)
	}
}
