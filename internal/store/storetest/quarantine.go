package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

var quarantineBehaviours = []behaviour{
	{"BeginsWithTheSecondWorkerLost", beginsQuarantine},
	{"GivesItsTaskAlone", givesAlone},
	{"KeepsEverythingElseFromTheWorker", keepsElseAway},
	{"LetsOneBusyWorkerStandBy", letsOneStandBy},
	{"LooksForAnotherWhenThatOneIsGone", passesStandbyOn},
	{"LooksForAnotherWhenThatOneDrains", leavesDraining},
	{"KeepsToTypesCapabilitiesPausesAndLimits", keepsToRules},
	{"WaitsForTheTimeOfItsTask", waitsForTime},
	{"EndsWithItsTask", endsQuarantine},
	{"OutlastsAChangeOfPriority", movesQuarantined},
	{"HoldsForManyClaimers", func(r *rig) { r.holdsForMany(r.st) }},
}

// CheckQuarantine reports unless quarantine holds for workers that claim from all these stores, which are of one database.
func CheckQuarantine(t *testing.T, stores ...store.Store) {
	t.Helper()
	r := &rig{T: t, st: stores[0]}
	r.holdsForMany(stores...)
}

// poison stores a task with which two workers are lost. It is ready, and the time is at(4).
func (r *rig) poison(s task.Spec) task.Task {
	r.Helper()
	if s.Type == "" {
		s.Type = "poison"
	}
	t := r.insert(s)
	for n := range 2 {
		c := task.Claim{Types: []string{s.Type}, WorkerID: "victim", Strategy: task.LIFO, Lease: time.Second, Now: at(float64(2 * n)), Capabilities: task.Capabilities{"gpu": true}}
		if got := r.claimOne(c); got.ID != t.ID {
			r.Fatalf("claimed task %d, want %d", got.ID, t.ID)
		}
		r.equal("taken back", 1, len(r.reap(at(float64(2*n+1)))))
	}
	return r.get(t.ID)
}

// by is a claim by a worker after poison.
func by(worker string, max int) task.Claim { return task.Claim{WorkerID: worker, Max: max, Now: at(4)} }

func beginsQuarantine(r *rig) {
	t := r.insert(task.Spec{})
	r.claimOne(task.Claim{Now: at(0), Lease: time.Second})
	once := r.one(r.reap(at(1)))
	r.equal("after one", false, once.Quarantined())
	others := r.insertMany(2, task.Spec{})
	r.equal("together with others", []int64{t.ID, others[0].ID}, ids(r.claim(task.Claim{Now: at(2), Max: 2, Lease: time.Second})))
	again := r.reap(at(3))
	r.equal("after two", []bool{true, false}, []bool{again[0].Quarantined(), again[1].Quarantined()})
	r.equal("alone", []int64{t.ID}, ids(r.claim(task.Claim{Now: at(4), Max: 9})))
}

func givesAlone(r *rig) {
	bad := r.poison(task.Spec{Priority: ptr(1000)})
	rest := ids(r.insertMany(3, task.Spec{}))
	for i, s := range task.Strategies {
		c := by(fmt.Sprint("w", i), 100)
		c.Strategy = s
		got := r.claimOne(c)
		r.equal("task", bad.ID, got.ID)
		r.equal("quarantined", true, got.Quarantined())
		r.release(got, at(4))
	}
	r.claimOne(by("w", 100))
	r.equal("the others", rest, ids(r.claim(by("x", 100))))
}

func keepsElseAway(r *rig) {
	bad := r.poison(task.Spec{})
	r.insertMany(3, task.Spec{})
	held := r.claimOne(by("w", 1))
	r.equal("task", bad.ID, held.ID)
	for _, c := range []task.Claim{by("w", 1), by("w", 100), {WorkerID: "w", Now: at(4), Types: []string{"work"}}} {
		r.equal("beside it", 0, len(r.claim(c)))
	}
	r.equal("another worker", 1, len(r.claim(by("x", 1))))
	r.complete(held, at(5))
	r.equal("afterwards", 2, len(r.claim(by("w", 100))))
}

