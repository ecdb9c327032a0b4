package main

import (
	"strings"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

func TestSchedulesAreSetShownPausedAndDeleted(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, r *rig, where []string) {
		q := func(args ...string) []string { return append(append([]string{"schedules"}, args...), where...) }
		if out := r.ok(q("list", "-o", "json")...); out != "[]\n" {
			t.Errorf("got %q", out)
		}
		out := r.ok(q("set", "new year/1", "--cron", "0 0 1 1 *", "--timezone", "Europe/Berlin", "--type", "report", "--payload", `{"n":1.50}`, "--overlap", "skip", "--jitter", "1.5")...)
		if !strings.HasPrefix(out, "new year/1: Schedule set, next tick 20") || !strings.HasSuffix(out, "-12-31T23:00:00Z\n") {
			t.Errorf("got %q", out)
		}
		got := parse[task.Schedule](t, r.ok(q("set", "new year/1", "--misfire", "all", "--max-misfires", "3", "--priority", "5", "--retry-policy", `{"jitter":0}`, "-o", "json")...))
		if got.Cron != "0 0 1 1 *" || got.Timezone != "Europe/Berlin" || got.Overlap != task.OverlapSkip || got.JitterSeconds != 1.5 || got.Misfire != task.MisfireAll || got.MaxMisfires != 3 {
			t.Errorf("got %+v", got)
		}
		if want := task.JSON(`{"type":"report","priority":5,"payload":{"n":1.50},"retry_policy":{"jitter":0}}`); got.Task != want {
			t.Errorf("got the task %s, want %s", got.Task, want)
		}
		r.ok(q("set", "b", "--cron", "@daily", "--type", "sweep", "--paused")...)
		if out := r.ok(q("list")...); !strings.HasPrefix(out, "NAME        CRON       TIMEZONE       TYPE    PAUSED  NEXT") || !strings.Contains(out, "\nb           @daily     UTC            sweep   yes     -  ") || !strings.Contains(out, "\nnew year/1  0 0 1 1 *  Europe/Berlin  report  -  ") {
			t.Errorf("got %s", out)
		}
		if out := r.ok(q("get", "new year/1")...); !strings.Contains(out, "\nmisfire    all, at most 3\n") || !strings.Contains(out, "\njitter     1.5 s\n") || strings.Contains(out, "skipped") {
			t.Errorf("got %s", out)
		}
		if got := parse[task.Schedule](t, r.ok(q("resume", "b", "-o", "json")...)); got.Paused || got.NextTickUTC == nil {
			t.Errorf("got %+v", got)
		}
		if out := r.ok(q("pause", "b", "new year/1")...); out != "b: Schedule paused, next tick -\nnew year/1: Schedule paused, next tick -\n" {
			t.Errorf("got %q", out)
		}
		if got := parse[task.Schedule](t, r.ok(q("set", "b", "--cron", "@hourly", "-o", "json")...)); !got.Paused {
			t.Errorf("the pause was not kept: %+v", got)
		}
		if got := parse[task.Schedule](t, r.ok(q("set", "b", "--no-paused", "-o", "json")...)); got.Paused {
			t.Errorf("got %+v", got)
		}
		times := parse[[]task.Occurrence](t, r.ok(q("preview", "new year/1", "-n", "2", "-o", "json")...))
		if len(times) != 2 || !strings.HasSuffix(times[0].Local, "-01-01T00:00:00+01:00") || times[1].TickUTC.Sub(times[0].TickUTC) < 365*24*time.Hour {
			t.Errorf("got %+v", times)
		}
		if out := r.ok(q("preview", "b")...); !strings.HasPrefix(out, "LOCAL ") || strings.Count(out, "\n") != 11 {
			t.Errorf("got %s", out)
		}
		if out := r.ok(q("delete", "b", "new year/1")...); out != "b: Schedule deleted\nnew year/1: Schedule deleted\n" {
			t.Errorf("got %q", out)
		}
		for _, verb := range []string{"get", "pause", "resume", "delete", "preview"} {
			r.fails(3, []string{"schedule b not found"}, q(verb, "b")...)
		}
		r.fails(2, []string{"task.type: must not be empty"}, q("set", "b", "--cron", "@daily")...)
		r.fails(2, []string{"cron: has the minute \"61\", which must lie between 0 and 59"}, q("set", "b", "--cron", "61 * * * *", "--type", "a")...)
		r.fails(2, []string{"--payload: must be a JSON object"}, q("set", "b", "--cron", "@daily", "--type", "a", "--payload", "[]")...)
		r.fails(2, []string{"--count must lie between 1 and 1000"}, q("preview", "b", "-n", "0")...)
		r.fails(2, []string{"--overlap must be one of"}, q("set", "b", "--overlap", "queue")...)
	})
}
