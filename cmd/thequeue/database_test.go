package main

import (
	"database/sql"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/task"
)

func TestMigrateGoesUpAndDown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.env["PRISMQ_QUEUE_DB_PATH"] = r.path("q.db")
	applied := func() (n int) {
		for _, m := range parse[[]schema.Migration](t, r.ok("migrate", "status", "-o", "json")) {
			if m.Applied {
				n++
			}
		}
		return n
	}
	r.ok("migrate", "up")
	all := applied()
	if all == 0 || !strings.HasPrefix(r.ok("migrate", "status"), "VERSION  TITLE") {
		t.Errorf("%d migrations are applied after up", all)
	}
	if out := r.ok("migrate", "down"); !strings.Contains(out, r.path("q.db")+" has version ") || applied() != all-1 {
		t.Errorf("%d of %d are applied after down: %s", applied(), all, out)
	}
	r.ok("migrate", "up")
	if r.ok("migrate", "redo"); applied() != all {
		t.Errorf("%d of %d are applied after redo", applied(), all)
	}
}

func TestAnotherVersionOfTheSchemaIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	at := r.path("q.db")
	r.ok("migrate", "up", "--database", at)
	if out := r.ok("migrate", "down", "--database", at); !strings.Contains(out, "a copy of before is "+at+".before-migration-") {
		t.Errorf("got %s", out)
	}
	if out := r.ok("migrate", "redo", "--no-copy", "--database", at); strings.Contains(out, "copy") {
		t.Errorf("got %s", out)
	}
	older := []string{"the schema is older than this binary", "thequeue migrate up"}
	for _, args := range [][]string{{"stats"}, {"list"}, {"fsck"}, {"enqueue", "a"}} {
		r.fails(1, older, append(args, "--database", at)...)
	}
	r.fails(6, nil, "validate", "--database", at)
	_, stop := r.serve("--workers", "0", "--database", at)
	stop()
	r.ok("stats", "--database", at)
	db, err := sql.Open("sqlite3", "file:"+at)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)"); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"stats"}, {"fsck"}, {"serve", "--addr", "127.0.0.1:0"}, {"migrate", "up"}, {"migrate", "down"}, {"migrate", "redo"}} {
		r.fails(1, []string{"the schema is newer than this binary: it has version 99999", "use the newer binary"}, append(args, "--database", at)...)
	}
}

func TestMigrateCreate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, engine := range []string{"sqlite", "postgres"} {
		if err := os.MkdirAll(r.path(engine), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if out := r.ok("migrate", "create", "add_x", "--dir", r.dir); strings.Count(out, "00001_add_x.sql\n") != 2 {
		t.Errorf("got %s", out)
	}
	r.fails(2, []string{"the title must begin with a letter"}, "migrate", "create", "1 x", "--dir", r.dir)
	r.fails(1, []string{"--dir"}, "migrate", "create", "x", "--dir", r.path("none"))
}

func TestOnlyTheFlagOpensADatabase(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	url, _ := r.serve("--workers", "0", "--database", r.path("served.db"))
	r.ok("migrate", "up", "--database", r.path("other.db"))
	r.env["PRISMQ_DATABASE_URL"], r.env["PRISMQ_SERVER_URL"] = r.path("other.db"), url
	r.ok("enqueue", "a")
	total := func(args ...string) int64 {
		return parse[task.Stats](t, r.ok(append([]string{"stats", "-o", "json"}, args...)...)).TotalTasks
	}
	if served, other := total(), total("--database", r.path("other.db")); served != 1 || other != 0 {
		t.Errorf("the served database has %d, the other %d", served, other)
	}
	if n := total("--database", r.path("served.db")); n != 1 {
		t.Errorf("beside the server %d tasks are seen", n)
	}
}

func TestADatabaseThatCannotBeOpenedIsNamed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	none := filepath.Join(r.dir, "none", "q.db")
	r.fails(1, []string{none, "does not exist", "thequeue migrate up --database"}, "stats", "--database", none)
	for _, verb := range []string{"down", "redo", "status"} {
		r.fails(1, []string{none, "does not exist"}, "migrate", verb, "--database", none)
	}
	if _, err := os.Stat(filepath.Dir(none)); err == nil {
		t.Errorf("%s was made", filepath.Dir(none))
	}
	r.fails(1, []string{r.dir, "not a regular file"}, "serve", "--addr", "127.0.0.1:0", "--database", r.dir)
	r.fails(1, []string{os.DevNull, "not a regular file"}, "migrate", "up", "--database", os.DevNull)
	file := r.write("file", "")
	r.fails(1, []string{file}, "serve", "--addr", "127.0.0.1:0", "--database", filepath.Join(file, "q.db"))
	garbage := r.write("garbage.db", strings.Repeat("this is no database ", 100))
	r.fails(1, []string{garbage}, "serve", "--addr", "127.0.0.1:0", "--database", garbage)
	if runtime.GOOS != "windows" && os.Getuid() != 0 {
		if err := os.Chmod(r.dir, 0o500); err != nil {
			t.Fatal(err)
		}
		r.fails(1, []string{r.path("q.db")}, "serve", "--addr", "127.0.0.1:0", "--database", r.path("q.db"))
	}
}

func TestThePasswordOfAServerIsNotShown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.env["PRISMQ_MAX_RETRIES"] = "0"
	if got := r.fails(5, []string{"http://ada:xxxxx@127.0.0.1:1"}, "stats", "--server", "http://ada:s3cr3t@127.0.0.1:1"); strings.Contains(got.err, "s3cr3t") {
		t.Errorf("got %s", got.err)
	}
}

func TestAnUnreachablePostgresIsNamedWithoutItsPassword(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const url = "postgres://ada:s3cr3t@127.0.0.1:1/tasks?connect_timeout=2"
	for _, args := range [][]string{{"serve", "--addr", "127.0.0.1:0", "--database", url}, {"stats", "--database", url}, {"migrate", "up", "--database", url}} {
		if got := r.fails(5, []string{"127.0.0.1"}, args...); strings.Contains(got.err+got.out, "s3cr3t") {
			t.Errorf("the password is in %q", got.err)
		}
	}
	for _, bad := range []string{"postgres://ada:s3cr3t%@h/db", "postgres://ada:s3cr3t@h/db?sslmode=odd", "postgres://ada:s3cr3t@h/db?connect_timeout=odd"} {
		for _, args := range [][]string{{"serve", "--addr", "127.0.0.1:0", "--database", bad}, {"stats", "--database", bad}, {"migrate", "up", "--database", bad}} {
			if got := r.fails(2, []string{"database: "}, args...); strings.Contains(got.err+got.out, "s3cr3t") {
				t.Errorf("got %+v", got)
			}
		}
	}
}
