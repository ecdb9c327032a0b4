package dbcopy_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/prismq/thequeue/internal/dbcopy"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/store/sqlite"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// addTasks enqueues n tasks, some with a key.
func addTasks(t *testing.T, st store.Store, n int, prefix string) {
	t.Helper()
	now := st.Clock().Now()
	batch := make([]task.Task, n)
	for i := range batch {
		spec := task.Spec{Type: "work", Payload: task.JSON(fmt.Sprintf(`{"n": %d.0}`, i))}
		if i%10 == 0 {
			spec.IdempotencyKey = new(fmt.Sprintf("%s-%d", prefix, i))
		}
		k, err := spec.Task(now, task.Limits{MaxAttempts: 5, PayloadBytes: 100})
		if err != nil {
			t.Fatal(err)
		}
		batch[i] = k
	}
	if _, _, err := st.InsertTasks(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
}

// TestABrokenMoveGoesOn breaks a move off in the middle of its first pass, changes the store behind it and before it, and runs it again.
func TestABrokenMoveGoesOn(t *testing.T) {
	t.Parallel()
	file := func(t *testing.T) (store.Store, string, string) {
		from := everything(t)
		st, err := sqlite.Open(t.Context(), from, sqlite.Options{Serve: true})
		if err != nil {
			t.Fatal(err)
		}
		return st, from, testdb.EmptyPostgresURL(t)
	}
	server := func(t *testing.T) (store.Store, string, string) {
		url := testdb.EmptyPostgresURL(t)
		mustMove(t, everything(t), url)
		st, err := postgres.Open(t.Context(), url, postgres.Options{MaxConns: 4})
		if err != nil {
			t.Fatal(err)
		}
		return st, url, filepath.Join(t.TempDir(), "to.db")
	}
	for name, places := range map[string]func(*testing.T) (store.Store, string, string){"from sqlite": file, "from postgres": server} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, from, to := places(t)
			t.Cleanup(func() { st.Close() })
			addTasks(t, st, 2500, "a")
			ctx, stop := context.WithCancel(t.Context())
			_, err := dbcopy.Move(ctx, from, to, dbcopy.Options{Tell: func(p dbcopy.Progress) {
				if p.Phase == "copy" && p.Done < p.Of {
					stop()
				}
			}})
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("the move that was stopped: %v", err)
			}
			if _, err := open(t, to); !errors.Is(err, task.ErrMoved) {
				t.Errorf("what is half filled can be opened: %v", err)
			}
			change(t, st)
			first, compared := int64(-1), false
			if _, err := dbcopy.Move(t.Context(), from, to, dbcopy.Options{Tell: func(p dbcopy.Progress) {
				if p.Phase == "copy" && first < 0 {
					first = p.Done
				}
				if p.Phase == "compare" && !compared { // some that have been compared change, and some that have not
					compared = true
					claim(t, st, task.LIFO)
					claim(t, st, task.FIFO)
					addTasks(t, st, 100, "c")
				}
			}}); err != nil {
				t.Fatalf("the same move again: %v", err)
			}
			if first < 1500 {
				t.Errorf("it began again at task %d", first)
			}
			mustBeSame(t, from, to)
			mustRefuse(t, st.DeleteTask(t.Context(), 5), "--undo")
		})
	}
}

func open(t *testing.T, database string) (store.Store, error) {
	if strings.Contains(database, "://") {
		st, err := postgres.Open(t.Context(), database, postgres.Options{})
		if err == nil {
			t.Cleanup(func() { st.Close() })
		}
		return st, err
	}
	st, err := sqlite.Open(t.Context(), database, sqlite.Options{})
	if err == nil {
		t.Cleanup(func() { st.Close() })
	}
	return st, err
}

