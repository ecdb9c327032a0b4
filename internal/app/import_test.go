package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ncruces/go-sqlite3/driver"

	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// olderQueue makes a database of the older queue from the scripts of its package, and runs statements on it.
func olderQueue(t *testing.T, statements ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "old.db")
	db, err := driver.Open("file:" + filepath.ToSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var scripts []string
	for _, name := range []string{"schema.sql", "tasks.sql"} {
		text, err := os.ReadFile(filepath.Join("..", "store", "sqlite", "oldqueue", "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		scripts = append(scripts, string(text))
	}
	for _, s := range append(scripts, statements...) {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%v\n%s", err, s)
		}
	}
	return path
}

// eachDatabase runs a test with the name of an empty database of each engine; that of SQLite does not exist yet.
func eachDatabase(t *testing.T, test func(t *testing.T, database string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, filepath.Join(t.TempDir(), "new", "queue.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, testdb.EmptyPostgresURL(t))
	})
}

func importInto(t *testing.T, database string, im Import) (ImportReport, error) {
	t.Helper()
	cfg := config.Default(func(string) string { return "" })
	cfg.Database = database
	return ImportOld(t.Context(), cfg, im, slog.New(slog.DiscardHandler))
}

// look opens the database and looks at it.
func look(t *testing.T, database string, look func(st store.Store)) {
	t.Helper()
	st, err := OpenStore(t.Context(), database, true, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	look(st)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}

func counts(t *testing.T, database string) (s task.Stats) {
	t.Helper()
	look(t, database, func(st store.Store) {
		var err error
		if s, err = st.Stats(t.Context(), st.Clock().Now()); err != nil {
			t.Fatal(err)
		}
		s.OldestQueuedAgeSeconds = nil
	})
	return s
}

var wantTasks = []ImportedStatus{
	{Status: "queued", Tasks: 3, Becomes: map[string]int64{"queued": 2, "failed (exhausted)": 1}},
	{Status: "leased", Tasks: 1, Becomes: map[string]int64{"queued": 1}},
	{Status: "processing", Tasks: 1, Becomes: map[string]int64{"failed (exhausted)": 1}},
	{Status: "completed", Tasks: 2, Becomes: map[string]int64{"completed": 2}},
	{Status: "failed", Tasks: 4, Becomes: map[string]int64{"failed (cancelled)": 2, "failed (exhausted)": 1, "failed (rejected)": 1}},
	{Status: "dead_letter", Tasks: 1, Becomes: map[string]int64{"failed (exhausted)": 1}},
}

var wantCounts = task.Stats{TotalTasks: 12, QueuedTasks: 3, CompletedTasks: 2, FailedTasks: 7, ReadyTasks: 2, ScheduledTasks: 1}

func TestTheOlderQueueIsImportedAsItsDryRunSays(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database string) {
		old := olderQueue(t)
		dry, err := importInto(t, database, Import{File: old, DryRun: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(database); !strings.Contains(database, "://") && !os.IsNotExist(err) {
			t.Errorf("a dry run has made the database; %v", err)
		}
		var told []int64
		got, err := importInto(t, database, Import{File: old, Progress: func(done, total int64) { told = append(told, done, total) }})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]int64{12, 24, 24, 24}, told); d != "" {
			t.Errorf("progress: %s", d)
		}
		if d := cmp.Diff(wantTasks, got.Tasks); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(map[task.Status]int64{task.Queued: 3, task.Completed: 2, task.Failed: 7}, got.Stored); d != "" {
			t.Error(d)
		}
		if got.Imported != 12 || got.Total != 12 || got.Workers != 2 || got.KeptIDs == nil || !*got.KeptIDs {
			t.Errorf("got %+v", got)
		}
		got.DryRun, got.Stored, got.KeptIDs = true, nil, nil
		if d := cmp.Diff(dry, got); d != "" {
			t.Errorf("the dry run said (-) and it came to (+): %s", d)
		}
		if d := cmp.Diff(wantCounts, counts(t, database)); d != "" {
			t.Error(d)
		}
		look(t, database, func(st store.Store) {
			if got, err := st.GetTask(t.Context(), 1); err != nil || *got.IdempotencyKey != "order-1" || got.Payload != `{"to": "ada", "n": 12345678901234567890.10}` {
				t.Errorf("task 1 is %+v, %v", got, err)
			}
		})

		again, err := importInto(t, database, Import{File: old})
		if err != nil || again.Known != 12 || again.Imported != 0 || again.Workers != 0 {
			t.Errorf("a second import came to %+v, %v", again, err)
		}
		if dry, err := importInto(t, database, Import{File: old, DryRun: true}); err != nil || dry.Known != 12 || dry.Imported != 0 {
			t.Errorf("a dry run after it said %+v, %v", dry, err)
		}
		if d := cmp.Diff(wantCounts, counts(t, database)); d != "" {
			t.Error(d)
		}
	})
}

