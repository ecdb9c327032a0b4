package storetest

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

var scheduleBehaviours = []behaviour{
	{"AreStoredAndChanged", storesSchedule},
	{"AreChangedOnlyAsTheyWereRead", changesReadSchedule},
	{"AreListedByName", listsSchedules},
	{"ReturnNotFoundWhenUnknown", unknownSchedule},
	{"AreDueWhenTheirTickHasCome", dueSchedules},
	{"AreEvents", scheduleEvents},
	{"MakeTheTasksOfTheirTicks", makesTicks},
	{"MakeATickOnceOfManyCallers", oneOfManyAdvances},
	{"MakeATickOnceWhateverCameBetween", tickIsMadeOnce},
	{"MakeAllTasksOrNone", advanceIsWhole},
	{"SkipATickWhileAnotherIsLive", skipsOverlap},
	{"CancelOlderTasks", cancelsOverlap},
	{"CancelARunningTask", cancelsRunningOverlap},
	{"LetTicksOverlap", allowsOverlap},
	{"SeeTasksOfBeforeThePolicyChanged", seesOlderOverlap},
	{"LeaveTheirTasksWhenDeleted", deletesSchedule},
	{"ForgetATickWithItsTask", forgetsTick},
}

func someSchedule(name string, next *time.Time) task.Schedule {
	return task.Schedule{
		Name: name, Cron: "* * * * *", Timezone: "Europe/Berlin", Task: `{ "type":"work","payload":{"n": 1.50} }`, Misfire: task.MisfireOnce, MaxMisfires: 3,
		Overlap: task.OverlapAllow, JitterSeconds: 1.5, NextTickUTC: next, CreatedAtUTC: start, UpdatedAtUTC: start,
	}
}

// put stores a schedule and reports unless it is stored as it was returned.
func (r *rig) put(s task.Schedule) task.Schedule {
	r.Helper()
	got, err := r.st.PutSchedule(r.Context(), s)
	r.ok(err)
	if got.Version <= s.Version {
		r.Errorf("version %d after %d", got.Version, s.Version)
	}
	r.equal("stored schedule", got, r.schedule(s.Name))
	return got
}

func (r *rig) schedule(name string) task.Schedule {
	r.Helper()
	s, err := r.st.GetSchedule(r.Context(), name)
	r.ok(err)
	return s
}

// tick is a tick so many seconds after start, and its task.
func (r *rig) tick(seconds float64, s task.Spec) task.Tick {
	r.Helper()
	return task.Tick{AtUTC: at(seconds), Task: r.make(s, at(seconds))}
}

// advance makes ticks of a schedule, the last of them its newest; the next one is 60 s later.
func (r *rig) advance(s task.Schedule, ticks ...task.Tick) task.Advanced {
	r.Helper()
	out, err := r.st.AdvanceSchedule(r.Context(), advanceOf(s, ticks...))
	r.ok(err)
	r.equal("stored schedule", out.Schedule, r.schedule(s.Name))
	for _, t := range out.Cancelled {
		r.equal("stored cancelled task", t, r.get(t.ID))
	}
	return out
}

func advanceOf(s task.Schedule, ticks ...task.Tick) task.Advance {
	newest := ticks[len(ticks)-1].AtUTC
	return task.Advance{Schedule: s, Now: newest, Ticks: ticks, LastTickUTC: newest, NextTickUTC: ptr(newest.Add(time.Minute))}
}

func storesSchedule(r *rig) {
	want := someSchedule("nächtlich/1 a", ptr(at(60)))
	got := r.put(want)
	want.Version = got.Version
	r.equal("schedule", want, got)

	changed := got
	changed.Cron, changed.Timezone, changed.Task, changed.Misfire, changed.MaxMisfires = "0 3 * * *", "UTC", `{"type":"other"}`, task.MisfireAll, 7
	changed.Overlap, changed.JitterSeconds, changed.Paused, changed.NextTickUTC = task.OverlapSkip, 0, true, nil
	changed.CreatedAtUTC, changed.UpdatedAtUTC = at(9), at(9)
	got = r.put(changed)
	changed.Version, changed.CreatedAtUTC = got.Version, start
	r.equal("changed schedule", changed, got)
}

