package dbcopy_test

import (
	"context"
	"errors"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/prismq/thequeue/internal/dbcopy"
	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/store/sqlite"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// place is a store of either engine, with what the test does to it.
type place struct {
	url        string
	open       func(ctx context.Context, migrate, serve bool) (store.Store, error)
	openSchema func(ctx context.Context) (*schema.Schema, func() error, error)
	validate   func(ctx context.Context) store.Checks
	inspect    func(ctx context.Context) (store.Inspection, error)
	repair     func(ctx context.Context, in store.Inspection) error
	exec       func(t *testing.T, statement string)
	leave      string // has the store in the state of one that is being copied
}

func fileAt(path string) place {
	return place{
		url: path,
		open: func(ctx context.Context, migrate, serve bool) (store.Store, error) {
			return opened(sqlite.Open(ctx, path, sqlite.Options{Migrate: migrate, Serve: serve}))
		},
		openSchema: func(ctx context.Context) (*schema.Schema, func() error, error) {
			return sqlite.OpenSchema(ctx, path, false)
		},
		validate: func(ctx context.Context) store.Checks { return sqlite.Validate(ctx, path) },
		inspect:  func(ctx context.Context) (store.Inspection, error) { return sqlite.Inspect(ctx, path, 10) },
		repair: func(ctx context.Context, in store.Inspection) error {
			return sqlite.Repair(ctx, path, in, time.Now())
		},
		exec:  func(t *testing.T, statement string) { exec(t, path, statement) },
		leave: leaving,
	}
}

func serverAt(url string) place {
	return place{
		url: url,
		open: func(ctx context.Context, migrate, serve bool) (store.Store, error) {
			return opened(postgres.Open(ctx, url, postgres.Options{Migrate: migrate, Serve: serve, MaxConns: 4}))
		},
		openSchema: func(ctx context.Context) (*schema.Schema, func() error, error) { return postgres.OpenSchema(ctx, url) },
		validate:   func(ctx context.Context) store.Checks { return postgres.Validate(ctx, url) },
		inspect:    func(ctx context.Context) (store.Inspection, error) { return postgres.Inspect(ctx, url, 10) },
		repair: func(ctx context.Context, in store.Inspection) error {
			return postgres.Repair(ctx, url, in, time.Now())
		},
		exec: func(t *testing.T, statement string) {
			t.Helper()
			conn, err := pgx.Connect(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(context.WithoutCancel(t.Context()))
			if _, err := conn.Exec(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		},
		leave: leaving + "; SELECT move_triggers(true, false)",
	}
}

const leaving = "UPDATE store_move SET state = 'leaving'"

// opened keeps a nil store of an engine from becoming one that is not nil.
func opened[S store.Store](st S, err error) (store.Store, error) {
	if err != nil {
		return nil, err
	}
	return st, nil
}

// eachMoved runs check on a store of each engine that has been moved to the other.
func eachMoved(t *testing.T, check func(t *testing.T, p place, peer string)) {
	t.Helper()
	for name, from := range map[string]func(t *testing.T) (place, string){
		"sqlite": func(t *testing.T) (place, string) { return fileAt(everything(t)), testdb.EmptyPostgresURL(t) },
		"postgres": func(t *testing.T) (place, string) {
			url := testdb.EmptyPostgresURL(t)
			mustMove(t, everything(t), url)
			return serverAt(url), filepath.Join(t.TempDir(), "new.db")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, peer := from(t)
			mustMove(t, p.url, peer)
			check(t, p, peer[strings.LastIndex(peer, "/"):])
		})
	}
}

// TestNoMigrationOfAMovedStoreIsTakenBack: with the table that says that it has been moved two stores would be served.
func TestNoMigrationOfAMovedStoreIsTakenBack(t *testing.T) {
	t.Parallel()
	eachMoved(t, func(t *testing.T, p place, peer string) {
		s, done, err := p.openSchema(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		version, err := s.Version(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.exec(t, leaving)
		mustRefuse(t, s.Down(t.Context()), "being moved", peer, "--undo")
		p.exec(t, "UPDATE store_move SET state = 'left'")
		for what, err := range map[string]error{"down": s.Down(t.Context()), "redo": s.Redo(t.Context()), "down to": s.DownTo(t.Context(), 1)} {
			mustRefuse(t, err, "has been moved", peer, "--undo")
			if now, bad := s.Version(t.Context()); bad != nil || now != version {
				t.Fatalf("after %s the schema has version %d, error %v", what, now, bad)
			}
		}
		if err := done(); err != nil {
			t.Fatal(err)
		}
		if _, err := dbcopy.Undo(t.Context(), p.url); err != nil {
			t.Fatal(err)
		}
		if s, done, err = p.openSchema(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Redo(t.Context()), done()); err != nil {
			t.Errorf("after undo: %v", err)
		}
	})
}

// TestAMovedStoreIsNotMigratedToBeServed has the newest migration forgotten, so that this binary is the newer one.
func TestAMovedStoreIsNotMigratedToBeServed(t *testing.T) {
	t.Parallel()
	eachMoved(t, func(t *testing.T, p place, peer string) {
		p.exec(t, "DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)")
		_, err := p.open(t.Context(), true, true)
		mustRefuse(t, err, peer, "--undo")
		s, done, err := p.openSchema(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		version, err := s.Version(t.Context())
		if err := errors.Join(err, done()); err != nil || version >= s.Latest() {
			t.Errorf("the schema has version %d, error %v", version, err)
		}
	})
}

// TestAMovedStoreIsKnownAsOne: readiness, health, validate and the repair say where it is.
func TestAMovedStoreIsKnownAsOne(t *testing.T) {
	t.Parallel()
	eachMoved(t, func(t *testing.T, p place, peer string) {
		st, err := p.open(t.Context(), false, false)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { st.Close() })
		mustRefuse(t, st.Ping(t.Context()), peer)
		h, err := queue.New(st, queue.Options{}).Health(t.Context())
		if err != nil || h.Status != task.Ill || h.Problems[0].Code != task.ProblemStoreMoved || !strings.Contains(h.Problems[0].Message, peer) {
			t.Errorf("health: %+v, %v", h, err)
		}
		in, err := p.inspect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		mustRefuse(t, p.repair(t.Context(), in), peer, "--undo")
		wantMove(t, p, store.CheckFailed, peer)
		p.exec(t, p.leave)
		wantMove(t, p, store.CheckWarning, peer)
		if err := st.Ping(t.Context()); err != nil {
			t.Errorf("a store that is being copied is in use: %v", err)
		}
		if _, err := dbcopy.Undo(t.Context(), p.url); err != nil {
			t.Fatal(err)
		}
		wantMove(t, p, store.CheckOK, "")
		if err := errors.Join(st.Ping(t.Context()), p.repair(t.Context(), in)); err != nil {
			t.Errorf("after undo: %v", err)
		}
	})
}

// wantMove looks at what validate says of a move. A task is tried only in a store that takes changes.
func wantMove(t *testing.T, p place, state store.CheckState, words string) {
	t.Helper()
	tried := false
	for _, c := range p.validate(t.Context()) {
		if c.Name == "move" && (c.State != state || !strings.Contains(c.Message, words) || (c.Remedy == "") != (state == store.CheckOK)) {
			t.Errorf("validate says %+v, want %s with %q", c, state, words)
		}
		if c.Name == "round_trip" {
			if tried = true; c.State != store.CheckOK {
				t.Errorf("the round trip: %+v", c)
			}
		}
	}
	if tried != (state != store.CheckFailed) {
		t.Errorf("a task was tried: %v, where the move is %s", tried, state)
	}
}

// TestOneDatabaseUnderTwoNamesIsNotMovedOntoItself: not even one with nothing in it, which would pass for an empty target.
func TestOneDatabaseUnderTwoNamesIsNotMovedOntoItself(t *testing.T) {
	t.Parallel()
	file := emptyFile(t)
	link, hard := filepath.Join(t.TempDir(), "link.db"), filepath.Join(filepath.Dir(file), "hard.db")
	if err := errors.Join(os.Symlink(file, link), os.Link(file, hard)); err != nil {
		t.Fatal(err)
	}
	url := testdb.PostgresURL(t)
	other, err := neturl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	q := other.Query()
	q.Set("application_name", "another name")
	other.RawQuery = q.Encode()
	for from, tos := range map[string][]string{file: {link, hard, file}, url: {other.String()}} {
		for _, to := range tos {
			_, err := dbcopy.Move(t.Context(), from, to, dbcopy.Options{})
			_, planned := dbcopy.DryRun(t.Context(), from, to)
			_, checked := dbcopy.Check(t.Context(), from, to, dbcopy.Options{})
			for _, err := range []error{err, planned, checked} {
				if bad, ok := errors.AsType[*task.InvalidError](err); !ok || bad.Fields[0].Field != "to" {
					t.Errorf("%s to %s: %v", from, to, err)
				}
			}
		}
	}
	mustMove(t, url, filepath.Join(t.TempDir(), "new.db"))
}

// TestAMoveWaitsForAVacuum: what holds a table for long is waited for and named, nobody else waits meanwhile, and no maintenance begins while the move is under way.
func TestAMoveWaitsForAVacuum(t *testing.T) {
	t.Parallel()
	url := testdb.PostgresURL(t)
	st, err := postgres.Open(t.Context(), url, postgres.Options{MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE task_queue IN SHARE UPDATE EXCLUSIVE MODE"); err != nil { // the lock of VACUUM
		t.Fatal(err)
	}
	var waited, refused bool
	_, err = dbcopy.Move(t.Context(), url, filepath.Join(t.TempDir(), "new.db"), dbcopy.Options{Tell: func(p dbcopy.Progress) {
		switch {
		case strings.HasPrefix(p.Phase, "wait for") && !waited:
			waited = true
			if !strings.Contains(p.Phase, "task_queue") || !strings.Contains(p.Phase, "LOCK TABLE") {
				t.Errorf("it says %q", p.Phase)
			}
			addTasks(t, st, 1, "a")
			if _, err := conn.Exec(t.Context(), "COMMIT"); err != nil {
				t.Error(err)
			}
		case p.Phase == "copy" && !refused:
			refused = true
			if _, err := st.Vacuum(t.Context(), func(task.Progress) {}); !errors.Is(err, task.ErrConflict) || !strings.Contains(err.Error(), "new.db") {
				t.Errorf("a vacuum in the middle: %v", err)
			}
		}
	}})
	if err != nil || !waited || !refused {
		t.Errorf("waited %v, refused %v, %v", waited, refused, err)
	}
}

// TestChangesOfLargeTasksAreFollowedInParts changes more bytes than belong into one transaction.
func TestChangesOfLargeTasksAreFollowedInParts(t *testing.T) {
	t.Parallel()
	from, to := everything(t), testdb.EmptyPostgresURL(t)
	st, err := sqlite.Open(t.Context(), from, sqlite.Options{Serve: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	now := st.Clock().Now()
	for range 40 {
		k, err := task.Spec{Type: "large", Payload: task.JSON(`{"x":"` + strings.Repeat("x", 500<<10) + `"}`)}.Task(now, task.Limits{MaxAttempts: 5, PayloadBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := st.InsertTask(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	changed := false
	r, err := dbcopy.Move(t.Context(), from, to, dbcopy.Options{Tell: func(p dbcopy.Progress) {
		if p.Phase != "compare" || changed {
			return
		}
		changed = true
		for {
			got, err := st.ClaimTasks(t.Context(), task.Claim{WorkerID: "w", Strategy: task.FIFO, Types: []string{"large"}, Max: 100, Lease: time.Hour, Now: now, Secret: "x"})
			if err != nil {
				t.Error(err)
			}
			if len(got) == 0 {
				return
			}
		}
	}})
	if err != nil || !changed {
		t.Fatalf("changed %v, %v", changed, err)
	}
	for _, d := range mustBeSame(t, from, to) {
		if got := r.Tables[d.Table]; got != d.To {
			t.Errorf("%s: the move says %d rows %s, there are %d %s", d.Table, got.Rows, got.Hash(), d.To.Rows, d.To.Hash())
		}
	}
}

// TestAuditAndMetricsAreCopiedInParts has more of them than are read at once, and changes some in every part meanwhile.
func TestAuditAndMetricsAreCopiedInParts(t *testing.T) {
	t.Parallel()
	from, to := everything(t), testdb.EmptyPostgresURL(t)
	exec(t, from, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
		INSERT INTO audit_log (at_utc, actor, action, subject, message) SELECT i, 'a', 'b', 'c', 'row ' || i FROM n`,
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
		INSERT INTO task_rollups (seconds, type, at_utc, node, counts) SELECT 3600, 't' || (i % 3), 1769846400000000 + i * 3600000000, 'n', '{}' FROM n`)
	changed := false
	r, err := dbcopy.Move(t.Context(), from, to, dbcopy.Options{Tell: func(p dbcopy.Progress) {
		if p.Phase == "copy" && !changed {
			changed = true
			exec(t, from, "DELETE FROM task_rollups WHERE node = 'n' AND (at_utc / 3600000000) % 5 = 0", "UPDATE task_rollups SET counts = '{\"claimed\":1}' WHERE node = 'n' AND type = 't1'",
				"DELETE FROM audit_log WHERE audit_id % 3000 = 0", "INSERT INTO audit_log (at_utc, actor, action, subject, message) VALUES (1, 'late', 'b', 'c', 'd')")
		}
	}})
	if err != nil || !changed {
		t.Fatalf("changed %v, %v", changed, err)
	}
	for _, d := range mustBeSame(t, from, to) {
		if got := r.Tables[d.Table]; got != d.To {
			t.Errorf("%s: the move says %d rows %s, there are %d %s", d.Table, got.Rows, got.Hash(), d.To.Rows, d.To.Hash())
		}
		if d.Table == "audit_log" && d.To.Rows < 11000 || d.Table == "task_rollups" && d.To.Rows < 200 {
			t.Errorf("%s has %d rows", d.Table, d.To.Rows)
		}
	}
}
