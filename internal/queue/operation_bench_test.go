package queue_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/store/sqlite"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// BenchmarkClaimBesideAnOperation measures claims of 8 callers, each a life of its own, durable, at rest and while an operation cancels 100,000 tasks of another type. The ratio of
// the p95 is how long an operation keeps claims waiting.
func BenchmarkClaimBesideAnOperation(b *testing.B) {
	for engine, open := range map[string]func(b *testing.B) (store.Store, error){
		"sqlite": func(b *testing.B) (store.Store, error) {
			return sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "queue.db"), sqlite.Options{Migrate: true})
		},
		"postgres": func(b *testing.B) (store.Store, error) {
			return postgres.Open(b.Context(), testdb.PostgresURL(b), postgres.Options{})
		},
	} {
		for _, operating := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/operating=%t", engine, operating), func(b *testing.B) {
				st, err := open(b)
				if err != nil {
					b.Fatal(err)
				}
				defer st.Close()
				q := queue.New(st, queue.Options{})
				for range 100_000 / queue.MaxBatch {
					if _, _, err := q.EnqueueBatch(b.Context(), slices.Repeat([]task.Spec{{Type: "report"}}, queue.MaxBatch)); err != nil {
						b.Fatal(err)
					}
				}
				ended := make(chan error, 1)
				if operating {
					s := task.OperationSpec{Action: task.ActionCancel, Filter: "type:report"}
					p, err := q.Propose(b.Context(), s)
					if err == nil {
						_, err = q.StartOperation(b.Context(), s, p.ConfirmToken)
					}
					if err != nil {
						b.Fatal(err)
					}
					go func() { _, err := q.WorkOperation(b.Context()); ended <- err }()
				}
				took := claimsOf(b, q, 8, func() bool { return operating && len(ended) > 0 })
				if operating {
					if err := <-ended; err != nil {
						b.Fatal(err)
					}
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
				b.ReportMetric(float64(len(took)), "claims")
			})
		}
	}
}

// claimsOf has callers live until b.N lives are over or done says so, and returns how long each claim took.
func claimsOf(b *testing.B, q *queue.Queue, callers int, done func() bool) []time.Duration {
	var mu sync.Mutex
	var took []time.Duration
	left := b.N
	b.ResetTimer()
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for {
				mu.Lock()
				left--
				over := left < 0 || done()
				mu.Unlock()
				if over {
					return
				}
				if err := timedLife(b.Context(), q, fmt.Sprint("worker-", i), func(d time.Duration) {
					mu.Lock()
					took = append(took, d)
					mu.Unlock()
				}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	return took
}

func timedLife(ctx context.Context, q *queue.Queue, worker string, claimed func(time.Duration)) error {
	if _, _, err := q.Enqueue(ctx, task.Spec{Type: "email"}, queue.MaxAttempts); err != nil {
		return err
	}
	begin := time.Now()
	leases, err := q.Claim(ctx, task.Claim{WorkerID: worker, Types: []string{"email"}})
	claimed(time.Since(begin))
	for _, l := range leases {
		if err == nil {
			_, err = q.Complete(ctx, l.ID, l.LeaseToken, nil)
		}
	}
	return err
}
