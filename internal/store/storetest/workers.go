package storetest

import "github.com/prismq/thequeue/internal/task"

var workerBehaviours = []behaviour{
	{"AreRegistered", registersWorker},
	{"KeepDrainAndRegistrationOnRenewal", renewsWorker},
	{"AreTouched", touchesWorker},
	{"Drain", drainsWorker},
	{"AreListedByID", listsWorkers},
	{"ReturnNotFoundWhenUnknown", unknownWorker},
	{"LeaveTheirTasksWhenDeleted", deletesWorker},
	{"KeepTheirJSONByteForByte", keepsWorkerJSON},
}

func worker(id string, now float64) task.Worker {
	return task.Worker{WorkerID: id, Capabilities: "{}", RegisteredAtUTC: at(now), HeartbeatUTC: at(now)}
}

func (r *rig) upsert(w task.Worker) task.Worker {
	r.Helper()
	got, err := r.st.UpsertWorker(r.Context(), w)
	r.ok(err)
	again, err := r.st.GetWorker(r.Context(), w.WorkerID)
	r.ok(err)
	r.equal("stored worker", got, again)
	return got
}

func registersWorker(r *rig) {
	want := worker("wörker/1 a", 1)
	want.Capabilities, want.Types = `{ "gpu":true }`, ptr(task.JSON(`["a", "b"]`))
	r.equal("worker", want, r.upsert(want))
}

func renewsWorker(r *rig) {
	first := worker("w", 1)
	first.Types = ptr(task.JSON(`["a"]`))
	r.upsert(first)
	next := worker("w", 50)
	next.Capabilities, next.Drain = `{"gpu":false}`, true
	want := next
	want.RegisteredAtUTC, want.Drain = at(1), false
	r.equal("worker", want, r.upsert(next))
}

func touchesWorker(r *rig) {
	want := worker("w", 1)
	want.Capabilities, want.Types = `{"gpu":true}`, ptr(task.JSON(`["a"]`))
	r.upsert(want)
	want.HeartbeatUTC = at(9)
	got, err := r.st.TouchWorker(r.Context(), "w", at(9))
	r.ok(err)
	r.equal("touched", want, got)
	got, err = r.st.TouchWorker(r.Context(), "w", at(3)) // late
	r.ok(err)
	r.equal("touched by a late heartbeat", want, got)
	_, err = r.st.TouchWorker(r.Context(), "x", at(9))
	r.wants(task.ErrNotFound, err)
}

func drainsWorker(r *rig) {
	_, err := r.st.DrainWorker(r.Context(), "w", true)
	r.wants(task.ErrNotFound, err)
	want := worker("w", 1)
	want.Types = ptr(task.JSON(`["a"]`))
	r.upsert(want)
	r.upsert(worker("other", 1))
	for _, drain := range []bool{true, true, false} {
		want.Drain = drain
		got, err := r.st.DrainWorker(r.Context(), "w", drain)
		r.ok(err)
		r.equal("returned", want, got)
		stored, err := r.st.GetWorker(r.Context(), "w")
		r.ok(err)
		r.equal("stored", want, stored)
		draining, err := r.st.ListDraining(r.Context())
		r.ok(err)
		r.equal("draining", drain, len(draining) == 1 && draining[0] == "w")
	}
}

// listsWorkers wants the order of the bytes, which no locale changes.
func listsWorkers(r *rig) {
	none, err := r.st.ListWorkers(r.Context())
	r.ok(err)
	r.equal("workers", 0, len(none))
	order := []string{"A", "B", "a", "a b", "a-1", "a1", "aB", "ab", "b", "Ä"}
	for _, i := range []int{3, 9, 0, 7, 5, 1, 8, 2, 6, 4} {
		r.upsert(worker(order[i], float64(i)))
	}
	list, err := r.st.ListWorkers(r.Context())
	r.ok(err)
	var got []string
	for i, w := range list {
		got = append(got, w.WorkerID)
		r.equal("heartbeat", at(float64(i)), w.HeartbeatUTC)
	}
	r.equal("order", order, got)
}

func unknownWorker(r *rig) {
	r.upsert(worker("w", 1))
	_, err := r.st.GetWorker(r.Context(), "W")
	r.wants(task.ErrNotFound, err)
	r.wants(task.ErrNotFound, r.st.DeleteWorker(r.Context(), "w "))
}

func deletesWorker(r *rig) {
	r.upsert(worker("w1", 1))
	t := r.running(task.Spec{})
	r.ok(r.st.DeleteWorker(r.Context(), "w1"))
	_, err := r.st.GetWorker(r.Context(), "w1")
	r.wants(task.ErrNotFound, err)
	r.wants(task.ErrNotFound, r.st.DeleteWorker(r.Context(), "w1"))
	r.equal("task", t, r.get(t.ID))
	r.complete(t, at(2))
	r.equal("registered anew", at(9), r.upsert(worker("w1", 9)).RegisteredAtUTC)
}

func keepsWorkerJSON(r *rig) {
	for _, want := range objects {
		w := worker("w", 1)
		w.Capabilities, w.Types = want, ptr(task.JSON(`[ "a" , `+"\"ü\u2028\""+`]`))
		r.equal("worker", w, r.upsert(w))
	}
}
