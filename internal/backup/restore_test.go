package backup_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3/driver"

	"github.com/prismq/thequeue/internal/backup"
	"github.com/prismq/thequeue/internal/store/sqlite"
	"github.com/prismq/thequeue/internal/task"
)

func TestABackupIsRestored(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.enqueue(2)
	r.create(backup.Options{Name: "two"})
	r.enqueue(3)
	r.stop()
	r.ok(os.Chmod(r.database, 0o640))
	done, err := r.Restore(t.Context(), "two", "", nil)
	r.ok(err)
	if done.Database != r.database || done.Name != "two" || done.ReplacedFile == nil || !strings.HasPrefix(*done.ReplacedFile, r.database+".replaced-") {
		t.Errorf("got %+v", done)
	}
	if info, err := os.Stat(r.database); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the permissions are %v, %v", info.Mode(), err)
	}
	if n := r.count(r.database); n != 2 {
		t.Errorf("%d tasks, want 2", n)
	}
	if n := r.count(*done.ReplacedFile); n != 5 {
		t.Errorf("%d tasks in the file that was replaced, want 5", n)
	}
	other := filepath.Join(t.TempDir(), "new", "other.db")
	done, err = r.Restore(t.Context(), "two", other, nil)
	if r.ok(err); done.Database != other || done.ReplacedFile != nil || r.count(other) != 2 {
		t.Errorf("to another path: %+v", done)
	}
	if files := r.files(filepath.Dir(other)); slices.ContainsFunc(files, func(name string) bool { return strings.Contains(name, "restoring") }) {
		t.Errorf("something is left: %v", files)
	}
}

func TestADatabaseInUseIsNotReplaced(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.enqueue(1)
	r.create(backup.Options{Name: "a"})
	r.enqueue(1)
	if _, err := r.Restore(t.Context(), "a", "", nil); !errors.Is(err, sqlite.ErrServed) || !errors.Is(err, task.ErrConflict) {
		t.Errorf("under a server: %v", err)
	}
	r.stop()
	other, err := sqlite.Open(t.Context(), r.database, sqlite.Options{}) // as a command does
	r.ok(err)
	if _, err := r.Restore(t.Context(), "a", "", nil); !errors.Is(err, task.ErrConflict) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("under a command: %v", err)
	}
	if stats, err := other.Stats(t.Context(), other.Clock().Now()); err != nil || stats.TotalTasks != 2 {
		t.Errorf("the command sees %+v, %v", stats, err)
	}
	r.ok(other.Close())
	_, err = r.Restore(t.Context(), "a", "", nil)
	if r.ok(err); r.count(r.database) != 1 {
		t.Error("it was not restored")
	}
}

// killed makes the files of a database look as after the death of the process that had it: what is in its WAL alone is not in the file.
func killed(t *testing.T, r *rig) {
	t.Helper()
	dir := t.TempDir()
	for _, ending := range []string{"", "-wal"} {
		text, err := os.ReadFile(r.database + ending)
		r.ok(err)
		r.ok(os.WriteFile(filepath.Join(dir, "x"+ending), text, 0o600))
	}
	r.stop()
	for _, ending := range []string{"", "-wal"} {
		r.ok(os.Rename(filepath.Join(dir, "x"+ending), r.database+ending))
	}
}

// What was in the WAL of a server that was killed is in the file that is kept, and not in the one that takes its place.
func TestTheWALOfAKilledServerIsKept(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.enqueue(1)
	r.create(backup.Options{Name: "a"})
	r.enqueue(4)
	killed(t, r)
	done, err := r.Restore(t.Context(), "a", "", nil)
	r.ok(err)
	if n := r.count(*done.ReplacedFile); n != 5 {
		t.Errorf("%d tasks in the file that was replaced, want 5", n)
	}
	if n := r.count(r.database); n != 1 {
		t.Errorf("%d tasks, want 1", n)
	}
}

