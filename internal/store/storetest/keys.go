package storetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

var keyBehaviours = []behaviour{
	{"AreStoredAndClaimed", keysRoundTrip},
	{"TakeTurns", keysTakeTurns},
	{"TakeTurnsByWeight", keysByWeight},
	{"ComeBehindThoseThatHaveWaited", newKeysWait},
	{"GoOnInTheOrderOfTheirTasks", keysKeepOrder},
	{"HoldNoMoreThanTheirLimit", keysAreLimited},
	{"HaveATaskAgainWhenOneEnds", keysReopen},
	{"LetOthersGoOn", keysLeaveOthers},
	{"GiveNoMoreThanTheirRate", keysHaveRates},
	{"GoByNewRulesAtOnce", keysGoByNewRules},
	{"CountForEachTypeAlone", keysOfTypes},
	{"HoldTogetherWithTheLimitAndRateOfTheType", keysAndTypes},
	{"AreMixedWithTasksWithout", keysMixed},
	{"StayWhenTasksAreMovedCancelledAndReaped", keysFollowTasks},
	{"HoldInQuarantine", keysInQuarantine},
	{"AreForgottenWhenTheyHaveNothing", keysAreForgotten},
	{"AreCheckedWithIdempotencyKeys", keysWithIdempotency},
	{"HoldForManyClaimers", func(r *rig) { r.neverMoreOfAKey(r.st) }},
}

// CheckKeys reports unless the limit of keys holds for claimers on all these stores, which are of one database.
func CheckKeys(t *testing.T, stores ...store.Store) {
	t.Helper()
	r := &rig{T: t, st: stores[0]}
	r.neverMoreOfAKey(stores...)
}

func keyed(key string) task.Spec { return task.Spec{ConcurrencyKey: &key} }

func (r *rig) perKey(name string, k *task.KeyRules) {
	r.Helper()
	got, err := r.st.PutType(r.Context(), name, task.TypeRules{PerKey: k}, at(5))
	r.ok(err)
	r.equal("per key", k, got.PerKey)
	r.equal("stored", got, r.kind(name).Type)
}

// keysOf returns the keys of tasks, in their order; a dash for none.
func keysOf(ts []task.Task) []string {
	out := make([]string, len(ts))
	for i, t := range ts {
		if out[i] = "-"; t.ConcurrencyKey != nil {
			out[i] = *t.ConcurrencyKey
		}
	}
	return out
}

// turnsOf claims n tasks one after the other and returns their keys.
func (r *rig) turnsOf(n int, c task.Claim) []string {
	r.Helper()
	var out []string
	for range n {
		out = append(out, keysOf(r.claim(c))...)
	}
	return out
}

func keysRoundTrip(r *rig) {
	t := r.insert(keyed("größe 1"))
	r.equal("stored", t, r.get(t.ID))
	r.equal("key", ptr("größe 1"), t.ConcurrencyKey)
	many := r.insertMany(3, keyed("b"))
	r.equal("stored", many[2], r.get(many[2].ID))
	got := r.claim(task.Claim{Max: 10})
	r.equal("claimed", 4, len(got))
	for _, t := range got {
		r.equal("stored", t, r.get(t.ID))
		r.complete(t, at(1))
	}
	r.equal("claimed", 0, len(r.claim(task.Claim{Max: 10})))
}

func keysTakeTurns(r *rig) {
	for _, s := range task.Strategies {
		r.insertMany(6, keyed("a"))
		r.insertMany(3, keyed("b"))
		r.insertMany(1, keyed("c"))
		r.equal(string(s), []string{"a", "b", "c", "a", "b", "a", "b", "a", "a", "a"}, r.turnsOf(11, task.Claim{Strategy: s}))
	}
	r.insertMany(4, keyed("a"))
	r.insertMany(2, keyed("b"))
	got := keysOf(r.claim(task.Claim{Strategy: task.FIFO, Max: 4}))
	slices.Sort(got)
	r.equal("in one claim", []string{"a", "a", "b", "b"}, got)
}

func keysByWeight(r *rig) {
	r.perKey("work", &task.KeyRules{Weights: map[string]int{"a": 3}})
	r.insertMany(24, keyed("a"))
	r.insertMany(24, keyed("b"))
	r.turnsOf(4, task.Claim{}) // the first one to come is a turn ahead
	n := map[string]int{}
	for _, k := range r.turnsOf(8, task.Claim{}) {
		n[k]++
	}
	r.equal("shares", map[string]int{"a": 6, "b": 2}, n)
}

func newKeysWait(r *rig) {
	r.insertMany(5, keyed("a"))
	r.insertMany(5, keyed("b"))
	r.turnsOf(4, task.Claim{})
	// A key that has one task at a time has no more turns than those that have many.
	for range 3 {
		r.insert(keyed("c"))
		r.equal("turns", []string{"a", "b", "c"}, sorted(r.turnsOf(3, task.Claim{})))
	}
}

