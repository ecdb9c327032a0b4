package simulation

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// timetable is a schedule as the model has it: a tick at each multiple of every.
type timetable struct {
	name    string
	every   time.Duration
	misfire task.Misfire
	most    int
	overlap task.Overlap
	paused  bool
	next    time.Time // the first tick that is not dealt with
	last    time.Time // the newest that is
}

// from is the first tick after an instant, and after all that were dealt with.
func (s *timetable) from(t time.Time) time.Time {
	if s.last.After(t) {
		t = s.last
	}
	return t.Truncate(s.every).Add(s.every)
}

// come returns the ticks that make tasks at now, and moves on.
func (s *timetable) come(now time.Time) (ticks []time.Time) {
	var missed []time.Time
	for ; !s.paused && !s.next.After(now); s.next = s.next.Add(s.every) {
		if s.last = s.next; now.Sub(s.next) > time.Minute {
			missed = append(missed, s.next)
		} else {
			ticks = append(ticks, s.next)
		}
	}
	n := 0
	switch {
	case s.misfire == task.MisfireAll:
		n = min(s.most, len(missed))
	case s.misfire == task.MisfireOnce && len(ticks) == 0:
		n = min(1, len(missed))
	}
	return slices.Concat(missed[len(missed)-n:], ticks)
}

// template is the payload of the tasks of schedules.
type template struct {
	Schedule string `json:"schedule"`
}

// upkeep does what is due now, and wants it to be what the model says.
func (w *world) upkeep() {
	now := w.clock.Now()
	changed := w.elapse(now)
	ticks := w.tick(now, changed)
	_, err := w.q.Upkeep(w.Context())
	w.ok(err)
	w.touched = true
	for _, r := range w.living() {
		if want, ok := changed[r.ID]; ok {
			w.became(r, want)
		}
	}
	w.made(ticks)
	w.look()
	if w.due != nil && !w.due.After(now) {
		w.broken("I14", "the upkeep has left what was due at %v", *w.due)
	}
}

// fate is what a task must have become.
type fate struct {
	status  task.Status
	outcome task.Outcome
}

// elapse returns what leases and deadlines that have ended make of tasks.
func (w *world) elapse(now time.Time) map[int64]fate {
	out, until := make(map[int64]fate), w.opens(brittle)
	for _, r := range w.living() {
		queued := r.Status == task.Queued
		if r.Status == task.Processing && !r.LeaseUntilUTC.After(now) {
			w.counts.lost++
			r.past = append(r.past, task.AttemptLost)
			w.judge(r.Type, task.AttemptLost, nil, until)
			out[r.ID] = fate{task.Failed, task.Exhausted}
			if queued = r.Attempts < r.MaxAttempts; queued {
				out[r.ID] = fate{status: task.Queued}
			}
		}
		if queued && r.DeadlineUTC != nil && !r.DeadlineUTC.After(now) {
			out[r.ID] = fate{task.Failed, task.Expired}
		}
	}
	return out
}

// became compares a task with its fate.
func (w *world) became(r *record, want fate) {
	w.Helper()
	got := w.stored(r.ID)
	outcome := task.Outcome("")
	if got.Outcome != nil {
		outcome = *got.Outcome
	}
	if got.Status != want.status || outcome != want.outcome || got.Attempts != r.Attempts || got.Fence != r.Fence {
		w.broken("I10", "task %d has become %+v, want %+v of %+v", r.ID, visible(got), want, visible(r.Task))
	}
	w.put(r, got)
}

// madeBy is a task that a tick must have made, and what has become of it since.
type madeBy struct {
	schedule string
	tick     time.Time
	fate     fate
}

// tick returns the tasks that schedules make at now, in the order of their schedules and ticks, and adds what their policies do to others to changed.
func (w *world) tick(now time.Time, changed map[int64]fate) []madeBy {
	var out []madeBy
	for _, s := range w.timetables() {
		var mine []madeBy
		for _, at := range s.come(now) {
			live := w.liveOf(s.name, changed)
			running := slices.ContainsFunc(mine, func(m madeBy) bool { return m.fate.status == task.Queued })
			switch {
			case s.overlap == task.OverlapSkip && (len(live) > 0 || running):
				continue
			case s.overlap == task.OverlapCancel:
				for _, r := range live {
					if f := changed[r.ID]; r.Status == task.Processing && f.status == "" {
						r.past = append(r.past, task.AttemptCancelled)
					}
					changed[r.ID] = fate{task.Failed, task.Cancelled}
				}
				for i := range mine {
					mine[i].fate = fate{task.Failed, task.Cancelled}
				}
			}
			mine = append(mine, madeBy{s.name, at, fate{status: task.Queued}})
		}
		out = append(out, mine...)
	}
	w.counts.ticks += len(out)
	return out
}

// liveOf returns the tasks of a schedule that will not have ended.
func (w *world) liveOf(schedule string, changed map[int64]fate) (out []*record) {
	for _, r := range w.living() {
		if r.schedule == schedule && !changed[r.ID].status.Ended() {
			out = append(out, r)
		}
	}
	return out
}

// made wants the tasks that are new to be those of the ticks, each once.
func (w *world) made(want []madeBy) {
	w.Helper()
	rows, err := w.st.ListTasks(w.Context(), task.Filter{Limit: len(want) + 10})
	w.ok(err)
	for _, t := range rows {
		if w.tasks[t.ID] != nil || t.ID <= w.newest {
			continue
		}
		var from template
		w.ok(json.Unmarshal([]byte(t.Payload), &from))
		i := slices.IndexFunc(want, func(m madeBy) bool { return m.schedule == from.Schedule && m.tick.Equal(t.RunAfterUTC) })
		if i < 0 {
			w.broken("I19", "task %d of schedule %q for %v is one too many", t.ID, from.Schedule, t.RunAfterUTC)
		}
		r := &record{Task: t, schedule: from.Schedule}
		defer w.put(r, t) // the greatest id last read is compared with those that follow
		if t.Status != want[i].fate.status {
			w.broken("I19", "task %d of schedule %q is %s, want %s", t.ID, from.Schedule, t.Status, want[i].fate.status)
		}
		want = slices.Delete(want, i, i+1)
	}
	if len(want) > 0 {
		w.broken("I19", "no task was made for %+v", want)
	}
}