func TestRowsThatCannotBeReadRefuseTheImportOrAreKeptAside(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database string) {
		old := olderQueue(t, "PRAGMA foreign_keys = off", "UPDATE task_queue SET priority = 0 WHERE id = 6", "UPDATE workers SET heartbeat_utc = 'never' WHERE worker_id = 'worker-2'",
			"INSERT INTO task_logs (log_id, task_id, level, message) VALUES (50, 99, 'INFO', 'stray')")
		for _, dry := range []bool{true, false} {
			got, err := importInto(t, database, Import{File: old, DryRun: dry})
			if !errors.Is(err, ErrUnreadable) || got.RejectedRows != 6 || len(got.Rejected) != 6 || got.Unreadable != 1 {
				t.Errorf("got %+v, %v", got, err)
			}
		}
		if _, err := os.Stat(database); !strings.Contains(database, "://") && !os.IsNotExist(err) {
			t.Errorf("a refused import has made the database; %v", err)
		}
		rejects := filepath.Join(t.TempDir(), "rejects.jsonl")
		got, err := importInto(t, database, Import{File: old, Rejects: rejects})
		if err != nil || got.Imported != 11 || got.Unreadable != 1 || got.Total != 12 || got.Workers != 1 {
			t.Fatalf("got %+v, %v", got, err)
		}
		if n := counts(t, database).TotalTasks; n != 11 {
			t.Errorf("%d tasks", n)
		}
		text, err := os.ReadFile(rejects)
		if err != nil {
			t.Fatal(err)
		}
		for i, part := range []string{
			`{"table":"task_queue","id":6,"reason":"priority: must lie between 1 and 1000, but is 0","row":{"attempts":0,`, `"reason":"its task 6 cannot be read"`, "", "",
			`{"table":"task_logs","id":50,"reason":"there is no task of it"`, `{"table":"workers","id":0,"reason":"heartbeat_utc: \"never\" is not a time`,
		} {
			if lines := strings.Split(string(text), "\n"); len(lines) != 7 || !strings.Contains(lines[i], part) {
				t.Errorf("line %d of %d is not %s:\n%s", i, len(lines), part, text)
			}
		}
		if _, err := importInto(t, database, Import{File: old, Rejects: rejects}); err == nil || !strings.Contains(err.Error(), "is there already") {
			t.Errorf("a file that was there: %v", err)
		}
	})
}

func TestAnImportThatFailsLeavesNoFileOfRejects(t *testing.T) {
	t.Parallel()
	old := olderQueue(t, "UPDATE task_queue SET priority = 0 WHERE id = 6")
	rejects := filepath.Join(t.TempDir(), "rejects.jsonl")
	if _, err := importInto(t, old, Import{File: old, Rejects: rejects}); err == nil || !strings.Contains(err.Error(), "older queue") {
		t.Errorf("an import into itself: %v", err)
	}
	if _, err := os.Stat(rejects); !os.IsNotExist(err) {
		t.Errorf("the file is there; %v", err)
	}
}

func TestTasksHeldByWorkersThatMayStillRunAreTold(t *testing.T) {
	t.Parallel()
	old := olderQueue(t, "UPDATE task_queue SET lease_until_utc = '2999-01-01 00:00:00' WHERE id IN (4, 6)")
	got, err := importInto(t, filepath.Join(t.TempDir(), "queue.db"), Import{File: old, DryRun: true})
	if err != nil || got.StillHeld != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// stuckImport is the database into which a process of this test imports, until it is killed.
const stuckImport = "THEQUEUE_TEST_STUCK_IMPORT"

// TestStuckImport is run as a process of its own by the test below.
func TestStuckImport(t *testing.T) {
	database := os.Getenv(stuckImport)
	if database == "" {
		return // the test below has not started this process
	}
	look(t, database, func(st store.Store) {
		_, err := st.Import(t.Context(), store.Import{Batches: stuck(t.Context(), st.Clock().Now()), FirstID: 1, LastID: 1000})
		t.Fatal(err)
	})
}

// stuck gives a batch, says so once it is stored, and then never ends.
func stuck(ctx context.Context, now time.Time) iter.Seq2[[]store.Imported, error] {
	return func(yield func([]store.Imported, error) bool) {
		batch := make([]store.Imported, 1000)
		for i := range batch {
			batch[i].Task = task.Task{
				ID: int64(i + 1), Type: "stuck", Priority: 1, Payload: "{}", Compatibility: "{}", Status: task.Queued, MaxAttempts: 1, Ready: true,
				IdempotencyKey: new(fmt.Sprint(i)), RunAfterUTC: now, CreatedAtUTC: now, UpdatedAtUTC: now,
			}
		}
		if yield(batch, nil) {
			fmt.Println("stored")
			<-ctx.Done()
		}
	}
}

func TestAnImportThatIsKilledLeavesTheDatabaseAsItWas(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database string) {
		if before := counts(t, database); before.TotalTasks != 0 {
			t.Fatal(before)
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStuckImport$", "-test.timeout=10m")
		cmd.Env = append(os.Environ(), stuckImport+"="+database)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil || line != "stored\n" {
			rest, _ := io.ReadAll(out)
			t.Errorf("it said %q %s, %v", line, rest, err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
		look(t, database, func(st store.Store) {
			types, err := st.ListTypes(t.Context())
			if err != nil || len(types) != 0 {
				t.Errorf("types are %v, %v", types, err)
			}
		})
		if d := cmp.Diff(task.Stats{}, counts(t, database)); d != "" {
			t.Error(d)
		}
		if got, err := importInto(t, database, Import{File: olderQueue(t)}); err != nil || got.Imported != 12 || !*got.KeptIDs {
			t.Errorf("the next import came to %+v, %v", got, err)
		}
	})
}
