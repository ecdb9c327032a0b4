package main

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/prismq/thequeue/internal/app"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// everywhere is both, and the same on PostgreSQL.
func everywhere(t *testing.T, test func(t *testing.T, r *rig, where []string)) {
	t.Helper()
	both(t, test)
	t.Run("PostgresServer", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		url, _ := r.serve("--workers", "0", "--database", testdb.PostgresURL(t))
		test(t, r, []string{"--server", url})
	})
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		test(t, newRig(t), []string{"--database", testdb.PostgresURL(t)})
	})
}

func TestMaintenanceIsDone(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, r *rig, where []string) {
		q := func(args ...string) []string { return append(append([]string{"maintenance"}, args...), where...) }
		r.ok(append([]string{"enqueue", "mail"}, where...)...)
		d := parse[task.DatabaseStats](t, r.ok(q("stats", "-o", "json")...))
		sqlite := d.Engine == "sqlite"
		if len(d.Tables) != len(store.Tables) || d.Bytes == 0 || sqlite != (d.Pages != nil) {
			t.Errorf("got %+v", d)
		}
		if out := r.ok(q("stats")...); !strings.HasPrefix(out, "engine ") || !strings.Contains(out, "\nTABLE ") || sqlite && !strings.Contains(out, "\nauto_vacuum       incremental\n") {
			t.Errorf("got %s", out)
		}
		if c := parse[task.Checkpoint](t, r.ok(q("checkpoint", "--mode", "truncate", "-o", "json")...)); c.Mode != task.CheckpointTruncate || c.Busy || sqlite != (c.LogPages != nil) {
			t.Errorf("got %+v", c)
		}
		if out := r.ok(q("checkpoint")...); sqlite != strings.HasSuffix(out, "pages of the log are in the database\n") || !sqlite && !strings.HasPrefix(out, "Checkpoint made. ") {
			t.Errorf("got %s", out)
		}
		r.fails(2, []string{"--mode"}, q("checkpoint", "--mode", "half")...)
		if a := parse[task.Analysis](t, r.ok(q("analyze", "-o", "json")...)); len(a.Tables) != len(store.Tables) {
			t.Errorf("got %+v", a)
		}
		if out := r.ok(q("analyze", "workers")...); out != "1 tables analyzed\n" {
			t.Errorf("got %q", out)
		}
		r.fails(2, []string{"table", "use one of api_keys, audit_log,"}, q("analyze", "nothing")...)
		if i := parse[task.Integrity](t, r.ok(q("integrity", "-o", "json")...)); sqlite && (i.OK == nil || !*i.OK) || !sqlite && !strings.Contains(i.Note, "amcheck") {
			t.Errorf("got %+v", i)
		}
		if out := r.ok(q("integrity")...); sqlite && out != "Nothing is broken in 19 tables\n" {
			t.Errorf("got %q", out)
		}
		if v := parse[task.Vacuum](t, r.ok(q("vacuum", "-o", "json")...)); v.Full || v.Stopped || v.BytesBefore == 0 {
			t.Errorf("got %+v", v)
		}
		if o := parse[task.Optimization](t, r.ok(q("optimize", "--full", "-o", "json")...)); !o.Full || o.Vacuum == nil || o.Checkpoint == nil || len(o.Analyzed) == 0 {
			t.Errorf("got %+v", o)
		}
		if o := parse[task.Optimization](t, r.ok(q("optimize", "-o", "json")...)); o.Full || o.Vacuum != nil || len(o.Analyzed) != 0 {
			t.Errorf("got %+v", o)
		}
		if out := r.ok(q("retention")...); out != "0 tasks and 0 lines of logs deleted\n" {
			t.Errorf("got %q", out)
		}
		if out := r.ok(q("reclaim")...); out != "0 tasks queued again, 0 failed\n" {
			t.Errorf("got %q", out)
		}
		if where[0] == "--server" {
			r.fails(3, []string{"no maintenance is under way"}, q("stop")...)
		} else {
			r.fails(2, []string{"--server"}, q("stop")...)
		}
	})
}

// A full vacuum says first what it takes, asks, and is not done by a server or beside one.
func TestAFullVacuumAsksAndWantsToBeAlone(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, r *rig, where []string) {
		q := func(args ...string) []string {
			return append([]string{"maintenance", "vacuum", "--full"}, append(args, where...)...)
		}
		if c := parse[task.VacuumCost](t, r.ok(q("--dry-run", "-o", "json")...)); c.Bytes == 0 || c.NeedsBytes == 0 || c.Message == "" {
			t.Errorf("got %+v", c)
		}
		if out := r.ok(q("--dry-run")...); !strings.Contains(out, "of free disk") {
			t.Errorf("got %q", out)
		}
		if got := r.run("", q()...); got.code != 2 || !strings.Contains(got.err, "nobody answers: add --yes") || !strings.Contains(got.out, "of free disk") {
			t.Errorf("got %+v", got)
		}
		if got := r.run("n\n", q()...); got.code != 0 || !strings.HasSuffix(got.out, "Nothing was changed\n") {
			t.Errorf("got %+v", got)
		}
		if where[0] == "--server" {
			r.fails(4, []string{"stop the servers"}, q("--yes")...)
			return
		}
		if got := r.run("y\n", q()...); got.code != 0 || !strings.Contains(got.out, "\nThe database had ") {
			t.Errorf("got %+v", got)
		}
		r.fails(2, []string{"leave --yes out"}, q("--yes", "--dry-run")...)
	})
	t.Run("BesideAServer", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.serve("--workers", "0", "--database", r.path("queue.db"))
		r.fails(4, []string{"a server has", "stop it first"}, "maintenance", "vacuum", "--full", "--yes", "--database", r.path("queue.db"))
		r.ok("maintenance", "vacuum", "--database", r.path("queue.db"))
	})
}

// Ctrl-C ends it early, and says so.
func TestMaintenanceIsInterrupted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ok("migrate", "up", "--database", r.path("queue.db"))
	st, err := app.OpenStore(t.Context(), r.path("queue.db"), false, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out, errs strings.Builder
	s := &session{getenv: r.getenv, stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
	a, err := watched(s, func(tell func(task.Progress)) (task.Analysis, error) {
		return st.Analyze(ctx, "", func(p task.Progress) { tell(p); stop() })
	})
	if err != nil {
		t.Fatal(err)
	}
	if code := s.report(s.ended(ctx, "table", a, a.Stopped, "0 tables analyzed")); code != exitInterrupted || !strings.HasPrefix(out.String(), "Stopped before its end. ") {
		t.Errorf("exit %d, %q, %q", code, out.String(), errs.String())
	}
}