func sorted(s []string) []string { slices.Sort(s); return s }

func keysKeepOrder(r *rig) {
	var want []int64
	for range 4 {
		want = append(want, r.insert(keyed("a")).ID)
	}
	var got []int64
	for range 4 {
		got = append(got, r.claimOne(task.Claim{}).ID)
	}
	r.equal("oldest first", want, got)
	newest := r.insertMany(3, keyed("a"))
	r.equal("newest first", newest[2].ID, r.claimOne(task.Claim{Strategy: task.LIFO}).ID)
}

func keysAreLimited(r *rig) {
	r.perKey("work", &task.KeyRules{MaxConcurrency: ptr(2)})
	for _, s := range task.Strategies {
		for _, max := range []int{1, 2, 100} {
			r.insertMany(5, keyed("a"))
			r.insertMany(3, keyed("b"))
			var held []task.Task
			for range 6 {
				held = append(held, r.claim(task.Claim{Strategy: s, Max: max})...)
			}
			r.equal(fmt.Sprintf("%s by %d", s, max), []string{"a", "a", "b", "b"}, sorted(keysOf(held)))
			for len(held) > 0 {
				for _, t := range held {
					r.complete(t, at(1))
				}
				held = r.claim(task.Claim{Strategy: s, Max: 100})
			}
		}
	}
}

func keysReopen(r *rig) {
	r.perKey("work", &task.KeyRules{MaxConcurrency: ptr(1)})
	for name, end := range map[string]func(t task.Task){
		"complete": func(t task.Task) { r.complete(t, at(2)) },
		"fail":     func(t task.Task) { r.fail(t, store.Verdict{Message: "x", Outcome: task.Rejected}, at(2)) },
		"retry":    func(t task.Task) { r.fail(t, retryAt(at(1e6)), at(2)) },
		"release":  func(t task.Task) { r.release(t, at(1e6)) },
		"cancel":   func(t task.Task) { r.cancel(t.ID, at(2)) },
		"reap":     func(task.Task) { r.equal("reaped", 1, len(r.reap(at(60)))) },
	} {
		first := r.insert(task.Spec{ConcurrencyKey: &name, MaxAttempts: ptr(2)})
		second := r.insert(task.Spec{ConcurrencyKey: &name})
		t := r.claimOne(task.Claim{})
		r.equal("claimed while one runs", 0, len(r.claim(task.Claim{})))
		end(t)
		got := r.claim(task.Claim{Now: at(60)})
		if len(got) != 1 || (got[0].ID != second.ID && got[0].ID != first.ID) {
			r.Fatalf("after %s %v were claimed, want one of %d, %d", name, ids(got), first.ID, second.ID)
		}
		r.complete(got[0], at(61))
		for _, t := range r.claim(task.Claim{Now: at(62), Max: 10}) {
			r.complete(t, at(63))
		}
	}
}

func keysLeaveOthers(r *rig) {
	r.perKey("work", &task.KeyRules{MaxConcurrency: ptr(1)})
	for i := range 40 {
		r.insertMany(2, keyed(fmt.Sprint("k", i)))
	}
	r.insert(task.Spec{Type: "other"})
	r.equal("claimed", 41, len(r.claim(task.Claim{Max: 100})))
	r.insert(keyed("new"))
	r.equal("behind forty full keys", []string{"new"}, keysOf(r.claim(task.Claim{Max: 100})))
}

func keysHaveRates(r *rig) {
	r.perKey("work", &task.KeyRules{RateLimit: &task.RateLimit{Tasks: 2, PerSeconds: 20, Burst: 2}})
	r.insertMany(6, keyed("a"))
	r.insertMany(1, keyed("b"))
	r.equal("at once", []string{"a", "a", "b"}, sorted(keysOf(r.claim(task.Claim{Max: 10}))))
	r.equal("too soon", 0, r.claimed(9.999999, task.Claim{}))
	next, err := r.st.NextEvent(r.Context())
	r.ok(err)
	r.equal("next event", ptr(at(10)), next)
	r.opened(9.999999)
	r.opened(10, "work")
	r.equal("one token", 1, r.claimed(10, task.Claim{}))
	r.equal("not two", 0, r.claimed(10, task.Claim{}))
	r.opened(40, "work")
	r.equal("no more than the burst", 2, r.claimed(40, task.Claim{}))
	r.ok(r.st.PurgeKeyRates(r.Context(), at(41)))
	r.opened(50, "work")
	r.equal("one after that", 1, r.claimed(50, task.Claim{}))
	r.ok(r.st.PurgeKeyRates(r.Context(), at(70)))
	r.insertMany(3, keyed("a"))
	r.equal("full again", 2, r.claimed(70, task.Claim{}))
}

