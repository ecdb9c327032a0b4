package schedule

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/prismq/thequeue/internal/task"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// clock writes instants as the time of the day of noon.
func clock(ts []time.Time) []string {
	out := []string{}
	for _, t := range ts {
		out = append(out, t.Format("15:04:05"))
	}
	return out
}

func TestMissedTicks(t *testing.T) {
	t.Parallel()
	const minutes, seconds = "*/10 * * * *", "* * * * * *"
	for name, c := range map[string]struct {
		cron    string
		misfire task.Misfire
		max     int
		next    time.Duration // from noon
		now     time.Duration
		want    []string
		newest  time.Duration
		after   time.Duration // the next tick
	}{
		"NothingIsDue":                  {minutes, task.MisfireAll, 5, 10 * time.Minute, 9 * time.Minute, []string{}, 0, 10 * time.Minute},
		"OneIsDueNow":                   {minutes, task.MisfireSkip, 5, 10 * time.Minute, 10 * time.Minute, []string{"12:10:00"}, 10 * time.Minute, 20 * time.Minute},
		"OneIsInTimeUpToTheGrace":       {minutes, task.MisfireSkip, 5, 10 * time.Minute, 11 * time.Minute, []string{"12:10:00"}, 10 * time.Minute, 20 * time.Minute},
		"SkipDropsOneAfterTheGrace":     {minutes, task.MisfireSkip, 5, 10 * time.Minute, 11*time.Minute + 1, []string{}, 10 * time.Minute, 20 * time.Minute},
		"OnceMakesUpForOne":             {minutes, task.MisfireOnce, 5, 10 * time.Minute, 12 * time.Minute, []string{"12:10:00"}, 10 * time.Minute, 20 * time.Minute},
		"OnceMakesUpForManyByTheNewest": {minutes, task.MisfireOnce, 5, 10 * time.Minute, 55 * time.Minute, []string{"12:50:00"}, 50 * time.Minute, time.Hour},
		"OnceIsDoneByATickInTime":       {minutes, task.MisfireOnce, 5, 10 * time.Minute, 50*time.Minute + 30*time.Second, []string{"12:50:00"}, 50 * time.Minute, time.Hour},
		"AllMakesUpForEach":             {minutes, task.MisfireAll, 5, 10 * time.Minute, 45 * time.Minute, []string{"12:10:00", "12:20:00", "12:30:00", "12:40:00"}, 40 * time.Minute, 50 * time.Minute},
		"AllMakesUpForTheNewest":        {minutes, task.MisfireAll, 2, 10 * time.Minute, 45 * time.Minute, []string{"12:30:00", "12:40:00"}, 40 * time.Minute, 50 * time.Minute},
		"AllDoesNotCountTheOneInTime":   {minutes, task.MisfireAll, 2, 10 * time.Minute, 50 * time.Minute, []string{"12:30:00", "12:40:00", "12:50:00"}, 50 * time.Minute, time.Hour},
		"SkipKeepsTheOneInTime":         {minutes, task.MisfireSkip, 2, 10 * time.Minute, 50 * time.Minute, []string{"12:50:00"}, 50 * time.Minute, time.Hour},
		"AStallOfSecondsMissesNothing":  {seconds, task.MisfireSkip, 2, 1 * time.Second, 3 * time.Second, []string{"12:00:01", "12:00:02", "12:00:03"}, 3 * time.Second, 4 * time.Second},
		"AllOfSecondsIsTheNewest":       {"*/30 * * * * *", task.MisfireAll, 2, 0, 10 * time.Minute, []string{"12:08:00", "12:08:30", "12:09:00", "12:09:30", "12:10:00"}, 10 * time.Minute, 10*time.Minute + 30*time.Second},
		"ATickThatTheRuleNoLongerHas":   {minutes, task.MisfireOnce, 2, 5 * time.Minute, 7 * time.Minute, []string{"12:05:00"}, 5 * time.Minute, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			next := noon.Add(c.next)
			s := task.Schedule{Cron: c.cron, Timezone: "UTC", Misfire: c.misfire, MaxMisfires: c.max, NextTickUTC: &next}
			p := PlanOf(ruleOf(t, c.cron, "UTC"), s, noon.Add(c.now))
			if d := cmp.Diff(c.want, clock(p.Ticks)); d != "" {
				t.Errorf("ticks (-want +got):\n%s", d)
			}
			if c.newest != 0 && !p.Newest.Equal(noon.Add(c.newest)) {
				t.Errorf("the newest is %s", p.Newest)
			}
			if p.Next == nil || !p.Next.Equal(noon.Add(c.after)) {
				t.Errorf("the next is %v", p.Next)
			}
		})
	}
}

// TestAYearAwayIsPlannedAtOnce has 31 million ticks missed, of which nobody can look at each.
func TestAYearAwayIsPlannedAtOnce(t *testing.T) {
	t.Parallel()
	next := noon.AddDate(-1, 0, 0)
	s := task.Schedule{Cron: "* * * * * *", Timezone: "Europe/Berlin", Misfire: task.MisfireAll, MaxMisfires: 100, NextTickUTC: &next}
	r := ruleOf(t, s.Cron, s.Timezone)
	p := PlanOf(r, s, noon)
	if len(p.Ticks) != 161 || !p.Ticks[0].Equal(noon.Add(-160*time.Second)) {
		t.Errorf("%d ticks, the first at %s; want the 100 that were missed last and the 61 of the last minute", len(p.Ticks), p.Ticks[0])
	}
}

