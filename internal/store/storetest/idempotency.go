package storetest

import (
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/prismq/thequeue/internal/task"
)

var idempotencyBehaviours = []behaviour{
	{"ReturnsTheTaskOfAKnownKeyUnchanged", returnsTaskOfKnownKey},
	{"TakesKeysThatDifferInCaseOrSpaceAsDifferent", tellsKeysApart},
	{"FreesTheKeyOfADeletedTask", freesKeyOnDelete},
	{"MakesOneTaskOf64RacingCallers", makesOneTaskOfRacingCallers},
	{"MakesOneTaskPerKeyOfRacingBatches", makesOneTaskPerKeyOfRacingBatches},
}

func returnsTaskOfKnownKey(r *rig) {
	first := r.insert(task.Spec{IdempotencyKey: ptr("k"), Payload: `{"n":1}`})
	again := func() {
		r.Helper()
		want := r.get(first.ID)
		got, created, err := r.st.InsertTask(r.Context(), r.make(task.Spec{Type: "other", IdempotencyKey: ptr("k"), Payload: `{"n":2}`}, at(9)))
		r.ok(err)
		r.equal("created", false, created)
		r.stored(want, got)
	}
	again()
	held := r.claimOne(task.Claim{})
	again()
	r.complete(held, at(1))
	again()
	r.equal("tasks", 1, len(r.list(task.Filter{Limit: 10})))
}

func tellsKeysApart(r *rig) {
	for _, key := range []string{"k", "K", "k ", " k", "ḱ", "k\t"} {
		r.insert(task.Spec{IdempotencyKey: ptr(key)})
	}
	r.equal("tasks", 6, len(r.list(task.Filter{Limit: 10})))
}

func freesKeyOnDelete(r *rig) {
	t := r.insert(task.Spec{IdempotencyKey: ptr("k")})
	r.cancel(t.ID, at(1))
	r.ok(r.st.DeleteTask(r.Context(), t.ID))
	if again := r.insert(task.Spec{IdempotencyKey: ptr("k")}); again.ID == t.ID {
		r.Error("the deleted task is back")
	}
}

func makesOneTaskOfRacingCallers(r *rig) {
	var got [64]task.Task
	var created [64]bool
	r.together(64, func(i int) error {
		var err error
		t := r.make(task.Spec{IdempotencyKey: ptr("race"), Payload: task.JSON(fmt.Sprintf(`{"caller":%d}`, i))}, start)
		got[i], created[i], err = r.st.InsertTask(r.Context(), t)
		return err
	})
	makers := 0
	for i := range got {
		r.equal("task", got[0], got[i])
		if created[i] {
			makers++
			r.equal("payload is that of its maker", task.JSON(fmt.Sprintf(`{"caller":%d}`, i)), got[i].Payload)
		}
	}
	r.equal("callers that created", 1, makers)
	r.equal("tasks", []task.Task{got[0]}, r.list(task.Filter{Limit: 10}))
}

func makesOneTaskPerKeyOfRacingBatches(r *rig) {
	const keys = 20
	var mu sync.Mutex
	byKey, makers := map[string]int64{}, map[string]int{}
	r.together(8, func(i int) error {
		batch := make([]task.Task, keys)
		for n, k := range rand.New(rand.NewPCG(7, uint64(i))).Perm(keys) {
			batch[n] = r.make(task.Spec{IdempotencyKey: ptr(fmt.Sprint("key-", k))}, start)
		}
		stored, created, err := r.st.InsertTasks(r.Context(), batch)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		for n, t := range stored {
			key := *batch[n].IdempotencyKey
			if known, ok := byKey[key]; *t.IdempotencyKey != key || (ok && known != t.ID) {
				return fmt.Errorf("%s: task %d of key %s, task %d before", key, t.ID, *t.IdempotencyKey, known)
			}
			byKey[key] = t.ID
			if created[n] {
				makers[key]++
			}
		}
		return nil
	})
	for key, n := range makers {
		r.equal("batches that created "+key, 1, n)
	}
	r.equal("keys", keys, len(makers))
	r.equal("tasks", keys, len(r.list(task.Filter{Limit: 100})))
}
