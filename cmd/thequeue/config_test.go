package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/task"
)

func TestCheckNamesTheFileThatIsFine(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	fine := r.write("fine.toml", "workers = 2\nworker_id = \"w1\"\n")
	for _, args := range [][]string{{"config", "check", fine}, {"config", "check", "--worker", fine}, {"--config", fine, "config", "check"}} {
		if out := r.ok(args...); out != fine+" is fine\n" {
			t.Errorf("%q: got %q", args, out)
		}
	}
	if out := r.ok("config", "check"); out != "no file is named; the environment and the defaults are fine\n" {
		t.Errorf("no file: got %q", out)
	}
	r.env["PRISMQ_CONFIG"] = fine
	got := parse[verdict](t, r.ok("config", "check", "-o", "json"))
	if diff := cmp.Diff(verdict{File: fine, OK: true, Problems: []task.FieldError{}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCheckListsEveryProblemAndExitsWith2(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	wrong := r.write("wrong.yaml", "worker: w1\nworkers: -1\n")
	r.env["PRISMQ_MAX_RETRIES"] = "many"
	want := `thequeue: 4 problems:
  worker: unknown key (line 1)
  PRISMQ_MAX_RETRIES: must be a whole number
  worker_id: is required: name this worker in the file, by PRISMQ_WORKER_ID or by --worker-id
  workers: must lie between 0 and 1000
`
	if got := r.run("", "config", "check", "--worker", wrong); got.code != 2 || got.out != "" || got.err != want {
		t.Errorf("exit %d, got\n%s%s", got.code, got.out, got.err)
	}
	got := r.run("", "config", "check", wrong, "-o", "json")
	problems := verdict{File: wrong, Problems: []task.FieldError{
		{Field: "worker", Message: "unknown key (line 1)"},
		{Field: "PRISMQ_MAX_RETRIES", Message: "must be a whole number"},
		{Field: "workers", Message: "must lie between 0 and 1000"},
	}}
	if diff := cmp.Diff(problems, parse[verdict](t, got.out)); got.code != 2 || diff != "" {
		t.Errorf("exit %d, %s", got.code, diff)
	}
}

// What work refuses at its start, config check --worker lists before, all at once; a file for another machine passes without --worker.
func TestCheckListsWhatWorkRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	refused := func(code int, texts []string, args ...string) {
		t.Helper()
		got := r.run("", args...)
		for _, text := range texts {
			if !strings.Contains(got.out+got.err, text) || got.code != code {
				t.Errorf("%q: exit %d, got %s%s, want %d and %q", args, got.code, got.out, got.err, code, text)
			}
		}
	}
	file := r.write("worker.yaml", "worker_id: w1\nhandlers:\n  exec:\n    a: {command: [/no/such/program]}\n    b: {command: [/no/such/other], dir: /no/such/directory}\n")
	want := []string{"3 problems", "handlers.exec.a.command", "handlers.exec.b.command", "handlers.exec.b.dir: there is no directory /no/such/directory"}
	refused(2, want, "config", "check", "--worker", file)
	refused(2, want, "--config", file, "work")
	refused(2, want, "--config", file, "serve", "--database", r.path("q.db"))
	r.ok("config", "check", file)
	wrong := r.write("wrong.yaml", "workers: 0\nhandlers:\n  exec:\n    a: {command: [echo, '{{payload}}']}\n")
	want = []string{"3 problems", "worker_id: is required", "workers: must be at least 1 here", "handlers.exec.a.command: argument 1: \"{{payload}}\": a placeholder reads {{payload.KEY}}"}
	refused(2, want, "config", "check", "--worker", wrong)
	refused(2, want, "--config", wrong, "work")
	refused(2, want[3:], "config", "check", wrong)
	refused(6, []string{"config.handlers.exec.a.command"}, "--config", wrong, "validate", "--database", r.path("q.db"))
}

func TestCheckOfAFileThatCannotBeRead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	broken := r.write("broken.yaml", "a: [")
	got := r.fails(2, []string{broken + ": line 1"}, "config", "check", "-o", "json", broken)
	if v := parse[verdict](t, got.out); v.OK || len(v.Problems) != 1 || v.Problems[0].Field != "the file" {
		t.Errorf("got %v", v)
	}
	r.fails(2, []string{r.path("none.yaml")}, "config", "check", r.path("none.yaml"))
	r.fails(2, []string{"the name of the file is empty"}, "config", "check", "")
	r.fails(2, []string{"name one file"}, "--config", broken, "config", "check", broken)
}

func TestConfigSchemaPrintsTheSchema(t *testing.T) {
	t.Parallel()
	want, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), newRig(t).ok("config", "schema")); diff != "" {
		t.Error(diff)
	}
}
