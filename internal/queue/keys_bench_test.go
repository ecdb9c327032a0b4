package queue_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/store/sqlite"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// keyBacklog is how many tasks wait while BenchmarkKeys measures.
const keyBacklog = 20_000

// BenchmarkKeys measures whole lives by 64 callers, durable, among tasks that wait: without keys, and of so many keys, each of which may have 100 tasks at a time. The
// ratio to keys=0 is what keys cost, and that of 10,000 keys to 10 what more of them do.
func BenchmarkKeys(b *testing.B) {
	for engine, open := range map[string]func(b *testing.B) (store.Store, error){
		"sqlite": func(b *testing.B) (store.Store, error) {
			return sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "queue.db"), sqlite.Options{Migrate: true})
		},
		"postgres": func(b *testing.B) (store.Store, error) {
			return postgres.Open(b.Context(), testdb.PostgresURL(b), postgres.Options{})
		},
	} {
		for _, keys := range []int{0, 1, 10, 1000, 10_000} {
			b.Run(fmt.Sprintf("%s/keys=%d", engine, keys), func(b *testing.B) {
				st, err := open(b)
				if err != nil {
					b.Fatal(err)
				}
				defer st.Close()
				q := queue.New(st, queue.Options{})
				if _, err := q.PutType(b.Context(), "email", task.TypeRules{PerKey: &task.KeyRules{MaxConcurrency: ptr(100)}}); err != nil {
					b.Fatal(err)
				}
				spec := func() task.Spec {
					s := task.Spec{Type: "email", Payload: task.JSON(`{"to":"someone@example.org","subject":"hello","body":"` + fmt.Sprintf("%0150d", 1) + `"}`)}
					if keys > 0 {
						s.ConcurrencyKey = ptr(fmt.Sprint("tenant-", rand.IntN(keys)))
					}
					return s
				}
				for range keyBacklog / queue.MaxBatch {
					specs := make([]task.Spec, queue.MaxBatch)
					for i := range specs {
						specs[i] = spec()
					}
					if _, _, err := q.EnqueueBatch(b.Context(), specs); err != nil {
						b.Fatal(err)
					}
				}
				b.ResetTimer()
				callAll(b, 64, func(worker string) error {
					if _, _, err := q.Enqueue(b.Context(), spec(), queue.MaxAttempts); err != nil {
						return err
					}
					n, err := finish(b, q, worker)
					if err == nil && n != 1 {
						err = fmt.Errorf("claimed %d tasks, want 1", n)
					}
					return err
				})
				b.StopTimer()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lives/s")
			})
		}
	}
}
