package queue_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// every is a schedule of tasks of type tick.
func every(cron string) task.ScheduleSpec {
	return task.ScheduleSpec{Cron: cron, Task: task.Spec{Type: "tick"}}
}

func (r rig) putSchedule(name string, s task.ScheduleSpec) task.Schedule {
	r.Helper()
	got, _, err := r.PutSchedule(r.Context(), name, s)
	r.ok(err)
	return got
}

func (r rig) schedule(name string) task.Schedule {
	r.Helper()
	s, err := r.st.GetSchedule(r.Context(), name)
	r.ok(err)
	return s
}

// times returns when the tasks of ticks may run, oldest first, as the time of the day.
func (r rig) times() []string {
	r.Helper()
	ts, err := r.st.ListTasks(r.Context(), task.Filter{Type: "tick", Limit: 1000})
	r.ok(err)
	out := []string{}
	for _, t := range ts {
		out = append(out, t.RunAfterUTC.Format("15:04:05"))
	}
	slices.Sort(out)
	return out
}

func (r rig) wantTimes(want ...string) {
	r.Helper()
	if d := cmp.Diff(append([]string{}, want...), r.times()); d != "" {
		r.Errorf("times of the tasks (-want +got):\n%s", d)
	}
}

func TestATickMakesItsTaskWhenItComes(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		spec := every("*/5 * * * * *")
		spec.Task = task.Spec{Type: "tick", Priority: new(7), Payload: `{ "n": 1.50}`, MaxAttempts: new(3)}
		s, created, err := r.PutSchedule(r.Context(), "a", spec)
		if err != nil || !created || !s.NextTickUTC.Equal(time.Date(2026, 1, 31, 8, 0, 5, 0, time.UTC)) {
			r.Fatalf("created %v, error %v, next tick %v", created, err, s.NextTickUTC)
		}
		r.upkeep(4500 * time.Millisecond) // 08:00:04.623456
		r.wantTimes()
		next, err := r.Upkeep(r.Context())
		if err != nil || !next.Equal(*s.NextTickUTC) {
			r.Errorf("the upkeep looks again at %s, error %v; want the tick at %s", next, err, s.NextTickUTC)
		}
		r.upkeep(500 * time.Millisecond)
		r.upkeep(time.Second)
		r.wantTimes("08:00:05")
		got := r.claimOne().Task
		if got.Priority != 7 || got.Payload != `{ "n": 1.50}` || got.MaxAttempts != 3 || !got.CreatedAtUTC.Equal(start.Add(5*time.Second)) {
			r.Errorf("the task is %+v", got)
		}
		s = r.schedule("a")
		if *s.LastTaskID != got.ID || !s.LastTickUTC.Equal(got.RunAfterUTC) || s.LastSkipped != nil || !s.NextTickUTC.Equal(got.RunAfterUTC.Add(5*time.Second)) {
			r.Errorf("the schedule is %+v", s)
		}
	})
}

// TestTwoSchedulersMakeOneTaskForATick holds I19 with two services on one store that look at the same instants.
func TestTwoSchedulersMakeOneTaskForATick(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		race(r, r.Queue, queue.New(r.st, queue.Options{Clock: r.clock}))
	})
}