func changesReadSchedule(r *rig) {
	first := r.put(someSchedule("a", ptr(at(60))))
	_, err := r.st.PutSchedule(r.Context(), someSchedule("a", ptr(at(70))))
	r.wants(task.ErrConflict, err)
	second := r.put(first)
	_, err = r.st.PutSchedule(r.Context(), first)
	r.wants(task.ErrConflict, err)
	r.equal("schedule", second, r.schedule("a"))
	_, err = r.st.AdvanceSchedule(r.Context(), advanceOf(first, r.tick(60, task.Spec{})))
	r.wants(task.ErrConflict, err)
	r.equal("tasks", 0, len(r.list(task.Filter{Limit: 10})))

	r.ok(r.st.DeleteSchedule(r.Context(), "a"))
	again := someSchedule("a", ptr(at(60)))
	again.UpdatedAtUTC = at(1)
	r.put(again)
	_, err = r.st.PutSchedule(r.Context(), second)
	r.wants(task.ErrConflict, err)
}

func listsSchedules(r *rig) {
	none, err := r.st.ListSchedules(r.Context())
	r.ok(err)
	r.equal("schedules", 0, len(none))
	order := []string{"A", "a", "a b", "a-1", "a1", "aB", "ab", "Ä"}
	for _, i := range []int{3, 7, 0, 5, 1, 2, 6, 4} {
		r.put(someSchedule(order[i], nil))
	}
	list, err := r.st.ListSchedules(r.Context())
	r.ok(err)
	var got []string
	for _, s := range list {
		got = append(got, s.Name)
		r.equal("schedule", r.schedule(s.Name), s)
	}
	r.equal("order", order, got)
}

func unknownSchedule(r *rig) {
	r.put(someSchedule("a", nil))
	_, err := r.st.GetSchedule(r.Context(), "A")
	r.wants(task.ErrNotFound, err)
	r.wants(task.ErrNotFound, r.st.DeleteSchedule(r.Context(), "a "))
	gone := someSchedule("b", nil)
	gone.Version = 5
	_, err = r.st.PutSchedule(r.Context(), gone)
	r.wants(task.ErrConflict, err)
}

func dueSchedules(r *rig) {
	due := func(now float64, max int) []string {
		ss, err := r.st.DueSchedules(r.Context(), at(now), max)
		r.ok(err)
		names := []string{}
		for _, s := range ss {
			r.equal("schedule", r.schedule(s.Name), s)
			names = append(names, s.Name)
		}
		return names
	}
	r.put(someSchedule("late", ptr(at(20.000001))))
	r.put(someSchedule("early", ptr(at(10))))
	r.put(someSchedule("middle", ptr(at(15))))
	paused := someSchedule("paused", nil)
	paused.Paused = true
	r.put(paused)
	r.equal("due at 9.999999 s", []string{}, due(9.999999, 10))
	r.equal("due at 20 s", []string{"early", "middle"}, due(20, 10))
	r.equal("one due at 21 s", []string{"early"}, due(21, 1))
	r.equal("due at 21 s", []string{"early", "middle", "late"}, due(21, 10))
}

func scheduleEvents(r *rig) {
	paused := someSchedule("paused", nil)
	paused.Paused = true
	r.put(paused)
	r.equal("event of a paused schedule", (*time.Time)(nil), r.next())
	s := r.put(someSchedule("a", ptr(at(60))))
	r.equal("event of a schedule", ptr(at(60)), r.next())
	s = r.advance(s, r.tick(60, task.Spec{})).Schedule
	r.equal("event of the next tick", ptr(at(120)), r.next())
	r.insert(task.Spec{RunAfterUTC: &task.Time{Time: at(90)}})
	r.equal("event before it", ptr(at(90)), r.next())
	r.promote(at(90))
	r.ok(r.st.DeleteSchedule(r.Context(), "a"))
	r.equal("event after its end", (*time.Time)(nil), r.next())
}

func makesTicks(r *rig) {
	s := r.put(someSchedule("a", ptr(at(60))))
	later := r.tick(120, task.Spec{Type: "late", Priority: ptr(3), Payload: `{ "n":1.50}`, RunAfterUTC: &task.Time{Time: at(130)}})
	out := r.advance(s, r.tick(60, task.Spec{}), later)
	r.equal("tasks", 2, len(out.Made))
	for i, want := range []task.Task{r.make(task.Spec{}, at(60)), later.Task} {
		want.ID, want.LaneID = out.Made[i].ID, out.Made[i].LaneID
		r.stored(want, out.Made[i])
	}
	want := s
	want.NextTickUTC, want.LastTickUTC, want.LastTaskID, want.UpdatedAtUTC, want.Version = ptr(at(180)), ptr(at(120)), &out.Made[1].ID, at(120), out.Schedule.Version
	r.equal("schedule", want, out.Schedule)
	stats := r.stats(at(120))
	r.equal("ready and scheduled", [2]int64{1, 1}, [2]int64{stats.ReadyTasks, stats.ScheduledTasks})
	r.equal("claimed", out.Made[0].ID, r.claimOne(task.Claim{Now: at(120)}).ID)

	a := advanceOf(out.Schedule, task.Tick{AtUTC: at(180)})
	a.Ticks, a.NextTickUTC, a.Skipped = nil, nil, ptr("it was missed")
	ended, err := r.st.AdvanceSchedule(r.Context(), a)
	r.ok(err)
	want = out.Schedule
	want.NextTickUTC, want.LastTickUTC, want.LastSkipped, want.UpdatedAtUTC, want.Version = nil, ptr(at(180)), ptr("it was missed"), at(180), ended.Schedule.Version
	r.equal("ended schedule", want, ended.Schedule)
	r.equal("stored ended schedule", want, r.schedule("a"))
}

