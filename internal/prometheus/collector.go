package prometheus

import (
	"context"
	"errors"
	"math"
	"net/http"
	"sync"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/prismq/thequeue/internal/backup"
	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

const (
	// maxTypes is how many task types have series of their own, those that this process has seen first; the others share those of otherTypes.
	maxTypes   = 100
	otherTypes = "_other"
	// scrapeTimeout bounds what one scrape asks of the store.
	scrapeTimeout = 10 * time.Second
)

// Handler answers GET /metrics with how q does, how its backups do (nil: there are none) and how the process does, version being that of the binary. It is
// safe for concurrent use.
func Handler(q *queue.Queue, backups *backup.Keeper, version string) http.Handler {
	r := prom.NewRegistry()
	build := prom.NewGauge(prom.GaugeOpts{Name: "thequeue_build_info", Help: "Version of the server.", ConstLabels: prom.Labels{"version": version}})
	build.Set(1)
	r.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &collector{queue: q, backups: backups, names: make(map[string]string)})
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError})
}

// collector reads everything at the scrape: what the store has now, and what this process has counted since it began.
type collector struct {
	queue   *queue.Queue
	backups *backup.Keeper // nil: there are none

	mu    sync.Mutex
	names map[string]string // the label of each type that has series of its own, by its name
}

func desc(name, help string, labels ...string) *prom.Desc {
	return prom.NewDesc("thequeue_"+name, help, labels, nil)
}

var (
	tasks     = desc("tasks", "Tasks that are stored: ready and scheduled ones are queued.", "type", "state")
	oldest    = desc("oldest_queued_age_seconds", "Age of the oldest task that is queued; 0 when none is.")
	workers   = desc("workers", "Workers in the registry: live ones were heard lately, of which some are busy or drain; stale ones were not.", "state")
	paused    = desc("type_paused", "1 where the tasks of a type are paused.", "type")
	open      = desc("type_breaker_open", "1 where the circuit breaker of a type has stopped its tasks.", "type")
	events    = desc("events_total", "What has happened to tasks through this server.", "type", "event")
	waits     = desc("start_latency_seconds", "Time from when a task was due to its claim.")
	runs      = desc("run_duration_seconds", "Time of the attempts that completed a task.", "type")
	commits   = desc("commit_duration_seconds", "Time of a commit, with the sync of the disk; on PostgreSQL of a set of operations.")
	groups    = desc("commit_operations", "Operations that shared a commit.")
	busy      = desc("busy_errors_total", "Calls of the store that ended because it was busy.")
	fileBytes = desc("sqlite_file_bytes", "Length of the SQLite file.")
	walBytes  = desc("sqlite_wal_bytes", "Length of its write-ahead log.")
	freeBytes = desc("disk_free_bytes", "What is free on the disk of the SQLite file.")
	diskBytes = desc("disk_size_bytes", "Size of that disk.")
	streams   = desc("event_streams", "Streams of events that clients follow.")
	away      = desc("store_moved", "1 where the store takes no changes, as it has been moved to another database.")

	backupCount   = desc("backups", "Backups in the directory of this server.")
	backupBytes   = desc("backups_size_bytes", "Size of all of them.")
	backupAge     = desc("backup_age_seconds", "Time since the newest backup was begun; absent when there is none.")
	backupLength  = desc("backup_size_bytes", "Size of the newest backup.")
	backupSeconds = desc("backup_duration_seconds", "Time that the last backup by this server took; absent before the first.")
	backupFailing = desc("backup_failing", "1 when the last scheduled backup has failed.")
	backupEvery   = desc("backup_interval_seconds", "Longest time between two scheduled backups; absent where none is scheduled.")
)

// Describe says nothing, so that the registry checks each scrape: which series there are depends on the tasks.
func (c *collector) Describe(chan<- *prom.Desc) {}

// Collect reads the figures. What cannot be read is an error of the scrape.
func (c *collector) Collect(out chan<- prom.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	if err := c.collect(ctx, out); err != nil {
		out <- prom.NewInvalidMetric(tasks, err)
	}
}

func (c *collector) collect(ctx context.Context, out chan<- prom.Metric) error {
	stats, err := c.queue.Stats(ctx)
	if err != nil {
		return err
	}
	registry, err := c.queue.CountWorkers(ctx)
	if err != nil {
		return err
	}
	types, err := c.queue.Types(ctx)
	if err != nil {
		return err
	}
	v, err := c.queue.Reader().Vitals(ctx)
	if err != nil {
		return err
	}
	c.depths(out, types)
	age := 0.0
	if stats.OldestQueuedAgeSeconds != nil {
		age = *stats.OldestQueuedAgeSeconds
	}
	gauge(out, oldest, age)
	for state, n := range map[string]int{"live": registry.Live, "busy": registry.Busy, "draining": registry.Draining, "stale": registry.Stale} {
		gauge(out, workers, float64(n), state)
	}
	c.counted(out)
	vitals(out, v)
	gauge(out, streams, float64(c.queue.Streams()))
	gauge(out, away, one(errors.Is(c.queue.Ping(ctx), task.ErrMoved)))
	return c.backedUp(out)
}