// TestTwoNodesMakeOneTaskForATick is the same with two nodes, each with its own connections.
func TestTwoNodesMakeOneTaskForATick(t *testing.T) {
	t.Parallel()
	url := testdb.PostgresURL(t)
	clock := &handClock{now: start}
	var nodes [2]*queue.Queue
	var st store.Store
	for i := range nodes {
		node, err := postgres.Open(t.Context(), url, postgres.Options{Migrate: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { node.Close() })
		st, nodes[i] = node, queue.New(node, queue.Options{Clock: clock})
	}
	race(rig{T: t, Queue: nodes[0], clock: clock, st: st}, nodes[0], nodes[1])
}

// race lets both look at the same time, second by second.
func race(r rig, both ...*queue.Queue) {
	const schedules, seconds = 3, 20
	for i := range schedules {
		r.putSchedule(fmt.Sprint("s", i), every("* * * * * *"))
	}
	var want []string
	for i := range seconds {
		r.clock.advance(time.Second)
		errs := make([]error, len(both))
		var all sync.WaitGroup
		for n, q := range both {
			all.Go(func() { _, errs[n] = q.Upkeep(r.Context()) })
		}
		all.Wait()
		r.ok(errors.Join(errs...))
		for range schedules {
			want = append(want, start.Add(time.Duration(i+1)*time.Second).Format("15:04:05"))
		}
	}
	r.wantTimes(want...)
}

// TestTicksMissedWhileNobodyWasThere restarts the service after 55 minutes with a tick every ten.
func TestTicksMissedWhileNobodyWasThere(t *testing.T) {
	for misfire, want := range map[task.Misfire][]string{
		task.MisfireSkip: {"08:10:00", "09:10:00"},
		task.MisfireOnce: {"08:10:00", "09:00:00", "09:10:00"},
		task.MisfireAll:  {"08:10:00", "08:40:00", "08:50:00", "09:00:00", "09:10:00"}, // the newest three
	} {
		t.Run(string(misfire), func(t *testing.T) {
			each(t, queue.Options{}, func(r rig) {
				s := every("*/10 * * * *")
				s.Misfire, s.MaxMisfires = misfire, new(3)
				r.putSchedule("a", s)
				r.upkeep(10 * time.Minute)
				r.clock.advance(55 * time.Minute)
				after := r
				after.Queue = queue.New(r.st, queue.Options{Clock: r.clock})
				after.putSchedule("a", s) // as a configuration does that is applied at each start
				after.upkeep(0)
				if why := r.schedule("a").LastSkipped; (why != nil) != (misfire == task.MisfireSkip) {
					r.Errorf("the schedule says %v of its newest tick", why)
				}
				after.upkeep(0)
				after.upkeep(5 * time.Minute)
				r.wantTimes(want...)
			})
		})
	}
}

func TestAPausedScheduleMissesNothing(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		s := every("* * * * *")
		s.Misfire = task.MisfireAll
		r.putSchedule("a", s)
		for range 2 {
			paused, err := r.PauseSchedule(r.Context(), "a")
			if err != nil || !paused.Paused || paused.NextTickUTC != nil {
				r.Fatalf("paused %+v, error %v", paused, err)
			}
		}
		r.upkeep(10 * time.Minute)
		r.putSchedule("a", s) // does not say whether it is paused
		r.upkeep(0)
		r.wantTimes()
		for range 2 {
			resumed, err := r.ResumeSchedule(r.Context(), "a")
			if err != nil || resumed.Paused || !resumed.NextTickUTC.Equal(time.Date(2026, 1, 31, 8, 11, 0, 0, time.UTC)) {
				r.Fatalf("resumed %+v, error %v", resumed, err)
			}
		}
		r.upkeep(time.Minute)
		r.wantTimes("08:11:00")

		s.Paused = new(true)
		r.putSchedule("a", s)
		r.upkeep(time.Hour)
		s.Paused = new(false)
		r.putSchedule("a", s)
		r.upkeep(time.Minute)
		r.wantTimes("08:11:00", "09:12:00")
		if _, err := r.PauseSchedule(r.Context(), "b"); !errors.Is(err, task.ErrNotFound) {
			r.Errorf("pause of an unknown schedule: %v", err)
		}
		if _, err := r.ResumeSchedule(r.Context(), "b"); !errors.Is(err, task.ErrNotFound) {
			r.Errorf("resume of an unknown schedule: %v", err)
		}
	})
}

