package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/prismq/thequeue/tests/bench/stat"
)

// maxSpread is how many times the greatest round may be the least before the rounds disagree too much to be judged.
const maxSpread = 2

// Verdict is what became of a goal.
type Verdict string

const (
	Met       Verdict = "met"
	Missed    Verdict = "missed"
	NoVerdict Verdict = "no verdict"
)

// Outcome is a goal and the values of its rounds.
type Outcome struct {
	Goal
	Values []float64 // one for each round
	Loose  bool      // rounds may differ
}

// eased moves the limit of a goal away by a margin.
func (g Goal) eased(margin float64) Goal {
	if g.Sense == AtLeast {
		margin = 1 / margin
	}
	g.Limit *= margin
	return g
}

// never reports whether the goal is that something does not happen: then a single time in any round is one too many.
func (o Outcome) never() bool { return o.Sense == AtMost && o.Limit == 0 }

// Value is the median of the rounds, or the greatest of them for what must not happen; NaN when nothing was measured.
func (o Outcome) Value() float64 {
	if o.never() && len(o.Values) > 0 {
		return slices.Max(o.Values)
	}
	return stat.Median(o.Values)
}

// Verdict judges the median. A rate of nothing, or against nothing, is no figure. Rounds that differ by more than twice give none: they say nothing but that something else was going on.
func (o Outcome) Verdict() Verdict {
	v := o.Value()
	if math.IsNaN(v) || math.IsInf(v, 0) || (!o.Loose && !o.never() && stat.Spread(o.Values) > maxSpread) {
		return NoVerdict
	}
	if (o.Sense == AtLeast && v >= o.Limit) || (o.Sense == AtMost && v <= o.Limit) {
		return Met
	}
	return Missed
}

// String is the line of the goal: P1 sqlite/river 17.2 goal 15 met.
func (o Outcome) String() string {
	unit := ""
	if o.Unit != "" {
		unit = " " + o.Unit
	}
	s := fmt.Sprintf("%s %s %s%s goal %s%s %s", o.ID, o.Row, figure(o.Value()), unit, figure(o.Limit), unit, o.Verdict())
	if o.Verdict() == NoVerdict && len(o.Values) > 0 {
		s += fmt.Sprintf(": rounds differ %s ×", figure(stat.Spread(o.Values)))
	}
	return s
}

// figure prints three significant digits, and whole numbers from 100 on.
func figure(v float64) string {
	if math.Abs(v) >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
