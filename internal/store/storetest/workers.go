package storetest

import (
	"time"

	"github.com/prismq/thequeue/internal/task"
)

var workerBehaviours = []behaviour{
	{"AreRegistered", registersWorker},
	{"KeepDrainAndRegistrationOnRenewal", renewsWorker},
	{"AreTouched", touchesWorker},
	{"Drain", drainsWorker},
	{"AreListedByID", listsWorkers},
	{"ReturnNotFoundWhenUnknown", unknownWorker},
	{"LeaveTheirTasksWhenDeleted", deletesWorker},
	{"KeepTheirJSONByteForByte", keepsWorkerJSON},
	{"GoWhenTheyWereNotHeardAndHoldNothing", cleansWorkers},
	{"LoseTheirLeasesAtOnce", endsLeases},
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

func cleansWorkers(r *rig) {
	for id, heard := range map[string]float64{"old": 1, "older": 0, "holds": 1, "young": 9} {
		r.upsert(worker(id, heard))
	}
	r.insert(task.Spec{})
	r.claim(task.Claim{WorkerID: "holds"})
	clean := func(before float64, force bool) []string {
		r.Helper()
		ids, err := r.st.DeleteStaleWorkers(r.Context(), at(before), force)
		r.ok(err)
		return ids
	}
	r.equal("removed of those before", []string{"older"}, clean(1, false))
	r.equal("removed", []string{"old"}, clean(9, false))
	r.equal("removed by force", []string{"holds"}, clean(9, true))
	left, err := r.st.ListWorkers(r.Context())
	r.ok(err)
	r.equal("left", 1, len(left))
	r.equal("processing", int64(1), r.stats(at(9)).ProcessingTasks)
}

func endsLeases(r *rig) {
	r.insertMany(4, task.Spec{})
	mine := r.claim(task.Claim{WorkerID: "w", Max: 3, Lease: time.Hour})
	r.claim(task.Claim{WorkerID: "other", Lease: time.Hour})
	held, err := r.st.ListHeldBy(r.Context(), "w", 2)
	r.ok(err)
	r.equal("held", []task.Held{
		{TaskID: mine[0].ID, Type: "work", WorkerID: ptr("w"), LeaseUntilUTC: mine[0].LeaseUntilUTC}, {TaskID: mine[1].ID, Type: "work", WorkerID: ptr("w"), LeaseUntilUTC: mine[1].LeaseUntilUTC},
	}, held)
	end := func(max int) []int64 {
		r.Helper()
		ids, err := r.st.EndLeases(r.Context(), "w", at(5), max)
		r.ok(err)
		return ids
	}
	r.equal("ended", 2, len(end(2)))
	r.equal("ended next", 1, len(end(2)))
	r.equal("ended then", 0, len(end(2)))
	lost := r.reap(at(5))
	r.equal("taken back", ids(mine), ids(lost))
	r.equal("lost", 1, lost[0].Lost)
	_, err = r.st.CompleteTask(r.Context(), mine[0].ID, token(mine[0]), nil, at(6))
	r.wants(task.ErrLeaseLost, err)
}