func letsOneStandBy(r *rig) {
	busy := r.running(task.Spec{})
	elsewhere := r.insert(task.Spec{})
	r.equal("elsewhere", elsewhere.ID, r.claimOne(task.Claim{WorkerID: "w2"}).ID)
	bad := r.poison(task.Spec{})
	r.insertMany(3, task.Spec{})
	r.equal("who stands by", 0, len(r.claim(by("w1", 100))))
	r.equal("who need not", 1, len(r.claim(by("w2", 1))))
	r.equal("who stands by still", 0, len(r.claim(by("w1", 1))))
	r.complete(busy, at(4))
	r.equal("its turn", bad.ID, r.claimOne(by("w1", 100)).ID)
}

func passesStandbyOn(r *rig) {
	r.running(task.Spec{})
	r.insert(task.Spec{})
	held := r.claimOne(task.Claim{WorkerID: "w2"})
	bad := r.poison(task.Spec{})
	r.insertMany(3, task.Spec{})
	r.equal("the first stands by", 0, len(r.claim(by("w1", 1))))
	later := task.Claim{WorkerID: "w2", Now: at(70)}
	r.equal("then the second", 0, len(r.claim(later)))
	r.equal("the first goes on", 1, len(r.claim(task.Claim{WorkerID: "w1", Now: at(70)})))
	r.release(held, at(70))
	r.equal("its turn", bad.ID, r.claimOne(later).ID)
}

func leavesDraining(r *rig) {
	r.running(task.Spec{})
	r.insert(task.Spec{})
	held := r.claimOne(task.Claim{WorkerID: "w2"})
	bad := r.poison(task.Spec{})
	r.insertMany(3, task.Spec{})
	for _, w := range []string{"w1", "w2"} {
		_, err := r.st.UpsertWorker(r.Context(), task.Worker{WorkerID: w, Capabilities: "{}", HeartbeatUTC: at(4)})
		r.ok(err)
	}
	r.equal("the first stands by", 0, len(r.claim(by("w1", 1))))
	more := r.claimOne(by("w2", 1)) // who need not
	_, err := r.st.DrainWorker(r.Context(), "w1", true)
	r.ok(err)
	r.equal("the second stands by", 0, len(r.claim(by("w2", 1))))
	r.release(held, at(4))
	r.release(more, at(4))
	r.equal("its turn", bad.ID, r.claimOne(by("w2", 1)).ID)
}

func keepsToRules(r *rig) {
	bad := r.poison(task.Spec{Compatibility: `{"gpu":true}`})
	other := r.insert(task.Spec{})
	r.equal("without the capability", []int64{other.ID}, ids(r.claim(by("w1", 9))))
	able := by("w2", 9)
	able.Capabilities = task.Capabilities{"gpu": true}
	able.Types = []string{"other"}
	r.equal("of another type", 0, len(r.claim(able)))
	able.Types = nil
	_, err := r.st.PauseType(r.Context(), "poison", true, at(4))
	r.ok(err)
	r.equal("paused", 0, len(r.claim(able)))
	_, err = r.st.PauseType(r.Context(), "poison", false, at(4))
	r.ok(err)
	r.limit("poison", ptr(1))
	fine := r.insert(task.Spec{Type: "poison"})
	full := r.claimOne(task.Claim{WorkerID: "w3", Now: at(4), Types: []string{"poison"}})
	r.equal("the one without", fine.ID, full.ID)
	r.equal("over the limit", 0, len(r.claim(able)))
	r.complete(full, at(5))
	r.equal("with everything", bad.ID, r.claimOne(able).ID)
}

