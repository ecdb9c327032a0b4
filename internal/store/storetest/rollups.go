package storetest

import (
	"time"

	"github.com/prismq/thequeue/internal/task"
)

var rollupBehaviours = []behaviour{
	{"KeepsOneRollupForEachTimeTypeAndNode", keepsRollups},
	{"ListsRollupsOfOneTypeOrOfEach", listsRollups},
	{"FoldsTheMinutesOfAnHour", foldsMinutes},
	{"FoldsMinutesThatCameLateIntoTheHourToo", foldsLateMinutes},
	{"DeletesOldHours", purgesHours},
	{"CountsWhatEachWorkerHolds", countsHeld},
}

// minute returns a rollup of n completed tasks.
func minute(at time.Time, taskType, node string, n int64) task.Rollup {
	r := task.Rollup{Seconds: task.Minute, Type: taskType, AtUTC: at, Node: node, Counts: task.Measures{Completed: n}}
	for range n {
		r.Counts.Runs.Add(time.Second)
	}
	return r
}

func (r *rig) rollups(f task.RollupFilter) []task.Rollup {
	r.Helper()
	if f.To.IsZero() {
		f.To = at(1e6)
	}
	out, err := r.st.ListRollups(r.Context(), f)
	r.ok(err)
	return out
}

func keepsRollups(r *rig) {
	first := start.Truncate(time.Hour)
	a, b, c := minute(first, "mail", "n1", 1), minute(first, "mail", "n2", 2), minute(first.Add(time.Minute), "mail", "n1", 3)
	r.ok(r.st.PutRollups(r.Context(), []task.Rollup{minute(first, "mail", "n1", 9), b, c}))
	r.ok(r.st.PutRollups(r.Context(), []task.Rollup{a})) // the node has counted on
	r.equal("rollups", []task.Rollup{a, b, c}, r.rollups(task.RollupFilter{Seconds: task.Minute, Type: "mail"}))
	r.equal("those before the second minute", []task.Rollup{a, b}, r.rollups(task.RollupFilter{Seconds: task.Minute, Type: "mail", To: first.Add(time.Minute)}))
	r.equal("those from the second minute on", []task.Rollup{c}, r.rollups(task.RollupFilter{Seconds: task.Minute, Type: "mail", From: first.Add(time.Minute)}))
	r.equal("hours", []task.Rollup{}, r.rollups(task.RollupFilter{Seconds: task.Hour, Type: "mail"}))
	oldest, err := r.st.OldestRollup(r.Context(), task.Minute)
	r.ok(err)
	r.equal("oldest minute", &first, oldest)
	oldest, err = r.st.OldestRollup(r.Context(), task.Hour)
	r.ok(err)
	r.equal("oldest hour", (*time.Time)(nil), oldest)
}

func listsRollups(r *rig) {
	first := start.Truncate(time.Hour)
	all, mail, sms := minute(first, "", "n1", 3), minute(first, "mail", "n1", 1), minute(first, "sms", "n1", 2)
	r.ok(r.st.PutRollups(r.Context(), []task.Rollup{sms, all, mail}))
	r.equal("all types together", []task.Rollup{all}, r.rollups(task.RollupFilter{Seconds: task.Minute}))
	r.equal("each type", []task.Rollup{mail, sms}, r.rollups(task.RollupFilter{Seconds: task.Minute, EachType: true}))
}

func foldsMinutes(r *rig) {
	first := start.Truncate(time.Hour)
	next := minute(first.Add(time.Hour), "mail", "n1", 5)
	r.ok(r.st.PutRollups(r.Context(), []task.Rollup{
		minute(first, "mail", "n1", 1), minute(first, "mail", "n2", 2), minute(first.Add(59*time.Minute), "mail", "n1", 4), minute(first, "sms", "n1", 7), next,
	}))
	r.ok(r.st.FoldRollups(r.Context(), first, "fold"))
	hour := func(taskType string, n int64) task.Rollup {
		h := minute(first, taskType, "fold", n)
		h.Seconds = task.Hour
		return h
	}
	r.equal("hours", []task.Rollup{hour("mail", 7), hour("sms", 7)}, r.rollups(task.RollupFilter{Seconds: task.Hour, EachType: true}))
	r.equal("minutes that are left", []task.Rollup{next}, r.rollups(task.RollupFilter{Seconds: task.Minute, EachType: true}))
}

func foldsLateMinutes(r *rig) {
	first := start.Truncate(time.Hour)
	r.ok(r.st.PutRollups(r.Context(), []task.Rollup{minute(first, "mail", "n1", 1)}))
	r.ok(r.st.FoldRollups(r.Context(), first, "fold 1"))
	r.ok(r.st.PutRollups(r.Context(), []task.Rollup{minute(first, "mail", "n2", 2)}))
	r.ok(r.st.FoldRollups(r.Context(), first, "fold 2"))
	r.ok(r.st.FoldRollups(r.Context(), first, "fold 3"))
	sum := int64(0)
	for _, h := range r.rollups(task.RollupFilter{Seconds: task.Hour, Type: "mail"}) {
		sum += h.Counts.Completed
	}
	r.equal("completed", int64(3), sum)
}

func purgesHours(r *rig) {
	first := start.Truncate(time.Hour)
	old, young := minute(first, "", "n1", 1), minute(first.Add(time.Hour), "", "n1", 2)
	old.Seconds, young.Seconds = task.Hour, task.Hour
	r.ok(r.st.PutRollups(r.Context(), []task.Rollup{old, young, minute(first, "", "n1", 3)}))
	r.ok(r.st.PurgeRollups(r.Context(), first.Add(time.Hour)))
	r.equal("hours", []task.Rollup{young}, r.rollups(task.RollupFilter{Seconds: task.Hour}))
	r.equal("minutes", 1, len(r.rollups(task.RollupFilter{Seconds: task.Minute})))
}

func countsHeld(r *rig) {
	for range 3 {
		r.insert(task.Spec{})
	}
	r.claim(task.Claim{WorkerID: "w1", Max: 2})
	r.claim(task.Claim{WorkerID: "w2", Max: 1})
	held, err := r.st.CountHeld(r.Context())
	r.ok(err)
	r.equal("held", map[string]int64{"w1": 2, "w2": 1}, held)
}
