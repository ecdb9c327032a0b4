package app

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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
	c := clientOf(b, startServer(b))
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

// BenchmarkHTTPLoad keeps 64 connections busy with POSTs over HTTP, durable on SQLite: enqueues, and whole lives of three requests each. The
// senders write bytes made beforehand and read no more of an answer than they need, so that a profile is one of the server.
func BenchmarkHTTPLoad(b *testing.B) {
	body := `{"type":"email","payload":{"to":"someone@example.org","body":"` + strings.Repeat("x", 150) + `"}}`
	b.Run("enqueue", func(b *testing.B) {
		load(b, func(s *sender) { s.post("/api/queue/enqueue", body) })
	})
	b.Run("life", func(b *testing.B) {
		load(b, func(s *sender) {
			s.post("/api/queue/enqueue", body)
			answer := s.post("/api/queue/claim", `{"worker_id":"worker-`+s.name+`"}`)
			if id := between(answer, `"task_id":`, ","); id != "" {
				s.post("/api/queue/tasks/"+id+"/complete", `{"lease_token":"`+between(answer, `"lease_token":"`, `"`)+`"}`)
			}
		})
	})
}

// load calls do b.N times in all from 64 senders.
func load(b *testing.B, do func(s *sender)) {
	const connections = 64
	addr := startServer(b)
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for i := range connections {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		wg.Go(func() {
			defer conn.Close()
			s := &sender{b: b, name: strconv.Itoa(i), conn: conn, answers: bufio.NewReader(conn)}
			for left.Add(-1) >= 0 && !b.Failed() {
				do(s)
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "per-s")
}

// sender posts over one connection.
type sender struct {
	b       *testing.B
	name    string
	conn    net.Conn
	answers *bufio.Reader
	out, in []byte
}

// post returns the body of the answer, valid until the next call.
func (s *sender) post(path, body string) []byte {
	s.out = fmt.Appendf(s.out[:0], "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
	_, err := s.conn.Write(s.out)
	status, length := "", 0
	for line := []byte("-"); err == nil && len(bytes.TrimSpace(line)) > 0; {
		if line, err = s.answers.ReadSlice('\n'); status == "" {
			status = string(line)
		}
		if n, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length, err = strconv.Atoi(string(bytes.TrimSpace(n)))
		}
	}
	s.in = append(s.in[:0], make([]byte, length)...)
	if _, readErr := io.ReadFull(s.answers, s.in); err != nil || readErr != nil || !strings.HasPrefix(status, "HTTP/1.1 20") {
		s.b.Errorf("POST %s: %s %s %v", path, status, s.in, cmp.Or(err, readErr))
	}
	return s.in
}

// between returns what stands between two pieces of text; empty when they are not there.
func between(text []byte, before, after string) string {
	_, rest, _ := bytes.Cut(text, []byte(before))
	found, _, _ := bytes.Cut(rest, []byte(after))
	return string(found)
}

// startServer returns the address of a server on an empty file.
func startServer(b *testing.B) string {
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
	return <-ready
}

func clientOf(b *testing.B, addr string) *client.Client {
	b.Helper()
	c, err := client.New("http://"+addr, client.Options{})
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
