package storetest

import (
	"fmt"

	"github.com/prismq/thequeue/internal/task"
)

var traceBehaviours = []behaviour{
	{"AreKeptOneByOneAndInBatches", keepsTraces},
	{"AreKeptWithKeys", keepsTracesWithKeys},
	{"AreThoseOfTheTaskThatWasFirst", keepsFirstTrace},
}

// traced is a spec with a span of its own.
func traced(n int, s task.Spec) task.Spec {
	s.Traceparent = ptr(fmt.Sprintf("00-%032x-%016x-01", 0xa000+n, 0xb000+n))
	return s
}

func keepsTraces(r *rig) {
	one := r.insert(traced(1, task.Spec{}))
	r.stored(one, one)
	r.equal("trace", *traced(1, task.Spec{}).Traceparent, *one.Traceparent)
	specs := []task.Spec{{}, traced(2, task.Spec{}), {}, traced(3, task.Spec{}), {}}
	var batch []task.Task
	for _, s := range specs {
		batch = append(batch, r.make(s, start))
	}
	many, _, err := r.st.InsertTasks(r.Context(), batch)
	r.ok(err)
	for i, t := range many {
		r.equal("trace", specs[i].Traceparent, t.Traceparent)
		r.stored(t, t)
	}
	claimed := r.claim(task.Claim{Strategy: task.FIFO, Max: 10})
	r.equal("claimed", 6, len(claimed))
	for i, t := range append([]task.Task{one}, many...) {
		r.equal("trace of a claimed task", t.Traceparent, claimed[i].Traceparent)
		r.equal("trace of an ended task", t.Traceparent, r.complete(claimed[i], at(1)).Traceparent)
	}
}

func keepsTracesWithKeys(r *rig) {
	keys := []task.Spec{{IdempotencyKey: ptr("a")}, {ConcurrencyKey: ptr("b")}, {UniqueKey: ptr("c")}, {}}
	for i, s := range keys {
		for _, s := range []task.Spec{s, traced(i, s)} {
			t := r.make(s, start)
			t.IdempotencyKey = nil
			stored, _, err := r.st.InsertUnique(r.Context(), []task.Task{t}, []*task.Unique{{Key: fmt.Sprint(i, s.Traceparent != nil)}})
			r.ok(err)
			r.equal("trace", s.Traceparent, stored[0].Traceparent)
			r.stored(stored[0], stored[0])
		}
		t := r.insert(traced(i, s))
		r.equal("trace", traced(i, s).Traceparent, t.Traceparent)
		r.stored(t, t)
	}
}

func keepsFirstTrace(r *rig) {
	first := r.insert(traced(1, task.Spec{IdempotencyKey: ptr("a")}))
	again, created, err := r.st.InsertTask(r.Context(), r.make(traced(2, task.Spec{IdempotencyKey: ptr("a")}), start))
	r.ok(err)
	r.equal("created", false, created)
	r.equal("task", first, again)
}