// backedUp tells how backups do.
func (c *collector) backedUp(out chan<- prom.Metric) error {
	if c.backups == nil {
		return nil
	}
	s, err := c.backups.State()
	if err != nil {
		return err
	}
	gauge(out, backupCount, float64(s.Count))
	gauge(out, backupBytes, float64(s.Bytes))
	gauge(out, backupFailing, one(s.Failing))
	if s.Newest != nil {
		gauge(out, backupAge, c.queue.Now().Sub(s.Newest.CreatedAtUTC).Seconds())
		gauge(out, backupLength, float64(s.Newest.SizeBytes))
	}
	if s.Every > 0 {
		gauge(out, backupEvery, s.Every.Seconds())
	}
	if s.Took > 0 {
		gauge(out, backupSeconds, s.Took.Seconds())
	}
	return nil
}

func gauge(out chan<- prom.Metric, d *prom.Desc, v float64, labels ...string) {
	out <- prom.MustNewConstMetric(d, prom.GaugeValue, v, labels...)
}

func counter(out chan<- prom.Metric, d *prom.Desc, v float64, labels ...string) {
	out <- prom.MustNewConstMetric(d, prom.CounterValue, v, labels...)
}

// label is the name of a type, or otherTypes where so many others came before.
func (c *collector) label(taskType string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if name, ok := c.names[taskType]; ok {
		return name
	}
	if len(c.names) >= maxTypes {
		return otherTypes
	}
	c.names[taskType] = taskType
	return taskType
}

// depths tells the tasks by type and state, and which types are stopped.
func (c *collector) depths(out chan<- prom.Metric, types []task.TypeStatus) {
	type series struct{ name, state string }
	sums := make(map[series]int64)
	for _, t := range types {
		name := c.label(t.Type.Type)
		for state, n := range map[string]int64{
			"ready": t.ReadyTasks, "scheduled": t.ScheduledTasks, "processing": t.ProcessingTasks, "completed": t.CompletedTasks, "failed": t.FailedTasks,
		} {
			sums[series{name, state}] += n
		}
		if name == otherTypes {
			continue
		}
		gauge(out, paused, one(t.Paused), name)
		if t.Breaker != nil {
			gauge(out, open, one(t.BreakerUntilUTC != nil), name)
		}
	}
	for s, n := range sums {
		gauge(out, tasks, float64(n), s.name, s.state)
	}
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// counted tells what this process has counted since it began.
func (c *collector) counted(out chan<- prom.Metric) {
	all, byType := c.queue.Counted()
	histogram(out, waits, all.Waits)
	sums := make(map[string]*task.Measures)
	for name, m := range byType {
		name = c.label(name)
		if sums[name] == nil {
			sums[name] = new(task.Measures)
		}
		sums[name].Add(m)
	}
	for name, m := range sums {
		for event, n := range map[task.EventName]int64{
			task.EventEnqueued: m.Enqueued, task.EventClaimed: m.Claimed, task.EventCompleted: m.Completed, task.EventRetry: m.Retries, task.EventReleased: m.Released,
			task.EventLost: m.Lost, task.EventCancelled: m.Cancelled, task.EventExpired: m.Expired, "exhausted": m.Exhausted, "rejected": m.Rejected,
		} {
			counter(out, events, float64(n), name, string(event))
		}
		histogram(out, runs, m.Runs, name)
	}
}

// histogram tells durations by the buckets that end at a doubling.
func histogram(out chan<- prom.Metric, d *prom.Desc, of task.Durations, labels ...string) {
	buckets := make(map[float64]uint64)
	for _, b := range of.Doublings(histogramDoublings) {
		buckets[float64(b.End)/float64(time.Second)] = uint64(b.Count) // Seconds() of it is not always as short
	}
	out <- prom.MustNewConstHistogram(d, uint64(of.Count), of.Sum.Seconds(), buckets, labels...)
}

// histogramDoublings is how many buckets a histogram has: up to 0.1 ms, and 25 doublings, which is 56 minutes.
const histogramDoublings = 26

func vitals(out chan<- prom.Metric, v store.Vitals) {
	histogram(out, commits, v.Commits)
	buckets, sum := make(map[float64]uint64), uint64(0)
	for i, n := range v.Groups.Buckets {
		sum += uint64(n)
		buckets[math.Exp2(float64(i))] = sum
	}
	out <- prom.MustNewConstHistogram(groups, uint64(v.Groups.Count), float64(v.Groups.Sum), buckets)
	counter(out, busy, float64(v.Busy))
	if f := v.File; f != nil {
		gauge(out, fileBytes, float64(f.Bytes))
		gauge(out, walBytes, float64(f.WALBytes))
		gauge(out, freeBytes, float64(f.FreeBytes))
		gauge(out, diskBytes, float64(f.DiskBytes))
	}
}
