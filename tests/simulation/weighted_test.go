package simulation

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

var draws = flag.Int("draws", 0, "draws of weighted_random for each mix of priorities; 0: 100,000, and 2,000 under the race detector")

// class is a set of tasks that weighted_random must not tell apart.
type class struct {
	spec  task.Spec
	share int   // of the arrivals
	ready int64 // as the model has it
}

// mixes are what arrives. Tasks of two lanes with one priority are classes of their own: it is tasks that are drawn, not lanes.
var mixes = map[string][]class{
	"TwoPriorities": {{spec: prior("a", 1), share: 1}, {spec: prior("a", 100), share: 1}},
	"ManyPriorities": {
		{spec: prior("a", 1), share: 1}, {spec: prior("a", 2), share: 1}, {spec: prior("b", 2), share: 1}, {spec: prior("a", 5), share: 1}, {spec: prior("a", 13), share: 2},
		{spec: prior("a", 34), share: 2}, {spec: prior("b", 89), share: 3}, {spec: prior("a", 233), share: 3}, {spec: prior("b", 610), share: 4}, {spec: prior("a", 1000), share: 4},
	},
	"FewUrgentAmongMany": {{spec: prior("a", 1), share: 1}, {spec: prior("b", 10), share: 2}, {spec: prior("a", 500), share: 60}, {spec: prior("b", 1000), share: 137}},
}

func prior(taskType string, priority int) task.Spec {
	return task.Spec{Type: taskType, Priority: &priority, MaxAttempts: ptr(2)} // so that none of them comes into quarantine
}

// weigher draws one task after the other while tasks arrive, fall due and come back for another attempt, and knows the chance of every draw.
type weigher struct {
	*testing.T
	st      store.Store
	rng     *rand.Rand
	now     time.Time
	classes []class
	of      map[string]int // classes by type and priority
	due     []later
	held    int
	u       []float64 // for each draw a number that is uniform in [0, 1) if its chances were right, whatever was drawn before
}

// later is a task that was enqueued for a later time.
type later struct {
	class int
	at    time.Time
}

// cycle is the draws between two changes of what waits.
const cycle = 200

// Each waiting task is drawn in proportion to 1/(priority+1), with arrivals, retries and scheduled tasks in between: Pearson's chi-squared of 20 bins, and of
// the pairs of successive draws, p > 0.001. The seeds are fixed, so a run that passes does so again.
func TestWeightedRandomFitsItsWeights(t *testing.T) {
	t.Parallel()
	for engine, open := range engines {
		for name, classes := range mixes {
			t.Run(engine+"/"+name, func(t *testing.T) {
				t.Parallel()
				openStore, _ := open(t)
				st, err := openStore()
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { st.Close() })
				g := &weigher{T: t, st: st, rng: rand.New(rand.NewPCG(*seed, uint64(len(classes)))), now: start, classes: append([]class(nil), classes...), of: make(map[string]int)}
				for i, c := range classes {
					g.of[key(c.spec.Type, *c.spec.Priority)] = i
				}
				for n := orUnder(*draws, 100_000, 2000); len(g.u) < n; {
					g.arrive()
					for end := len(g.u) + cycle; len(g.u) < end; {
						g.draw(1 + g.rng.IntN(5))
					}
					g.comeBack()
				}
				g.fits()
			})
		}
	}
}

func key(taskType string, priority int) string { return taskType + string(rune(priority)) }