// opened opens keys and wants that they are of these types.
func (r *rig) opened(seconds float64, want ...string) {
	r.Helper()
	got, err := r.st.OpenKeys(r.Context(), at(seconds))
	r.ok(err)
	if !slices.Equal(want, got) {
		r.Errorf("at %v keys of %q opened, want %q", seconds, got, want)
	}
}

func keysGoByNewRules(r *rig) {
	r.perKey("work", &task.KeyRules{MaxConcurrency: ptr(1)})
	r.insertMany(6, keyed("a"))
	r.equal("limit", 1, r.claimed(1, task.Claim{}))
	r.equal("full", 0, r.claimed(1, task.Claim{}))
	r.perKey("work", &task.KeyRules{MaxConcurrency: ptr(3)})
	r.equal("greater limit", 2, r.claimed(1, task.Claim{}))
	r.perKey("work", &task.KeyRules{RateLimit: &task.RateLimit{Tasks: 1, PerSeconds: 100, Burst: 1}})
	r.equal("rate", 1, r.claimed(1, task.Claim{}))
	r.equal("spent", 0, r.claimed(1, task.Claim{}))
	r.perKey("work", &task.KeyRules{RateLimit: &task.RateLimit{Tasks: 1, PerSeconds: 100, Burst: 1}, Weights: map[string]int{"b": 2}})
	r.equal("the same rate", 0, r.claimed(1, task.Claim{}))
	r.perKey("work", nil)
	r.equal("no rule", 2, r.claimed(1, task.Claim{}))
}

func keysOfTypes(r *rig) {
	r.perKey("work", &task.KeyRules{MaxConcurrency: ptr(1)})
	other, high := keyed("a"), keyed("a")
	other.Type, high.Priority = "other", ptr(1)
	for _, s := range task.Strategies {
		for _, spec := range []task.Spec{keyed("a"), other, high} {
			r.insertMany(2, spec)
		}
		held := r.claim(task.Claim{Strategy: s, Max: 10})
		n := map[string]int{}
		for _, t := range held {
			n[t.Type]++
		}
		r.equal(string(s), map[string]int{"work": 1, "other": 2}, n)
		for len(held) > 0 {
			for _, t := range held {
				r.complete(t, at(1))
			}
			held = r.claim(task.Claim{Max: 10})
		}
	}
}

func keysAndTypes(r *rig) {
	_, err := r.st.PutType(r.Context(), "work", task.TypeRules{
		MaxConcurrency: ptr(3), RateLimit: &task.RateLimit{Tasks: 4, PerSeconds: 1000, Burst: 4}, PerKey: &task.KeyRules{MaxConcurrency: ptr(2)},
	}, start)
	r.ok(err)
	for _, k := range []string{"a", "b", "c"} {
		r.insertMany(4, keyed(k))
	}
	held := r.claim(task.Claim{Max: 10})
	r.equal("limit of the type", 3, len(held))
	for _, t := range held {
		r.complete(t, at(1))
	}
	r.equal("rate of the type", 1, r.claimed(1, task.Claim{}))
	r.pause("work", true)
	r.equal("paused", 0, r.claimed(5000, task.Claim{}))
}

func keysMixed(r *rig) {
	high, low := ptr(1), ptr(200)
	specs := []task.Spec{{Priority: low}, keyed("a"), {}, keyed("b"), {Priority: high}}
	var ts []task.Task
	for _, s := range specs {
		ts = append(ts, r.insert(s))
	}
	order := func(c task.Claim) (out []int) {
		for range specs {
			for _, t := range r.claim(c) {
				out = append(out, slices.IndexFunc(ts, func(o task.Task) bool { return o.ID == t.ID }))
				defer r.release(t, start)
			}
		}
		return out
	}
	r.equal("fifo", []int{0, 1, 2, 3, 4}, order(task.Claim{Strategy: task.FIFO}))
	r.equal("priority, when b has come back before a", []int{4, 2, 3, 1, 0}, order(task.Claim{Strategy: task.Priority}))
	random := order(task.Claim{Strategy: task.WeightedRandom})
	slices.Sort(random)
	r.equal("weighted_random", []int{0, 1, 2, 3, 4}, random)
	r.equal("at once", 5, len(r.claim(task.Claim{Max: 100})))
}