func waitsForTime(r *rig) {
	bad := r.poison(task.Spec{})
	held := r.claimOne(by("w", 1))
	_, err := r.st.ReleaseTask(r.Context(), bad.ID, token(held), at(100), at(5))
	r.ok(err)
	other := r.insert(task.Spec{})
	r.equal("meanwhile", []int64{other.ID}, ids(r.claim(by("w", 9))))
	_, err = r.st.PromoteDue(r.Context(), at(100), 9)
	r.ok(err)
	r.equal("then", bad.ID, r.claimOne(task.Claim{WorkerID: "x", Now: at(100)}).ID)
}

func endsQuarantine(r *rig) {
	for name, end := range map[string]func(t task.Task) task.Task{
		"completed": func(t task.Task) task.Task { return r.complete(t, at(5)) },
		"rejected":  func(t task.Task) task.Task { return r.fail(t, verdict("no", task.Rejected), at(5)) },
		"cancelled": func(t task.Task) task.Task { return r.cancel(t.ID, at(5)) },
	} {
		bad := r.poison(task.Spec{Type: name})
		held := r.claimOne(by("w", 9))
		r.equal("task", bad.ID, held.ID)
		r.equal(name, false, end(held).Quarantined())
		more := r.insertMany(2, task.Spec{})
		got := r.claim(by("w", 9))
		r.equal("after it was "+name, ids(more), ids(got))
		for _, t := range got {
			r.complete(t, at(5))
		}
	}
}

func movesQuarantined(r *rig) {
	bad := r.poison(task.Spec{})
	_, moved := r.operate(task.ActionSetPriority, "type:poison", ptr(3), 10, at(4))
	r.equal("moved", 1, len(moved))
	r.insertMany(2, task.Spec{})
	got := r.claimOne(by("w", 9))
	r.equal("task", []any{bad.ID, 3}, []any{got.ID, got.Priority})
	r.equal("beside it", 0, len(r.claim(by("w", 9))))
}

// holdsForMany lets the slots of several workers claim and finish at once, and looks at what each holds.
func (r *rig) holdsForMany(stores ...store.Store) {
	r.Helper()
	poisoned := make(map[int64]bool)
	for i := range 3 {
		poisoned[r.poison(task.Spec{Type: fmt.Sprint("poison", i)}).ID] = true
	}
	r.insertMany(60, task.Spec{})
	var mu sync.Mutex
	ran, holds := 0, make(map[string]map[int64]bool)
	took := func(worker string, t task.Task) {
		mu.Lock()
		defer mu.Unlock()
		if holds[worker] == nil {
			holds[worker] = make(map[int64]bool)
		}
		holds[worker][t.ID] = true
		ran++
		for id := range holds[worker] {
			if poisoned[id] && len(holds[worker]) > 1 {
				r.Errorf("worker %s holds %v, of which %d is in quarantine", worker, holds[worker], id)
			}
		}
	}
	var all sync.WaitGroup
	for i := range 6 {
		worker, st := fmt.Sprint("w", i%2), stores[i/2%len(stores)]
		all.Go(func() {
			for empty := 0; empty < 5000; empty++ {
				ts, err := st.ClaimTasks(r.Context(), r.ask(task.Claim{WorkerID: worker, Now: at(4), Secret: scramble(uint64(i*10_000 + empty))}))
				if err != nil {
					r.Errorf("claim: %v", err)
					return
				}
				for _, t := range ts {
					took(worker, t)
					r.get(t.ID)
					mu.Lock()
					delete(holds[worker], t.ID) // before it is over: then the worker may have the next
					mu.Unlock()
					if _, err := st.CompleteTask(r.Context(), t.ID, token(t), nil, at(5)); err != nil {
						r.Errorf("complete: %v", err)
					}
				}
				mu.Lock()
				done := ran == 63
				mu.Unlock()
				if done {
					return
				}
			}
		})
	}
	all.Wait()
	r.equal("tasks that ran", 63, ran)
}