// arrive enqueues tasks until 5 cycles' draws wait, every fourth of them for later.
func (g *weigher) arrive() {
	g.Helper()
	waiting := int64(0)
	for _, c := range g.classes {
		waiting += c.ready
	}
	var tasks []task.Task
	for ; waiting < 5*cycle; waiting++ {
		i := g.arrival()
		s := g.classes[i].spec
		if g.rng.IntN(4) == 0 {
			at := g.now.Add(time.Duration(1+g.rng.IntN(10_000)) * time.Millisecond)
			s.RunAfterUTC = &task.Time{Time: at}
			g.due = append(g.due, later{i, at})
		} else {
			g.classes[i].ready++
		}
		t, err := s.Task(g.now, task.Limits{MaxAttempts: 100, PayloadBytes: 100})
		g.ok(err)
		if tasks = append(tasks, t); len(tasks) == 1000 {
			break
		}
	}
	_, _, err := g.st.InsertTasks(g.Context(), tasks)
	g.ok(err)
}

// arrival is the class of the next task.
func (g *weigher) arrival() int {
	sum := 0
	for _, c := range g.classes {
		sum += c.share
	}
	x := g.rng.IntN(sum)
	for i, c := range g.classes {
		if x -= c.share; x < 0 {
			return i
		}
	}
	panic("no class")
}

func (g *weigher) ok(err error) {
	g.Helper()
	if err != nil {
		g.Fatal(err)
	}
}

// draw claims up to most tasks, which are drawn one after the other and not put back. The answer does not tell in which order, so one of the orders is chosen as
// likely as it is the one, given what was drawn. Where the chances of the classes lie one after the other from 0 to 1, the place of the one drawn, and in
// it a place at random, is then uniform, and independent of all draws before.
func (g *weigher) draw(most int) {
	g.Helper()
	got, err := g.st.ClaimTasks(g.Context(), task.Claim{
		WorkerID: "w", Strategy: task.WeightedRandom, Max: most, Lease: time.Second, Now: g.now, Secret: "secret", Seed: g.rng.Uint64(),
	})
	g.ok(err)
	if len(got) != most {
		g.Fatalf("draw %d gave %d tasks, want %d", len(g.u), len(got), most)
	}
	drawn := make([]int, len(got))
	for i, t := range got {
		drawn[i] = g.of[key(t.Type, t.Priority)]
	}
	g.order(drawn)
	for _, c := range drawn {
		total, before := g.weights(c)
		g.u = append(g.u, (before+g.rng.Float64()*g.classes[c].weight()*float64(g.classes[c].ready))/total)
		g.classes[c].ready--
	}
	g.held += len(got)
}

// weight is that of one task of the class.
func (c class) weight() float64 { return 1 / float64(*c.spec.Priority+1) }

// weights adds up the weights of all tasks that wait, and of those in the classes before one.
func (g *weigher) weights(of int) (total, before float64) {
	for i, c := range g.classes {
		w := c.weight() * float64(c.ready)
		if total += w; i < of {
			before += w
		}
	}
	return total, before
}

// order puts what was drawn together into an order. What is drawn at a step has its own weight in all orders alike, so the chance of an order is
// in proportion to the product of 1/(the weight that was left) over its steps.
func (g *weigher) order(drawn []int) {
	total, _ := g.weights(0)
	var orders [][]int
	var chances []float64
	sum := 0.0
	var step func(at int, left, chance float64)
	step = func(at int, left, chance float64) {
		if at == len(drawn) {
			orders, chances, sum = append(orders, append([]int(nil), drawn...)), append(chances, chance), sum+chance
			return
		}
		for i := at; i < len(drawn); i++ {
			drawn[at], drawn[i] = drawn[i], drawn[at]
			step(at+1, left-g.classes[drawn[at]].weight(), chance/left)
			drawn[at], drawn[i] = drawn[i], drawn[at]
		}
	}
	step(0, total, 1)
	x := g.rng.Float64() * sum
	for i, chance := range chances {
		if x -= chance; x < 0 || i == len(chances)-1 {
			copy(drawn, orders[i])
			return
		}
	}
}

