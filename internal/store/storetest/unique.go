package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

var uniqueBehaviours = []behaviour{
	{"KeepASecondTaskFromBeingMadeWhileItIsInScope", uniqueInScope},
	{"EndWithTheirScopeByEveryWay", uniqueEnds},
	{"AreOfTheirType", uniqueOfType},
	{"HoldForAPeriodWhateverBecomesOfTheTask", uniquePeriod},
	{"LookAtTheIdempotencyKeyFirst", uniqueAndIdempotent},
	{"AreLookedAtWithinABatch", uniqueInBatch},
	{"AreAllOrNothingInABatch", uniqueBatchFails},
	{"MakeOneTaskOf64RacingCallers", uniqueRaces},
	{"MakeOneTaskPerKeyOfRacingBatches", uniqueBatchesRace},
	{"DoNotDeadlockInBatchesOfAnyOrder", uniqueBatchesInAnyOrder},
	{"FollowAModel", uniqueFollowsModel},
}

func live(key string) *task.Unique { return &task.Unique{Key: key, Scope: task.UniqueLive} }

// only enqueues one task under a unique key and reports whether it was made.
func (r *rig) only(s task.Spec, u *task.Unique, now time.Time) (task.Task, bool) {
	r.Helper()
	stored, created, err := r.st.InsertUnique(r.Context(), []task.Task{r.make(s, now)}, []*task.Unique{u})
	r.ok(err)
	return stored[0], created[0]
}

func (r *rig) wantOnly(s task.Spec, u *task.Unique, now time.Time, want task.Task) {
	r.Helper()
	got, created := r.only(s, u, now)
	if created {
		r.Fatalf("task %d was made beside task %d", got.ID, want.ID)
	}
	r.equal("task", r.get(want.ID), got)
}

func (r *rig) wantMade(s task.Spec, u *task.Unique, now time.Time) task.Task {
	r.Helper()
	got, created := r.only(s, u, now)
	if !created {
		r.Fatalf("task %d is in the way", got.ID)
	}
	r.equal("stored task", r.get(got.ID), got)
	return got
}

func uniqueInScope(r *rig) {
	first := r.wantMade(task.Spec{Payload: `{"n":1}`}, live("k"), start)
	r.wantOnly(task.Spec{Payload: `{"n":2}`}, live("k"), at(1), first)
	other := r.wantMade(task.Spec{}, live("K"), at(1))
	held := r.claimOne(task.Claim{Strategy: task.FIFO, Now: at(2)})
	r.equal("claimed", first.ID, held.ID)
	r.wantOnly(task.Spec{}, live("k"), at(2), first)
	second := r.wantMade(task.Spec{}, &task.Unique{Key: "k", Scope: task.UniqueQueued}, at(2)) // the first is not queued any more
	r.wantOnly(task.Spec{}, &task.Unique{Key: "k", Scope: task.UniqueQueued}, at(2), second)
	r.cancel(second.ID, at(3))
	r.wantOnly(task.Spec{}, live("k"), at(3), first) // the older one is still held
	r.fail(held, retry("no luck", 4), at(4))
	r.wantOnly(task.Spec{}, &task.Unique{Key: "k", Scope: task.UniqueQueued}, at(4), first) // queued for a retry
	r.equal("tasks", 3, len(r.list(task.Filter{Limit: 10})))
	r.wantOnly(task.Spec{}, live("K"), at(5), other)
}

func uniqueEnds(r *rig) {
	for name, end := range map[string]func(t task.Task){
		"complete": func(t task.Task) { r.complete(r.claimOne(task.Claim{Strategy: task.LIFO}), at(1)) },
		"reject": func(t task.Task) {
			r.fail(r.claimOne(task.Claim{Strategy: task.LIFO}), verdict("no", task.Rejected), at(1))
		},
		"cancel": func(t task.Task) { r.cancel(t.ID, at(1)) },
		"delete": func(t task.Task) { r.cancel(t.ID, at(1)); r.ok(r.st.DeleteTask(r.Context(), t.ID)) },
		"exhaust": func(t task.Task) {
			r.claimOne(task.Claim{Strategy: task.LIFO, Lease: time.Second})
			r.equal("reaped", 1, len(r.reap(at(2))))
		},
		"expire": func(t task.Task) {
			ts, err := r.st.ExpireTasks(r.Context(), at(10), 10)
			r.ok(err)
			r.equal("expired", 1, len(ts))
		},
	} {
		for _, scope := range []task.UniqueScope{task.UniqueQueued, task.UniqueLive} {
			s := task.Spec{MaxAttempts: ptr(1)}
			if name == "expire" {
				s.DeadlineUTC = &task.Time{Time: at(5)}
			}
			u := &task.Unique{Key: name, Scope: scope}
			t := r.wantMade(s, u, start)
			end(t)
			again := r.wantMade(task.Spec{}, u, start)
			r.wantOnly(task.Spec{}, u, start, again)
			r.cancel(again.ID, at(1))
		}
	}
}

