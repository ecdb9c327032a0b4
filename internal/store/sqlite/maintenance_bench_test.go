package sqlite

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

var (
	crowdTasks = flag.Int("crowd", 2_000_000, "tasks in the file of BenchmarkMaintenance")
	crowdFile  = flag.String("crowdfile", "", "where it is, or is to be kept")
)

// BenchmarkMaintenance measures how long a claim waits at most, and the other percentiles, while each piece of maintenance runs, in a file of crowdTasks with a third of its pages free:
//
//	go test ./internal/store/sqlite -run '^$' -bench Maintenance -benchtime 1x -timeout 60m
func BenchmarkMaintenance(b *testing.B) {
	path := *crowdFile
	if path == "" {
		path = filepath.Join(b.TempDir(), "queue.db")
	}
	if _, err := os.Stat(path); err != nil {
		makeCrowd(b, path)
	}
	st, err := Open(b.Context(), path, Options{Serve: true})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := st.Close(); err != nil {
			b.Error(err)
		}
	}()
	verbs := []struct {
		name string
		do   func(ctx context.Context) (any, error)
	}{
		{"nothing", func(context.Context) (any, error) { <-time.After(10 * time.Second); return "", nil }},
		{"stats", func(ctx context.Context) (any, error) { return st.DatabaseStats(ctx) }},
		{"checkpoint_passive", func(ctx context.Context) (any, error) { return st.Checkpoint(ctx, task.CheckpointPassive) }},
		{"checkpoint_full", func(ctx context.Context) (any, error) { return st.Checkpoint(ctx, task.CheckpointFull) }},
		{"checkpoint_restart", func(ctx context.Context) (any, error) { return st.Checkpoint(ctx, task.CheckpointRestart) }},
		{"checkpoint_truncate", func(ctx context.Context) (any, error) { return st.Checkpoint(ctx, task.CheckpointTruncate) }},
		{"analyze", func(ctx context.Context) (any, error) { return st.Analyze(ctx, "", quiet) }},
		{"analyze_outdated", func(ctx context.Context) (any, error) { return st.Analyze(ctx, store.OutdatedTables, quiet) }},
		{"integrity", func(ctx context.Context) (any, error) { return st.CheckIntegrity(ctx, quiet) }},
		{"nothing_again", func(context.Context) (any, error) { <-time.After(10 * time.Second); return "", nil }},
		{"vacuum", func(ctx context.Context) (any, error) { return st.Vacuum(ctx, quiet) }},
	}
	for _, v := range verbs {
		b.Run(v.name, func(b *testing.B) {
			var ending atomic.Bool
			waits := make(chan []time.Duration)
			go func() { waits <- claimOn(b, st, &ending) }()
			if err := st.writer.between(func() error { st.writer.longest = 0; return nil }); err != nil {
				b.Fatal(err)
			}
			began := time.Now()
			out, err := v.do(b.Context())
			took := time.Since(began)
			ending.Store(true)
			all := <-waits
			if err != nil {
				b.Fatal(err)
			}
			slices.Sort(all)
			b.ReportMetric(took.Seconds(), "s")
			b.ReportMetric(float64(st.writer.longest.Microseconds())/1000, "ms/held")
			b.ReportMetric(float64(len(all)), "claims")
			b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "ms/p50")
			b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "ms/p99")
			b.ReportMetric(float64(all[len(all)-1].Microseconds())/1000, "ms/max")
			b.Logf("%.500s", fmt.Sprintf("%+v", out))
		})
	}
}

// claimOn claims and completes one task after the other, and returns how long each claim took.
func claimOn(b *testing.B, st *Store, ending *atomic.Bool) (waits []time.Duration) {
	for i := 0; !ending.Load() || i < 20; i++ {
		now := st.clock.Now()
		c, err := task.Claim{WorkerID: "bench", Now: now, Secret: fmt.Sprintf("%032x", now.UnixMicro())}.WithDefaults()
		if err != nil {
			b.Error(err)
			return append(waits, 0)
		}
		began := time.Now()
		ts, err := st.ClaimTasks(context.Background(), c)
		waits = append(waits, time.Since(began))
		if err != nil || len(ts) != 1 {
			b.Errorf("%d tasks, %v", len(ts), err)
			return waits
		}
		if _, err := st.CompleteTask(context.Background(), ts[0].ID, task.Token{Fence: ts[0].Fence, Secret: c.Secret}, nil, st.clock.Now()); err != nil {
			b.Error(err)
			return waits
		}
		<-time.After(time.Millisecond)
	}
	return waits
}

// makeCrowd makes a file like that of TestPlans, with payloads, which had half as many tasks more.
func makeCrowd(b *testing.B, path string) {
	st, err := Open(b.Context(), path, Options{Migrate: true})
	if err == nil {
		err = st.Close()
	}
	if err != nil {
		b.Fatal(err)
	}
	c, err := sqlite3.Open(dsn(path, url.Values{}))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Config(sqlite3.DBCONFIG_ENABLE_TRIGGER, false); err != nil {
		b.Fatal(err)
	}
	fill := strings.Replace(crowd, "1000000", fmt.Sprint(*crowdTasks*3/2), 1)
	fill = strings.Replace(fill, "'{}', '{}', status", `'{"x":"' || hex(randomblob(150)) || '"}', '{}', status`, 1)
	counts := fill[strings.Index(fill, "INSERT INTO lane_counts"):]
	counts = counts[:strings.Index(counts, ";")+1]
	for _, text := range []string{
		"PRAGMA journal_mode = off; PRAGMA synchronous = off; PRAGMA foreign_keys = off; PRAGMA ignore_check_constraints = on", fill,
		fmt.Sprintf("DELETE FROM task_logs WHERE task_id <= %[1]d; DELETE FROM task_attempts WHERE task_id <= %[1]d; DELETE FROM task_queue WHERE id <= %[1]d; DELETE FROM lane_counts", *crowdTasks/2), counts,
		"PRAGMA journal_mode = wal",
	} {
		if err := c.Exec(text); err != nil {
			b.Fatal(err)
		}
	}
}