func oneOfManyAdvances(r *rig) {
	s := r.put(someSchedule("a", ptr(at(60))))
	const callers, ticks = 8, 5
	for i := range ticks {
		seconds := float64(60 * (i + 1))
		a := advanceOf(s, r.tick(seconds, task.Spec{}))
		errs := make([]error, callers)
		var all sync.WaitGroup
		for c := range callers {
			all.Go(func() { _, errs[c] = r.st.AdvanceSchedule(r.Context(), a) })
		}
		all.Wait()
		done := 0
		for _, err := range errs {
			if err == nil {
				done++
			} else if !errors.Is(err, task.ErrConflict) {
				r.Errorf("unexpected error: %v", err)
			}
		}
		r.equal("callers that made the tick", 1, done)
		s = r.schedule("a")
	}
	r.equal("I19: tasks", ticks, len(r.list(task.Filter{Limit: 100})))
}

func tickIsMadeOnce(r *rig) {
	s := r.put(someSchedule("a", ptr(at(60))))
	made := r.advance(s, r.tick(60, task.Spec{})).Made[0]
	other := r.put(someSchedule("b", ptr(at(60))))
	r.equal("tasks of another schedule", 1, len(r.advance(other, r.tick(60, task.Spec{})).Made))

	r.ok(r.st.DeleteSchedule(r.Context(), "a"))
	s = r.put(someSchedule("a", ptr(at(60)))) // the clock was set back
	out := r.advance(s, r.tick(60, task.Spec{}))
	r.equal("I19: tasks of the tick", 0, len(out.Made))
	r.equal("last task", &made.ID, out.Schedule.LastTaskID)
	if out.Schedule.LastSkipped == nil {
		r.Error("the schedule does not say why the tick made no task")
	}
	r.equal("tasks of the next tick", 1, len(r.advance(out.Schedule, r.tick(120, task.Spec{})).Made))
}

// advanceIsWhole asks for what the schema refuses: a next tick that has been dealt with.
func advanceIsWhole(r *rig) {
	s := r.put(someSchedule("a", ptr(at(60))))
	live := r.advance(s, r.tick(60, task.Spec{}))
	s = live.Schedule
	s.Overlap = task.OverlapCancel
	s = r.put(s)
	a := advanceOf(s, r.tick(120, task.Spec{Type: "new"}), r.tick(180, task.Spec{Type: "new"}))
	a.NextTickUTC = ptr(at(180))
	if _, err := r.st.AdvanceSchedule(r.Context(), a); err == nil || errors.Is(err, task.ErrConflict) {
		r.Fatalf("got error %v, want a refusal", err)
	}
	r.equal("schedule", s, r.schedule("a"))
	r.equal("tasks", live.Made, r.list(task.Filter{Limit: 10}))
	r.equal("queued", int64(1), r.stats(at(180)).ReadyTasks)
	r.equal("tasks of the same ticks", 2, len(r.advance(s, a.Ticks...).Made))
}

// overlapping stores a schedule with a policy and the task of its first tick.
func (r *rig) overlapping(o task.Overlap) (task.Schedule, task.Task) {
	r.Helper()
	s := someSchedule("a", ptr(at(60)))
	s.Overlap = o
	out := r.advance(r.put(s), r.tick(60, task.Spec{}))
	return out.Schedule, out.Made[0]
}

