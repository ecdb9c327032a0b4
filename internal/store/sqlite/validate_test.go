package sqlite

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ncruces/go-sqlite3/driver"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/store"
)

// TestObjectsAreThoseOfTheNewestSchema compares what validate looks for with what the migrations make.
func TestObjectsAreThoseOfTheNewestSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	st := openAt(t, path, Options{Migrate: true})
	rows, err := st.read.ListObjects(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		if name := fmt.Sprint(r); !strings.Contains(name, "goose") {
			got = append(got, name)
		}
	}
	slices.Sort(got)
	if *update {
		if err := os.WriteFile(filepath.Join("..", "..", "schema", "objects", "sqlite.txt"), []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(schema.Objects(schema.SQLite), got); d != "" {
		t.Errorf("run with -update when this is meant (-want +got):\n%s", d)
	}
}

// checksIn returns the checks in a state by name, with what they say.
func checksIn(c store.Checks, state store.CheckState) map[string]string {
	out := map[string]string{}
	for _, k := range c {
		if k.State == state {
			out[k.Name] = k.Message + "; " + k.Remedy
		}
	}
	return out
}

func TestValidateOfAHealthyFileChangesNothing(t *testing.T) {
	t.Parallel()
	path := migrated(t)
	st := openAt(t, path, Options{Serve: true})
	insert(t, st, "")
	sums := func() sqlitedb.SumCountsRow {
		t.Helper()
		s, err := st.read.SumCounts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := sums()
	c := Validate(t.Context(), path)
	if bad := checksIn(c, store.CheckFailed); len(bad) > 0 {
		t.Errorf("failed: %v", bad)
	}
	ok := checksIn(c, store.CheckOK)
	for _, name := range []string{"file", "directory", "permissions", "connection", "pragma.synchronous", "pragma.journal_mode", "schema", "schema.objects", "plans", "round_trip"} {
		if ok[name] == "" {
			t.Errorf("%s is not among those that are well: %v", name, c)
		}
	}
	if !strings.Contains(ok["server"], "a server has the file") {
		t.Errorf("the server is not seen: %s", ok["server"])
	}
	insert(t, st, "")
	if got := sums(); got.Tasks != before.Tasks+1 || got.LastID != before.LastID+1 {
		t.Errorf("with one task more there are %+v after %+v: validate has left something", got, before)
	}
	if err := compare(t.Context(), st); err != nil {
		t.Error(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if says := checksIn(Validate(t.Context(), path), store.CheckOK)["server"]; !strings.Contains(says, "no server") {
		t.Errorf("without a server: %s", says)
	}
}

func TestValidateListsEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		plant []string
		want  map[string]string // by check, what it says
	}{
		{"objects", []string{"DROP INDEX task_queue_lease", "DROP INDEX task_queue_ready", "DROP TRIGGER task_queue_guard", "DROP VIEW v_task_log"}, map[string]string{
			"schema.index.task_queue_lease": "is missing", "schema.index.task_queue_ready": "is missing", "schema.trigger.task_queue_guard": "is missing", "schema.view.v_task_log": "is missing",
			"plan.claim.oldest": "no such index", "plan.claim.newest": "no such index", "plan.reap": "no such index", "round_trip": "no such index",
		}},
		{"plan", []string{"DROP INDEX task_queue_idempotency_key"}, map[string]string{"schema.index.task_queue_idempotency_key": "is missing", "plan.key": "reads a whole table"}},
		{"older", []string{"DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)"}, map[string]string{"schema": "thequeue migrate up"}},
		{"newer", []string{"INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)"}, map[string]string{"schema": "use the newer binary"}},
		{"never migrated", []string{"DROP TABLE goose_db_version", "DROP TABLE workers", "ALTER TABLE task_logs RENAME TO x", "ALTER TABLE task_queue RENAME TO y"}, map[string]string{"schema": "no migration was ever applied"}},
		{"foreign", []string{"DROP TABLE goose_db_version"}, map[string]string{"schema": "another program"}},
		{"round trip", []string{"CREATE TRIGGER no BEFORE UPDATE ON task_queue WHEN NEW.status = 'completed' BEGIN SELECT RAISE(ABORT, 'not today'); END"}, map[string]string{"round_trip": "complete: "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := migrated(t)
			conn, closed := connTo(t, path)
			for _, s := range append([]string{"PRAGMA foreign_keys = off", "PRAGMA legacy_alter_table = on"}, c.plant...) {
				if err := conn.Exec(s); err != nil {
					t.Fatalf("%s: %v", s, err)
				}
			}
			if err := closed(); err != nil {
				t.Fatal(err)
			}
			got := checksIn(Validate(t.Context(), path), store.CheckFailed)
			for name, says := range got {
				if want := c.want[name]; want == "" || !strings.Contains(says, want) {
					t.Errorf("%s says %q, want %q in it", name, says, want)
				}
			}
			for name := range c.want {
				if got[name] == "" {
					t.Errorf("%s has not failed: %v", name, got)
				}
			}
		})
	}
}

func TestValidateOfWhatIsNoDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for path, want := range map[string][2]string{
		filepath.Join(dir, "none.db"):      {"file", "does not exist"},
		filepath.Join(dir, "none", "q.db"): {"directory", ""},
		dir:                                {"file", "not a regular file"},
		write("empty.db", ""):              {"file", "is empty"},
		write("garbage.db", strings.Repeat("no database ", 99)): {"connection", "not a database"},
	} {
		got := checksIn(Validate(t.Context(), path), store.CheckFailed)
		if says, failed := got[want[0]]; !failed || !strings.Contains(says, want[1]) {
			t.Errorf("%s: got %v, want %q", path, got, want)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("there are %v now, %v: validate has made something", entries, err)
	}
}

func TestValidateLooksAtPermissions(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has other permissions")
	}
	path := migrated(t)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	warned := checksIn(Validate(t.Context(), path), store.CheckWarning)
	if !strings.Contains(warned["permissions"], "chmod o=") || !strings.Contains(warned["directory"], "chmod o-w") {
		t.Errorf("warnings: %v", warned)
	}
	if os.Getuid() == 0 {
		return // for whom every file can be written
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if failed := checksIn(Validate(t.Context(), path), store.CheckFailed); !strings.Contains(failed["permissions"], "cannot be read and written") {
		t.Errorf("failed: %v", failed)
	}
}

func TestFileSystemsOfOtherMachinesAreNamed(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has kinds of drives")
	}
	for kind, want := range map[string]string{"nfs": "remote", "cifs": "remote", "smb2": "remote", "ceph": "remote", "fuse": "shared", "9p": "shared", "tmpfs": "volatile", "overlay": "volatile", "ext4": "", "xfs": ""} {
		got := ""
		switch {
		case remote(kind):
			got = "remote"
		case volatile(kind) != "":
			got = "volatile"
		case shared(kind):
			got = "shared"
		}
		if got != want {
			t.Errorf("%s is taken for %q, want %q", kind, got, want)
		}
	}
	if kind, known, err := fileSystem(t.TempDir()); err != nil || runtime.GOOS == "linux" && (!known || kind == "") {
		t.Errorf("the file system of this machine: %q, %v, %v", kind, known, err)
	}
}

// TestPragmasThatDoNotTakeAreTold looks through connections whose settings are not those of a store.
func TestPragmasThatDoNotTakeAreTold(t *testing.T) {
	t.Parallel()
	path := migrated(t)
	registerGuard()
	u := url.URL{Scheme: "file", OmitHost: true, Path: slashed(path), RawQuery: "_pragma=busy_timeout(1)&_pragma=synchronous(normal)"}
	db, err := driver.Open(u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var c store.Checks
	checkPragmas(t.Context(), &c, db)
	got := checksIn(c, store.CheckFailed)
	if !strings.Contains(got["pragma.synchronous"], `is "1", must be "3"`) || got["pragma.busy_timeout"] == "" || checksIn(c, store.CheckOK)["pragma.journal_mode"] == "" {
		t.Errorf("failed: %v", got)
	}
}