func uniqueOfType(r *rig) {
	r.wantMade(task.Spec{Type: "a"}, live("k"), start)
	r.wantMade(task.Spec{Type: "b"}, live("k"), start)
	r.insert(task.Spec{Type: "a"}) // without a key
	r.equal("tasks", 3, len(r.list(task.Filter{Limit: 10})))
}

func uniquePeriod(r *rig) {
	u := &task.Unique{Key: "k", Scope: task.UniquePeriod, Period: 10 * time.Second}
	first := r.wantMade(task.Spec{}, u, start)
	r.complete(r.claimOne(task.Claim{}), at(1))
	r.wantOnly(task.Spec{}, u, at(9.999999), first)
	second := r.wantMade(task.Spec{}, u, at(10))
	r.wantOnly(task.Spec{}, u, at(19), second)
	r.cancel(second.ID, at(19))
	r.ok(r.st.DeleteTask(r.Context(), second.ID))
	r.wantMade(task.Spec{}, u, at(19)) // there is nothing that could be given back
}

func uniqueAndIdempotent(r *rig) {
	keyed := r.wantMade(task.Spec{IdempotencyKey: ptr("i")}, live("k"), start)
	r.wantOnly(task.Spec{IdempotencyKey: ptr("i")}, live("other"), at(1), keyed)
	r.wantOnly(task.Spec{IdempotencyKey: ptr("j")}, live("k"), at(1), keyed)
	r.complete(r.claimOne(task.Claim{}), at(2))
	r.wantOnly(task.Spec{IdempotencyKey: ptr("i")}, live("k"), at(3), keyed) // sent again
	r.wantMade(task.Spec{IdempotencyKey: ptr("j")}, live("k"), at(3))
}

func uniqueInBatch(r *rig) {
	batch := []task.Task{r.make(task.Spec{}, start), r.make(task.Spec{Priority: ptr(7)}, start), r.make(task.Spec{}, start), r.make(task.Spec{IdempotencyKey: ptr("i")}, start), r.make(task.Spec{IdempotencyKey: ptr("i")}, start)}
	stored, created, err := r.st.InsertUnique(r.Context(), batch, []*task.Unique{live("k"), live("k"), nil, nil, nil})
	r.ok(err)
	r.equal("created", []bool{true, false, true, true, false}, created)
	r.equal("second", stored[0], stored[1])
	r.equal("last", stored[3], stored[4])
	r.equal("tasks", 3, len(r.list(task.Filter{Limit: 10})))
	for _, i := range []int{0, 2, 3} {
		r.equal("stored", r.get(stored[i].ID), stored[i])
	}
}

func uniqueBatchFails(r *rig) {
	bad := r.make(task.Spec{}, start)
	bad.MaxAttempts = 0 // the schema refuses it
	_, _, err := r.st.InsertUnique(r.Context(), []task.Task{r.make(task.Spec{}, start), bad}, []*task.Unique{live("k"), live("l")})
	if err == nil {
		r.Error("a task that the schema refuses was stored")
	}
	r.equal("tasks", 0, len(r.list(task.Filter{Limit: 10})))
	r.wantMade(task.Spec{}, live("k"), start)
}

func uniqueRaces(r *rig) {
	var got [64]task.Task
	var created [64]bool
	r.together(64, func(i int) error {
		stored, made, err := r.st.InsertUnique(r.Context(), []task.Task{r.make(task.Spec{Priority: ptr(1 + i)}, start)}, []*task.Unique{live("race")})
		if err == nil {
			got[i], created[i] = stored[0], made[0]
		}
		return err
	})
	makers := 0
	for i := range got {
		r.equal("task", got[0], got[i])
		if created[i] {
			makers++
			r.equal("priority is that of its maker", 1+i, got[i].Priority)
		}
	}
	r.equal("callers that created", 1, makers)
	r.equal("tasks", 1, len(r.list(task.Filter{Limit: 10})))
}

