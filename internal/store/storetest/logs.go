package storetest

import (
	"fmt"

	"github.com/prismq/thequeue/internal/task"
)

var logBehaviours = []behaviour{
	{"AreKeptOldestFirst", keepsLogs},
	{"FilterByLevelAndPage", filtersLogs},
	{"KeepTheirDetailsByteForByte", keepsLogDetails},
	{"StayApartByTask", keepsLogsApart},
	{"TellEverythingThatHappens", tellsALife},
	{"OfAllTasksComeNewestFirst", listsRecent},
	{"ArePurgedInSteps", purgesLogs},
	{"ComeInPagesWithoutAGapOrARepetition", pagesExactly},
}

func (r *rig) log(t task.Task, l task.Log) task.Log {
	r.Helper()
	l.TaskID = t.ID
	got, err := r.st.AppendLog(r.Context(), token(t), l)
	r.ok(err)
	return got
}

func keepsLogs(r *rig) {
	t := r.running(task.Spec{})
	var want []task.Log
	for i, level := range []task.Level{task.Info, task.Error, task.Debug, task.Warning} {
		l := task.Log{LogID: 999, AtUTC: at(10 - float64(i)), Level: level, Message: fmt.Sprint("line ", i), TaskID: t.ID, Fence: 1}
		got := r.log(t, l)
		if l.LogID = got.LogID; got.LogID < 1 || (i > 0 && got.LogID <= want[i-1].LogID) {
			r.Errorf("line %d has id %d", i, got.LogID)
		}
		r.equal("returned line", l, got)
		want = append(want, l)
	}
	r.equal("lines", want, r.written(t.ID))
	r.equal("task", t, r.get(t.ID))
	r.complete(t, at(20))
	r.equal("lines of the ended task", want, r.written(t.ID))
}

func filtersLogs(r *rig) {
	t := r.running(task.Spec{})
	levels := []task.Level{task.Debug, task.Info, task.Warning, task.Error}
	for i := range 12 {
		r.log(t, task.Log{AtUTC: at(1), Level: levels[i%4], Message: fmt.Sprint(i)})
	}
	all := r.logs(t.ID)
	r.equal("lines, with that of the insert and that of the claim", 14, len(all))
	for _, level := range append(levels, "") {
		for _, after := range []int64{0, all[5].LogID, all[13].LogID} {
			for _, limit := range []int{1, 2, 100} {
				var want []task.Log
				for _, l := range all {
					if (level == "" || l.Level == level) && l.LogID > after && len(want) < limit {
						want = append(want, l)
					}
				}
				got, err := r.st.ListLogs(r.Context(), task.LogFilter{TaskID: t.ID, Level: level, After: after, Limit: limit})
				r.ok(err)
				r.equal("number of lines", len(want), len(got))
				for i := range want {
					r.equal("line", want[i], got[i])
				}
			}
		}
	}
}

func keepsLogDetails(r *rig) {
	t := r.running(task.Spec{})
	for _, want := range append(objects, ` [1, 2.0] `, `null`, `"x"`, `1E+2`) {
		got := r.log(t, task.Log{AtUTC: at(1), Level: task.Info, Message: "m", Details: &want})
		r.equal("returned details", &want, got.Details)
	}
	for i, l := range r.written(t.ID)[:len(objects)] {
		r.equal("details", &objects[i], l.Details)
	}
}

func keepsLogsApart(r *rig) {
	a, b := r.running(task.Spec{Type: "a"}), r.running(task.Spec{Type: "b"})
	first := r.log(a, task.Log{AtUTC: at(1), Level: task.Info, Message: "of a"})
	r.log(b, task.Log{AtUTC: at(1), Level: task.Info, Message: "of b"})
	r.equal("lines of a", []task.Log{first}, r.written(a.ID))
	r.complete(a, at(2))
	r.ok(r.st.DeleteTask(r.Context(), a.ID))
	r.equal("lines of b", 1, len(r.written(b.ID)))
}
