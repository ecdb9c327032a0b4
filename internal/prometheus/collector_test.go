package prometheus_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/prismq/thequeue/internal/backup"
	"github.com/prismq/thequeue/internal/prometheus"
	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/schedule"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/sqlite"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// scrape returns what Prometheus is told.
func scrape(t *testing.T, q *queue.Queue) string {
	t.Helper()
	return scrapeOf(t, q, nil)
}

func scrapeOf(t *testing.T, q *queue.Queue, backups *backup.Keeper) string {
	t.Helper()
	rec := httptest.NewRecorder()
	prometheus.Handler(q, backups, "1.2.3").ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if rec.Code != 200 || !strings.HasPrefix(rec.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("%d %s\n%s", rec.Code, rec.Header(), rec.Body)
	}
	return rec.Body.String()
}

// has reports each series that is not there with this value.
func has(t *testing.T, text string, series ...string) {
	t.Helper()
	for _, s := range series {
		if !strings.Contains(text, "\n"+s+"\n") {
			t.Errorf("%s is not in\n%s", s, text)
		}
	}
}

func TestAScrapeTellsHowTheQueueDoes(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		q := queue.New(st, queue.Options{})
		ctx := t.Context()
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		_, _, err := q.EnqueueBatch(ctx, []task.Spec{{Type: "a"}, {Type: "a"}, {Type: "a"}, {Type: `b"\`, RunAfterUTC: &task.Time{Time: q.Now().Add(time.Hour)}}})
		ok(err)
		leases, err := q.Claim(ctx, task.Claim{WorkerID: "w", Max: 2})
		ok(err)
		_, err = q.Complete(ctx, leases[0].ID, leases[0].LeaseToken, nil)
		ok(err)
		_, err = q.PauseType(ctx, "a")
		ok(err)
		text := scrape(t, q)
		has(t, text, `thequeue_build_info{version="1.2.3"} 1`,
			`thequeue_tasks{state="ready",type="a"} 1`, `thequeue_tasks{state="processing",type="a"} 1`, `thequeue_tasks{state="completed",type="a"} 1`, `thequeue_tasks{state="scheduled",type="b\"\\"} 1`,
			`thequeue_events_total{event="enqueued",type="a"} 3`, `thequeue_events_total{event="claimed",type="a"} 2`, `thequeue_events_total{event="completed",type="a"} 1`,
			`thequeue_type_paused{type="a"} 1`, `thequeue_workers{state="live"} 1`, `thequeue_workers{state="busy"} 1`, `thequeue_workers{state="stale"} 0`,
			`thequeue_start_latency_seconds_count 2`, `thequeue_run_duration_seconds_count{type="a"} 1`, `thequeue_run_duration_seconds_bucket{type="a",le="+Inf"} 1`,
			`thequeue_run_duration_seconds_bucket{type="a",le="1.6384"} 1`, `thequeue_busy_errors_total 0`, `thequeue_event_streams 0`,
		)
		if !regexp.MustCompile(`thequeue_oldest_queued_age_seconds \d`).MatchString(text) || strings.Contains(text, "thequeue_commit_operations_count 0\n") {
			t.Errorf("got\n%s", text)
		}
		problems, err := promlint.New(strings.NewReader(text)).Lint()
		if ok(err); len(problems) > 0 {
			t.Errorf("what the linter of Prometheus finds: %v", problems)
		}
	})
}

func TestAScrapeTellsOfTheFileAlone(t *testing.T) {
	t.Parallel()
	q := queue.New(testdb.SQLite(t), queue.Options{})
	if _, _, err := q.Enqueue(t.Context(), task.Spec{Type: "a"}, queue.MaxAttempts); err != nil {
		t.Fatal(err)
	}
	text := scrape(t, q)
	for _, name := range []string{"thequeue_sqlite_file_bytes", "thequeue_sqlite_wal_bytes", "thequeue_disk_free_bytes", "thequeue_disk_size_bytes"} {
		if !regexp.MustCompile(`\n` + name + ` [1-9]`).MatchString(text) {
			t.Errorf("%s is not in\n%s", name, text)
		}
	}
}

// Labels are bounded: types that come after the first hundred share their series.
func TestTypesWithoutEndShareSeries(t *testing.T) {
	t.Parallel()
	q := queue.New(testdb.SQLite(t), queue.Options{})
	specs := make([]task.Spec, 130)
	for i := range specs {
		specs[i].Type = fmt.Sprintf("type-%03d", i)
	}
	if _, _, err := q.EnqueueBatch(t.Context(), specs); err != nil {
		t.Fatal(err)
	}
	text := scrape(t, q)
	has(t, text, `thequeue_tasks{state="ready",type="type-099"} 1`, `thequeue_tasks{state="ready",type="_other"} 30`, `thequeue_events_total{event="enqueued",type="_other"} 30`)
	if n := strings.Count(text, "\nthequeue_tasks{state=\"ready\""); n != 101 {
		t.Errorf("%d series", n)
	}
}

func TestAScrapeThatCannotReadSaysSo(t *testing.T) {
	t.Parallel()
	st := testdb.SQLite(t)
	q := queue.New(st, queue.Options{})
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	prometheus.Handler(q, nil, "").ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if rec.Code != 500 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// Every series of ours is on the page, and nothing else is.
func TestThePageListsEverySeries(t *testing.T) {
	t.Parallel()
	st := testdb.SQLite(t)
	q := queue.New(st, queue.Options{})
	_, err := q.PutType(t.Context(), "a", task.TypeRules{Breaker: &task.Breaker{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := q.Enqueue(t.Context(), task.Spec{Type: "a"}, queue.MaxAttempts); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	names := func(pattern, text string) (out []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			out = append(out, m[1])
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	served, listed := names(`(?m)^# TYPE (thequeue_\w+) `, scrapeOf(t, q, backedUp(t, st))), names("(?m)^\\| `(thequeue_\\w+)", string(page))
	if !slices.Equal(served, listed) {
		t.Errorf("served %v\nlisted %v", served, listed)
	}
}

// backedUp is a keeper that has made a backup.
func backedUp(t *testing.T, st store.Store) *backup.Keeper {
	t.Helper()
	k := backup.NewKeeper(&backup.Directory{Path: t.TempDir(), Engine: st.(*sqlite.Store).Backups(), Now: st.Clock().Now}, backup.Plan{Every: time.Hour}, false, slog.New(slog.DiscardHandler))
	_, err := k.Start("a") // before Run, which would begin one by its plan
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(30 * time.Second); err == nil && k.Last().State == task.BackupRunning; {
		select {
		case <-late:
			err = errors.New("not in time")
		case <-tick.C:
		}
	}
	stop()
	if err := errors.Join(err, <-ended); err != nil || k.Last().State != task.BackupComplete {
		t.Fatalf("make a backup: %v, %+v", err, k.Last())
	}
	return k
}

// Backups are told where a server makes them: how old the newest is, and whether scheduled ones fail.
func TestAScrapeTellsOfBackups(t *testing.T) {
	t.Parallel()
	st := testdb.SQLite(t)
	q := queue.New(st, queue.Options{})
	if text := scrape(t, q); strings.Contains(text, "thequeue_backup") {
		t.Errorf("without backups:\n%s", text)
	}
	dir := &backup.Directory{Path: t.TempDir(), Engine: st.(*sqlite.Store).Backups(), Now: q.Now}
	k := backup.NewKeeper(dir, backup.Plan{}, false, slog.New(slog.DiscardHandler))
	text := scrapeOf(t, q, k)
	has(t, text, "thequeue_backups 0", "thequeue_backup_failing 0")
	if strings.Contains(text, "thequeue_backup_age_seconds") || strings.Contains(text, "thequeue_backup_interval_seconds") {
		t.Errorf("none has an age, and none is planned:\n%s", text)
	}
	weekdays, err := schedule.Parse("0 3 * * 1-5", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	for interval, plan := range map[int]backup.Plan{3600: {Every: time.Hour}, 72 * 3600: {Cron: &weekdays}} {
		has(t, scrapeOf(t, q, backup.NewKeeper(dir, plan, false, slog.New(slog.DiscardHandler))), fmt.Sprintf("thequeue_backup_interval_seconds %d", interval))
	}
	b, err := dir.Create(t.Context(), backup.Options{})
	if err != nil {
		t.Fatal(err)
	}
	text = scrapeOf(t, q, k)
	has(t, text, "thequeue_backups 1", fmt.Sprintf("thequeue_backup_size_bytes %d", b.SizeBytes), fmt.Sprintf("thequeue_backups_size_bytes %d", b.SizeBytes))
	m := regexp.MustCompile(`\nthequeue_backup_age_seconds (\S+)\n`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no age in\n%s", text)
	}
	if age, err := strconv.ParseFloat(m[1], 64); err != nil || age <= 0 || age > 60 {
		t.Errorf("the age is %s", m[1])
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
