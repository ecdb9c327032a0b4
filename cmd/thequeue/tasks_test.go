package main

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/app"
	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// both runs a test against a server, and against the database alone.
func both(t *testing.T, test func(t *testing.T, r *rig, where []string)) {
	t.Helper()
	t.Run("Server", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		url, _ := r.serve("--workers", "0")
		test(t, r, []string{"--server", url})
	})
	t.Run("Database", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		db := r.path("queue.db")
		r.ok("migrate", "up", "--database", db)
		test(t, r, []string{"--database", db})
	})
}

func TestATaskCanBeEnqueuedShownListedCancelledAndRequeued(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, r *rig, where []string) {
		q := func(args ...string) []string { return append(args, where...) }
		if out := r.ok(q("enqueue", "mail", "--payload", `{"n": 1.50, "x":"<é>"}`, "--key", "k1", "--priority", "7", "--max-attempts", "100",
			"--compatibility", `{"gpu":true}`, "--run-after", "2001-01-01T00:00:00Z", "--timeout", "2.5", "--retry-policy", `{"jitter":0}`)...); out != "1: Task enqueued successfully\n" {
			t.Errorf("got %q", out)
		}
		if got := parse[client.Receipt](t, r.ok(q("enqueue", "file", "--payload", "@"+r.write("p.json", `{"from":"file"}`), "-o", "json")...)); got.TaskID != 2 || !got.Created || got.Status != task.Queued {
			t.Errorf("got %+v", got)
		}
		if got := r.run(`{"from":"stdin"}`, q("enqueue", "stdin", "--payload", "@-")...); got.code != 0 {
			t.Errorf("got %+v", got)
		}
		if out := r.ok(q("enqueue", "--type", "mail", "--key", "k1")...); out != "1: Task already exists (idempotency key match)\n" {
			t.Errorf("got %q", out)
		}

		out := r.ok(q("get", "1", "-o", "json")...)
		if !strings.Contains(out, `"payload":{"n": 1.50, "x":"<é>"}`) {
			t.Errorf("the payload is not what was given: %s", out)
		}
		one := parse[task.Task](t, out)
		if one.Type != "mail" || one.Priority != 7 || one.MaxAttempts != 100 || *one.TimeoutSeconds != 2.5 || one.RunAfterUTC.Year() != 2001 || *one.IdempotencyKey != "k1" || *one.RetryPolicy != `{"jitter":0}` {
			t.Errorf("got %+v", one)
		}
		if out := r.ok(q("get", "3")...); !strings.Contains(out, "\npayload        {\"from\":\"stdin\"}\n") || !strings.HasPrefix(out, "task           3\n") {
			t.Errorf("got %s", out)
		}

		if as := parse[[]task.Attempt](t, r.ok(q("attempts", "1", "-o", "json")...)); as == nil || len(as) != 0 {
			t.Errorf("got %v", as)
		}

		list := parse[[]task.Task](t, r.ok(q("list", "-o", "json")...))
		if len(list) != 3 || list[0].ID != 3 || list[2].ID != 1 {
			t.Errorf("got %v", list)
		}
		if list := parse[[]task.Task](t, r.ok(q("list", "-o", "json", "--type", "mail", "--status", "queued", "--limit", "5")...)); len(list) != 1 || list[0].ID != 1 {
			t.Errorf("got %v", list)
		}
		if out := r.ok(q("list", "-o", "json", "--type", "none")...); out != "[]\n" {
			t.Errorf("got %q", out)
		}
		if out := r.ok(q("list", "--limit", "1")...); strings.Count(out, "\n") != 2 || !strings.HasPrefix(out, "ID  TYPE") || !strings.Contains(out, "\n3   stdin") {
			t.Errorf("got %s", out)
		}

		if out := r.ok(q("cancel", "1", "2")...); out != "1: Task cancelled successfully\n2: Task cancelled successfully\n" {
			t.Errorf("got %q", out)
		}
		if out := r.ok(q("requeue", "2")...); out != "2: Task queued again\n" {
			t.Errorf("got %q", out)
		}
		if got := parse[cancelled](t, r.ok(q("cancel", "2", "-o", "json")...)); got != (cancelled{2, task.Failed, "Task cancelled successfully"}) {
			t.Errorf("got %v", got)
		}
		if got := parse[task.Task](t, r.ok(q("requeue", "2", "-o", "json")...)); got.Status != task.Queued {
			t.Errorf("got %v", got)
		}
		stats := parse[task.Stats](t, r.ok(q("stats", "-o", "json")...))
		if stats.TotalTasks != 3 || stats.QueuedTasks != 2 || stats.FailedTasks != 1 {
			t.Errorf("got %+v", stats)
		}
		if out := r.ok(q("stats")...); !strings.HasPrefix(out, "total          3\nqueued         2 (2 ready, 0 scheduled)\n") {
			t.Errorf("got %s", out)
		}
	})
}