func skipsOverlap(r *rig) {
	s, first := r.overlapping(task.OverlapSkip)
	next := func(seconds float64, made int) {
		r.Helper()
		out := r.advance(s, r.tick(seconds, task.Spec{}))
		r.equal("tasks", made, len(out.Made))
		r.equal("skipped", made == 0, out.Schedule.LastSkipped != nil)
		s = out.Schedule
	}
	next(120, 0) // queued
	running := r.claimOne(task.Claim{Now: at(121)})
	next(180, 0)
	r.equal("last task", &first.ID, s.LastTaskID)
	r.complete(running, at(181))
	next(240, 1)
	next(300, 0)
	r.cancel(*s.LastTaskID, at(301))
	next(360, 1)
	r.equal("first task", task.Completed, r.get(first.ID).Status)

	both := r.advance(s, r.tick(420, task.Spec{}), r.tick(480, task.Spec{}))
	r.equal("tasks of two ticks beside a live one", 0, len(both.Made))
	r.cancel(*s.LastTaskID, at(481))
	both = r.advance(both.Schedule, r.tick(540, task.Spec{}), r.tick(600, task.Spec{}))
	r.equal("tasks of two ticks", 1, len(both.Made))
	r.equal("the tick that made it", at(540), both.Made[0].CreatedAtUTC)
}

func cancelsOverlap(r *rig) {
	s, first := r.overlapping(task.OverlapCancel)
	out := r.advance(s, r.tick(120, task.Spec{}))
	r.equal("cancelled", []int64{first.ID}, ids(out.Cancelled))
	r.equal("outcome", ptr(task.Cancelled), r.get(first.ID).Outcome)
	r.equal("made", task.Queued, r.get(out.Made[0].ID).Status)
	r.complete(r.claimOne(task.Claim{Now: at(121)}), at(121))
	out = r.advance(out.Schedule, r.tick(180, task.Spec{}), r.tick(240, task.Spec{}))
	r.equal("made at once", 2, len(out.Made))
	r.equal("cancelled of these", ids(out.Made[:1]), ids(out.Cancelled))
	stats := r.stats(at(240))
	r.equal("ready, completed, failed", [3]int64{1, 1, 2}, [3]int64{stats.ReadyTasks, stats.CompletedTasks, stats.FailedTasks})
}

func cancelsRunningOverlap(r *rig) {
	s, first := r.overlapping(task.OverlapCancel)
	running := r.claimOne(task.Claim{Now: at(61), Lease: time.Hour})
	out := r.advance(s, r.tick(120, task.Spec{}))
	r.equal("cancelled", []int64{first.ID}, ids(out.Cancelled))
	_, err := r.st.CompleteTask(r.Context(), running.ID, token(running), nil, at(121))
	r.wants(task.ErrLeaseLost, err)
	told := r.extend(running, task.Beat{}, 4000, 121)
	r.equal("the worker learns of it", true, told.CancelledUnder(token(running)))
	r.equal("history", ptr(task.AttemptCancelled), r.attempts(first.ID)[0].Outcome)
}

func allowsOverlap(r *rig) {
	s, _ := r.overlapping(task.OverlapAllow)
	out := r.advance(s, r.tick(120, task.Spec{}), r.tick(180, task.Spec{}))
	r.equal("made", 2, len(out.Made))
	r.equal("ready", int64(3), r.stats(at(180)).ReadyTasks)
}

func seesOlderOverlap(r *rig) {
	s, first := r.overlapping(task.OverlapAllow)
	out := r.advance(s, r.tick(120, task.Spec{}))
	r.cancel(out.Made[0].ID, at(121))
	s = out.Schedule
	s.Overlap = task.OverlapSkip
	out = r.advance(r.put(s), r.tick(180, task.Spec{}))
	r.equal("made beside the first", 0, len(out.Made))
	r.cancel(first.ID, at(181))
	r.equal("made after the first", 1, len(r.advance(out.Schedule, r.tick(240, task.Spec{})).Made))
}

func deletesSchedule(r *rig) {
	_, first := r.overlapping(task.OverlapAllow)
	r.ok(r.st.DeleteSchedule(r.Context(), "a"))
	r.wants(task.ErrNotFound, r.st.DeleteSchedule(r.Context(), "a"))
	_, err := r.st.GetSchedule(r.Context(), "a")
	r.wants(task.ErrNotFound, err)
	r.equal("task", first, r.get(first.ID))
	due, err := r.st.DueSchedules(r.Context(), at(1e6), 10)
	r.ok(err)
	r.equal("due", 0, len(due))
}

func forgetsTick(r *rig) {
	s, first := r.overlapping(task.OverlapSkip)
	r.cancel(first.ID, at(61))
	r.ok(r.st.DeleteTask(r.Context(), first.ID))
	out := r.advance(s, r.tick(120, task.Spec{}))
	r.equal("made after the task was deleted", 1, len(out.Made))
	r.equal("tasks", ids(out.Made), slices.Clip(ids(r.list(task.Filter{Limit: 10}))))
}
