package task_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/prismq/thequeue/internal/store/storetest"
	"github.com/prismq/thequeue/internal/task"
)

// The table of what matches stands in storetest, where both engines follow it; here are the properties.

var (
	scalars = rapid.SampledFrom([]string{`1`, `1.0`, `2`, `-3.5`, `"a"`, `"b"`, `""`, `true`, `false`, `null`, `"1"`})
	names   = rapid.SampledFrom([]string{"a", "b", "c"})
)

func drawObject(value *rapid.Generator[string]) *rapid.Generator[task.JSON] {
	return rapid.Custom(func(t *rapid.T) task.JSON {
		text := []byte("{")
		for name, v := range rapid.MapOfN(names, value, 0, 3).Draw(t, "object") {
			text = fmt.Appendf(text, `%q: %s ,`, name, v)
		}
		return task.JSON(text[:max(1, len(text)-1)]) + "}"
	})
}

var (
	lists = rapid.Custom(func(t *rapid.T) string {
		b, _ := json.Marshal(rapid.SliceOfN(rapid.Map(scalars, func(s string) json.RawMessage { return json.RawMessage(s) }), 0, 4).Draw(t, "list"))
		return string(b)
	})
	ranges   = rapid.SampledFrom([]string{`{"min":1}`, `{"max":1.5}`, `{"min":-4,"max":2}`, `{"max":0,"min":1}`})
	requires = drawObject(rapid.OneOf(scalars, lists, ranges))
	offers   = drawObject(rapid.OneOf(scalars, lists, ranges))
)

func parsed(t *rapid.T, requires, offers task.JSON) (task.Requirements, task.Capabilities) {
	r, err := task.ParseRequirements(requires)
	if err != nil {
		t.Fatal(err)
	}
	c, err := task.ParseCapabilities(offers)
	if err != nil {
		t.Fatal(err)
	}
	return r, c
}

func TestEveryKeyOfTheRequirementsCounts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r, c := parsed(t, requires.Draw(t, "requires"), offers.Draw(t, "offers"))
		want := true
		for name, v := range r {
			want = want && task.Requirements{name: v}.Satisfied(c)
		}
		if got := r.Satisfied(c); got != want {
			t.Fatalf("%v by %v: %v, by each key %v", r, c, got, want)
		}
		if !(task.Requirements{}).Satisfied(c) || (len(r) > 0 && r.Satisfied(nil)) {
			t.Fatal("no requirements match everybody, and any require something")
		}
	})
}

func TestMoreCapabilitiesNeverMatchLess(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r, c := parsed(t, requires.Draw(t, "requires"), offers.Draw(t, "offers"))
		before := r.Satisfied(c)
		more := task.Capabilities{"more": true}
		for name, v := range c {
			more[name] = v
			if list, ok := v.([]any); ok {
				more[name] = append(slices.Clone(list), "one more")
			}
		}
		if before && !r.Satisfied(more) {
			t.Fatalf("%v is met by %v and not by %v", r, c, more)
		}
	})
}

func TestTheCanonicalTextMeansTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := requires.Draw(t, "requires")
		r, c := parsed(t, text, offers.Draw(t, "offers"))
		again, err := task.ParseRequirements(task.JSON(r.Canonical()))
		if err != nil {
			t.Fatal(err)
		}
		if again.Canonical() != r.Canonical() || again.Satisfied(c) != r.Satisfied(c) {
			t.Fatalf("%s has the canonical text %s", text, r.Canonical())
		}
	})
}

func TestCanonicalIgnoresSpelling(t *testing.T) {
	t.Parallel()
	for _, spelling := range []task.JSON{`{"a":1,"b":["x"]}`, ` { "b" : [ "x" ] , "a" : 1 } `, `{"\u0061":1,"b":["\u0078"]}`} {
		r, err := task.ParseRequirements(spelling)
		if err != nil || r.Canonical() != `{"a":1,"b":["x"]}` {
			t.Errorf("%s: %s, %v", spelling, r.Canonical(), err)
		}
	}
	if got := (task.Requirements)(nil).Canonical(); got != "{}" {
		t.Errorf("of nothing: %s", got)
	}
}

func TestRequirementsOfAnotherShapeAreRefused(t *testing.T) {
	t.Parallel()
	for _, j := range []task.JSON{
		``, `null`, `[]`, `{"a":{}}`, `{"a":{"min":"1"}}`, `{"a":{"min":1,"mean":2}}`, `{"a":{"min":null}}`, `{"a":{"max":[1]}}`, `{"a":[[1]]}`, `{"a":[{"b":1}]}`, `{"a":[1,null,{}]}`, `{"a":{"min":1e999}}`,
	} {
		if r, err := task.ParseRequirements(j); err == nil {
			t.Errorf("%s was taken as %v", j, r)
		}
	}
	for _, j := range []task.JSON{`[]`, `1`, `{`} {
		if c, err := task.ParseCapabilities(j); err == nil {
			t.Errorf("%s was taken as %v", j, c)
		}
	}
	if c, err := task.ParseCapabilities("null"); err != nil || c != nil {
		t.Errorf("null: %v, %v", c, err)
	}
}