func TestTheAttemptsOfATaskAreShownWithWhatTheyTook(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	db := r.path("queue.db")
	r.ok("migrate", "up", "--database", db)
	r.ok("enqueue", "mail", "--max-attempts", "9", "--database", db)
	if out := r.ok("attempts", "1", "--database", db); out != "ATTEMPT  WORKER  STARTED  TOOK  OUTCOME  ERROR\n" {
		t.Errorf("before the first: %q", out)
	}
	// As if the first worker had died and the second had failed after a second and a half.
	st, err := app.OpenStore(t.Context(), db, false, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for i, end := range []func(l task.Task, now time.Time) error{
		func(l task.Task, now time.Time) error {
			_, err := st.ReapExpiredLeases(t.Context(), *l.LeaseUntilUTC, 9)
			return err
		},
		func(l task.Task, now time.Time) error {
			at := now.Add(1500 * time.Millisecond)
			tok := task.Token{Fence: l.Fence, Secret: *l.LeaseSecret}
			_, err := st.FailTask(t.Context(), l.ID, tok, store.Verdict{Message: "no luck", RetryAt: &at}, at)
			return err
		},
	} {
		now := st.Clock().Now().Add(time.Duration(i) * time.Hour)
		got, err := st.ClaimTasks(t.Context(), task.Claim{WorkerID: "w", Max: 1, Lease: time.Minute, Secret: "5ec7e7", Now: now})
		if err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		if err := end(got[0], now); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}

	lines := strings.Split(r.ok("attempts", "1", "--database", db), "\n")
	if len(lines) != 4 || !strings.Contains(lines[1], "  1m0s  lost     Lease expired: worker w") || !strings.HasSuffix(lines[2], "  1.5s  failed   no luck") {
		t.Errorf("got %q", lines)
	}
	if out := r.ok("get", "1", "--database", db); !strings.Contains(out, "\nworkers lost   1\n") {
		t.Errorf("got %s", out)
	}
	if out := r.ok("attempts", "1", "--database", db, "-o", "json"); !strings.Contains(out, `"duration_seconds":60}`) || !strings.Contains(out, `"duration_seconds":1.5}`) {
		t.Errorf("got %s", out)
	}
	r.fails(3, []string{"task 9 not found"}, "attempts", "9", "--database", db)
}

func TestWrongIDsAndStatesHaveTheirExitCodes(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, r *rig, where []string) {
		q := func(args ...string) []string { return append(args, where...) }
		r.ok(q("enqueue", "a")...)
		r.fails(3, []string{"task 9 not found"}, q("get", "9")...)
		r.fails(3, []string{"task 9 not found"}, q("requeue", "9")...)
		r.fails(4, []string{"1: Task has not failed, cannot requeue"}, q("requeue", "1")...)
		got := r.fails(3, []string{"task 8 not found; task 9 not found"}, q("cancel", "8", "1", "9")...)
		if got.out != "1: Task cancelled successfully\n" {
			t.Errorf("got %q", got.out)
		}
		r.fails(4, []string{"1: Task already failed, cannot cancel"}, q("cancel", "1")...)
		got = r.fails(4, []string{"already failed"}, q("cancel", "1", "-o", "json")...)
		if parse[cancelled](t, got.out).Message != "Task already failed, cannot cancel" {
			t.Errorf("got %q", got.out)
		}
		r.fails(2, []string{"priority: must lie between 1 and 1000"}, q("enqueue", "a", "--priority", "0")...)
		r.fails(2, []string{"max_attempts: must lie between 1 and 100"}, q("enqueue", "a", "--max-attempts", "101")...)
	})
}

