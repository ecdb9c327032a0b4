package storetest

import (
	"math/rand/v2"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

var statsBehaviours = []behaviour{
	{"AreZeroInAnEmptyStore", statsEmpty},
	{"CountEveryState", statsOfStates},
	{"MeasureTheAgeOfTheOldestQueuedTask", statsAge},
	{"EqualACountOverTheListsAfterAnyChanges", statsConserve},
}

func statsEmpty(r *rig) { r.equal("stats", task.Stats{}, r.stats(start)) }

func statsOfStates(r *rig) {
	for i, s := range states {
		s.reach(r)
		r.equal(s.name, r.count(0, at(1000)), r.stats(at(1000)))
		r.equal("total", int64(i+1), r.stats(start).TotalTasks)
	}
}

// count is what the statistics must be, counted over the lists.
func (r *rig) count(deleted int64, now time.Time) task.Stats {
	r.Helper()
	s := task.Stats{DeletedTasks: deleted}
	of := map[task.Status]*int64{task.Queued: &s.QueuedTasks, task.Processing: &s.ProcessingTasks, task.Completed: &s.CompletedTasks, task.Failed: &s.FailedTasks}
	for _, t := range r.list(task.Filter{Limit: 10000}) {
		s.TotalTasks++
		*of[t.Status]++
		switch {
		case t.Ready:
			s.ReadyTasks++
		case t.Status == task.Queued:
			s.ScheduledTasks++
		}
		if t.Status == task.Queued { // the last of the list is the oldest
			s.OldestQueuedAgeSeconds = ptr(now.Sub(t.CreatedAtUTC).Seconds())
		}
	}
	return s
}

func statsAge(r *rig) {
	r.complete(r.running(task.Spec{}), at(1))
	if age := r.stats(at(10)).OldestQueuedAgeSeconds; age != nil {
		r.Errorf("age %v without a queued task", *age)
	}
	old := r.insertAt(task.Spec{}, at(20))
	r.insertAt(task.Spec{}, at(30))
	r.equal("age", ptr(80.5), r.stats(at(100.5)).OldestQueuedAgeSeconds)
	r.cancel(old.ID, at(40))
	r.equal("age of the next", ptr(70.5), r.stats(at(100.5)).OldestQueuedAgeSeconds)
}

// statsConserve walks at random over everything that changes a count. Each step is a second; every change comes out as it must
// for the task that it meets, which the other tests hold; here only the counts are looked at.
func statsConserve(r *rig) {
	rng := rand.New(rand.NewPCG(15, 1))
	inserted, deleted := 0, int64(0)
	for step := range 300 {
		now := at(float64(step))
		switch op := rng.IntN(10); op {
		case 0, 1:
			r.insertAt(randomSpec(rng, step), now)
			inserted++
		case 2:
			batch := make([]task.Task, 1+rng.IntN(5))
			for i := range batch {
				batch[i] = r.make(randomSpec(rng, step), now)
			}
			_, _, err := r.st.InsertTasks(r.Context(), batch)
			r.ok(err)
			inserted += len(batch)
		case 3, 4:
			r.claim(task.Claim{Strategy: task.Strategies[rng.IntN(4)], Max: 1 + rng.IntN(4), Now: now, Lease: 20 * time.Second, Seed: rng.Uint64()})
		case 5:
			r.upkeep(now)
		default:
			all := r.list(task.Filter{Limit: 10000})
			if len(all) > 0 && r.change(all[rng.IntN(len(all))], rng.IntN(7), now) {
				deleted++
			}
		}
		want := r.count(deleted, now)
		r.equal("stats", want, r.stats(now))
		r.equal("conservation", int64(inserted), want.TotalTasks+want.DeletedTasks)
		if r.Failed() {
			r.Fatalf("at step %d", step)
		}
	}
}

func randomSpec(rng *rand.Rand, step int) task.Spec {
	s := task.Spec{Type: []string{"a", "b"}[rng.IntN(2)], Priority: ptr(1 + rng.IntN(3)), MaxAttempts: ptr(1 + rng.IntN(3))}
	if rng.IntN(3) == 0 {
		s.RunAfterUTC = &task.Time{Time: at(float64(step + rng.IntN(30)))}
		s.DeadlineUTC = &task.Time{Time: s.RunAfterUTC.Add(time.Duration(1+rng.IntN(30)) * time.Second)}
	}
	return s
}

func (r *rig) upkeep(now time.Time) {
	r.Helper()
	for _, do := range r.duties() {
		_, err := do(r.Context(), now, 3)
		r.ok(err)
	}
}

// change does one thing to a task if its state allows it, and reports whether it was deleted.
func (r *rig) change(t task.Task, op int, now time.Time) (deleted bool) {
	r.Helper()
	switch held := t.Status == task.Processing; {
	case op == 0 && !t.Status.Ended():
		r.cancel(t.ID, now)
	case op == 1 && t.Status == task.Failed:
		r.requeue(t.ID, now)
	case op <= 2 && t.Status.Ended():
		r.ok(r.st.DeleteTask(r.Context(), t.ID))
		return true
	case op <= 3 && held:
		r.complete(t, now)
	case op == 4 && held:
		r.fail(t, verdict("ends", task.Rejected), now)
	case op == 5 && held:
		r.release(t, now)
	case held && t.Attempts < t.MaxAttempts:
		_, err := r.st.FailTask(r.Context(), t.ID, token(t), retryAt(now.Add(10*time.Second)), now)
		r.ok(err)
	}
	return false
}
