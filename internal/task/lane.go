package task

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// Lane groups the tasks that no claim can tell apart but by age: those of one type, compatibility and priority. A claim chooses
// among lanes and takes from their ends, so its cost depends on the number of lanes with work and not on the number of tasks.
type Lane struct {
	ID       int64
	Type     string
	Requires Requirements
	Priority int
	Ready    int64 // tasks that can be claimed now
	Keyed    bool  // its tasks have concurrency keys, which take turns
}

// LaneCompatibility is the text by which the lane of a task is told from others of its type and priority: the canonical compatibility, which for tasks with a concurrency
// key ends with a space, so that they have lanes of their own.
func (t Task) LaneCompatibility() (string, error) {
	text := "{}"
	if t.Compatibility != "{}" {
		r, err := ParseRequirements(t.Compatibility)
		if err != nil {
			return "", err
		}
		text = r.Canonical()
	}
	if t.ConcurrencyKey != nil {
		text += " "
	}
	return text, nil
}

// KeyedLane reports whether the lane with this compatibility is one of tasks with concurrency keys.
func KeyedLane(compatibility string) bool { return strings.HasSuffix(compatibility, " ") }

// Requirements is what a task asks of a worker: the parsed form of its compatibility. Empty: nothing.
type Requirements map[string]any

// Unmeetable stands for requirements that cannot be read: no worker meets it.
var Unmeetable = Requirements{"": []any{[]any{}}}

// Capabilities is what a worker offers, by name. Nil and empty: nothing.
type Capabilities map[string]any

// ParseCapabilities reads a JSON object; an empty text and null are read as no capabilities.
func ParseCapabilities(j JSON) (Capabilities, error) {
	if !j.given() {
		return nil, nil
	}
	return parseObject(j)
}

// ParseRequirements reads a compatibility object. Each value is a scalar, an array of scalars, or an object with min, max or both.
func ParseRequirements(j JSON) (Requirements, error) {
	if j == "{}" {
		return nil, nil
	}
	m, err := parseObject(j)
	if err != nil {
		return nil, err
	}
	for name, want := range m {
		if err := checkRequirement(want); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return m, nil
}

func checkRequirement(want any) error {
	switch want := want.(type) {
	case []any:
		for _, e := range want {
			if !scalar(e) {
				return errors.New("an array holds strings, numbers, true, false or null")
			}
		}
	case map[string]any:
		if len(want) == 0 {
			return errors.New("an object holds min, max or both")
		}
		for bound, v := range want {
			if _, ok := number(v); !ok || (bound != "min" && bound != "max") {
				return errors.New("an object holds nothing but min and max, both numbers")
			}
		}
	}
	return nil
}

func parseObject(j JSON) (map[string]any, error) {
	if err := j.CheckObject(); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(j)))
	dec.UseNumber()
	var m map[string]any
	return m, dec.Decode(&m)
}

// Canonical returns the text by which lanes are told apart: the same for objects that differ in white space or order of names.
func (r Requirements) Canonical() string {
	if len(r) == 0 {
		return "{}"
	}
	b, err := json.Marshal(map[string]any(r))
	if err != nil {
		panic("task: requirements came from JSON and must go back: " + err.Error())
	}
	return string(b)
}

// Satisfied reports whether a worker with these capabilities may run the task: every requirement is met. A scalar asks for an equal
// scalar or an array that contains it, an array for all its elements, min and max for a number between them, bounds included.
func (r Requirements) Satisfied(by Capabilities) bool {
	for name, want := range r {
		have, ok := by[name]
		if !ok || !satisfies(want, have) {
			return false
		}
	}
	return true
}

func satisfies(want, have any) bool {
	switch want := want.(type) {
	case []any:
		list, ok := have.([]any)
		return ok && !slices.ContainsFunc(want, func(e any) bool { return !contains(list, e) })
	case map[string]any:
		n, ok := number(have)
		if !ok {
			return false
		}
		if lo, ok := number(want["min"]); ok && n < lo {
			return false
		}
		hi, ok := number(want["max"])
		return !ok || n <= hi
	}
	return contains(have, want)
}