// TestTheClockMovesByAMonth wants no tick twice, and no storm of them.
func TestTheClockMovesByAMonth(t *testing.T) {
	t.Parallel()
	const month = 30 * 24 * time.Hour
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"} {
		for _, misfire := range []task.Misfire{task.MisfireSkip, task.MisfireOnce, task.MisfireAll} {
			r := ruleOf(t, "30 2 * * *", zone)
			seen := map[time.Time]bool{}
			s := task.Schedule{Misfire: misfire, MaxMisfires: 5, NextTickUTC: new(r.Next(noon))}
			now, most := noon, map[task.Misfire]int{task.MisfireSkip: 1, task.MisfireOnce: 1, task.MisfireAll: 6}[misfire]
			for _, step := range []time.Duration{24 * time.Hour, month, -month, 24 * time.Hour, -month, month, 2 * month, 365 * 24 * time.Hour, -time.Hour, time.Hour} {
				now = now.Add(step)
				p := PlanOf(r, s, now)
				if len(p.Ticks) > most {
					t.Errorf("%s %s: %d ticks after %s, want %d at most", zone, misfire, len(p.Ticks), step, most)
				}
				for _, tick := range p.Ticks {
					if seen[tick] || tick.After(now) {
						t.Errorf("%s %s: the tick %s comes twice or too early", zone, misfire, tick)
					}
					seen[tick] = true
				}
				if p.Next.Before(*s.NextTickUTC) {
					t.Errorf("%s %s: the next tick goes back from %s to %s", zone, misfire, s.NextTickUTC, p.Next)
				}
				s.NextTickUTC = p.Next
			}
		}
	}
}

// TestEachTickIsDealtWithOnce walks through time with steps of any length: with misfire all and looks that are close enough no tick is lost, and none
// comes twice.
func TestEachTickIsDealtWithOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := ruleOf(t, rapid.SampledFrom([]string{"*/17 * * * * *", "* * * * *", "30 2 * * *", "0 * * * *", "15,45 1,2 * * *"}).Draw(t, "cron"), rapid.SampledFrom(zones).Draw(t, "zone"))
		from := noon.Add(time.Duration(rapid.IntRange(0, 365*24).Draw(t, "hours")) * time.Hour)
		s := task.Schedule{Misfire: task.MisfireAll, MaxMisfires: 100, NextTickUTC: new(r.Next(from))}
		now := from
		var got []time.Time
		for _, step := range rapid.SliceOfN(rapid.IntRange(-60, 25*60), 1, 20).Draw(t, "steps in seconds") {
			now = now.Add(time.Duration(step) * time.Second)
			p := PlanOf(r, s, now)
			got = append(got, p.Ticks...)
			if s.NextTickUTC = p.Next; len(p.Ticks) > 0 && !p.Newest.Equal(p.Ticks[len(p.Ticks)-1]) {
				t.Fatalf("the newest tick is %s, that of the last task %s", p.Newest, p.Ticks[len(p.Ticks)-1])
			}
		}
		var want []time.Time
		for tick := r.Next(from); tick.Before(*s.NextTickUTC); tick = r.Next(tick) {
			want = append(want, tick)
		}
		if !slices.EqualFunc(want, got, time.Time.Equal) {
			t.Fatalf("dealt with %s, want %s", clock(got), clock(want))
		}
	})
}

func TestJitterIsTheSameForATickAndSpreadOverOthers(t *testing.T) {
	t.Parallel()
	s := task.Schedule{Name: "a", JitterSeconds: 100}
	var sum float64
	seen := map[time.Time]bool{}
	for i := range 1000 {
		tick := noon.Add(time.Duration(i) * time.Second)
		at := RunAfter(s, tick, Spread)
		if late := at.Sub(tick); late < 0 || late >= 100*time.Second || at != at.Truncate(time.Microsecond) || !at.Equal(RunAfter(s, tick, Spread)) {
			t.Fatalf("the task of %s runs at %s", tick, at)
		}
		sum += at.Sub(tick).Seconds()
		seen[at] = true
	}
	if mean := sum / 1000; mean < 45 || mean > 55 || len(seen) < 990 { // the deviation of the mean is 0.9
		t.Errorf("tasks are %.1f s late on average, want about 50; %d different", mean, len(seen))
	}
	if other := (task.Schedule{Name: "b", JitterSeconds: 100}); RunAfter(other, noon, Spread).Equal(RunAfter(s, noon, Spread)) {
		t.Error("two schedules have the same jitter")
	}
	if got := RunAfter(task.Schedule{}, noon, nil); !got.Equal(noon) {
		t.Errorf("without jitter the task of noon runs at %s", got)
	}
	half := func(string, time.Time) float64 { return 0.5 }
	if got := RunAfter(s, noon, half); !got.Equal(noon.Add(50 * time.Second)) {
		t.Errorf("at half of 100 s the task of noon runs at %s", got)
	}
}

func TestPreview(t *testing.T) {
	t.Parallel()
	s := task.Schedule{Name: "a", JitterSeconds: 10}
	half := func(string, time.Time) float64 { return 0.5 }
	got := Preview(ruleOf(t, "30 2 * * *", "Europe/Berlin"), s, time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC), 2, half)
	want := []task.Occurrence{
		{TickUTC: time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC), Local: "2026-03-29T03:00:00+02:00", RunAfterUTC: time.Date(2026, 3, 29, 1, 0, 5, 0, time.UTC)},
		{TickUTC: time.Date(2026, 3, 30, 0, 30, 0, 0, time.UTC), Local: "2026-03-30T02:30:00+02:00", RunAfterUTC: time.Date(2026, 3, 30, 0, 30, 5, 0, time.UTC)},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("preview (-want +got):\n%s", d)
	}
}
