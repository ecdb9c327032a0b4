package storetest

import "github.com/prismq/thequeue/internal/task"

var retentionBehaviours = []behaviour{
	{"DeletesWhatEndedNotLater", purgesOld},
	{"GoesOnWhereItStopped", purgesInSteps},
	{"LeavesWhatIsNotAsItWasFound", purgesNothingElse},
}

// ended stores a task and has it end at a time, well or not.
func (r *rig) ended(s task.Spec, well bool, seconds float64) task.Task {
	r.Helper()
	if well {
		return r.complete(r.running(s), at(seconds))
	}
	return r.cancel(r.insert(s).ID, at(seconds))
}

// purge deletes all that ended not later than seconds, at most max a call, and returns how many that were.
func (r *rig) purge(taskType string, s task.Status, seconds float64, max int) int {
	r.Helper()
	total := 0
	for after, calls := int64(0), 0; ; calls++ {
		n, next, err := r.st.PurgeTasks(r.Context(), taskType, s, at(seconds), after, max)
		r.ok(err)
		if total += n; next == 0 {
			return total
		}
		if next <= after || calls > 1000 {
			r.Fatalf("it goes on at %d after %d", next, after)
		}
		after = next
	}
}

func purgesOld(r *rig) {
	var keep []int64
	for _, well := range []bool{true, false} {
		for _, seconds := range []float64{30, 10, 20.000001, 20} {
			t := r.ended(task.Spec{}, well, seconds)
			if seconds > 20 {
				keep = append(keep, t.ID)
			}
		}
		keep = append(keep, r.ended(task.Spec{Type: "other"}, well, 1).ID)
	}
	queued, held := r.insert(task.Spec{RunAfterUTC: &task.Time{Time: at(100)}}), r.running(task.Spec{})
	keep = append(keep, queued.ID, held.ID)
	failed := r.insert(task.Spec{})
	logged := r.claimOne(task.Claim{})
	r.equal("claimed", failed.ID, logged.ID)
	_, err := r.st.AppendLog(r.Context(), token(logged), task.Log{TaskID: failed.ID, AtUTC: start, Level: task.Info, Message: "hello"})
	r.ok(err)
	r.release(logged, start)
	r.cancel(failed.ID, at(2))

	r.equal("completed", 2, r.purge("work", task.Completed, 20, 100))
	r.equal("again", 0, r.purge("work", task.Completed, 20, 100))
	r.equal("failed", 3, r.purge("work", task.Failed, 20, 100))
	r.equal("left", len(keep), len(r.list(task.Filter{Limit: 100})))
	for _, id := range keep {
		r.get(id)
	}
	_, err = r.st.ListAttempts(r.Context(), failed.ID)
	r.wants(task.ErrNotFound, err)
	s := r.stats(at(50))
	r.equal("counted", []int64{8, 3, 3}, []int64{s.TotalTasks, s.CompletedTasks, s.FailedTasks})
	r.equal("unknown type", 0, r.purge("none", task.Failed, 20, 100))
}

func purgesInSteps(r *rig) {
	old := r.insertMany(25, task.Spec{})
	for i, t := range r.claim(task.Claim{Max: 100}) {
		r.complete(t, at(float64(1+i%3))) // every third one ends at 3 s
	}
	r.equal("tasks", 25, len(old))
	n, next, err := r.st.PurgeTasks(r.Context(), "work", task.Completed, at(2), 0, 7)
	r.ok(err)
	if n == 0 || n > 7 || next < old[0].ID || next > old[6].ID {
		r.Errorf("the first step deleted %d tasks and goes on at %d, want at most 7 and up to %d", n, next, old[6].ID)
	}
	r.equal("rest", 17-n, r.purge("work", task.Completed, 2, 7))
	r.equal("left", 8, len(r.list(task.Filter{Limit: 100})))
}

func purgesNothingElse(r *rig) {
	t := r.ended(task.Spec{}, false, 1)
	r.requeue(t.ID, at(5))
	r.equal("requeued meanwhile", 0, r.purge("work", task.Failed, 10, 100))
	r.cancel(t.ID, at(20))
	r.equal("ended later", 0, r.purge("work", task.Failed, 10, 100))
	r.equal("in the end", 1, r.purge("work", task.Failed, 20, 100))
	_, err := r.st.GetTask(r.Context(), t.ID)
	r.wants(task.ErrNotFound, err)
}
