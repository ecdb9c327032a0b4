package queue_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// TestAnEnqueueWakesAClaimThatWaitsOnAnotherNode would take half a second for each task if the claim had to look around.
func TestAnEnqueueWakesAClaimThatWaitsOnAnotherNode(t *testing.T) {
	t.Parallel()
	u := testdb.PostgresURL(t)
	node := func() *queue.Queue {
		st, err := postgres.Open(t.Context(), u, postgres.Options{MaxConns: 2})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { st.Close() })
		return queue.New(st, queue.Options{})
	}
	here, there := node(), node()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		if err := there.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	const rounds = 20
	var took []time.Duration
	for i := range rounds + 3 {
		kind := fmt.Sprint("kind-", i%2)
		claimed := make(chan time.Time, 1)
		wg.Go(func() {
			leases, err := there.Claim(ctx, task.Claim{WorkerID: "w", Types: []string{kind}, Wait: task.MaxWait})
			if err != nil || len(leases) != 1 {
				t.Errorf("round %d: %d leases, error %v", i, len(leases), err)
			}
			claimed <- time.Now()
		})
		time.Sleep(20 * time.Millisecond) // the claim is waiting
		if i == 2 {
			time.Sleep(1100 * time.Millisecond) // this node has seen that the other one listens
		}
		begin := time.Now()
		if _, _, err := here.Enqueue(ctx, task.Spec{Type: kind}, 5); err != nil {
			t.Fatal(err)
		}
		if d := (<-claimed).Sub(begin); i >= 3 {
			took = append(took, d)
		}
	}
	var sum time.Duration
	for _, d := range took {
		sum += d
	}
	if mean := sum / rounds; mean > 250*time.Millisecond {
		t.Errorf("a task was claimed %v after its enqueue, on average: %v", mean, took)
	}
	t.Logf("from enqueue on one node to claim on another: %v", took)
}
