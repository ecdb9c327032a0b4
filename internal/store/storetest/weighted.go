package storetest

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prismq/thequeue/internal/task"
)

var weightedBehaviours = []behaviour{
	{"ChooseInProportionToTheWeights", weightedFits},
	{"ChooseByTheNumberOfTasksToo", weightedCountsTasks},
	{"TakePriority1Before100In505Of515Draws", weightedRatio},
	{"ChooseWithoutReplacement", weightedWithoutReplacement},
	{"ObeyTheSeed", weightedObeysSeed},
}

// chiSquared999 holds the 0.999 quantiles of the chi-squared distribution for 1, 2, … degrees of freedom. Source: NIST/SEMATECH e-Handbook of
// Statistical Methods, section 1.3.6.7.4, upper critical values, column 0.001.
var chiSquared999 = []float64{10.828, 13.816, 16.266, 18.467, 20.515, 22.458, 24.322, 26.125, 27.877, 29.588}

// Fits reports an error unless the counts agree with draws in proportion to the shares: Pearson's chi-squared test, p > 0.001. There may be
// up to 11 classes, each with a share that makes at least 5 of the draws expected.
func Fits(t *testing.T, counts []int, shares []float64) {
	t.Helper()
	draws, sum := 0, 0.0
	for i := range counts {
		draws += counts[i]
		sum += shares[i]
	}
	x := 0.0
	for i, n := range counts {
		want := float64(draws) * shares[i] / sum
		if want < 5 {
			t.Fatalf("class %d: %.1f draws expected, too few for the test", i, want)
		}
		x += (float64(n) - want) * (float64(n) - want) / want
	}
	if limit := chiSquared999[len(counts)-2]; x > limit {
		t.Errorf("chi-squared is %.2f, above %.2f: counts %v for shares %v", x, limit, counts, shares)
	}
}

// draw claims by weight and hands back what it got, n times, and counts the claims by what class says of them.
func (r *rig) draw(n, most, classes int, class func([]task.Task) int) []int {
	r.Helper()
	counts := make([]int, classes)
	rng := rand.New(rand.NewPCG(uint64(n), uint64(classes)))
	for range n {
		got := r.claim(task.Claim{Strategy: task.WeightedRandom, Max: most, Seed: rng.Uint64()})
		if len(got) != most {
			r.Fatalf("claimed %d tasks, want %d", len(got), most)
		}
		counts[class(got)]++
		for _, t := range got {
			r.release(t, start)
		}
	}
	return counts
}

func share(priority int) float64 { return 1 / float64(priority+1) }

func weightedFits(r *rig) {
	first, shares := int64(0), []float64(nil)
	for i, p := range []int{1, 2, 9, 19, 49, 100} {
		t := r.insert(task.Spec{Priority: &p, Type: []string{"a", "b"}[i%2]})
		if shares = append(shares, share(p)); i == 0 {
			first = t.ID
		}
	}
	counts := r.draw(2000, 1, len(shares), func(ts []task.Task) int { return int(ts[0].ID - first) })
	Fits(r.T, counts, shares)
}

func weightedCountsTasks(r *rig) {
	r.insertMany(30, task.Spec{Priority: ptr(99)})
	r.insertMany(1, task.Spec{Priority: ptr(9)})
	r.insertMany(2, task.Spec{Priority: ptr(9), Type: "other"})
	r.insertMany(10, task.Spec{Priority: ptr(199), Compatibility: `{"max":{"max":1}}`}) // never taken
	counts := r.draw(1000, 1, 3, func(ts []task.Task) int {
		switch t := ts[0]; {
		case t.Priority == 99:
			return 0
		case t.Type == "work":
			return 1
		}
		return 2
	})
	Fits(r.T, counts, []float64{30 * share(99), share(9), 2 * share(9)})
}

func weightedRatio(r *rig) {
	r.insert(task.Spec{Priority: ptr(100)})
	r.insert(task.Spec{Priority: ptr(1)})
	counts := r.draw(2000, 1, 2, func(ts []task.Task) int { return min(ts[0].Priority-1, 1) })
	Fits(r.T, counts, []float64{50.5, 1})
}

// weightedWithoutReplacement takes two of three; a pair comes up by either of its orders.
func weightedWithoutReplacement(r *rig) {
	var w []float64
	sum := 0.0
	for _, p := range []int{1, 3, 9} {
		r.insert(task.Spec{Priority: &p})
		w = append(w, share(p))
		sum += share(p)
	}
	pair := func(a, b float64) float64 { return a/sum*b/(sum-a) + b/sum*a/(sum-b) }
	left := map[int]int{9: 0, 3: 1, 1: 2} // the priority that was not taken
	counts := r.draw(1000, 2, 3, func(ts []task.Task) int { return left[1+3+9-ts[0].Priority-ts[1].Priority] })
	Fits(r.T, counts, []float64{pair(w[0], w[1]), pair(w[0], w[2]), pair(w[1], w[2])})
}

func weightedObeysSeed(r *rig) {
	for p := range 8 {
		r.insert(task.Spec{Priority: ptr(1 + p)})
	}
	take := func(seed uint64) []int64 {
		_, all := r.drain(task.Claim{Strategy: task.WeightedRandom, Max: 1, Seed: seed})
		return ids(all)
	}
	first := take(1)
	r.equal("same seed", first, take(1))
	for seed := uint64(100); seed < 105; seed++ {
		if !slices.Equal(first, take(seed)) {
			return
		}
	}
	r.Error("five other seeds drew the same order of eight tasks")
}