func TestWhatAChangeOfAScheduleDoesToItsTicks(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		first := r.putSchedule("a", every("*/10 * * * *"))
		r.clock.advance(15 * time.Minute) // 08:10 has come
		again, created, err := r.PutSchedule(r.Context(), "a", every("*/10 * * * *"))
		if d := cmp.Diff(first, again); err != nil || created || d != "" {
			r.Errorf("the same again: created %v, error %v, changed (-before +after):\n%s", created, err, d)
		}
		s := every("*/10 * * * *")
		s.Task.Priority = new(3)
		if got := r.putSchedule("a", s); !got.NextTickUTC.Equal(*first.NextTickUTC) || got.Version == first.Version {
			r.Errorf("another task moves the next tick to %v, or is not stored", got.NextTickUTC)
		}
		r.upkeep(0)
		r.wantTimes("08:10:00")

		r.clock.advance(10 * time.Minute) // 08:20 has come
		if got := r.putSchedule("a", every("*/10 * * * * *")); !got.NextTickUTC.Equal(time.Date(2026, 1, 31, 8, 25, 10, 0, time.UTC)) {
			r.Errorf("with other times the next tick is %s, want the first from now", got.NextTickUTC)
		}
		s = every("*/10 * * * * *")
		s.Timezone = "Asia/Kathmandu"
		r.clock.advance(time.Minute)
		if got := r.putSchedule("a", s); !got.NextTickUTC.Equal(time.Date(2026, 1, 31, 8, 26, 10, 0, time.UTC)) {
			r.Errorf("in another zone the next tick is %s, want the first from now", got.NextTickUTC)
		}
		r.upkeep(0)
		r.wantTimes("08:10:00")
		r.ok(r.DeleteSchedule(r.Context(), "a"))
		r.upkeep(time.Hour)
		r.wantTimes("08:10:00")
	})
}

// TestTheClockIsSetBack wants no tick twice, also when the schedule is made anew meanwhile.
func TestTheClockIsSetBack(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		r.putSchedule("a", every("*/10 * * * *"))
		r.upkeep(10 * time.Minute)
		for _, back := range []time.Duration{5 * time.Minute, 30 * 24 * time.Hour} {
			r.upkeep(-back)
			r.putSchedule("a", every("*/10 * * * * *"))
			r.putSchedule("a", every("*/10 * * * *")) // other times, and the first ones again
			r.upkeep(back)
		}
		r.wantTimes("08:10:00")

		r.upkeep(-5 * time.Minute)
		r.ok(r.DeleteSchedule(r.Context(), "a"))
		r.putSchedule("a", every("*/10 * * * *"))
		r.upkeep(5 * time.Minute)
		r.wantTimes("08:10:00")
		r.upkeep(10 * time.Minute)
		r.wantTimes("08:10:00", "08:20:00")
	})
}

func TestATickThatCancelsATaskTellsItsWorker(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		s := every("* * * * *")
		s.Overlap = task.OverlapCancel
		r.putSchedule("a", s)
		r.upkeep(time.Minute)
		running := r.claimOne()
		told, stop := r.Watch(running.Task.ID)
		defer stop()
		r.upkeep(59900 * time.Millisecond) // 08:02:00.023456; the lease is of 60 s
		select {
		case <-told:
		default:
			r.Error("the worker is not told")
		}
		if got := r.get(running.Task.ID); got.Outcome == nil || *got.Outcome != task.Cancelled {
			r.Errorf("the older task is %s", got.Status)
		}
		if next := r.claimOne(); next.Task.ID != *r.schedule("a").LastTaskID {
			r.Errorf("claimed task %d", next.Task.ID)
		}
	})
}

func TestATickIsSkippedWhileATaskIsLive(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		s := every("* * * * *")
		s.Overlap = task.OverlapSkip
		r.putSchedule("a", s)
		r.upkeep(time.Minute)
		r.upkeep(time.Minute)
		r.wantTimes("08:01:00")
		if why := r.schedule("a").LastSkipped; why == nil || !strings.Contains(*why, "has not ended") {
			r.Errorf("the schedule says %v of the tick", why)
		}
		_, _, err := r.Cancel(r.Context(), *r.schedule("a").LastTaskID)
		r.ok(err)
		r.upkeep(time.Minute)
		r.wantTimes("08:01:00", "08:03:00")
	})
}

