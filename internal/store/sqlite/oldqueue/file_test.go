package oldqueue_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3/driver"

	"github.com/prismq/thequeue/internal/store/sqlite"
	"github.com/prismq/thequeue/internal/store/sqlite/oldqueue"
)

var now = time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)

var rules = oldqueue.Rules{Now: now, MaxPayloadBytes: 1 << 20}

// script returns a file of testdata.
func script(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// connect opens a database as its own program does.
func connect(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := driver.Open("file:" + filepath.ToSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	return db
}

// older makes a database of the older queue and runs statements on it.
func older(t *testing.T, statements ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "old queue?.db")
	path = strings.ReplaceAll(path, "?", "%") // what a URL would take for something else
	db := connect(t, strings.ReplaceAll(path, "%", "%25"))
	defer db.Close()
	for _, s := range append([]string{script(t, "schema.sql")}, statements...) {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%v\n%s", err, s)
		}
	}
	return path
}

// read returns all that a file holds.
func read(t *testing.T, path string) (rows []oldqueue.Row, bad []oldqueue.Rejected) {
	t.Helper()
	f, err := oldqueue.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for b, err := range f.Read(t.Context(), rules) {
		if err != nil {
			t.Fatal(err)
		}
		rows, bad = append(rows, b.Rows...), append(bad, b.Rejected...)
	}
	return rows, bad
}

// beside returns the names of the files in the directory of a file, but for its own.
func beside(t *testing.T, path string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if e.Name() != filepath.Base(path) {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestTheFileAndWhatLiesBesideItStayAsTheyAre(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]string{"rollback journal": "", "write-ahead log": "PRAGMA journal_mode = wal"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := older(t, prepare, script(t, "tasks.sql"))
			if err := os.Chmod(path, 0o400); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if rows, bad := read(t, path); len(rows) != 12 || len(bad) != 0 {
				t.Errorf("%d rows, %d are bad", len(rows), len(bad))
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
				t.Errorf("the file has changed; %v", err)
			}
			if names := beside(t, path); len(names) != 0 {
				t.Errorf("there is %v", names)
			}
		})
	}
}

// TestWhatIsInTheLogAloneIsRead leaves the process that wrote alone with its log, as a kill does.
func TestWhatIsInTheLogAloneIsRead(t *testing.T) {
	t.Parallel()
	path := older(t, "PRAGMA journal_mode = wal")
	db := connect(t, strings.ReplaceAll(path, "%", "%25"))
	defer db.Close()
	for _, s := range []string{"PRAGMA wal_autocheckpoint = 0", script(t, "tasks.sql")} {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	var before [][]byte
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		before = append(before, b)
	}
	if rows, _ := read(t, path); len(rows) != 12 {
		t.Errorf("%d rows", len(rows))
	}
	for i, suffix := range []string{"", "-wal"} {
		if after, err := os.ReadFile(path + suffix); err != nil || !bytes.Equal(before[i], after) {
			t.Errorf("%s has changed; %v", path+suffix, err)
		}
	}
}

func TestAFileThatIsWrittenToMeanwhileIsNoticed(t *testing.T) {
	t.Parallel()
	path := older(t, script(t, "tasks.sql"))
	f, err := oldqueue.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Unchanged(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, now); err != nil {
		t.Fatal(err)
	}
	if err := f.Unchanged(); !errors.Is(err, oldqueue.ErrChanged) {
		t.Errorf("got %v", err)
	}
}

