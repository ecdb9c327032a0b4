package queue_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store/sqlite"
	"github.com/prismq/thequeue/internal/task"
)

// BenchmarkLife measures whole lives of tasks, durable on SQLite: each caller enqueues one, claims one and completes it. The ratio of
// 64 callers to one is what the group commit is worth.
func BenchmarkLife(b *testing.B) {
	for _, callers := range []int{1, 2, 4, 8, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			st, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "queue.db"), sqlite.Options{Migrate: true})
			if err != nil {
				b.Fatal(err)
			}
			defer st.Close()
			q := queue.New(st, queue.Options{})
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for i := range callers {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if err := life(b, q, fmt.Sprint("worker-", i)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lives/s")
		})
	}
}

func life(b *testing.B, q *queue.Queue, worker string) error {
	if err := enqueue(b, q); err != nil {
		return err
	}
	_, err := finish(b, q, worker)
	return err
}

// BenchmarkBatch measures batch enqueue of 1,000 tasks by one caller, durable on SQLite.
func BenchmarkBatch(b *testing.B) {
	st, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "queue.db"), sqlite.Options{Migrate: true})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	q := queue.New(st, queue.Options{})
	specs := make([]task.Spec, queue.MaxBatch)
	for i := range specs {
		specs[i] = task.Spec{Type: "email", Payload: task.JSON(`{"to":"someone@example.org","subject":"hello","body":"` + fmt.Sprintf("%0150d", i) + `"}`)}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := q.EnqueueBatch(b.Context(), specs); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(specs))/b.Elapsed().Seconds(), "tasks/s")
}