func TestJitterMovesTheTaskNotTheTick(t *testing.T) {
	half := func(string, time.Time) float64 { return 0.5 }
	each(t, queue.Options{Jitter: half}, func(r rig) {
		s := every("* * * * *")
		s.JitterSeconds = new(90.0)
		r.putSchedule("a", s)
		r.upkeep(time.Minute)
		r.upkeep(time.Minute)
		r.wantTimes("08:01:45", "08:02:45")
		if got := len(r.claim(task.Claim{Max: 10})); got != 1 {
			r.Errorf("%d tasks can be claimed at 08:02:00, want that of 08:01:45", got)
		}
		looked, err := r.PreviewSchedule(r.Context(), "a", 1)
		r.ok(err)
		if got := looked[0].RunAfterUTC; !got.Equal(time.Date(2026, 1, 31, 8, 3, 45, 0, time.UTC)) {
			r.Errorf("the preview says %s", got)
		}
	})
}

// TestAScheduleThatCannotBeReadStops has one of a zone that this machine does not know, as another node may have stored it.
func TestAScheduleThatCannotBeReadStops(t *testing.T) {
	each(t, queue.Options{MaxPayloadBytes: 20}, func(r rig) {
		far := r.putSchedule("far", every("* * * * *"))
		far.Timezone = "Mars/Olympus"
		_, err := r.st.PutSchedule(r.Context(), far)
		r.ok(err)
		long := r.putSchedule("long", every("* * * * *"))
		long.Task = `{"type":"tick","payload":{"longer than":"is allowed"}}`
		_, err = r.st.PutSchedule(r.Context(), long)
		r.ok(err)
		r.putSchedule("z", every("* * * * *"))
		r.upkeep(time.Minute)
		r.wantTimes("08:01:00")
		if s := r.schedule("far"); s.NextTickUTC != nil || s.LastSkipped == nil || !strings.Contains(*s.LastSkipped, "Mars/Olympus") {
			r.Errorf("the schedule of another planet is %+v", s)
		}
		if s := r.schedule("long"); s.NextTickUTC == nil || s.LastSkipped == nil || !strings.Contains(*s.LastSkipped, "20 bytes") {
			r.Errorf("the schedule with a long task is %+v", s)
		}
		if _, err := r.PreviewSchedule(r.Context(), "far", 1); err == nil {
			r.Error("a schedule of another planet has a preview")
		}
		r.putSchedule("far", every("* * * * *"))
		r.upkeep(time.Minute)
		r.wantTimes("08:01:00", "08:02:00", "08:02:00")
	})
}

// TestAScheduleThatWasTakenOnceGoesOn has expressions in the store that are not taken any more.
func TestAScheduleThatWasTakenOnceGoesOn(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		for name, cron := range map[string]string{"step": "*/60 * * * *", "twice": "0,0 * * * *", "all": "*,5 9 * * *", "gap": "0,, * * * *"} {
			if _, _, err := r.PutSchedule(r.Context(), name, every(cron)); err == nil {
				r.Errorf("%s is taken", cron)
			}
			s := r.putSchedule(name, every("0 * * * *"))
			s.Cron = cron
			_, err := r.st.PutSchedule(r.Context(), s)
			r.ok(err)
		}
		r.upkeep(time.Hour)
		r.wantTimes("09:00:00", "09:00:00", "09:00:00", "09:00:00")
		for name, want := range map[string]string{"step": "10:00", "twice": "10:00", "all": "09:01", "gap": "10:00"} {
			s := r.schedule(name)
			if s.NextTickUTC == nil || s.LastSkipped != nil || s.NextTickUTC.Format("15:04") != want {
				r.Errorf("after a tick %s is %+v", name, s)
			}
		}
	})
}