func uniqueBatchesRace(r *rig) {
	const keys = 20
	var made [8]int
	r.together(8, func(i int) error {
		batch, us := make([]task.Task, keys), make([]*task.Unique, keys)
		for n, k := range rand.New(rand.NewPCG(7, uint64(i))).Perm(keys) {
			batch[n], us[n] = r.make(task.Spec{}, start), live(fmt.Sprint("key-", k))
		}
		_, created, err := r.st.InsertUnique(r.Context(), batch, us)
		for _, c := range created {
			if c {
				made[i]++
			}
		}
		return err
	})
	total := 0
	for _, n := range made {
		total += n
	}
	r.equal("created", keys, total)
	r.equal("tasks", keys, len(r.list(task.Filter{Limit: 100})))
}

// uniqueBatchesInAnyOrder has batches of the same types and idempotency keys, each in an order of its own and each under another unique key, race.
func uniqueBatchesInAnyOrder(r *rig) {
	const rounds, size = 20, 20
	r.together(8, func(i int) error {
		rng := rand.New(rand.NewPCG(11, uint64(i)))
		for round := range rounds {
			batch, us := make([]task.Task, size), make([]*task.Unique, size)
			for n, k := range rng.Perm(size) {
				batch[n] = r.make(task.Spec{Type: fmt.Sprint("type-", k), IdempotencyKey: ptr(fmt.Sprint(round, "-", k))}, start)
			}
			us[0] = live(fmt.Sprint(round, "-", i))
			if _, _, err := r.st.InsertUnique(r.Context(), batch, us); err != nil {
				return err
			}
		}
		return nil
	})
	r.equal("tasks", rounds*size, len(r.list(task.Filter{Limit: 1000})))
}

// uniqueFollowsModel walks at random and compares each enqueue with what the tasks under the key say.
func uniqueFollowsModel(r *rig) {
	rng := rand.New(rand.NewPCG(3, 4))
	under := map[string][]int64{} // all tasks that were made under a key, oldest first
	for step := range 400 {
		now := at(float64(step))
		key := fmt.Sprint(rng.IntN(3))
		switch rng.IntN(5) {
		case 0, 1:
			u := &task.Unique{Key: key, Scope: []task.UniqueScope{task.UniqueQueued, task.UniqueLive, task.UniquePeriod}[rng.IntN(3)], Period: time.Duration(rng.IntN(20)) * time.Second}
			var want int64
			for i, id := range under[key] {
				t, err := r.st.GetTask(r.Context(), id)
				if errors.Is(err, task.ErrNotFound) {
					continue
				}
				r.ok(err)
				if newest := i == len(under[key])-1; u.Holds(t.Status, t.CreatedAtUTC, now) && (newest || u.Scope != task.UniquePeriod || !t.Status.Ended()) {
					want = id // the newest of them
				}
			}
			got, created := r.only(task.Spec{}, u, now)
			if created != (want == 0) || !created && got.ID != want {
				r.Fatalf("step %d, %+v: task %d, created %v, want task %d", step, *u, got.ID, created, want)
			}
			if created {
				under[key] = append(under[key], got.ID)
			}
		case 2:
			for _, t := range r.claim(task.Claim{Now: now, Lease: 5 * time.Second}) {
				if rng.IntN(2) == 0 {
					r.complete(t, now)
				}
			}
		case 3:
			r.reap(now)
		case 4:
			if ids := under[key]; len(ids) > 0 {
				id := ids[rng.IntN(len(ids))]
				if _, _, err := r.st.CancelTask(r.Context(), id, now); !errors.Is(err, task.ErrNotFound) {
					r.ok(err)
				}
				if rng.IntN(2) == 0 {
					if err := r.st.DeleteTask(r.Context(), id); !errors.Is(err, task.ErrNotFound) && !errors.Is(err, task.ErrConflict) {
						r.ok(err)
					}
				}
			}
		}
	}
}
