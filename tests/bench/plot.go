package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-analyze/charts"

	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/tests/bench/stat"
)

// growthCallers is how many callers live on the store while it grows.
const growthCallers = 64

// sizes are the numbers of queued tasks at which a growing store is looked at: powers of ten up to most, and most itself.
func sizes(few, most int) []int {
	var out []int
	for n := few; n < most; n *= 10 {
		out = append(out, n)
	}
	return append(out, most)
}

// grow fills one store step by step, with as many completed tasks as queued ones, as many that are due in the future, and three times as many that
// these workers may not take, measures each strategy at each step, and draws one picture for each
// value into the folder, with a table beside them.
func (h *Harness) grow(ctx context.Context, folder string) error {
	s, err := h.openShelf(ctx, "growing")
	if err != nil {
		return err
	}
	steps := sizes(h.Few, h.Grown)
	for i, n := range steps {
		if i > 0 {
			n -= steps[i-1]
		}
		if err = errors.Join(s.fill(ctx, n), s.hide(ctx, 4*n)); err != nil {
			break
		}
		if err = h.growthStep(ctx, s, steps[i]); err != nil {
			break
		}
	}
	if err := errors.Join(err, s.close()); err != nil {
		return err
	}
	return h.draw(folder, steps)
}

func (h *Harness) growthStep(ctx context.Context, s *shelf, n int) error {
	for round := 1; round <= h.Rounds; round++ {
		for _, strategy := range inOrder(task.Strategies, round) {
			l, err := s.live(ctx, strategy, growthCallers, time.Duration(h.Seconds*float64(time.Second)))
			if err != nil {
				return err
			}
			if err := h.add(Measurement{Goal: fmt.Sprint(n), Subject: string(strategy), Round: round, Values: l.values()}); err != nil {
				return err
			}
		}
	}
	values := make(map[string]float64)
	for name, suffix := range map[string]string{"file_MiB": "", "WAL_MiB": "-wal"} {
		info, err := os.Stat(s.store.Path() + suffix)
		if err != nil {
			return err
		}
		values[name] = float64(info.Size()) / mib
	}
	var err error
	if values["resident_MiB"], err = ownMemory(); err != nil {
		return err
	}
	h.say("%d queued tasks and four times as many others: %.0f MiB", n, values["file_MiB"])
	return h.add(Measurement{Goal: fmt.Sprint(n), Subject: "store", Round: 1, Values: values})
}

// ownMemory is the memory that this process, with the store in it, has resident, in MiB.
func ownMemory() (float64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(b), "VmRSS:")
	var kib float64
	_, err = fmt.Sscan(after, &kib)
	return kib / 1024, err
}

// pictures are what is drawn: values of subjects over the size.
var pictures = []struct {
	file, title string
	subjects    []string // a line for each, of the one value; or one subject
	values      []string // a line for each, of the one subject; or one value
}{
	{"claim-p50", "claim p50, ms", strategyNames(), []string{"claim_p50_ms"}},
	{"claim-p95", "claim p95, ms", strategyNames(), []string{"claim_p95_ms"}},
	{"claim-p99", "claim p99, ms", strategyNames(), []string{"claim_p99_ms"}},
	{"enqueue-p95", "enqueue p95, ms", strategyNames(), []string{"enqueue_p95_ms"}},
	{"lives", "whole lives a second", strategyNames(), []string{"lives/s"}},
	{"space", "file, WAL and resident memory, MiB", []string{"store"}, []string{"file_MiB", "WAL_MiB", "resident_MiB"}},
}

func strategyNames() []string {
	var out []string
	for _, s := range task.Strategies {
		out = append(out, string(s))
	}
	return out
}

// draw writes the pictures and growth.md.
func (h *Harness) draw(folder string, steps []int) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%d callers, scale `%s`, medians of %d rounds; %s. The size is that of queued tasks; as many completed ones, as many due in the future, and twice as many that these workers may not take stand beside them.\n",
		growthCallers, h.Scale.Name, h.Rounds, h.machine)
	var labels []string
	for _, n := range steps {
		labels = append(labels, fmt.Sprint(n))
	}
	for _, p := range pictures {
		names, values := p.subjects, make([][]float64, max(len(p.subjects), len(p.values)))
		if len(p.values) > 1 {
			names = p.values
		}
		for i := range values {
			for _, label := range labels {
				values[i] = append(values[i], stat.Median(h.values(label, p.subjects[min(i, len(p.subjects)-1)], p.values[min(i, len(p.values)-1)])))
			}
		}
		growthTable(&table, p.title, labels, names, values)
		if err := lines(filepath.Join(folder, p.file+".svg"), p.title, labels, names, values); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(folder, "growth.md"), []byte(table.String()), 0o644)
}

func growthTable(b *strings.Builder, title string, labels, names []string, values [][]float64) {
	fmt.Fprintf(b, "\n| %s | %s |\n|---|%s\n", title, strings.Join(labels, " | "), strings.Repeat("---|", len(labels)))
	for i, name := range names {
		fmt.Fprintf(b, "| %s |", name)
		for _, v := range values[i] {
			fmt.Fprintf(b, " %s |", figure(v))
		}
		b.WriteString("\n")
	}
}

// lines draws one line for each name.
func lines(path, title string, labels, names []string, values [][]float64) error {
	o := charts.NewLineChartOptionWithData(values)
	o.Title.Text = title
	o.XAxis.Labels = labels
	for i := range o.YAxis {
		o.YAxis[i].Min = new(float64) // from zero: growth is to be seen as large as it is
	}
	o.Legend.SeriesNames = names
	o.Legend.Offset = charts.OffsetRight
	p := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: 800, Height: 400})
	if err := p.LineChart(o); err != nil {
		return err
	}
	b, err := p.Bytes()
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}
