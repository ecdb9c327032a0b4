package stat_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/prismq/thequeue/tests/bench/stat"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		xs   []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 2, 3}, 2.5}} {
		given := slices.Clone(c.xs)
		if got := stat.Median(c.xs); got != c.want {
			t.Errorf("Median(%v) = %v, want %v", c.xs, got, c.want)
		}
		if !slices.Equal(given, c.xs) {
			t.Errorf("Median changed the order of its argument to %v", c.xs)
		}
	}
	if got := stat.Median(nil); !math.IsNaN(got) {
		t.Errorf("Median of nothing = %v, want NaN", got)
	}
}

func TestSpread(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		xs   []float64
		want float64
	}{{[]float64{2, 1, 4}, 4}, {[]float64{3}, 1}, {[]float64{0, 0}, 1}, {[]float64{0, 1}, math.Inf(1)}} {
		if got := stat.Spread(c.xs); got != c.want {
			t.Errorf("Spread(%v) = %v, want %v", c.xs, got, c.want)
		}
	}
}

func TestRatiosPairRounds(t *testing.T) {
	t.Parallel()
	if got, want := stat.Ratios([]float64{10, 30, 7}, []float64{5, 10}), []float64{2, 3}; !slices.Equal(got, want) {
		t.Errorf("Ratios = %v, want %v", got, want)
	}
}

func TestPercentileIsNearestRank(t *testing.T) {
	t.Parallel()
	var ds []time.Duration
	for i := range 100 {
		ds = append(ds, time.Duration(100-i))
	}
	for p, want := range map[float64]time.Duration{50: 50, 95: 95, 99: 99, 100: 100, 0: 1} {
		if got := stat.Percentile(ds, p); got != want {
			t.Errorf("%v-th percentile = %d, want %d", p, got, want)
		}
	}
	if got := stat.Percentile(nil, 95); got != 0 {
		t.Errorf("percentile of nothing = %d, want 0", got)
	}
}
