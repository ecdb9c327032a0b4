package task_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/prismq/thequeue/internal/task"
)

func TestBackoffFollowsTheFormula(t *testing.T) {
	t.Parallel()
	even := task.Backoff{InitialSeconds: 1, Multiplier: 2, MaxSeconds: 300}
	for _, c := range []struct {
		b       task.Backoff
		attempt int
		r       float64
		want    time.Duration
	}{
		{even, 1, 0.9, time.Second},
		{even, 2, 0, 2 * time.Second},
		{even, 9, 0, 256 * time.Second},
		{even, 10, 0, 300 * time.Second},
		{even, 100, 0, 300 * time.Second},
		{task.DefaultBackoff, 1, 0.5, time.Second},
		{task.DefaultBackoff, 1, 0, 900 * time.Millisecond},
		{task.DefaultBackoff, 10, 0, 270 * time.Second},
		{task.DefaultBackoff, 1, 0.75, 1050 * time.Millisecond},
		{task.Backoff{InitialSeconds: 0, Multiplier: 100, MaxSeconds: 10, Jitter: 1}, 100, 0.3, 0},
		{task.Backoff{InitialSeconds: 5, Multiplier: 1, MaxSeconds: 10}, 50, 0, 5 * time.Second},
		{task.Backoff{InitialSeconds: 5, Multiplier: 1, MaxSeconds: 2}, 1, 0, 2 * time.Second},
		{task.Backoff{InitialSeconds: 1e-7, Multiplier: 1, MaxSeconds: 2}, 1, 0, 0},
	} {
		if got := c.b.Delay(c.attempt, c.r); (got - c.want).Abs() > time.Microsecond {
			t.Errorf("%+v, attempt %d, r %v: %v, want %v", c.b, c.attempt, c.r, got, c.want)
		}
	}
}

func TestBackoffStaysInItsBounds(t *testing.T) {
	t.Parallel()
	seconds := rapid.Float64Range(0, 2592000)
	rapid.Check(t, func(t *rapid.T) {
		b := task.Backoff{
			InitialSeconds: seconds.Draw(t, "initial"), Multiplier: rapid.Float64Range(1, 100).Draw(t, "multiplier"),
			MaxSeconds: seconds.Draw(t, "max"), Jitter: rapid.Float64Range(0, 1).Draw(t, "jitter"),
		}
		if err := b.Check(); err != nil {
			t.Fatal(err)
		}
		n, r := rapid.IntRange(1, 100).Draw(t, "attempt"), rapid.Float64Range(0, math.Nextafter(1, 0)).Draw(t, "r")
		d, most := b.Delay(n, r), b.MaxSeconds*(1+b.Jitter)
		if d < 0 || d.Seconds() > most+1e-6 || d%time.Microsecond != 0 {
			t.Fatalf("delay %v", d)
		}
		if next := b.Delay(n+1, r); next < d {
			t.Fatalf("%v after attempt %d, %v after the next", d, n, next)
		}
	})
}

func TestBackoffCheckNamesWhatIsOutOfBounds(t *testing.T) {
	t.Parallel()
	good := task.DefaultBackoff
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	fields := map[string]func(*task.Backoff, float64){
		"initial_seconds": func(b *task.Backoff, v float64) { b.InitialSeconds = v },
		"multiplier":      func(b *task.Backoff, v float64) { b.Multiplier = v },
		"max_seconds":     func(b *task.Backoff, v float64) { b.MaxSeconds = v },
		"jitter":          func(b *task.Backoff, v float64) { b.Jitter = v },
	}
	for name, set := range fields {
		for _, v := range []float64{-1, math.Inf(1), math.Inf(-1), math.NaN(), 2592001} {
			b := good
			set(&b, v)
			if err := b.Check(); err == nil {
				t.Errorf("%s may be %v", name, v)
			}
		}
	}
}

func TestBackoffWithReplacesWhatIsNamed(t *testing.T) {
	t.Parallel()
	got, err := task.DefaultBackoff.With(`{"multiplier": 3, "jitter": 0}`)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "policy", task.Backoff{InitialSeconds: 1, Multiplier: 3, MaxSeconds: 300}, got)
	if got, err = task.DefaultBackoff.With(`{}`); err != nil || got != task.DefaultBackoff {
		t.Errorf("%+v, %v", got, err)
	}
	for _, j := range []task.JSON{``, `[]`, `{"max":1}`, `{"jitter":"0.1"}`, `{"jitter":-1}`, `{"initial_seconds":1e400}`, `{} {}`} {
		if got, err := task.DefaultBackoff.With(j); err == nil {
			t.Errorf("%s was taken as %+v", j, got)
		}
	}
}
