// Package stat holds the few statistics that the harness rests on.
package stat

import (
	"math"
	"slices"
	"time"
)

// Median returns the middle of xs, the mean of the two middle ones when their number is even, and NaN when there is none.
func Median(xs []float64) float64 {
	if len(xs) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(xs))
	if m := len(s) / 2; len(s)%2 == 0 {
		return (s[m-1] + s[m]) / 2
	}
	return s[len(s)/2]
}

// Spread returns how many times the greatest of xs is the least; 1 where all are equal, even zero, and +Inf where the least alone is zero.
// NaN when there is none.
func Spread(xs []float64) float64 {
	if len(xs) == 0 {
		return math.NaN()
	}
	lo, hi := slices.Min(xs), slices.Max(xs)
	if lo == hi {
		return 1
	}
	return hi / lo
}

// Ratios returns a[i]/b[i] for each round that both have.
func Ratios(a, b []float64) []float64 {
	out := make([]float64, min(len(a), len(b)))
	for i := range out {
		out[i] = a[i] / b[i]
	}
	return out
}

// Percentile returns the p-th percentile of the durations by the nearest-rank method, and 0 when there is none.
func Percentile(ds []time.Duration, p float64) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(ds))
	rank := int(math.Ceil(p / 100 * float64(len(s))))
	return s[max(rank, 1)-1]
}
