package app

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/task"
)

// BenchmarkHTTPLatency sends 500 tasks a second over HTTP on a fixed schedule, durable on SQLite, while eight workers claim and complete
// them, and reports the 95th percentiles of enqueue and claim. A latency counts from the instant at which the request was due, so a
// server that falls behind cannot hide it.
func BenchmarkHTTPLatency(b *testing.B) {
	const rate, workers = 500, 8
	c := startServer(b)
	var enqueues, claims sample
	ctx, stop := context.WithCancel(b.Context())
	var pool sync.WaitGroup
	for i := range workers {
		pool.Go(func() { work(ctx, b, c, fmt.Sprint("worker-", i), &claims) })
	}
	b.ResetTimer()
	var sent sync.WaitGroup
	begin := time.Now()
	for i := range b.N {
		due := begin.Add(time.Duration(i) * time.Second / rate)
		time.Sleep(time.Until(due))
		sent.Go(func() {
			if _, err := c.Enqueue(b.Context(), task.Spec{Type: "email", Payload: `{"to":"someone@example.org"}`}); err != nil {
				b.Error(err)
			}
			enqueues.add(time.Since(due))
		})
	}
	sent.Wait()
	b.StopTimer()
	stop()
	pool.Wait()
	b.ReportMetric(enqueues.percentile(95), "enqueue-p95-ms")
	b.ReportMetric(claims.percentile(95), "claim-p95-ms")
	b.ReportMetric(claims.percentile(99), "claim-p99-ms")
}

// work claims without waiting, so that the claim alone is measured, and completes what it gets.
func work(ctx context.Context, b *testing.B, c *client.Client, id string, claims *sample) {
	for ctx.Err() == nil {
		begin := time.Now()
		leases, err := c.Claim(ctx, task.Claim{WorkerID: id})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			b.Error(err)
			return
		}
		claims.add(time.Since(begin))
		for _, l := range leases {
			if _, err := c.Complete(ctx, l.ID, l.LeaseToken, nil); err != nil && ctx.Err() == nil {
				b.Error(err)
			}
		}
		time.Sleep(16*time.Millisecond - time.Since(begin)) // eight workers claim 500 times a second
	}
}

func startServer(b *testing.B) *client.Client {
	b.Helper()
	cfg := config.Default(func(string) string { return "" })
	cfg.Addr, cfg.Database, cfg.Workers = "127.0.0.1:0", filepath.Join(b.TempDir(), "queue.db"), 0
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- Serve(ctx, cfg, Options{Log: slog.New(slog.DiscardHandler), Ready: func(addr string) { ready <- addr }})
	}()
	b.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	c, err := client.New("http://"+<-ready, client.Options{})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// sample collects durations.
type sample struct {
	mu sync.Mutex
	ds []time.Duration
}

func (s *sample) add(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ds = append(s.ds, d)
}

// percentile returns the p-th percentile in milliseconds by the nearest-rank method; 0 without samples.
func (s *sample) percentile(p int) float64 {
	if len(s.ds) == 0 {
		return 0
	}
	slices.Sort(s.ds)
	return float64(s.ds[(len(s.ds)*p+99)/100-1]) / 1e6
}
