package main

import (
	"strings"
	"testing"
)

func TestHelpNamesEveryCommand(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, args := range [][]string{nil, {"--help"}} {
		out := r.ok(args...)
		for _, name := range []string{"serve", "work", "enqueue", "get", "list", "cancel", "requeue", "bulk cancel", "bulk requeue", "bulk delete", "bulk set-priority", "stats", "logs", "events", "metrics", "top", "types list", "types get", "types set", "types pause", "types resume", "schedules list", "schedules get", "schedules set", "schedules delete", "schedules preview", "schedules pause", "schedules resume", "backup create", "backup list", "backup latest", "backup verify", "backup restore", "backup prune", "migrate up", "migrate down", "migrate redo", "migrate status", "migrate create", "validate", "fsck", "config check", "config schema", "version"} {
			if !strings.Contains(out, "  "+name) {
				t.Errorf("%q: %s is not in\n%s", args, name, out)
			}
		}
	}
	for _, name := range []string{"serve", "work", "enqueue", "get", "list", "cancel", "requeue", "bulk", "stats", "logs", "events", "metrics", "top", "types", "schedules", "backup", "migrate", "validate", "fsck", "config", "version"} {
		if out := r.ok(name, "--help"); !strings.HasPrefix(out, "Usage: thequeue "+name) {
			t.Errorf("%s: got %s", name, out)
		}
	}
}

func TestMistakesOnTheCommandLineExitWith2(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	broken := r.write("broken.yaml", "a: [")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"fly"}, "unexpected argument fly"},
		{[]string{"get"}, `expected "<id>"`},
		{[]string{"get", "one"}, "expected a valid 64 bit int"},
		{[]string{"list", "--status", "lost"}, "--status must be one of"},
		{[]string{"list", "--limit", "1001"}, "--limit must lie between 1 and 1000"},
		{[]string{"list", "--server", "http://h", "--database", "x"}, "can't be used together"},
		{[]string{"list", "--server", "nonsense"}, "server: must be a URL"},
		{[]string{"stats", "-o", "xml"}, "--output must be one of"},
		{[]string{"enqueue"}, "name either the type of one task or the --file with many"},
		{[]string{"enqueue", "a", "--type", "b"}, "name either the type of one task or the --file with many"},
		{[]string{"enqueue", "--file", "x", "--priority", "1"}, "no other flag describes it"},
		{[]string{"enqueue", "--file", r.path("none")}, r.path("none")},
		{[]string{"enqueue", "a", "--payload", "[1]"}, "--payload: must be a JSON object"},
		{[]string{"enqueue", "a", "--payload", "@" + r.path("none")}, r.path("none")},
		{[]string{"enqueue", "a", "--run-after", "soon"}, `--run-after: "soon" is not a time`},
		{[]string{"serve", "--addr", "0.0.0.0:1"}, "addr: can be reached by other machines"},
		{[]string{"serve", "--workers=-1"}, "workers: must lie between 0 and 1000"},
		{[]string{"serve", "--grace", "9"}, "--grace"},
		{[]string{"stats", "--config", r.path("none.yaml")}, r.path("none.yaml")},
		{[]string{"stats", "--config", broken}, broken + ": line 1"},
		{[]string{"stats", "--database", ""}, "--database is empty"},
		{[]string{"migrate", "down", "--database="}, "--database is empty"},
		{[]string{"stats", "--server", ""}, "--server is empty"},
		{[]string{"--config", "", "stats"}, "--config is empty"},
		{[]string{"list", "--type", ""}, "--type is empty"},
		{[]string{"enqueue", "a", "--key", ""}, "--key is empty"},
		{[]string{"enqueue", "a", "--key", "\xff"}, `argument 4 ("\xff") is not valid UTF-8`},
		{[]string{"--log-level", "loud", "stats"}, "log_level: must be one of"},
	} {
		r.fails(2, []string{c.want}, c.args...)
	}
}

func TestAllProblemsAreListed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.env["PRISMQ_CONFIG"] = r.write("worker.yaml", "lease: 5\nscheduling_strategy: random\n")
	got := r.run("", "work", "--count=-1")
	want := `thequeue: 4 problems:
  lease: unknown key (line 1)
  worker_id: is required: name this worker in the file, by PRISMQ_WORKER_ID or by --worker-id
  scheduling_strategy: unknown strategy "random": use one of fifo, lifo, priority, weighted_random
  workers: must lie between 0 and 1000
`
	if got.code != 2 || got.err != want {
		t.Errorf("exit %d, got\n%s", got.code, got.err)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if out := r.ok("version"); !strings.HasPrefix(out, "thequeue ") || !strings.Contains(out, "go1.") {
		t.Errorf("got %q", out)
	}
	if b := parse[build](t, r.ok("version", "-o", "json")); b != thisBuild() {
		t.Errorf("got %v", b)
	}
}

func TestAnUnreachableServerExitsWith5(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	url, stop := r.serve()
	stop()
	r.env["PRISMQ_SERVER_URL"] = url
	r.write("tasks.jsonl", `{"type":"a"}`)
	for _, args := range [][]string{{"stats"}, {"list"}, {"get", "1"}, {"cancel", "1", "2"}, {"requeue", "1"}, {"types", "list"}, {"enqueue", "a"}} {
		r.fails(5, []string{"no server answers at " + url + ": start one with thequeue serve"}, args...)
	}
	r.fails(5, []string{"nothing is stored, whether lines 1 to 1 are is not known"}, "enqueue", "--file", r.path("tasks.jsonl"))
}

func TestCleanTakesTheTerminalAway(t *testing.T) {
	t.Parallel()
	if got := clean("a\x1b[31mb\r\nc\u009b\u202e\u2066\u2028"); strings.ContainsAny(got, "\x1b\r\n\u009b\u202e\u2066\u2028") || !strings.Contains(got, "b  c") {
		t.Errorf("got %q", got)
	}
}
