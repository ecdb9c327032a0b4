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

// shared is a watched store that still says what other processes did.
type shared struct {
	*watched
	far *postgres.Store
}

func (s shared) Listen(ctx context.Context, woken func([]task.Lane)) { s.far.Listen(ctx, woken) }

// TestAnEnqueueWakesAClaimThatWaitsOnAnotherNode would take half a second for each task if the claim had to look around.
func TestAnEnqueueWakesAClaimThatWaitsOnAnotherNode(t *testing.T) {
	t.Parallel()
	u := testdb.PostgresURL(t)
	node := func() *postgres.Store {
		st, err := postgres.Open(t.Context(), u, postgres.Options{MaxConns: 2})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { st.Close() })
		return st
	}
	looked := make(chan struct{}, 1)
	far := node()
	w := &watched{Store: far, looks: make(map[string]int), after: func(look int, _ task.Claim) {
		if look == 1 {
			looked <- struct{}{}
		}
	}}
	here, there := queue.New(node(), queue.Options{}), queue.New(shared{w, far}, queue.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		if err := there.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	// round returns the time from the enqueue of a task on one node until a claim that waits for it on the other has it.
	round := func(i int) time.Duration {
		kind := fmt.Sprint("kind-", i%2)
		claimed := make(chan time.Time, 1)
		wg.Go(func() {
			leases, err := there.Claim(ctx, task.Claim{WorkerID: fmt.Sprint("w-", i), Types: []string{kind}, Wait: task.MaxWait})
			if err != nil || len(leases) != 1 {
				t.Errorf("round %d: %d leases, error %v", i, len(leases), err)
			}
			claimed <- time.Now()
		})
		<-looked
		begin := time.Now()
		if _, _, err := here.Enqueue(ctx, task.Spec{Type: kind}, 5); err != nil {
			t.Fatal(err)
		}
		return (<-claimed).Sub(begin)
	}
	const quick, rounds = 250 * time.Millisecond, 20
	first := 0
	for first < 20 && round(first) > quick { // until one node has seen that the other listens
		first++
	}
	var took []time.Duration
	for i := range rounds {
		took = append(took, round(first+1+i))
	}
	var sum time.Duration
	for _, d := range took {
		sum += d
	}
	if mean := sum / rounds; mean > quick {
		t.Errorf("a task was claimed %v after its enqueue, on average: %v", mean, took)
	}
	t.Logf("from enqueue on one node to claim on another: %v", took)
}