// comeBack lets time pass: every lease ends, and its task waits for another attempt or has used them up; scheduled tasks fall due.
func (g *weigher) comeBack() {
	g.Helper()
	g.now = g.now.Add(2 * time.Second)
	for g.held > 0 {
		lost, err := g.st.ReapExpiredLeases(g.Context(), g.now, 500)
		g.ok(err)
		for _, t := range lost {
			if g.held--; t.Status == task.Queued {
				g.classes[g.of[key(t.Type, t.Priority)]].ready++
			}
		}
	}
	for n := 500; n == 500; {
		promoted, err := g.st.PromoteDue(g.Context(), g.now, 500)
		g.ok(err)
		n = len(promoted)
	}
	still := g.due[:0]
	for _, l := range g.due {
		if l.at.After(g.now) {
			still = append(still, l)
		} else {
			g.classes[l.class].ready++
		}
	}
	g.due = still
}

// Upper critical values of the chi-squared distribution at 0.001 for 19 and 24 degrees of freedom: NIST/SEMATECH e-Handbook of Statistical Methods,
// section 1.3.6.7.4.
const (
	limit19 = 43.820
	limit24 = 51.179
)

// fits judges all draws.
func (g *weigher) fits() {
	g.Helper()
	bins, pairs := make([]int, 20), make([]int, 25)
	for i, u := range g.u {
		bins[min(int(u*20), 19)]++ // rounding may give 1
		if i%2 == 1 {
			pairs[min(int(g.u[i-1]*5), 4)*5+min(int(u*5), 4)]++
		}
	}
	x, y := even(bins), even(pairs)
	g.Logf("%d draws: chi-squared %.1f of 20 bins, %.1f of 25 kinds of pairs", len(g.u), x, y)
	if x > limit19 || y > limit24 {
		g.Errorf("I17: chi-squared of %d draws is %.1f (at most %.1f), of pairs %.1f (at most %.1f): %v", len(g.u), x, limit19, y, limit24, bins)
	}
}

// even is Pearson's chi-squared of counts that are expected to be equal.
func even(counts []int) (x float64) {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	want := float64(sum) / float64(len(counts))
	for _, n := range counts {
		x += (float64(n) - want) * (float64(n) - want) / want
	}
	return x
}

// patience is how many draws a task of priority 1000 may wait beside two others of priority 1, one of which is replaced at each draw. It is chosen with p =
// (1/1001)/(1/1001 + 2/2) = 1/1002 each time, so more than 20 times 1002 draws go by with a probability of e^-20 = 2e-9.
const patience = 20_040

// A task of the lowest priority is taken in the end however many urgent ones arrive, about as late as its weight says.
func TestNothingStarvesUnderWeightedRandom(t *testing.T) {
	t.Parallel()
	for engine, open := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			openStore, _ := open(t)
			st, err := openStore()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { st.Close() })
			g := &weigher{T: t, st: st, rng: rand.New(rand.NewPCG(*seed, 7)), now: start, classes: []class{{spec: prior("a", 1)}, {spec: prior("a", 1000)}}, of: map[string]int{key("a", 1): 0, key("a", 1000): 1}}
			tasks := orUnder(0, 10, 1)
			for range tasks {
				g.enqueue(1)
				from := len(g.u)
				for g.classes[1].ready > 0 {
					for g.classes[0].ready < 2 {
						g.enqueue(0)
					}
					if g.draw(1); len(g.u)-from > patience {
						t.Fatalf("a task of priority 1000 has waited %d draws", patience)
					}
				}
			}
			// The mean of 10 waits is 1002 with a standard deviation of 317.
			if mean := len(g.u) / tasks; tasks == 10 && (mean < 300 || mean > 2200) {
				t.Errorf("tasks of priority 1000 waited %d draws on average, want about 1002", mean)
			}
		})
	}
}

func (g *weigher) enqueue(class int) {
	g.Helper()
	t, err := g.classes[class].spec.Task(g.now, task.Limits{MaxAttempts: 100, PayloadBytes: 100})
	g.ok(err)
	_, _, err = g.st.InsertTask(g.Context(), t)
	g.ok(err)
	g.classes[class].ready++
}
