package queue_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// These measure the service on PostgreSQL with 1, 8 and 64 callers that each wait for their answer. TEST_POSTGRES_FSYNC=on makes the server of the
// tests wait for the disk, as one in earnest does.

// BenchmarkLifePostgres is BenchmarkLife on PostgreSQL.
func BenchmarkLifePostgres(b *testing.B) {
	onPostgres(b, func(b *testing.B, q *queue.Queue, callers int) {
		b.ResetTimer()
		callAll(b, callers, func(worker string) error { return life(b, q, worker) })
	})
}

// BenchmarkEnqueuePostgres enqueues one by one.
func BenchmarkEnqueuePostgres(b *testing.B) {
	onPostgres(b, func(b *testing.B, q *queue.Queue, callers int) {
		b.ResetTimer()
		callAll(b, callers, func(string) error { return enqueue(b, q) })
	})
}

// BenchmarkDrainPostgres claims one by one and completes, of tasks that are all there at the start.
func BenchmarkDrainPostgres(b *testing.B) {
	onPostgres(b, func(b *testing.B, q *queue.Queue, callers int) {
		callAll(b, 64, func(string) error { return enqueue(b, q) })
		b.ResetTimer()
		callAll(b, callers, func(worker string) error {
			n, err := finish(b, q, worker)
			if err == nil && n != 1 {
				err = fmt.Errorf("claimed %d tasks, want 1", n)
			}
			return err
		})
	})
}

func onPostgres(b *testing.B, measure func(b *testing.B, q *queue.Queue, callers int)) {
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			st, err := postgres.Open(b.Context(), testdb.PostgresURL(b), postgres.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer st.Close()
			measure(b, queue.New(st, queue.Options{}), callers)
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
		})
	}
}

// callAll makes b.N calls by so many callers.
func callAll(b *testing.B, callers int, call func(worker string) error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for worker := fmt.Sprint("worker-", i); left.Add(-1) >= 0; {
				if err := call(worker); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func enqueue(b *testing.B, q *queue.Queue) error {
	payload := task.JSON(`{"to":"someone@example.org","subject":"hello","body":"` + fmt.Sprintf("%0150d", 0) + `"}`)
	_, _, err := q.Enqueue(b.Context(), task.Spec{Type: "email", Payload: payload}, queue.MaxAttempts)
	return err
}

// finish claims one task and completes it; it returns how many it got.
func finish(b *testing.B, q *queue.Queue, worker string) (int, error) {
	leases, err := q.Claim(b.Context(), task.Claim{WorkerID: worker})
	for _, l := range leases {
		if _, err := q.Complete(b.Context(), l.ID, l.LeaseToken, nil); err != nil {
			return 0, err
		}
	}
	return len(leases), err
}
