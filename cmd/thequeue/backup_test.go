package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

func TestBackupsOfADatabase(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			database, other, suffix := r.path("queue.db"), r.path("other.db"), ".db"
			if engine == "postgres" {
				database, other, suffix = testdb.PostgresURL(t), testdb.EmptyPostgresURL(t), ".dump"
			}
			where := []string{"--database", database, "--directory", r.path("backups")}
			q := func(args ...string) []string { return append(append([]string{"backup"}, args...), where...) }
			count := func(database string) int64 {
				t.Helper()
				return parse[task.Stats](t, r.ok("stats", "--database", database, "-o", "json")).TotalTasks
			}
			r.ok("migrate", "up", "--database", database)
			r.fails(3, []string{"there is no backup yet: thequeue backup create makes one"}, q("latest")...)
			r.ok("enqueue", "a", "--database", database)
			b := parse[task.Backup](t, r.ok(q("create", "one", "-o", "json")...))
			if b.Name != "one" || b.File != "one"+suffix || b.State != task.BackupComplete || b.SHA256 == nil || b.VerifiedAtUTC != nil {
				t.Errorf("got %+v", b)
			}
			r.ok("enqueue", "a", "--database", database)
			if out := r.ok(q("create", "--rate", "0")...); !strings.Contains(out, "thequeue-20") || !strings.Contains(out, "sha256") {
				t.Errorf("got %s", out)
			}
			list := parse[[]task.Backup](t, r.ok(q("list", "-o", "json")...))
			if len(list) != 2 || list[1].Name != "one" {
				t.Errorf("got %+v", list)
			}
			if out := r.ok(q("list")...); !strings.HasPrefix(out, "BACKUP") || strings.Count(out, "\n") != 3 {
				t.Errorf("got %s", out)
			}
			if got := parse[task.Backup](t, r.ok(q("latest", "-o", "json")...)); got.Name != list[0].Name {
				t.Errorf("got %+v", got)
			}
			for _, args := range [][]string{{"verify"}, {"verify", "one"}} {
				if got := parse[task.Backup](t, r.ok(append(q(args...), "-o", "json")...)); got.VerifiedAtUTC == nil {
					t.Errorf("%v: got %+v", args, got)
				}
			}
			got := r.run("n\n", q("restore", "one")...)
			if got.code != 0 || got.out != "Nothing was changed\n" || !strings.HasPrefix(got.err, "Put backup one of 20") || count(database) != 2 {
				t.Errorf("got %+v", got)
			}
			done := parse[task.Restored](t, r.ok(q("restore", "one", "--yes", "-o", "json")...))
			if done.ReplacedFile == nil || count(database) != 1 {
				t.Errorf("got %+v", done)
			}
			if _, err := os.Stat(*done.ReplacedFile); err != nil {
				t.Errorf("what was there is not kept: %v", err)
			}
			if out := r.ok(q("restore", list[0].Name, "--to", other, "-y")...); !strings.Contains(out, "database") || count(other) != 2 || count(database) != 1 {
				t.Errorf("got %s", out)
			}
			r.fails(3, []string{"backup none not found"}, q("restore", "none", "-y")...)
			r.fails(3, []string{"backup none not found"}, q("verify", "none")...)
			r.fails(4, []string{"there is a backup one already"}, q("create", "one")...)
			r.fails(2, []string{"name: must begin with a letter"}, q("create", "../one")...)
			if err := os.WriteFile(filepath.Join(r.path("backups"), "one"+suffix), []byte("spoilt"), 0o600); err != nil {
				t.Fatal(err)
			}
			r.fails(1, []string{"the backup cannot be used"}, q("verify", "one")...)
			r.fails(1, []string{"the backup cannot be used"}, q("restore", "one", "--yes")...)
			if out := r.ok(q("prune", "--keep", "1", "--dry-run")...); !strings.Contains(out, "one would be deleted\n") {
				t.Errorf("got %s", out)
			}
			if gone := parse[[]task.Backup](t, r.ok(q("prune", "--keep", "1", "-y", "-o", "json")...)); len(gone) == 0 || gone[len(gone)-1].Name != "one" {
				t.Errorf("got %+v", gone)
			}
			if list := parse[[]task.Backup](t, r.ok(q("list", "-o", "json")...)); len(list) != 1 {
				t.Errorf("got %+v", list)
			}
		})
	}
}

func TestBackupsOfAServer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	database := r.path("queue.db")
	url, stop := r.serve("--database", database)
	q := func(args ...string) []string { return append(append([]string{"backup"}, args...), "--server", url) }
	r.ok("enqueue", "echo", "--server", url)
	b := parse[task.Backup](t, r.ok(q("create", "one", "-o", "json")...))
	if _, err := os.Stat(filepath.Join(database+".backups", b.File)); err != nil || b.State != task.BackupComplete {
		t.Errorf("got %+v, %v", b, err)
	}
	if got := parse[task.Backup](t, r.ok(q("verify", "-o", "json")...)); got.Name != "one" || got.VerifiedAtUTC == nil {
		t.Errorf("got %+v", got)
	}
	if list := parse[[]task.Backup](t, r.ok(q("list", "-o", "json")...)); len(list) != 1 {
		t.Errorf("got %+v", list)
	}
	if out := r.ok(q("latest")...); !strings.HasPrefix(out, "backup    one\n") {
		t.Errorf("got %s", out)
	}
	r.fails(4, []string{"backup one already"}, q("create", "one")...)
	r.fails(2, []string{"stop it, and restore on its machine"}, q("restore", "one")...)
	r.fails(2, []string{"backups.keep"}, q("prune")...)
	r.fails(2, []string{"leave --compress and --rate out"}, q("create", "--compress")...)
	r.fails(2, []string{"--directory"}, append(q("list"), "--directory", "x")...)
	r.fails(4, []string{"another server has the database open", "stop it first"}, "backup", "restore", "one", "--database", database, "-y")
	if local := parse[task.Backup](t, r.ok("backup", "create", "beside", "--compress", "--database", database, "-o", "json")); !local.Compressed {
		t.Errorf("beside a server: %+v", local)
	}
	stop()
	r.fails(5, []string{"no server answers at " + url}, q("list")...)
	r.ok("backup", "restore", "--latest", "--database", database, "-y")
}

func TestMistakesWithBackups(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"restore"}, "name a backup, or take the newest with --latest"},
		{[]string{"restore", "a", "--latest"}, "name a backup, or take the newest with --latest"},
		{[]string{"restore", "a", "--to", "postgres://h/d", "--database", "x.db"}, "--to: a backup goes back to the kind of database that it is of"},
		{[]string{"prune", "--keep", "0"}, "--keep must be 1 or more"},
		{[]string{"create", "--rate=-1"}, "--rate must lie between"},
		{[]string{"list", "--server", "http://h", "--database", "x"}, "can't be used together"},
	} {
		r.fails(2, []string{c.want}, append([]string{"backup"}, c.args...)...)
	}
	r.fails(1, []string{"does not exist", "thequeue migrate up"}, "backup", "create", "--database", r.path("none.db"))
	if _, err := os.Stat(r.path("none.db")); err == nil {
		t.Error("a mistyped path has become a database")
	}
}
