package main

import (
	"math"
	"testing"
)

func TestVerdict(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sense  Sense
		limit  float64
		values []float64
		want   Verdict
	}{
		"AtLeastReached":          {AtLeast, 15, []float64{14, 16, 20}, Met},
		"AtLeastEqual":            {AtLeast, 15, []float64{15}, Met},
		"AtLeastNotReached":       {AtLeast, 15, []float64{14, 13, 20}, Missed},
		"AtMostKept":              {AtMost, 1.5, []float64{1.4, 1.6, 1.2}, Met},
		"AtMostExceeded":          {AtMost, 1.5, []float64{1.6, 1.2, 1.7}, Missed},
		"ZeroOfZero":              {AtMost, 0, []float64{0, 0, 0}, Met},
		"OneError":                {AtMost, 0, []float64{1}, Missed},
		"RoundsDisagree":          {AtLeast, 1, []float64{10, 30, 21}, NoVerdict},
		"RoundsDisagreeByATwo":    {AtLeast, 1, []float64{10, 20}, Met},
		"NeverAndOnce":            {AtMost, 0, []float64{0, 0, 1, 0, 0}, Missed},
		"Never":                   {AtMost, 0, []float64{0, 0, 0}, Met},
		"NothingMeasured":         {AtLeast, 1, nil, NoVerdict},
		"AgainstNothing":          {AtLeast, 1, []float64{math.Inf(1)}, NoVerdict},
		"RoundWithoutMeasurement": {AtLeast, 1, []float64{math.NaN()}, NoVerdict},
	} {
		o := Outcome{Goal: Goal{Sense: c.sense, Limit: c.limit}, Values: c.values}
		if got := o.Verdict(); got != c.want {
			t.Errorf("%s: the verdict of %v is %q, want %q", name, c.values, got, c.want)
		}
	}
}

func TestEasedGoals(t *testing.T) {
	t.Parallel()
	if got := (Goal{Sense: AtLeast, Limit: 16}).eased(8).Limit; got != 2 {
		t.Errorf("at least 16 eased by 8 is at least %v, want 2", got)
	}
	if got := (Goal{Sense: AtMost, Limit: 2}).eased(8).Limit; got != 16 {
		t.Errorf("at most 2 eased by 8 is at most %v, want 16", got)
	}
	o := Outcome{Goal: Goal{Sense: AtLeast, Limit: 2}, Values: []float64{1, 3, 9}, Loose: true}
	if got := o.Verdict(); got != Met {
		t.Errorf("the loose verdict of %v is %q, want %q", o.Values, got, Met)
	}
}

func TestLineOfAGoal(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]Outcome{
		"P1 sqlite/river 17.2 goal 15 met":                        {Goal: Goal{"P1", "sqlite/river", AtLeast, 15, "", ""}, Values: []float64{17.23}},
		"P8 claim-p95 3.5 ms goal 3 ms missed":                    {Goal: Goal{"P8", "claim-p95", AtMost, 3, "ms", ""}, Values: []float64{3.5}},
		"P3 x 20 goal 0.7 no verdict: rounds differ 3 ×":          {Goal: Goal{"P3", "x", AtLeast, 0.7, "", ""}, Values: []float64{10, 20, 30}},
		"P9 life/asynq NaN goal 3 no verdict":                     {Goal: Goal{"P9", "life/asynq", AtLeast, 3, "", ""}, Values: nil},
		"P11 statements 1234 statements goal 0 statements missed": {Goal: Goal{"P11", "statements", AtMost, 0, "statements", ""}, Values: []float64{1234}},
	} {
		if got := o.String(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestGoalsAreUnique(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, g := range goals {
		if key := g.ID + " " + g.Row; seen[key] {
			t.Errorf("%s stands twice in the table", key)
		} else {
			seen[key] = true
		}
		if _, ok := workloads[g.ID]; !ok {
			t.Errorf("no workload measures %s", g.ID)
		}
	}
}
