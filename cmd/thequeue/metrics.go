package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

type metricsCmd struct {
	Window string `default:"24h" placeholder:"TIME" help:"Of what has happened in this time up to now, such as 1h, 24h or 7d (24h)."`
	Type   string `placeholder:"TYPE" help:"Of tasks of this type alone."`
	access
}

func (c *metricsCmd) Run(ctx context.Context, s *session) error {
	window, ok := task.ParseAge(c.Window)
	if !ok {
		return usage("--window %s: must be a length of time in w, d, h, m and s, such as 1h, 24h or 7d", c.Window)
	}
	return c.with(ctx, s, func(q tasks) error {
		m, err := q.Metrics(ctx, window, c.Type)
		if err != nil {
			return aboutType(c.Type, err)
		}
		if c.Output == "json" {
			return s.printJSON(m)
		}
		return s.printMetrics(m)
	})
}

func (s *session) printMetrics(m task.Metrics) error {
	d := m.Depth
	oldest := "-"
	if d.OldestQueuedAgeSeconds != nil {
		oldest = seconds(d.OldestQueuedAgeSeconds)
	}
	w := m.Workers
	for _, p := range m.Health.Problems {
		if _, err := fmt.Fprintf(s.stdout, "%s: %s\n", strings.ToUpper(string(p.Severity)), clean(p.Message)); err != nil {
			return err
		}
	}
	if err := s.printRows([][]string{
		{"health", string(m.Health.Status)},
		{"now", fmt.Sprintf("%d queued (%d ready, %d scheduled), %d processing, %d completed, %d failed", d.QueuedTasks, d.ReadyTasks, d.ScheduledTasks, d.ProcessingTasks, d.CompletedTasks, d.FailedTasks)},
		{"oldest queued", oldest},
		{"workers", fmt.Sprintf("%d live (%d busy, %d draining), %d not heard for long, %d tasks held", w.Live, w.Busy, w.Draining, w.Stale, w.Held)},
		{"since", when(m.FromUTC)},
		{"enqueued", fmt.Sprint(m.Enqueued)},
		{"completed", fmt.Sprintf("%d (%.3g a minute)", m.Completed, m.CompletedPerMin)},
		{"failed", fmt.Sprintf("%d (%d exhausted, %d rejected, %d expired)", m.Failed, m.Exhausted, m.Rejected, m.Expired)},
		{"cancelled", fmt.Sprint(m.Cancelled)},
		{"succeeded", share(m.SuccessRate)},
		{"attempts", fmt.Sprintf("%d begun, %d failed and tried again, %d lost, %d handed back", m.Claimed, m.Retries, m.Lost, m.Released)},
		{"retried", fmt.Sprintf("%s, %s attempts on average", share(m.RetriedShare), mean(m.MeanAttempts))},
		{"processing", spread(m.ProcessingSecs)},
		{"start latency", spread(m.StartLatencySecs)},
	}); err != nil || len(m.Types) == 0 {
		return err
	}
	rows := [][]string{{"TYPE", "READY", "PROCESSING", "ENQUEUED", "COMPLETED", "FAILED", "SUCCEEDED", "P50", "P95", "P99"}}
	for _, t := range m.Types {
		p := t.ProcessingSecs
		rows = append(rows, []string{
			t.Type, fmt.Sprint(t.Depth.ReadyTasks), fmt.Sprint(t.Depth.ProcessingTasks), fmt.Sprint(t.Enqueued), fmt.Sprint(t.Completed), fmt.Sprint(t.Failed), share(t.SuccessRate), seconds(p.P50), seconds(p.P95), seconds(p.P99),
		})
	}
	if _, err := fmt.Fprintln(s.stdout); err != nil {
		return err
	}
	return s.printRows(rows)
}

// share is like 97.5 %, or a dash where there is nothing to share.
func share(of *float64) string {
	if of == nil {
		return "-"
	}
	return fmt.Sprintf("%.4g %%", *of*100)
}

func mean(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.3g", *v)
}

// seconds is a time with about three digits, or a dash for none.
func seconds(v *float64) string {
	if v == nil {
		return "-"
	}
	d := time.Duration(*v * float64(time.Second))
	for _, unit := range []time.Duration{time.Second, time.Millisecond} {
		if d >= 10*unit {
			return d.Round(unit / 10).String()
		}
	}
	return d.Round(10 * time.Microsecond).String()
}

func spread(s task.Spread) string {
	if s.Count == 0 {
		return "-"
	}
	return fmt.Sprintf("p50 %s, p95 %s, p99 %s, mean %s, longest %s", seconds(s.P50), seconds(s.P95), seconds(s.P99), seconds(s.Mean), seconds(s.Max))
}