// change deletes, claims, ends and adds tasks, a key of one that is gone among them.
func change(t *testing.T, st store.Store) {
	t.Helper()
	now := st.Clock().Now()
	if err := st.DeleteTask(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	if _, _, err := st.CancelTask(t.Context(), 1, now); err != nil {
		t.Fatal(err)
	}
	if err := st.DeleteTask(t.Context(), 1); err != nil { // it had key-1
		t.Fatal(err)
	}
	k, err := task.Spec{Type: "mail", IdempotencyKey: new("key-1")}.Task(now, task.Limits{MaxAttempts: 5, PayloadBytes: 100})
	if err != nil {
		t.Fatal(err)
	}
	if _, created, err := st.InsertTask(t.Context(), k); err != nil || !created {
		t.Fatal(created, err)
	}
	claim(t, st, task.LIFO)
	addTasks(t, st, 300, "b")
}

// claim claims tasks, and ends most of them.
func claim(t *testing.T, st store.Store, s task.Strategy) {
	t.Helper()
	now := st.Clock().Now()
	claimed, err := st.ClaimTasks(t.Context(), task.Claim{WorkerID: "w9", Types: []string{"work"}, Strategy: s, Max: 30, Lease: 3600e9, Now: now, Secret: "s"})
	if err != nil || len(claimed) == 0 {
		t.Fatal(len(claimed), err)
	}
	for i, c := range claimed[:len(claimed)-2] {
		token := task.Token{Fence: c.Fence, Secret: "s"}
		if i%2 == 0 {
			_, err = st.CompleteTask(t.Context(), c.ID, token, nil, now)
		} else {
			_, err = st.FailTask(t.Context(), c.ID, token, store.Verdict{Message: "no", Outcome: task.Rejected}, now)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestAMoveThatWasTakenBackDoesNotGoOn takes a move back while it runs: what changes after that is not noted.
func TestAMoveThatWasTakenBackDoesNotGoOn(t *testing.T) {
	t.Parallel()
	from, to := everything(t), filepath.Join(t.TempDir(), "to.db")
	_, err := dbcopy.Move(t.Context(), from, to, dbcopy.Options{Tell: func(p dbcopy.Progress) {
		if p.Phase != "compare" {
			return
		}
		if _, err := dbcopy.Undo(t.Context(), from); err != nil {
			t.Error(err)
		}
		exec(t, from, "UPDATE task_queue SET error_message = 'other' WHERE id = 5")
	}})
	if !errors.Is(err, task.ErrConflict) {
		t.Errorf("got %v", err)
	}
	st, err := open(t, from)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.DeleteTask(t.Context(), 5); err != nil {
		t.Errorf("the store takes no changes: %v", err)
	}
	if _, err := dbcopy.Move(t.Context(), from, to, dbcopy.Options{}); !errors.Is(err, task.ErrMoved) {
		t.Errorf("what is half filled by a move that was taken back is filled on: %v", err)
	}
	mustMove(t, from, filepath.Join(t.TempDir(), "new.db"))
}

// own are the tables that are about a move, or about the schema.
var own = []string{"store_move", "move_changes", "goose_db_version"}

// TestAMoveKnowsEveryTable compares the tables of the schema with those of a move, and with those whose triggers refuse changes of what has been moved.
func TestAMoveKnowsEveryTable(t *testing.T) {
	t.Parallel()
	file, url := emptyFile(t), testdb.PostgresURL(t)
	list, err := dbcopy.Check(t.Context(), file, url, dbcopy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, d := range list {
		known = append(known, d.Table)
	}
	tables := func(all []string) []string {
		all = slices.DeleteFunc(all, func(name string) bool { return slices.Contains(own, name) })
		slices.Sort(all)
		return all
	}
	lite := func(query string) []string {
		rows, err := raw(t, file).QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var out []string
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				t.Fatal(err)
			}
			out = append(out, name)
		}
		return out
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	pg := func(query string) []string {
		rows, err := conn.Query(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	for what, got := range map[string][]string{
		"tables of SQLite":     tables(lite(`SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`)),
		"tables of PostgreSQL": tables(pg(`SELECT tablename FROM pg_tables WHERE schemaname = 'public'`)),
		// A lane of a task that there cannot be is no harm, and a trigger here would make each new lane dearer.
		"insertions refused":    tables(lite(`SELECT 'lanes' UNION ALL SELECT tbl_name FROM sqlite_schema WHERE name = 'move_refuse_' || tbl_name || '_insert'`)),
		"changes refused":       tables(lite(`SELECT tbl_name FROM sqlite_schema WHERE name = 'move_refuse_' || tbl_name || '_update'`)),
		"deletions refused":     tables(lite(`SELECT tbl_name FROM sqlite_schema WHERE name = 'move_refuse_' || tbl_name || '_delete'`)),
		"refused on PostgreSQL": tables(pg(`SELECT c.relname::text FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid WHERE t.tgname = 'move_refuse' AND t.tgenabled = 'D'`)),
	} {
		if !slices.Equal(got, known) {
			t.Errorf("%s: %q, and a move knows %q", what, got, known)
		}
	}
	recorded := []string{"http_answers", "schedule_ticks", "task_attempts", "task_logs", "task_queue", "task_unique_keys"}
	for what, got := range map[string][]string{
		"SQLite":     tables(lite(`SELECT DISTINCT tbl_name FROM sqlite_schema WHERE name LIKE 'move_record_%' GROUP BY tbl_name HAVING count(*) = 3`)),
		"PostgreSQL": tables(pg(`SELECT c.relname::text FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid WHERE t.tgname = 'move_record' AND t.tgenabled = 'D'`)),
	} {
		if !slices.Equal(got, recorded) {
			t.Errorf("%s notes changes of %q, want %q", what, got, recorded)
		}
	}
}