func keysFollowTasks(r *rig) {
	later := keyed("a")
	later.RunAfterUTC = &task.Time{Time: at(10)}
	t := r.insert(later)
	r.equal("not due", 0, r.claimed(1, task.Claim{}))
	promoted, err := r.st.PromoteDue(r.Context(), at(10), 10)
	r.ok(err)
	r.equal("promoted", []int64{t.ID}, ids(promoted))
	other := r.insert(keyed("a"))
	r.cancel(t.ID, at(10))
	r.equal("after a cancel", other.ID, r.claimOne(task.Claim{Now: at(11)}).ID)
	r.requeue(t.ID, at(12))
	r.equal("after a requeue", t.ID, r.claimOne(task.Claim{Now: at(12)}).ID)
	r.equal("reaped", 2, len(r.reap(at(100))))
	r.equal("after they were reaped", 2, r.claimed(101, task.Claim{}))
	expiring := keyed("a")
	expiring.DeadlineUTC = &task.Time{Time: at(150)}
	r.insert(expiring)
	expired, err := r.st.ExpireTasks(r.Context(), at(150), 10)
	r.ok(err)
	r.equal("expired", 1, len(expired))
	r.equal("after it expired", 0, r.claimed(151, task.Claim{}))
	high := r.insert(task.Spec{ConcurrencyKey: ptr("b"), Priority: ptr(5)})
	r.equal("of another lane", high.ID, r.claimOne(task.Claim{Now: at(151)}).ID)
}

func keysInQuarantine(r *rig) {
	r.perKey("work", &task.KeyRules{MaxConcurrency: ptr(1)})
	t := r.insert(keyed("a"))
	for n := range task.QuarantineAfter {
		r.claimOne(task.Claim{WorkerID: fmt.Sprint("w", n), Lease: time.Second, Now: at(float64(2 * n))})
		r.equal("reaped", 1, len(r.reap(at(float64(2*n+1)))))
	}
	got := r.claimOne(task.Claim{WorkerID: "w8", Now: at(10)})
	r.equal("in quarantine", t.ID, got.ID)
	r.insert(keyed("a"))
	r.equal("beside it", 0, len(r.claim(task.Claim{WorkerID: "w9", Now: at(10)})))
	r.complete(got, at(11))
	r.equal("after it", 1, len(r.claim(task.Claim{WorkerID: "w9", Now: at(12)})))
}

func keysAreForgotten(r *rig) {
	r.insertMany(3, keyed("a"))
	r.insertMany(3, keyed("b"))
	r.equal("turns", []string{"a", "b", "a", "b"}, r.turnsOf(4, task.Claim{}))
	for _, t := range r.claim(task.Claim{Max: 10}) {
		r.complete(t, at(1))
	}
	r.insert(keyed("b"))
	r.insert(keyed("a"))
	r.equal("as if they were new", []string{"b", "a"}, r.turnsOf(2, task.Claim{}))
}

func keysWithIdempotency(r *rig) {
	s := keyed("a")
	s.IdempotencyKey = ptr("once")
	first := r.insert(s)
	again, created, err := r.st.InsertTask(r.Context(), r.make(s, at(1)))
	r.ok(err)
	r.equal("created", false, created)
	r.equal("the same", first, again)
	r.equal("claimed", 1, len(r.claim(task.Claim{Max: 10})))
}

// neverMoreOfAKey has many claimers, on several stores, work on tasks of few keys that have a limit, and reports when more of one are held.
func (r *rig) neverMoreOfAKey(stores ...store.Store) {
	r.Helper()
	const most, keys, each = 2, 3, 20
	r.perKey("work", &task.KeyRules{MaxConcurrency: ptr(most)})
	for k := range keys {
		r.insertMany(each, keyed(fmt.Sprint("k", k)))
	}
	var mu sync.Mutex
	held, done := map[string]int{}, 0
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			st := stores[n%len(stores)]
			for round := 0; ; round++ {
				mu.Lock()
				over := done == keys*each
				mu.Unlock()
				if over || round > 5000 {
					return
				}
				got, err := st.ClaimTasks(r.Context(), r.ask(task.Claim{WorkerID: fmt.Sprint("w", n), Max: 1 + n%3, Secret: fmt.Sprintf("%032x", n), Strategy: task.Strategies[n%4], Seed: uint64(round)}))
				if err != nil {
					r.Error(err)
					return
				}
				mu.Lock()
				for _, t := range got {
					if held[*t.ConcurrencyKey]++; held[*t.ConcurrencyKey] > most {
						r.Errorf("%d tasks of key %s are held", held[*t.ConcurrencyKey], *t.ConcurrencyKey)
					}
				}
				mu.Unlock()
				for _, t := range got {
					mu.Lock()
					held[*t.ConcurrencyKey]--
					mu.Unlock()
					if _, err := st.CompleteTask(r.Context(), t.ID, token(t), nil, at(1)); err != nil {
						r.Error(err)
						return
					}
					mu.Lock()
					done++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	r.equal("worked", keys*each, done)
}