// The WAL of a file that is gone, or damaged, is not taken for one of the file that takes its place.
func TestAStaleWALIsPutAside(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(r *rig){
		"Gone":    func(r *rig) { r.ok(os.Remove(r.database)) },
		"Damaged": func(r *rig) { r.ok(os.WriteFile(r.database, []byte(strings.Repeat("damaged ", 10000)), 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.enqueue(1)
			r.create(backup.Options{Name: "a"})
			r.enqueue(4)
			killed(t, r)
			spoil(r)
			r.ok(os.WriteFile(r.database+"-journal", []byte("a journal"), 0o600))
			wal, err := os.ReadFile(r.database + "-wal")
			r.ok(err)
			_, err = r.Restore(t.Context(), "a", "", nil)
			r.ok(err)
			kept, err := filepath.Glob(r.database + ".replaced-*-wal")
			if r.ok(err); len(kept) != 1 {
				t.Fatalf("the WAL is not kept: %v", r.files(filepath.Dir(r.database)))
			}
			if text, err := os.ReadFile(kept[0]); err != nil || string(text) != string(wal) {
				t.Errorf("the WAL is not kept as it was: %v", err)
			}
			if n := r.count(r.database); n != 1 {
				t.Errorf("%d tasks, want 1", n)
			}
		})
	}
}

// Another program's database is left alone, and a symlink is none of the backups.
func TestRestoreLeavesAloneWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.enqueue(1)
	b := r.create(backup.Options{Name: "a"})
	other := filepath.Join(t.TempDir(), "other.db")
	db, err := sql.Open("sqlite3", "file:"+filepath.ToSlash(other))
	r.ok(err)
	_, err = db.ExecContext(t.Context(), "CREATE TABLE workers (x)")
	r.ok(errors.Join(err, db.Close()))
	before, err := os.ReadFile(other)
	r.ok(err)
	if _, err := r.Restore(t.Context(), "a", other, nil); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("got %v", err)
	}
	if after, err := os.ReadFile(other); err != nil || string(after) != string(before) {
		t.Errorf("it was changed: %v", err)
	}
	if err := os.Symlink(filepath.Join(r.Path, b.File), filepath.Join(r.Path, "link.db")); err != nil && os.Getenv("CI") != "true" {
		t.Skip(err) // Windows allows it to some users alone
	} else if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Restore(t.Context(), "link", filepath.Join(t.TempDir(), "x.db"), nil); !errors.Is(err, task.ErrNotFound) {
		t.Errorf("a symlink: %v", err)
	}
}

// TestABackupOfAMoveIsRestored: the move that was under way is not that of what is restored. A store that had been moved stays one.
func TestABackupOfAMoveIsRestored(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.enqueue(2)
	r.exec("INSERT INTO store_move (move_id, state, peer, since_utc) VALUES ('m', 'leaving', 'postgres://db/queue', 1)", "INSERT INTO move_changes (task_id) VALUES (1)")
	r.create(backup.Options{Name: "moving"})
	r.exec("UPDATE store_move SET state = 'left'")
	r.create(backup.Options{Name: "moved", Compress: true})
	r.stop()
	for name, words := range map[string]string{"moving": "not on the move any more", "moved": "--undo"} {
		to := filepath.Join(t.TempDir(), name+".db")
		done, err := r.Restore(t.Context(), name, to, nil)
		r.ok(err)
		if !strings.Contains(done.Note, words) || !strings.Contains(done.Note, "postgres://db/queue") {
			t.Errorf("%s: %q", name, done.Note)
		}
		st, err := sqlite.Open(t.Context(), to, sqlite.Options{Serve: true})
		if name == "moved" {
			if !errors.Is(err, task.ErrMoved) {
				t.Errorf("what had been moved is served: %v", err)
			}
			continue
		}
		r.ok(err)
		r.ok(st.Close())
		r.database = to
		if n := r.number("SELECT (SELECT count(*) FROM store_move) + (SELECT count(*) FROM move_changes)"); n != 0 {
			t.Errorf("%d rows are left of the move", n)
		}
		if files := r.files(filepath.Dir(to)); slices.ContainsFunc(files, func(name string) bool { return strings.Contains(name, "journal") }) {
			t.Errorf("left are %v", files)
		}
	}
}

// exec runs statements on the database as any tool would.
func (r *rig) exec(statements ...string) {
	r.Helper()
	db, err := driver.Open("file:" + filepath.ToSlash(r.database) + "?_pragma=busy_timeout(5000)")
	r.ok(err)
	for _, s := range statements {
		if _, err := db.ExecContext(r.Context(), s); err != nil {
			r.Fatalf("%s: %v", s, err)
		}
	}
	r.ok(db.Close())
}

func (r *rig) number(query string) (n int) {
	r.Helper()
	db, err := driver.Open("file:" + filepath.ToSlash(r.database) + "?_pragma=busy_timeout(5000)")
	r.ok(err)
	r.ok(db.QueryRowContext(r.Context(), query).Scan(&n))
	r.ok(db.Close())
	return n
}
