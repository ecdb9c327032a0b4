package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

var rateBehaviours = []behaviour{
	{"HoldForEveryStrategyAndSize", ratesEveryClaim},
	{"GiveOneTokenAfterTheOther", ratesInTime},
	{"LetOtherTypesGoOn", ratesNoOther},
	{"BeginFullWhenTheyAreNewAndNotWhenTheyAreTheSame", ratesChange},
	{"SpendWhatIsHandedBack", ratesSpend},
	{"HoldTogetherWithALimit", ratesWithLimit},
	{"HoldForManyClaimers", func(r *rig) { r.neverFaster(r.st) }},
	{"StopClaimsWhileABreakerIsOpen", breakerStops},
	{"TryOneTaskAfterABreakerWasOpen", breakerTries},
	{"ForgetABreakerThatIsTakenAway", breakerGoes},
}

// CheckRate reports unless a rate holds for claimers on all these stores, which are of one database.
func CheckRate(t *testing.T, stores ...store.Store) {
	t.Helper()
	r := &rig{T: t, st: stores[0]}
	r.neverFaster(stores...)
}

func (r *rig) rate(name string, tasks int, per float64, burst int) task.Type {
	r.Helper()
	limit := &task.RateLimit{Tasks: tasks, PerSeconds: per, Burst: burst}
	got, err := r.st.PutType(r.Context(), name, task.TypeRules{RateLimit: limit}, at(5))
	r.ok(err)
	r.equal("rate", limit, got.RateLimit)
	r.equal("stored", got, r.kind(name).Type)
	return got
}

// claimed returns how many tasks a claim for many gets at a time.
func (r *rig) claimed(seconds float64, c task.Claim) int {
	r.Helper()
	c.Now, c.Max = at(seconds), 100
	return len(r.claim(c))
}

func ratesEveryClaim(r *rig) {
	for _, p := range []int{5, 5, 100} {
		r.insertMany(40, task.Spec{Priority: ptr(p), Payload: task.JSON(fmt.Sprintf(`{"p":%d}`, p))})
	}
	r.rate("work", 3, 30, 3)
	now := 0.0
	for _, s := range task.Strategies {
		for _, size := range []int{1, 2, 10} {
			now += 1000
			n := 0
			for range 5 {
				n += len(r.claim(task.Claim{Strategy: s, Max: size, Now: at(now)}))
			}
			r.equal(fmt.Sprintf("claimed at once by %s, %d at a time", s, size), 3, n)
			r.equal("until when", ptr(at(now+10)), r.kind("work").RateOpenUTC)
		}
	}
}

func ratesInTime(r *rig) {
	r.insertMany(50, task.Spec{})
	r.rate("work", 1, 0.5, 4)
	for _, step := range []struct {
		at   float64
		want int
	}{{100, 4}, {100, 0}, {100.4, 0}, {100.5, 1}, {100.9, 0}, {101.6, 2}, {102, 1}, {102.4, 0}, {110, 4}, {110, 0}, {109, 0}, {110.5, 1}} {
		r.equal(fmt.Sprint("claimed at ", step.at), step.want, r.claimed(step.at, task.Claim{}))
	}
}

func ratesNoOther(r *rig) {
	for range 5 {
		r.insert(task.Spec{Type: "slow", Priority: ptr(1)})
		r.insert(task.Spec{Type: "other"})
	}
	r.rate("slow", 1, 100, 2)
	for n, s := range task.Strategies {
		now := 1000 * float64(n+1)
		c := task.Claim{Strategy: s, Max: 100, Now: at(now)}
		held := r.claim(c)
		counts := map[string]int{}
		for _, t := range held {
			counts[t.Type]++
		}
		r.equal(string(s), map[string]int{"slow": 2, "other": 5}, counts)
		for _, t := range held {
			r.release(t, at(now))
		}
		r.equal("of the others alone", 5, len(r.claim(c)))
		for _, t := range r.list(task.Filter{Status: task.Processing, Limit: 10}) {
			r.release(t, at(now))
		}
	}
}

func ratesChange(r *rig) {
	r.insertMany(20, task.Spec{})
	r.rate("work", 2, 1000, 2)
	r.equal("at first", 2, r.claimed(10, task.Claim{}))
	r.rate("work", 2, 1000, 2)
	r.equal("with the same rate", 0, r.claimed(10, task.Claim{}))
	r.rate("work", 3, 1000, 3)
	r.equal("with another", 3, r.claimed(10, task.Claim{}))
	r.pause("work", true)
	r.pause("work", false)
	r.equal("after a pause", 0, r.claimed(10, task.Claim{}))
	_, err := r.st.PutType(r.Context(), "work", task.TypeRules{}, at(10))
	r.ok(err)
	r.equal("without a rate", 15, r.claimed(10, task.Claim{}))
}

func ratesSpend(r *rig) {
	r.insertMany(3, task.Spec{})
	r.rate("work", 1, 1000, 2)
	for _, t := range r.claim(task.Claim{Max: 2, Now: at(10)}) {
		r.release(t, at(10))
	}
	r.equal("after both were handed back", 0, r.claimed(10, task.Claim{}))
	r.equal("later", 1, r.claimed(1010, task.Claim{}))
}

