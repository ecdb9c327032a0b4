package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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
// these workers may not take, measures each strategy at each step, and draws one picture for each value into the folder, with a table beside them.
func (h *Harness) grow(ctx context.Context, folder string) error {
	path := h.shelfPath("growing")
	steps := sizes(h.Few, h.Grown)
	for i, n := range steps {
		more := n
		if i > 0 {
			more -= steps[i-1]
		}
		s, err := openShelf(ctx, path)
		if err != nil {
			return err
		}
		if err := errors.Join(s.fill(ctx, more), s.hide(ctx, 4*more), s.close()); err != nil {
			return err
		}
		if err := h.growthStep(ctx, path, n); err != nil {
			return err
		}
	}
	return h.draw(folder, steps)
}

// growthStep measures each strategy in each round on a copy of the file, since what is measured leaves completed tasks behind.
func (h *Harness) growthStep(ctx context.Context, path string, n int) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	h.say("%d queued tasks and five times as many others: %d MiB", n, info.Size()/mib)
	for round := 1; round <= h.Rounds; round++ {
		for _, strategy := range inOrder(task.Strategies, round) {
			if err := h.growthRound(ctx, path, n, round, strategy); err != nil {
				return err
			}
		}
	}
	return nil
}

// growthRound notes the latencies and how large the file was before, the WAL and the memory of this process afterwards.
func (h *Harness) growthRound(ctx context.Context, path string, n, round int, strategy task.Strategy) error {
	copied := h.shelfPath("copy")
	if err := copyFile(copied, path); err != nil {
		return err
	}
	s, err := openShelf(ctx, copied)
	if err != nil {
		return err
	}
	l, err := s.live(ctx, strategy, growthCallers, time.Duration(growthTime*h.Seconds*float64(time.Second)))
	if err != nil {
		return errors.Join(err, s.close())
	}
	values := make(map[string]float64)
	for name, file := range map[string]string{"file_MiB": path, "WAL_MiB": copied + "-wal"} {
		info, err := os.Stat(file)
		if err != nil {
			return errors.Join(err, s.close())
		}
		values[name] = float64(info.Size()) / mib
	}
	values["resident_MiB"], err = ownMemory()
	return errors.Join(err, s.close(), os.Remove(copied),
		h.add(Measurement{Goal: fmt.Sprint(n), Subject: string(strategy), Round: round, Values: l.values()}),
		h.add(Measurement{Goal: fmt.Sprint(n), Subject: "store", Round: round, Values: values}))
}

// copyFile copies a file and waits until the disk has it, so that it is not written while something is measured.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it was only read
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
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
	fmt.Fprintf(&table, "%d callers, scale `%s`, medians of %d rounds; %s. The size is that of queued tasks; as many completed ones stand beside them, as many of another type, with a requirement, of a paused type, and due in the future. Each round is measured on a copy.\n",
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