// contains reports whether have is the scalar e, or an array with it.
func contains(have, e any) bool {
	if list, ok := have.([]any); ok {
		return slices.ContainsFunc(list, func(h any) bool { return equal(h, e) })
	}
	return equal(have, e)
}

func equal(a, b any) bool {
	if !scalar(a) || !scalar(b) {
		return false
	}
	if a == b {
		return true
	}
	i, iok := integer(a)
	j, jok := integer(b)
	if iok && jok {
		return i == j // exact where a float is not
	}
	x, xok := number(a)
	y, yok := number(b)
	return xok && yok && x == y
}

func integer(v any) (int64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	i, err := n.Int64()
	return i, err == nil
}

func scalar(v any) bool {
	switch v.(type) {
	case nil, bool, string, json.Number, float64, int:
		return true
	}
	return false
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	case float64:
		return v, true
	case int:
		return float64(v), true
	}
	return 0, false
}

// MayTake reports whether this claim may take tasks of the lane: its type is asked for and its requirements are met.
func (c Claim) MayTake(l Lane) bool { return c.AsksFor(l.Type) && l.Requires.Satisfied(c.Capabilities) }

// AsksFor reports whether this claim takes tasks of the type.
func (c Claim) AsksFor(taskType string) bool {
	return c.Types == nil || slices.Contains(c.Types, taskType)
}

// Eligible returns those of the lanes from which this claim may take, ordered by priority and id.
func (c Claim) Eligible(lanes []Lane) []Lane {
	out := slices.DeleteFunc(slices.Clone(lanes), func(l Lane) bool {
		return l.Ready <= 0 || !c.MayTake(l)
	})
	slices.SortFunc(out, func(a, b Lane) int {
		if a.Priority != b.Priority {
			return a.Priority - b.Priority
		}
		return int(a.ID - b.ID)
	})
	return out
}

// Draw is a number of tasks to take from the head of one lane.
type Draw struct {
	LaneID int64
	N      int
}

// DrawWeighted chooses up to n tasks one after the other, each waiting task with a probability proportional to 1/(priority+1), and
// returns how many fall to each lane. Within a lane the weights are equal and the oldest are taken.
func DrawWeighted(lanes []Lane, n int, rng *rand.Rand) []Draw {
	left := make([]int64, len(lanes))
	taken := make([]int, len(lanes))
	total := 0.0
	for i, l := range lanes {
		left[i] = l.Ready
		total += float64(l.Ready) * Weight(l.Priority)
	}
	for ; n > 0; n-- {
		i := pick(lanes, left, rng.Float64()*total)
		if i < 0 {
			break
		}
		left[i]--
		taken[i]++
		total -= Weight(lanes[i].Priority)
	}
	var out []Draw
	for i, k := range taken {
		if k > 0 {
			out = append(out, Draw{LaneID: lanes[i].ID, N: k})
		}
	}
	return out
}

// Drawn takes what a draw has given off the lane's ready tasks. One that gave less than was drawn has no more to give.
func Drawn(lanes []Lane, d Draw, got int) {
	for i := range lanes {
		if lanes[i].ID == d.LaneID {
			if lanes[i].Ready -= int64(got); got < d.N {
				lanes[i].Ready = 0
			}
		}
	}
}

// pick returns the lane in which x falls when the weights of the tasks left are laid end to end; -1 when none is left.
func pick(lanes []Lane, left []int64, x float64) int {
	last := -1
	for i, l := range lanes {
		if left[i] <= 0 {
			continue
		}
		last = i
		if x -= float64(left[i]) * Weight(l.Priority); x < 0 {
			return i
		}
	}
	return last // rounding left x at the very end
}

// Weight is the weight of a task in weighted_random.
func Weight(priority int) float64 { return 1 / float64(priority+1) }

// LaneIDs returns the ids as a JSON array, the form in which the claim queries take a list.
func LaneIDs(lanes []Lane) string {
	b := []byte{'['}
	for i, l := range lanes {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, l.ID, 10)
	}
	return string(append(b, ']'))
}