func TestRulesOfATypeHoldForTicks(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		s := every("* * * * *")
		s.Task.Payload = `{"n":1}`
		r.putSchedule("a", s)
		schema := func(text task.JSON) {
			_, err := r.PutType(r.Context(), "tick", task.TypeRules{MaxAttempts: new(2), PayloadSchema: &text})
			r.ok(err)
		}
		schema(`{"required":["n"]}`)
		r.upkeep(time.Minute)
		if got := r.claimOne().Task.MaxAttempts; got != 2 {
			r.Errorf("the task of a tick has %d attempts, want the 2 of its type", got)
		}
		schema(`{"required":["m"]}`)
		r.upkeep(59900 * time.Millisecond) // 08:02:00.023456; the lease is of 60 s
		r.wantTimes("08:01:00")
		if why := r.schedule("a").LastSkipped; why == nil || !strings.Contains(*why, "not valid") {
			r.Errorf("the schedule says %v of a tick whose task does not fit its type", why)
		}
		if _, _, err := r.PutSchedule(r.Context(), "b", s); err == nil || !strings.Contains(err.Error(), "task.payload") {
			r.Errorf("a schedule whose task does not fit its type: %v", err)
		}
	})
}

func TestASpecOfAScheduleIsRefusedWithEveryField(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		for _, c := range []struct {
			name string
			spec task.ScheduleSpec
			want []string
		}{
			{"", task.ScheduleSpec{}, []string{"name", "cron", "task.type"}},
			{"a", task.ScheduleSpec{
				Cron: "61 * * * *", Timezone: "Mars/Olympus", Misfire: "later", MaxMisfires: new(101), Overlap: "queue", JitterSeconds: new(-1.0),
				Task: task.Spec{Type: "tick", Priority: new(0), RunAfterUTC: &task.Time{Time: start}, DeadlineUTC: &task.Time{Time: start}, IdempotencyKey: new("k")},
			}, []string{"timezone", "cron", "misfire", "max_misfires", "overlap", "jitter_seconds", "task.run_after_utc", "task.deadline_utc", "task.idempotency_key", "task.priority"}},
		} {
			_, _, err := r.PutSchedule(r.Context(), c.name, c.spec)
			bad, ok := errors.AsType[*task.InvalidError](err)
			if !ok {
				r.Fatalf("error %v", err)
			}
			var got []string
			for _, f := range bad.Fields {
				got = append(got, f.Field)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				r.Errorf("fields (-want +got):\n%s", d)
			}
		}
		for _, n := range []int{0, -1, queue.MaxPreview + 1} {
			if _, err := r.PreviewSchedule(r.Context(), "a", n); err == nil {
				r.Errorf("a preview of %d is taken", n)
			}
		}
		if _, err := r.PreviewSchedule(r.Context(), "a", 1); !errors.Is(err, task.ErrNotFound) {
			r.Errorf("preview of an unknown schedule: %v", err)
		}
	})
}

// TestRunMakesTicks wants a claim that waits to get the task of a tick, from the upkeep as it runs in a server.
func TestRunMakesTicks(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		q := queue.New(st, queue.Options{})
		var running sync.WaitGroup
		running.Go(func() { q.Run(t.Context()) })
		t.Cleanup(running.Wait)
		if _, _, err := q.PutSchedule(t.Context(), "a", every("* * * * * *")); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			leases, err := q.Claim(t.Context(), task.Claim{WorkerID: "w", Wait: task.MaxWait})
			if err != nil || len(leases) != 1 || leases[0].Task.Type != "tick" || leases[0].Task.CreatedAtUTC.Before(leases[0].Task.RunAfterUTC) {
				t.Fatalf("%d leases, error %v", len(leases), err)
			}
		}
	})
}