// lines returns n lines of tasks with keys, with some of them replaced.
func lines(n int, other map[int]string) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		if text, ok := other[i]; ok {
			fmt.Fprintln(&b, text)
		} else {
			fmt.Fprintf(&b, `{"type":"bulk","payload":{"n":%d},"idempotency_key":"key-%d"}`+"\n", i, i)
		}
	}
	return b.String()
}

func TestAFileIsEnqueuedInBatches(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, r *rig, where []string) {
		q := func(args ...string) []string { return append(args, where...) }
		bad := r.write("bad.jsonl", lines(2500, map[int]string{3: "", 2400: `{"type":"bulk","priority":0}`}))
		r.fails(2, []string{"line 2400 priority: must lie between 1 and 1000", "lines 1 to 2001 are stored", "sending the whole file again is safe"}, q("enqueue", "--file", bad)...)
		if n := parse[task.Stats](t, r.ok(q("stats", "-o", "json")...)).TotalTasks; n != 2000 {
			t.Errorf("%d tasks are stored, want 2000", n)
		}

		good := lines(2500, map[int]string{3: ""})
		if got := r.run(good, q("enqueue", "--file", "-")...); got.code != 0 || got.err != "" || got.out != "499 tasks enqueued, 2000 known by their keys\n" {
			t.Errorf("got %+v", got)
		}
		got := parse[struct{ Tasks []client.Receipt }](t, r.ok(q("enqueue", "-o", "json", "--file", r.write("good.jsonl", good))...))
		if len(got.Tasks) != 2499 || got.Tasks[0].TaskID != 1 || got.Tasks[0].Created || got.Tasks[2498].TaskID <= got.Tasks[2000].TaskID {
			t.Errorf("got %d tasks", len(got.Tasks))
		}
		if out := r.ok(q("enqueue", "-o", "json", "--file", r.write("empty.jsonl", "\n"))...); out != "{\"tasks\":[]}\n" {
			t.Errorf("got %q", out)
		}
	})
}

func TestALineThatIsNoTaskIsNamed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	db := r.path("queue.db")
	r.ok("migrate", "up", "--database", db)
	for line, want := range map[string]string{
		`{"type":"a"`:                           "line 2: is not valid JSON",
		`{"type":"a"} {}`:                       "line 2: is not valid JSON",
		`{"type":"a","type":"b"}`:               "line 2: is not valid JSON",
		`{"type":"a","prio":1}`:                 "line 2 prio: is not a known field",
		`{"type":"a","priority":"high"}`:        "line 2 priority: has the wrong type",
		`{"type":"a","run_after_utc":"soon"}`:   `line 2 run_after_utc: "soon" is not a time`,
		`["a"]`:                                 "line 2: must be a JSON object",
		`{"type":""}`:                           "line 2 type: must not be empty",
		`{"type":"a","payload":[1]}`:            "line 2 payload: must be a JSON object",
		`{"type":"a","compatibility":{"x":{}}}`: "line 2 compatibility: x: ",
	} {
		file := r.write("tasks.jsonl", "\n"+line+"\n")
		got := r.fails(2, []string{want, "; nothing is stored"}, "enqueue", "--database", db, "--file", file)
		if got.out != "0 tasks enqueued\n" {
			t.Errorf("got %q", got.out)
		}
	}
}
