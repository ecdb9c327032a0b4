package main

import (
	"database/sql"
	"strings"
	"testing"

	_ "github.com/ncruces/go-sqlite3/driver"

	"github.com/prismq/thequeue/internal/store"
)

func TestFsckFindsAndRepairsBesideAServer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	url, _ := r.serve("--workers", "0", "--database", r.path("q.db"))
	r.ok("enqueue", "mail", "--server", url)
	if out := r.ok("fsck", "--database", r.path("q.db")); !strings.HasSuffix(out, "q.db: 1 tasks, nothing is wrong\n") {
		t.Errorf("got %s", out)
	}
	damage := func(statement string) {
		t.Helper()
		db, err := sql.Open("sqlite3", "file:"+r.path("q.db")+"?_pragma=busy_timeout(5000)")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	damage("UPDATE lane_counts SET ready = ready + 2, failed = -1")
	got := r.fails(6, []string{"1 things are wrong in ", "--repair puts 1 of it right"}, "fsck", "--database", r.path("q.db"))
	if !strings.Contains(got.out, "counters  lane 1 (mail, priority 100)  counts 3 ready instead of 1, -1 failed instead of 0  no") {
		t.Errorf("got %s", got.out)
	}
	v := parse[inspection](t, r.fails(6, nil, "fsck", "--database", r.path("q.db"), "-o", "json").out)
	if v.OK || v.Tasks != 1 || len(v.Problems) != 1 || v.Problems[0].Check != store.CheckCounters || v.More == nil {
		t.Errorf("got %+v", v)
	}
	if out := r.ok("fsck", "--repair", "--database", r.path("q.db")); !strings.Contains(out, "yes\n") || !strings.HasSuffix(out, "1 things were repaired, nothing else is wrong\n") {
		t.Errorf("got %s", out)
	}
	if out := r.ok("stats", "--server", url, "-o", "json"); !strings.Contains(out, `"total_tasks":1,"queued_tasks":1`) || !strings.Contains(out, `"failed_tasks":0`) {
		t.Errorf("the server counts %s", out)
	}
	damage("UPDATE lane_counts SET purged = 50")
	got = r.fails(6, []string{"1 things are wrong"}, "fsck", "--repair", "--database", r.path("q.db"))
	if strings.Contains(got.err, "--repair") {
		t.Errorf("what cannot be repaired is said to be: %s", got.err)
	}
	r.fails(1, []string{"does not exist"}, "fsck", "--database", r.path("none.db"))
	r.fails(2, []string{"--max must lie between"}, "fsck", "--max", "0", "--database", r.path("q.db"))
}

func TestValidateListsSettingsAndDatabase(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	url, stop := r.serve("--workers", "0", "--database", r.path("q.db"))
	r.ok("enqueue", "mail", "--server", url)
	out := r.ok("validate", "--database", r.path("q.db"))
	for _, want := range []string{"STATE", "pragma.synchronous", "a server has the file", "round_trip", "q.db can be used: "} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if v := parse[validation](t, r.ok("validate", "--database", r.path("q.db"), "-o", "json")); !v.OK || v.Database != r.path("q.db") || len(v.Checks) < 15 {
		t.Errorf("got %+v", v)
	}
	stop()
	r.env["PRISMQ_CONFIG"] = r.write("bad.yaml", "workers: -1\nfly: 1\ndatabase: "+r.path("none.db")+"\n")
	got := r.fails(6, []string{"3 of ", "checks of "}, "validate")
	for _, want := range []string{"FAILED", "config.workers", "config.fly", "does not exist", "remedy: thequeue migrate up --database"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%q is not in\n%s", want, got.out)
		}
	}
	r.env["PRISMQ_CONFIG"] = r.write("worse.yaml", "a: [")
	if v := parse[validation](t, r.fails(6, []string{"1 of 2 checks of the database failed"}, "validate", "-o", "json").out); v.OK || v.Checks[1].State != store.CheckSkipped {
		t.Errorf("got %+v", v)
	}
	r.env["PRISMQ_CONFIG"] = ""
	got = r.fails(6, nil, "validate", "--database", "postgres://ada:s3cr3t@127.0.0.1:1/tasks?connect_timeout=2")
	if strings.Contains(got.out+got.err, "s3cr3t") || !strings.Contains(got.out, "connection") {
		t.Errorf("got %+v", got)
	}
}
