package task_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/task"
)

// TestQuantilesAreATenthOffAtMost compares the quantiles of buckets with those of the durations themselves.
func TestQuantilesAreATenthOffAtMost(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() float64{
		"Even":       func() float64 { return 0.001 + rng.Float64() },
		"LongTailed": func() float64 { return 0.002 * math.Exp(2*rng.NormFloat64()) },
		"TwoSpeeds": func() float64 {
			if rng.IntN(10) == 0 {
				return 3600 + rng.Float64()
			}
			return 0.01
		},
	} {
		t.Run(name, func(t *testing.T) {
			var d task.Durations
			all := make([]time.Duration, 10_000)
			for i := range all {
				all[i] = time.Duration(draw() * float64(time.Second))
				d.Add(all[i])
			}
			slices.Sort(all)
			for _, q := range []float64{0.01, 0.5, 0.95, 0.99, 1} {
				want := all[int(math.Ceil(q*float64(len(all))))-1]
				if got := d.Quantile(q); math.Abs(float64(got-want)) > 0.1*float64(want)+float64(100*time.Microsecond) {
					t.Errorf("quantile %g: got %v, want %v", q, got, want)
				}
			}
			if d.Max != all[len(all)-1] || d.Count != int64(len(all)) {
				t.Errorf("max %v, count %d", d.Max, d.Count)
			}
		})
	}
}

func TestNoDurationsHaveNoQuantile(t *testing.T) {
	t.Parallel()
	var d task.Durations
	if d.Quantile(0.5) != 0 || d.Mean() != 0 || d.Spread() != (task.Spread{}) {
		t.Errorf("%v, %v, %+v", d.Quantile(0.5), d.Mean(), d.Spread())
	}
	d.Add(-time.Second) // clocks of two nodes
	if d.Max != 0 || d.Count != 1 {
		t.Errorf("%+v", d)
	}
}

// TestMeasuresAddUp shows that the measures of two times are those of both, also after they were stored.
func TestMeasuresAddUp(t *testing.T) {
	t.Parallel()
	var all task.Measures
	parts := make([]task.Measures, 3)
	for i, e := range lives() {
		all.Note(e.name, &e.task)
		parts[i%len(parts)].Note(e.name, &e.task)
	}
	var sum task.Measures
	for _, p := range parts {
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var again task.Measures
		if err := json.Unmarshal(b, &again); err != nil {
			t.Fatal(err)
		}
		sum.Add(again)
	}
	if diff := cmp.Diff(all, sum); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// happening is an event and the task as it is after it.
type happening struct {
	name task.EventName
	task task.Task
}

// lives are the events of four tasks: one that succeeds at its second attempt, one that is exhausted by a lost worker, one that is cancelled and one that expires.
func lives() []happening {
	at := func(s float64) time.Time { return time.Date(2026, 1, 1, 0, 0, 0, int(s*1e9), time.UTC) }
	held := func(attempts int, from float64) task.Task {
		return task.Task{Status: task.Processing, Attempts: attempts, RunAfterUTC: at(0), ReservedAtUTC: new(at(from)), ProcessingStartedUTC: new(at(from))}
	}
	ended := func(o task.Outcome, attempts int, from, to float64) task.Task {
		return task.Task{Outcome: &o, Attempts: attempts, ProcessingStartedUTC: new(at(from)), FinishedAtUTC: new(at(to))}
	}
	queued := task.Task{Status: task.Queued}
	return []happening{
		{task.EventEnqueued, queued}, {task.EventEnqueued, queued}, {task.EventEnqueued, queued}, {task.EventEnqueued, queued},
		{task.EventClaimed, held(1, 0.5)}, {task.EventRetry, queued}, {task.EventClaimed, held(2, 2)}, {task.EventProgress, held(2, 2)}, {task.EventCompleted, ended(task.Succeeded, 2, 2, 2.25)},
		{task.EventClaimed, held(1, 0.001)}, {task.EventReleased, queued}, {task.EventClaimed, held(1, 1)}, {task.EventLost, ended(task.Exhausted, 1, 1, 61)},
		{task.EventCancelled, ended(task.Cancelled, 0, 0, 1)}, {task.EventExpired, ended(task.Expired, 0, 0, 1)}, {task.EventDeleted, ended(task.Succeeded, 2, 2, 2.25)},
	}
}

func TestFiguresOfLives(t *testing.T) {
	t.Parallel()
	var m task.Measures
	for _, e := range lives() {
		m.Note(e.name, &e.task)
	}
	f := m.Figures(2 * time.Minute)
	third := 1.0 / 3
	want := task.Figures{
		Enqueued: 4, Claimed: 4, Completed: 1, Failed: 2, Exhausted: 1, Expired: 1, Cancelled: 1, Retries: 1, Released: 1, Lost: 1,
		SuccessRate: &third, FailureRate: new(2 * third), CompletedPerMin: 0.5, RetriedShare: new(0.5), MeanAttempts: new(1.5),
		ProcessingSecs: f.ProcessingSecs, StartLatencySecs: f.StartLatencySecs,
	}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if p := f.ProcessingSecs; p.Count != 1 || *p.Mean != 0.25 || *p.P50 < 0.225 || *p.P50 > 0.25 {
		t.Errorf("processing: %+v", p)
	}
	if p := f.StartLatencySecs; p.Count != 4 || *p.Max != 2 {
		t.Errorf("start latency: %+v", p)
	}
}

func TestEventFilterChoosesByAllThatItNames(t *testing.T) {
	t.Parallel()
	e := task.EventOf(task.EventRetry, &task.Task{ID: 7, Type: "email", Status: task.Queued})
	for _, c := range []struct {
		filter task.EventFilter
		want   bool
	}{
		{task.EventFilter{}, true},
		{task.EventFilter{TaskID: 7, Types: []string{"sms", "email"}, Statuses: []task.Status{task.Queued}, Names: []task.EventName{task.EventRetry}}, true},
		{task.EventFilter{TaskID: 8}, false},
		{task.EventFilter{Types: []string{"sms"}}, false},
		{task.EventFilter{Statuses: []task.Status{task.Failed}}, false},
		{task.EventFilter{Names: []task.EventName{task.EventFailed}}, false},
	} {
		if got := c.filter.Matches(e); got != c.want {
			t.Errorf("%+v: got %t", c.filter, got)
		}
	}
}
