package storetest

import (
	"fmt"

	"github.com/prismq/thequeue/internal/task"
)

var batchBehaviours = []behaviour{
	{"StoresAThousandInTheOrderGiven", storesBatchInOrder},
	{"StoresEveryField", storesEveryFieldOfBatch},
	{"StoresNothingOfABatchWithABadRow", storesNothingOfBadBatch},
	{"TakesTheTypeOfARefusedBatchLater", takesTypeOfRefusedBatch},
	{"CreatesAKeyOnceInABatch", createsKeyOnceInBatch},
	{"ReturnsTheTaskOfAKnownKeyInItsPlace", returnsKnownKeyInPlace},
}

func storesBatchInOrder(r *rig) {
	batch := make([]task.Task, 1000)
	for i := range batch {
		batch[i] = r.make(task.Spec{Type: fmt.Sprintf("type-%d", i%7), Priority: ptr(1 + i%5), Payload: task.JSON(fmt.Sprintf(`{"n": %d}`, i))}, start)
		if i%3 == 0 {
			batch[i].IdempotencyKey = ptr(fmt.Sprint("key-", 1000-i))
		}
	}
	stored, created, err := r.st.InsertTasks(r.Context(), batch)
	r.ok(err)
	r.equal("length", []int{1000, 1000}, []int{len(stored), len(created)})
	for i, got := range stored {
		want := batch[i]
		want.ID, want.LaneID = got.ID, got.LaneID
		r.equal("task", want, got)
		if !created[i] || (i > 0 && got.ID <= stored[i-1].ID) {
			r.Fatalf("place %d: id %d, created %v", i, got.ID, created[i])
		}
	}
	listed := r.list(task.Filter{Limit: 1000})
	r.equal("stored", stored, byID(listed))
}

func storesEveryFieldOfBatch(r *rig) {
	plain, all := r.make(task.Spec{}, start), r.make(full(), start)
	stored, created, err := r.st.InsertTasks(r.Context(), []task.Task{plain, all})
	r.ok(err)
	r.equal("created", []bool{true, true}, created)
	for i, want := range []task.Task{plain, all} {
		want.ID, want.LaneID = stored[i].ID, stored[i].LaneID
		r.stored(want, stored[i])
	}
}

func storesNothingOfBadBatch(r *rig) {
	known := r.insert(task.Spec{IdempotencyKey: ptr("known")})
	before := r.stats(start)
	for name, spoil := range forbidden {
		for _, place := range []int{0, 5, 9} {
			batch := make([]task.Task, 10)
			for i := range batch {
				batch[i] = r.make(task.Spec{Type: "batch"}, start)
			}
			batch[3].IdempotencyKey = known.IdempotencyKey
			spoil(&batch[place])
			if _, _, err := r.st.InsertTasks(r.Context(), batch); err == nil {
				r.Errorf("%s at %d: stored", name, place)
			}
		}
	}
	r.equal("tasks", []task.Task{known}, r.list(task.Filter{Limit: 100}))
	r.equal("stats", before, r.stats(start))
}

func takesTypeOfRefusedBatch(r *rig) {
	good, bad := r.make(task.Spec{Type: "new", Compatibility: `{"gpu":true}`}, start), r.make(task.Spec{Type: "new"}, start)
	bad.MaxAttempts = 101
	if _, _, err := r.st.InsertTasks(r.Context(), []task.Task{good, bad}); err == nil {
		r.Fatal("the bad batch was stored")
	}
	want, _, err := r.st.InsertTask(r.Context(), good)
	r.ok(err)
	got := r.claimOne(task.Claim{Types: []string{"new"}, Capabilities: task.Capabilities{"gpu": true}})
	r.equal("claimed", want.ID, got.ID)
}

func createsKeyOnceInBatch(r *rig) {
	batch := make([]task.Task, 6)
	for i, key := range []string{"a", "b", "a", "", "b", "a"} {
		batch[i] = r.make(task.Spec{Payload: task.JSON(fmt.Sprintf(`{"n":%d}`, i))}, start)
		if key != "" {
			batch[i].IdempotencyKey = &key
		}
	}
	stored, created, err := r.st.InsertTasks(r.Context(), batch)
	r.ok(err)
	r.equal("created", []bool{true, true, false, true, false, false}, created)
	r.equal("tasks", []task.Task{stored[0], stored[1], stored[0], stored[3], stored[1], stored[0]}, stored)
	r.equal("payload of a", task.JSON(`{"n":0}`), stored[0].Payload)
	r.equal("payload of b", task.JSON(`{"n":1}`), stored[1].Payload)
	r.equal("all", ids([]task.Task{stored[0], stored[1], stored[3]}), ids(byID(r.list(task.Filter{Limit: 10}))))
}

func returnsKnownKeyInPlace(r *rig) {
	known := r.running(task.Spec{IdempotencyKey: ptr("known")})
	known = r.complete(known, at(1))
	batch := []task.Task{r.make(task.Spec{}, at(2)), r.make(task.Spec{IdempotencyKey: ptr("known"), Priority: ptr(7)}, at(2)), r.make(task.Spec{IdempotencyKey: ptr("fresh")}, at(2))}
	stored, created, err := r.st.InsertTasks(r.Context(), batch)
	r.ok(err)
	r.equal("created", []bool{true, false, true}, created)
	r.stored(known, stored[1])
	if stored[0].ID <= known.ID || stored[2].ID <= stored[0].ID {
		r.Errorf("ids do not grow: %v", ids(stored))
	}
	again, created, err := r.st.InsertTasks(r.Context(), batch[1:])
	r.ok(err)
	r.equal("created again", []bool{false, false}, created)
	r.equal("tasks again", stored[1:], again)
}