func ratesWithLimit(r *rig) {
	r.insertMany(10, task.Spec{})
	limit := task.RateLimit{Tasks: 3, PerSeconds: 3000, Burst: 3}
	_, err := r.st.PutType(r.Context(), "work", task.TypeRules{RateLimit: &limit, MaxConcurrency: ptr(2)}, at(5))
	r.ok(err)
	held := r.claim(task.Claim{Max: 10, Now: at(10)})
	r.equal("held", 2, len(held))
	r.complete(held[0], at(10))
	r.complete(held[1], at(10))
	r.equal("by what is left of the rate", 1, r.claimed(10, task.Claim{}))
	r.equal("beyond it", 0, r.claimed(10, task.Claim{}))
	r.equal("a token later", 1, r.claimed(1010, task.Claim{}))
}

// neverFaster lets claimers on the stores take tasks of a type with a rate, at times that go on, and looks at every stretch of time.
func (r *rig) neverFaster(stores ...store.Store) {
	r.Helper()
	const total, claimers, burst, perSecond = 100, 16, 5, 10
	r.insertMany(total, task.Spec{})
	r.rate("work", perSecond, 1, burst)
	var mu sync.Mutex
	now, times := 100.0, []float64{}
	r.together(claimers, func(i int) error {
		for n := uint64(0); ; n++ {
			mu.Lock()
			if now += 0.05; len(times) == total {
				mu.Unlock()
				return nil
			}
			asked := now
			mu.Unlock()
			c := r.ask(task.Claim{WorkerID: fmt.Sprint("w", i), Secret: scramble(uint64(i)), Strategy: task.Strategies[i%4], Max: 1 + i%3, Now: at(asked)})
			c.Seed = n
			got, err := stores[i%len(stores)].ClaimTasks(r.Context(), c)
			if err != nil {
				return err
			}
			mu.Lock()
			for _, t := range got {
				times = append(times, t.ReservedAtUTC.Sub(start).Seconds())
			}
			mu.Unlock()
		}
	})
	r.fitsRate(times, burst, perSecond)
	// A claim that comes after one which asked later gets nothing for it: how often that is so is up to the machine. What one claimer gets is exact, and tested above.
	if took := now - 100; took > 10*total/perSecond {
		r.Errorf("%d tasks took %g s at %d a second", total, took, perSecond)
	}
}

// fitsRate reports every stretch of time in which more was claimed than the bucket gives.
func (r *rig) fitsRate(times []float64, burst, perSecond float64) {
	r.Helper()
	for _, from := range times {
		for _, to := range times {
			n := 0.0
			for _, t := range times {
				if t >= from && t <= to {
					n++
				}
			}
			if most := burst + (to-from)*perSecond + 1e-6; to >= from && n > most {
				r.Fatalf("between %g and %g s %g tasks were claimed, allowed are %g", from, to, n, most)
			}
		}
	}
}

func (r *rig) breaker(name string) {
	r.Helper()
	b := &task.Breaker{FailureShare: 0.5, MinAttempts: 2, WindowSeconds: 10, OpenSeconds: 20}
	got, err := r.st.PutType(r.Context(), name, task.TypeRules{Breaker: b}, at(5))
	r.ok(err)
	r.equal("breaker", b, got.Breaker)
}

// stop opens the breaker of a type until a time; nil closes it.
func (r *rig) stop(name string, until *time.Time) {
	r.Helper()
	got, err := r.st.BreakType(r.Context(), name, until)
	r.ok(err)
	r.equal("until", until, got.BreakerUntilUTC)
	r.equal("stored", got, r.kind(name).Type)
}

func breakerStops(r *rig) {
	_, err := r.st.BreakType(r.Context(), "work", ptr(at(30)))
	r.wants(task.ErrNotFound, err)
	r.insertMany(5, task.Spec{})
	r.insert(task.Spec{Type: "other"})
	_, err = r.st.BreakType(r.Context(), "work", ptr(at(30)))
	r.wants(task.ErrNotFound, err)
	r.breaker("work")
	r.stop("work", ptr(at(30)))
	for _, s := range task.Strategies {
		r.equal(string(s), 0, r.claimed(29, task.Claim{Strategy: s, Types: []string{"work"}}))
	}
	r.equal("of another type", 1, r.claimed(29, task.Claim{}))
	r.stop("work", nil)
	r.equal("closed", 5, r.claimed(29, task.Claim{}))
}

func breakerTries(r *rig) {
	r.insertMany(9, task.Spec{})
	r.breaker("work")
	before := r.claim(task.Claim{Now: at(10), Lease: time.Hour})
	r.stop("work", ptr(at(30)))
	r.equal("beside one from before", 0, r.claimed(31, task.Claim{}))
	r.complete(before[0], at(31))
	for _, s := range task.Strategies {
		c := task.Claim{Strategy: s, Max: 10, Now: at(31), Lease: time.Hour}
		tried := r.claim(c)
		r.equal(string(s), 1, len(tried))
		r.equal("beside it", 0, len(r.claim(c)))
		r.complete(tried[0], at(31))
	}
	r.stop("work", ptr(at(60)))
	r.equal("open again", 0, r.claimed(59, task.Claim{}))
	r.stop("work", nil)
	r.equal("closed", 4, r.claimed(59, task.Claim{}))
}

func breakerGoes(r *rig) {
	r.insertMany(3, task.Spec{})
	r.breaker("work")
	r.stop("work", ptr(at(30)))
	r.breaker("work") // the same again changes nothing
	r.equal("open still", 0, r.claimed(29, task.Claim{}))
	got, err := r.st.PutType(r.Context(), "work", task.TypeRules{}, at(10))
	r.ok(err)
	r.equal("rules", task.Type{Type: "work", UpdatedAtUTC: ptr(at(10))}, got)
	r.equal("without a breaker", 3, r.claimed(29, task.Claim{}))
}
