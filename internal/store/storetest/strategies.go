package storetest

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/prismq/thequeue/internal/task"
)

var strategyBehaviours = []behaviour{
	{"OrderTheTasksOfOneLane", strategiesInOneLane},
	{"OrderTasksAcrossLanes", strategiesAcrossLanes},
	{"KeepTheirOrderOverReleaseAndRetry", strategiesAfterRelease},
}

// orders are the strategies with a fixed order.
var orders = map[task.Strategy]func(a, b task.Task) int{
	task.FIFO:     func(a, b task.Task) int { return cmp.Compare(a.ID, b.ID) },
	task.LIFO:     func(a, b task.Task) int { return cmp.Compare(b.ID, a.ID) },
	task.Priority: func(a, b task.Task) int { return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.ID, b.ID)) },
}

// drain claims with c until nothing comes, and hands everything back.
func (r *rig) drain(c task.Claim) (claims [][]task.Task, all []task.Task) {
	r.Helper()
	for {
		got := r.claim(c)
		if len(got) == 0 {
			break
		}
		claims, all = append(claims, got), append(all, got...)
		c.Seed++
	}
	for _, t := range all {
		r.release(t, start)
	}
	return claims, all
}

func strategiesInOneLane(r *rig) {
	tasks := r.insertMany(12, task.Spec{})
	for s, order := range orders {
		want := ids(slices.SortedFunc(slices.Values(tasks), order))
		for _, most := range []int{1, 5, 12, 100} {
			_, got := r.drain(task.Claim{Strategy: s, Max: most})
			r.equal(string(s), want, ids(got))
		}
	}
}

// mixed stores tasks of three types, four priorities and three compatibilities in an order drawn with a fixed seed, and returns
// those that gpuClaim may take.
func (r *rig) mixed(n int) (takes []task.Task) {
	r.Helper()
	rng := rand.New(rand.NewPCG(3, uint64(n)))
	batch := make([]task.Task, n)
	for i := range batch {
		batch[i] = r.make(task.Spec{
			Type:          []string{"a", "b", "c"}[rng.IntN(3)],
			Priority:      ptr([]int{1, 2, 100, 1000}[rng.IntN(4)]),
			Compatibility: []task.JSON{`{}`, `{"gpu":true}`, `{"region":["eu"]}`}[rng.IntN(3)],
		}, start)
	}
	stored, _, err := r.st.InsertTasks(r.Context(), batch)
	r.ok(err)
	return slices.DeleteFunc(stored, func(t task.Task) bool { return t.Type == "c" || t.Compatibility == `{"region":["eu"]}` })
}

// gpuClaim takes types a and b and offers a GPU.
var gpuClaim = task.Claim{Types: []string{"b", "a"}, Capabilities: task.Capabilities{"gpu": true}}

func strategiesAcrossLanes(r *rig) {
	takes := r.mixed(90)
	before := r.stats(start)
	for _, most := range []int{1, 4, 100} {
		for s, order := range orders {
			c := gpuClaim
			c.Strategy, c.Max = s, most
			_, got := r.drain(c)
			r.equal(string(s), ids(slices.SortedFunc(slices.Values(takes), order)), ids(got))
		}
		c := gpuClaim
		c.Strategy, c.Max = task.WeightedRandom, most
		claims, got := r.drain(c)
		r.equal("weighted_random", ids(takes), ids(byID(got)))
		for _, one := range claims {
			r.equal("weighted_random is ordered by id", ids(byID(one)), ids(one))
		}
	}
	r.equal("stats", before, r.stats(start))
}

func strategiesAfterRelease(r *rig) {
	tasks := r.insertMany(4, task.Spec{})
	held := r.claim(task.Claim{Max: 2})
	r.release(held[1], at(1))
	r.fail(held[0], retry("again", 1), at(1))
	for s, order := range orders {
		_, got := r.drain(task.Claim{Strategy: s, Max: 2, Now: at(2)})
		r.equal(string(s), ids(slices.SortedFunc(slices.Values(tasks), order)), ids(got))
	}
}