func TestOnlyADatabaseOfTheOlderQueueIsTaken(t *testing.T) {
	t.Parallel()
	ours := filepath.Join(t.TempDir(), "ours.db")
	st, err := sqlite.Open(t.Context(), ours, sqlite.Options{Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, says string }{
		"text":           {text, "is not a database of the older queue"},
		"nothing":        {empty, "it has not all of the tables"},
		"ours":           {ours, "one of this queue: it needs no import"},
		"no logs":        {older(t, "DROP TABLE task_logs"), "it has not all of the tables"},
		"a column less":  {older(t, "DROP INDEX ix_logs_task; ALTER TABLE task_logs DROP COLUMN at_utc"), "no such column: l.at_utc"},
		"a view instead": {older(t, "ALTER TABLE workers RENAME TO w; CREATE VIEW workers AS SELECT * FROM w"), "it has not all of the tables"},
		"ids below one":  {older(t, "INSERT INTO task_queue (id, type, payload) VALUES (-1, 'a', '{}')"), "a task with the id -1"},
	} {
		if _, err := oldqueue.Open(t.Context(), c.path); !errors.Is(err, oldqueue.ErrNotOld) || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), c.path) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for path, says := range map[string]string{dir: "is not a regular file", filepath.Join(dir, "none.db"): "no such file"} {
		if _, err := oldqueue.Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

func TestADamagedFileIsRefused(t *testing.T) {
	t.Parallel()
	path := older(t, script(t, "tasks.sql"))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(b[4096:], bytes.Repeat([]byte{0xff}, 4096)) // a whole page
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := oldqueue.Open(t.Context(), path); err == nil {
		t.Error("it was opened")
	}
}

// TestNothingOfTheSchemaIsRun has a generated column that cannot be computed for a payload that is no JSON, and triggers.
func TestNothingOfTheSchemaIsRun(t *testing.T) {
	t.Parallel()
	path := older(t, script(t, "tasks.sql"), `CREATE TRIGGER evil AFTER UPDATE ON task_queue BEGIN DELETE FROM task_queue; END`,
		plainColumns, `INSERT INTO task_queue (id, type, payload) VALUES (13, 'a', '[1')`,
		`ALTER TABLE task_queue ADD COLUMN format TEXT GENERATED ALWAYS AS (json_extract(payload, '$.format')) VIRTUAL`)
	rows, bad := read(t, path)
	if len(rows) != 12 || len(bad) != 1 || bad[0].ID != 13 || bad[0].Reason != "payload: must be valid JSON" {
		t.Errorf("%d rows, bad are %+v", len(rows), bad)
	}
}

func TestReadingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	f, err := oldqueue.Open(t.Context(), older(t, script(t, "tasks.sql")))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var got error
	for _, err := range f.Read(ctx, rules) {
		got = err
	}
	if got == nil {
		t.Error("it was read all the same")
	}
}

func names(rows []oldqueue.Row) (ids []int64) {
	for _, r := range rows {
		ids = append(ids, r.ID)
	}
	return ids
}

// TestManyTasksAndLinesAreReadWhole goes over the ends of batches and of pages of lines.
func TestManyTasksAndLinesAreReadWhole(t *testing.T) {
	t.Parallel()
	path := older(t, `WITH n AS (SELECT value AS i FROM generate_series(1, 1203)) INSERT INTO task_queue (id, type, payload, created_at_utc) SELECT i * 3, 'a', '{}', '2025-11-05 08:00:00' FROM n`,
		`INSERT INTO task_queue (id, type, payload, created_at_utc) SELECT 4000 + value, 'big', '{"x":"' || printf('%.*c', 900000, 'x') || '"}', '2025-11-05 08:00:00' FROM generate_series(1, 9)`,
		`INSERT INTO task_logs (task_id, level, message, at_utc) SELECT 30, 'INFO', value, '2025-11-05 08:00:00' FROM generate_series(1, 1200)`,
		`INSERT INTO task_logs (task_id, level, message, at_utc) SELECT t.id, 'INFO', 'one', '2025-11-05 08:00:00' FROM task_queue AS t WHERE t.id > 30`)
	rows, bad := read(t, path)
	if len(rows) != 1212 || len(bad) != 0 || !slices.IsSorted(names(rows)) {
		t.Fatalf("%d rows, %d are bad", len(rows), len(bad))
	}
	for _, r := range rows {
		want := map[bool]int{true: 2, false: 1}[r.ID > 30] // with that of the import
		if r.ID == 30 {
			want = 1201
		}
		if len(r.Logs) != want {
			t.Errorf("task %d has %d lines, want %d", r.ID, len(r.Logs), want)
		}
		for i := 1; i < len(r.Logs); i++ {
			if r.Logs[i].LogID <= r.Logs[i-1].LogID {
				t.Fatalf("the ids of lines do not grow in task %d", r.ID)
			}
		}
	}
}