func TestEligibleKeepsTheLanesThatMatchInOrder(t *testing.T) {
	t.Parallel()
	lanes := []task.Lane{
		{ID: 5, Type: "a", Priority: 9, Ready: 1},
		{ID: 1, Type: "a", Priority: 9, Ready: 2},
		{ID: 2, Type: "b", Priority: 1, Ready: 3},
		{ID: 3, Type: "a", Priority: 2, Ready: 0},
		{ID: 4, Type: "a", Priority: 3, Ready: 4, Requires: task.Requirements{"gpu": true}},
	}
	before := slices.Clone(lanes)
	for _, c := range []struct {
		claim task.Claim
		want  string
	}{
		{task.Claim{}, "[2,1,5]"},
		{task.Claim{Types: []string{"a"}}, "[1,5]"},
		{task.Claim{Types: []string{}}, "[]"},
		{task.Claim{Types: []string{"c"}}, "[]"},
		{task.Claim{Capabilities: task.Capabilities{"gpu": true}}, "[2,4,1,5]"},
		{task.Claim{Types: []string{"b", "a"}, Capabilities: task.Capabilities{"gpu": false}}, "[2,1,5]"},
	} {
		if got := task.LaneIDs(c.claim.Eligible(lanes)); got != c.want {
			t.Errorf("%+v: lanes %s, want %s", c.claim, got, c.want)
		}
	}
	diff(t, "lanes given", before, lanes)
}

func TestDrawWeightedTakesWhatThereIs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lanes := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) task.Lane {
			return task.Lane{Priority: rapid.IntRange(1, 1000).Draw(t, "priority"), Ready: rapid.Int64Range(1, 30).Draw(t, "ready")}
		}), 0, 8).Draw(t, "lanes")
		there, ready := 0, map[int64]int{}
		for i := range lanes {
			lanes[i].ID = int64(10 * i)
			there, ready[lanes[i].ID] = there+int(lanes[i].Ready), int(lanes[i].Ready)
		}
		n := rapid.IntRange(0, 100).Draw(t, "n")
		got := 0
		for _, d := range task.DrawWeighted(lanes, n, rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))) {
			if got += d.N; d.N < 1 || d.N > ready[d.LaneID] {
				t.Fatalf("%d tasks of lane %d, which has %d", d.N, d.LaneID, ready[d.LaneID])
			}
			delete(ready, d.LaneID) // comes once
		}
		if got != min(n, there) {
			t.Fatalf("drew %d of %d tasks, want %d", got, there, n)
		}
	})
}

// drawOne draws one task so many times and counts by lane.
func drawOne(lanes []task.Lane, times int) []int {
	counts, rng := make([]int, len(lanes)), rand.New(rand.NewPCG(1, 2))
	for range times {
		counts[task.DrawWeighted(lanes, 1, rng)[0].LaneID]++
	}
	return counts
}

func TestDrawWeightedFitsTheWeights(t *testing.T) {
	t.Parallel()
	lanes := []task.Lane{{Priority: 1, Ready: 1}, {Priority: 1, Ready: 7}, {Priority: 100, Ready: 1}, {Priority: 100, Ready: 500}, {Priority: 1000, Ready: 3}, {Priority: 1000, Ready: 100000}}
	var shares []float64
	for i := range lanes {
		lanes[i].ID = int64(i)
		shares = append(shares, float64(lanes[i].Ready)/float64(lanes[i].Priority+1))
	}
	storetest.Fits(t, drawOne(lanes, 500000), shares)
}

func TestDrawWeightedTakesPriority1Before100In505Of515Draws(t *testing.T) {
	t.Parallel()
	storetest.Fits(t, drawOne([]task.Lane{{ID: 0, Priority: 1, Ready: 1}, {ID: 1, Priority: 100, Ready: 1}}, 500000), []float64{50.5, 1})
}

// TestDrawWeightedDrawsOneAfterTheOther compares with the exact chances of all outcomes of three draws from two lanes of two.
func TestDrawWeightedDrawsOneAfterTheOther(t *testing.T) {
	t.Parallel()
	lanes := []task.Lane{{ID: 0, Priority: 1, Ready: 2}, {ID: 1, Priority: 3, Ready: 2}}
	const a, b = 1.0 / 2, 1.0 / 4
	aa, ab, ba, bb := 2*a/(2*a+2*b)*(a/(a+2*b)), 2*a/(2*a+2*b)*(2*b/(a+2*b)), 2*b/(2*a+2*b)*(2*a/(2*a+b)), 2*b/(2*a+2*b)*(b/(2*a+b))
	counts, rng := make([]int, 3), rand.New(rand.NewPCG(3, 4))
	for range 100000 {
		fromA := 0
		for _, d := range task.DrawWeighted(lanes, 2, rng) {
			if d.LaneID == 0 {
				fromA = d.N
			}
		}
		counts[fromA]++
	}
	storetest.Fits(t, counts, []float64{bb, ab + ba, aa})
}
