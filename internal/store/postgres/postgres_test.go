package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/store/storetest"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
	"github.com/prismq/thequeue/migrations"
)

func TestMain(m *testing.M) { testdb.Main(m) }

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store { return testdb.Postgres(t) })
}

// Some errors of a query show on the real engine alone.
func TestEveryQueryCanBePrepared(t *testing.T) {
	t.Parallel()
	q, err := postgresdb.Prepare(t.Context(), testdb.Postgres(t).(*postgres.Store).DB())
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
}

// open returns a store on a fresh database and a connection of somebody else to it. params are added to the URL.
func open(t *testing.T, params string) (*postgres.Store, *pgx.Conn) {
	t.Helper()
	u, err := url.Parse(testdb.PostgresURL(t))
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery += params
	st, err := postgres.Open(t.Context(), u.String(), postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	other, err := pgx.Connect(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close(context.Background()) })
	return st, other
}

func exec(t *testing.T, c *pgx.Conn, statement string, args ...any) {
	t.Helper()
	if _, err := c.Exec(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// insert stores n tasks of one type and priority.
func insert(t *testing.T, st *postgres.Store, n, priority int) []task.Task {
	t.Helper()
	now := st.Clock().Now()
	ts := make([]task.Task, n)
	for i := range ts {
		var err error
		if ts[i], err = (task.Spec{Type: "work", Priority: &priority}).Task(now, task.Limits{MaxAttempts: 5, PayloadBytes: 100}); err != nil {
			t.Fatal(err)
		}
	}
	stored, _, err := st.InsertTasks(t.Context(), ts)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func claim(st *postgres.Store, s task.Strategy, n int) task.Claim {
	return task.Claim{WorkerID: "w", Strategy: s, Max: n, Lease: time.Minute, Now: st.Clock().Now(), Secret: fmt.Sprintf("%032x", rand.Uint64()), Seed: rand.Uint64()}
}

// claimOne claims the only task there is.
func claimOne(t *testing.T, st *postgres.Store) (task.Task, task.Token) {
	t.Helper()
	ts, err := st.ClaimTasks(t.Context(), claim(st, task.FIFO, 1))
	if err != nil || len(ts) != 1 {
		t.Fatalf("claimed %d tasks, error %v", len(ts), err)
	}
	return ts[0], task.Token{Fence: ts[0].Fence, Secret: *ts[0].LeaseSecret}
}

// awaitBlocked returns when n statements of the store wait for a lock.
func awaitBlocked(t *testing.T, st *postgres.Store, n int) {
	t.Helper()
	const look = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
	await(t, n, func(ctx context.Context) (got int, err error) {
		err = st.DB().QueryRowContext(ctx, look).Scan(&got)
		return got, err
	})
}

// await returns when count returns n, and fails the test when that takes too long.
func await(t *testing.T, n int, count func(context.Context) (int, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		switch got, err := count(ctx); {
		case err != nil:
			t.Fatalf("await %d: %v", n, err)
		case got == n:
			return
		}
	}
}

func TestOpenRefusesASchemaThatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	u := testdb.EmptyPostgresURL(t)
	if _, err := postgres.Open(t.Context(), u, postgres.Options{}); !errors.Is(err, schema.ErrOlder) {
		t.Errorf("empty database: got %v, want ErrOlder", err)
	}
	st, err := postgres.Open(t.Context(), u, postgres.Options{Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	if _, err := st.DB().ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)"); err != nil {
		t.Fatal(err)
	}
	if _, err := postgres.Open(t.Context(), u, postgres.Options{Migrate: true}); !errors.Is(err, schema.ErrNewer) {
		t.Errorf("newer database: got %v, want ErrNewer", err)
	}
}

func TestOpenIsBusyWithoutAServer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, err = postgres.Open(t.Context(), "postgres://u:opensesame@"+l.Addr().String()+"/db?sslmode=disable", postgres.Options{})
	if !errors.Is(err, task.ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
	want := "open PostgreSQL: the PostgreSQL server cannot be reached at " + l.Addr().String() + ": connect: connection refused"
	if err.Error() != want {
		t.Errorf("it says %q, want %q", err, want)
	}
}

func TestLanesAreToldApartByEveryByteOfTheirRequirements(t *testing.T) {
	t.Parallel()
	st, _ := open(t, "")
	lanes := make(map[int64]bool)
	all := []task.JSON{`{}`, `{"a":"\\"}`, `{"a":"\\\\"}`, `{"a":"\\000"}`, `{"a":"ü"}`, `{"ü":"a"}`, `{"a":"\u2603"}`}
	for _, c := range slices.Concat(all, all) {
		made, err := (task.Spec{Type: "work", Compatibility: c}).Task(st.Clock().Now(), task.Limits{MaxAttempts: 5, PayloadBytes: 100})
		if err != nil {
			t.Fatal(err)
		}
		stored, _, err := st.InsertTask(t.Context(), made)
		if err != nil {
			t.Fatalf("%s: %v", c, err)
		}
		lanes[stored.LaneID] = true
	}
	if len(lanes) != len(all) {
		t.Errorf("%d lanes, want %d", len(lanes), len(all))
	}
}

func TestADatabaseThatIsNotInUTF8IsRefused(t *testing.T) {
	t.Parallel()
	_, other := open(t, "")
	name := fmt.Sprintf("thequeue_test_latin1_%x", rand.Uint64())
	exec(t, other, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
	t.Cleanup(func() {
		if _, err := other.Exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(other.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	u.Path = name
	check := func(what string, err error) {
		bad, ok := errors.AsType[*task.InvalidError](err)
		if !ok || bad.Fields[0].Field != "database" || !strings.Contains(err.Error(), "LATIN1") {
			t.Errorf("%s: got %v, want an error that names the setting and the encoding", what, err)
		}
	}
	_, err = postgres.Open(t.Context(), u.String(), postgres.Options{Migrate: true})
	check("open", err)
	_, _, err = postgres.OpenSchema(t.Context(), u.String())
	check("open for migrations", err)
	conn, err := pgx.Connect(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	await(t, 0, counting(conn, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"))
}

func TestManyNodesOpenAndMigrateAtOnce(t *testing.T) {
	t.Parallel()
	u := testdb.EmptyPostgresURL(t)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			st, err := postgres.Open(t.Context(), u, postgres.Options{Migrate: true, MaxConns: 1})
			if err != nil {
				t.Error(err)
				return
			}
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestNothingIsTakenBackUnderAnOpenStore(t *testing.T) {
	t.Parallel()
	st, other := open(t, "")
	insert(t, st, 3, 100)
	s, done, err := postgres.OpenSchema(t.Context(), other.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { done() })
	for name, change := range map[string]func(context.Context) error{
		"down": s.Down, "redo": s.Redo, "down to": func(ctx context.Context) error { return s.DownTo(ctx, 0) },
	} {
		if err := change(t.Context()); !errors.Is(err, schema.ErrInUse) {
			t.Errorf("%s: got %v, want ErrInUse", name, err)
		}
	}
	if err := s.Up(t.Context()); err != nil {
		t.Errorf("up: %v", err)
	}
	exec(t, other, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
	if stats, err := st.Stats(t.Context(), st.Clock().Now()); err != nil || stats.TotalTasks != 3 {
		t.Errorf("%d tasks, error %v; want 3", stats.TotalTasks, err)
	}
	if err := s.Down(t.Context()); !errors.Is(err, schema.ErrInUse) {
		t.Errorf("down, after the store has connected again: got %v, want ErrInUse", err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Redo(t.Context()); err != nil {
		t.Errorf("redo, after the store is closed: %v", err)
	}
	if err := s.DownTo(t.Context(), 0); err != nil {
		t.Errorf("down, after the store is closed: %v", err)
	}
}

func TestAStoreOpensAfterAMigrationThatIsBeingTakenBack(t *testing.T) {
	t.Parallel()
	st, other := open(t, "")
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	var versions int
	if err := other.QueryRow(t.Context(), "SELECT count(*) FROM goose_db_version").Scan(&versions); err != nil {
		t.Fatal(err)
	}
	exec(t, other, "SELECT pg_advisory_lock($1)", schema.InUseLock)
	opened := make(chan error, 1)
	go func() {
		st, err := postgres.Open(t.Context(), other.Config().ConnString(), postgres.Options{Migrate: true})
		if err == nil {
			err = st.Close()
		}
		opened <- err
	}()
	await(t, 1, counting(other, "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"))
	exec(t, other, "DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)")
	exec(t, other, newestDown(t))
	exec(t, other, "SELECT pg_advisory_unlock($1)", schema.InUseLock)
	if err := <-opened; err != nil {
		t.Error(err)
	}
	await(t, versions, counting(other, "SELECT count(*) FROM goose_db_version"))
}

// newestDown returns the statements that take the newest migration back.
func newestDown(t *testing.T) string {
	t.Helper()
	files, err := fs.Glob(migrations.FS, "postgres/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d migrations, %v", len(files), err)
	}
	text, err := fs.ReadFile(migrations.FS, slices.Max(files))
	if err != nil {
		t.Fatal(err)
	}
	_, down, _ := strings.Cut(string(text), "-- +goose Down\n")
	return down
}

// Somebody who does not ask for the lock, such as the stock goose command, makes the tables anew under a store that remembers lanes.
func TestATaskNeverComesIntoALaneOfATableThatIsGone(t *testing.T) {
	t.Parallel()
	for name, lanes := range map[string]string{"OtherLane": "INSERT INTO lanes (type, compatibility, priority) VALUES ('other', '{}', 1)", "NoLane": "SELECT 1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, other := open(t, "")
			insert(t, st, 1, 100)
			claimOne(t, st)
			exec(t, other, "TRUNCATE lanes, lane_counts, task_queue RESTART IDENTITY CASCADE")
			exec(t, other, lanes)
			if insert(t, st, 1, 100); name == "OtherLane" {
				exec(t, other, "TRUNCATE lanes, lane_counts, task_queue RESTART IDENTITY CASCADE")
				exec(t, other, "INSERT INTO lanes (type, compatibility, priority) VALUES ('other', '{}', 1), ('other', '{}', 2)")
			}
			now := st.Clock().Now()
			alone, err := task.Spec{Type: "work"}.Task(now, task.Limits{MaxAttempts: 5, PayloadBytes: 100})
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := st.InsertTask(t.Context(), alone); err != nil {
				t.Fatal(err)
			}
			await(t, 0, counting(other, "SELECT count(*) FROM task_queue AS q LEFT JOIN lanes AS l ON l.id = q.lane_id WHERE (l.type = 'work' AND l.priority = 100) IS NOT TRUE"))
			c := claim(st, task.FIFO, 1)
			c.Types = []string{"work"}
			if got, err := st.ClaimTasks(t.Context(), c); err != nil || len(got) != 1 {
				t.Errorf("claimed %d tasks, error %v; want 1", len(got), err)
			}
		})
	}
}

func TestSessionsHaveTimeoutsAndAName(t *testing.T) {
	t.Parallel()
	st, _ := open(t, "&statement_timeout=7s")
	want := map[string]string{"statement_timeout": "7s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "30s", "application_name": "thequeue"}
	for name, value := range want {
		var got string
		if err := st.DB().QueryRowContext(t.Context(), "SELECT current_setting($1)", name).Scan(&got); err != nil || got != value {
			t.Errorf("%s is %q (%v), want %q", name, got, err, value)
		}
	}
}

func TestClaimPassesTasksThatOthersHold(t *testing.T) {
	t.Parallel()
	for _, s := range task.Strategies {
		t.Run(string(s), func(t *testing.T) {
			t.Parallel()
			st, other := open(t, "")
			urgent, rest := insert(t, st, 40, 1), insert(t, st, 40, 500)
			exec(t, other, "BEGIN")
			exec(t, other, "SELECT id FROM task_queue WHERE priority = 1 FOR UPDATE")
			free := rest
			if s == task.LIFO {
				exec(t, other, "SELECT id FROM task_queue WHERE id > $1 FOR UPDATE", rest[4].ID)
				free = rest[:5]
			}
			for _, n := range []int{1, 3} {
				got, err := st.ClaimTasks(t.Context(), claim(st, s, n))
				if err != nil || len(got) == 0 {
					t.Fatalf("asked for %d: got %d, error %v", n, len(got), err)
				}
				for _, g := range got {
					if !slices.ContainsFunc(free, func(f task.Task) bool { return f.ID == g.ID }) {
						t.Errorf("claimed task %d, which is held", g.ID)
					}
				}
			}
			exec(t, other, "ROLLBACK")
			if got, err := st.ClaimTasks(t.Context(), claim(st, task.Priority, 100)); err != nil || len(got) < len(urgent) || got[0].ID != urgent[0].ID {
				t.Errorf("after the others let go: %d tasks, error %v", len(got), err)
			}
		})
	}
}

func TestClaimsThatRaceTakeEachTaskOnce(t *testing.T) {
	t.Parallel()
	st, _ := open(t, "")
	const n = 400
	insert(t, st, n/2, 1)
	insert(t, st, n/2, 100)
	claimed := make([][]task.Task, 16)
	var wg sync.WaitGroup
	for w := range claimed {
		wg.Go(func() {
			for {
				got, err := st.ClaimTasks(t.Context(), claim(st, task.Strategies[w%len(task.Strategies)], 1+w%5))
				if err != nil {
					t.Error(err)
				}
				if len(got) == 0 {
					return
				}
				claimed[w] = append(claimed[w], got...)
			}
		})
	}
	wg.Wait()
	seen := make(map[int64]bool)
	for _, c := range slices.Concat(claimed...) {
		if seen[c.ID] || c.Fence != 1 || c.Attempts != 1 {
			t.Errorf("task %d: claimed before %v, fence %d, attempts %d", c.ID, seen[c.ID], c.Fence, c.Attempts)
		}
		seen[c.ID] = true
	}
	if len(seen) != n {
		t.Errorf("%d of %d tasks were claimed: a claim came back empty while there was work", len(seen), n)
	}
}

// insertKeys stores a task for each key in one batch.
func insertKeys(ctx context.Context, st *postgres.Store, keys ...string) error {
	now := st.Clock().Now()
	ts := make([]task.Task, len(keys))
	for i, key := range keys {
		var err error
		if ts[i], err = (task.Spec{Type: "work", IdempotencyKey: &key}).Task(now, task.Limits{MaxAttempts: 5, PayloadBytes: 100}); err != nil {
			return err
		}
	}
	_, _, err := st.InsertTasks(ctx, ts)
	return err
}

// The first batch is held up half way, at x, while the second one has what it takes to meet it from the other side.
func TestBatchesWithTheSameKeysInOtherOrderDoNotDeadlock(t *testing.T) {
	t.Parallel()
	st, other := open(t, "")
	if err := insertKeys(t.Context(), st, "known"); err != nil {
		t.Fatal(err)
	}
	exec(t, other, "BEGIN")
	exec(t, other, `INSERT INTO task_queue (lane_id, type, priority, payload, compatibility, status, attempts, max_attempts, run_after_utc, ready, idempotency_key, created_at_utc, updated_at_utc)
		SELECT lane_id, type, priority, payload, compatibility, status, attempts, max_attempts, run_after_utc, ready, 'x', created_at_utc, updated_at_utc FROM task_queue`)
	ended := make(chan error, 2)
	go func() { ended <- insertKeys(t.Context(), st, "a", "x", "b") }()
	awaitBlocked(t, st, 1)
	go func() { ended <- insertKeys(t.Context(), st, "b", "a") }()
	awaitBlocked(t, st, 2)
	exec(t, other, "ROLLBACK")
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if stats, err := st.Stats(t.Context(), st.Clock().Now()); err != nil || stats.TotalTasks != 4 {
		t.Errorf("%d tasks, error %v; want known, a, b and x", stats.TotalTasks, err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, 1, counting(other, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")) // a session reports when it ends
	await(t, 0, counting(other, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"))
}

// counting returns what the query counts, for await.
func counting(c *pgx.Conn, query string) func(context.Context) (int, error) {
	return func(ctx context.Context) (n int, err error) {
		err = c.QueryRow(ctx, query).Scan(&n)
		return n, err
	}
}

func TestALockThatIsHeldTooLongIsBusy(t *testing.T) {
	t.Parallel()
	st, other := open(t, "&lock_timeout=50ms")
	insert(t, st, 1, 100)
	claimed, tok := claimOne(t, st)
	exec(t, other, "BEGIN")
	exec(t, other, "SELECT id FROM task_queue FOR UPDATE")
	if _, err := st.CompleteTask(t.Context(), claimed.ID, tok, nil, st.Clock().Now()); !errors.Is(err, task.ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
	exec(t, other, "ROLLBACK")
	if done, err := st.CompleteTask(t.Context(), claimed.ID, tok, nil, st.Clock().Now()); err != nil || done.Status != task.Completed {
		t.Errorf("again: %v, error %v", done.Status, err)
	}
}

func TestATaskThatSomebodyHasLockedKeepsNoOthersWaiting(t *testing.T) {
	t.Parallel()
	st, other := open(t, "&lock_timeout=14s")
	const n = 8
	insert(t, st, n, 100)
	held, err := st.ClaimTasks(t.Context(), claim(st, task.FIFO, n))
	if err != nil || len(held) != n {
		t.Fatalf("claimed %d tasks, error %v", len(held), err)
	}
	exec(t, other, "BEGIN")
	exec(t, other, "SELECT id FROM task_queue WHERE id = $1 FOR UPDATE", held[3].ID)
	release := st.HoldSets()
	completed := make(chan int64, n)
	for _, h := range held {
		go func() {
			if _, err := st.CompleteTask(t.Context(), h.ID, task.Token{Fence: h.Fence, Secret: *h.LeaseSecret}, nil, st.Clock().Now()); err != nil {
				t.Errorf("task %d: %v", h.ID, err)
			}
			completed <- h.ID
		}()
	}
	await(t, n, st.EndsThatWait)
	release()
	for range n - 1 {
		if id := <-completed; id == held[3].ID {
			t.Error("the locked task was completed")
		}
	}
	insert(t, st, 1, 100)
	claimOne(t, st)
	exec(t, other, "ROLLBACK")
	if id := <-completed; id != held[3].ID {
		t.Errorf("task %d came last", id)
	}
}

// Claims skip tasks that others hold; for the counters they wait, together as each by itself.
func TestClaimsWaitForCountersThatSomebodyHasLocked(t *testing.T) {
	t.Parallel()
	st, other := open(t, "&lock_timeout=14s")
	const n = 8
	insert(t, st, 2*n, 100)
	claimOne(t, st)
	exec(t, other, "INSERT INTO lane_counts (lane_id, slot) SELECT l.id, s FROM lanes AS l, generate_series(0, 63) AS s ON CONFLICT DO NOTHING")
	exec(t, other, "BEGIN")
	exec(t, other, "SELECT FROM lane_counts FOR UPDATE")
	release := st.HoldSets()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if got, err := st.ClaimTasks(t.Context(), claim(st, task.FIFO, 1)); err != nil || len(got) != 1 {
				t.Errorf("%d tasks, error %v", len(got), err)
			}
		})
	}
	await(t, n, st.ClaimsThatWait)
	release()
	awaitBlocked(t, st, n)
	exec(t, other, "ROLLBACK")
	wg.Wait()
}

// Two claims that need to read a lane find their pool of two connections taken by themselves.
func TestAClaimNeedsOneConnection(t *testing.T) {
	t.Parallel()
	u := testdb.PostgresURL(t)
	var stores [2]*postgres.Store
	for i := range stores {
		var err error
		if stores[i], err = postgres.Open(t.Context(), u, postgres.Options{MaxConns: 2}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stores[i].Close() })
	}
	st, fresh := stores[0], stores[1]
	insert(t, st, 2, 100)
	other, err := pgx.Connect(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close(context.Background()) })
	exec(t, other, "BEGIN")
	exec(t, other, "LOCK TABLE task_queue IN ACCESS EXCLUSIVE MODE")
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if got, err := fresh.ClaimTasks(t.Context(), claim(fresh, task.FIFO, 1)); err != nil || len(got) != 1 {
				t.Errorf("%d tasks, error %v", len(got), err)
			}
		})
	}
	awaitBlocked(t, st, 2)
	exec(t, other, "ROLLBACK")
	wg.Wait()
}

func TestWhatFoundNoConnectionWasNotBegun(t *testing.T) {
	t.Parallel()
	st, err := postgres.Open(t.Context(), testdb.PostgresURL(t)+"&statement_timeout=1s", postgres.Options{MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	insert(t, st, 1, 1)
	conn, err := st.DB().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := insertKeys(t.Context(), st, "a", "b"); !errors.Is(err, task.ErrBusy) || errors.Is(err, task.ErrUnknown) {
		t.Errorf("got %v, want ErrBusy", err)
	}
}

// A release whose answer was lost, and after which somebody else has claimed the task, must not be told that nothing was changed.
func TestAnEndThatSomebodyClaimedAfterCannotBeSettled(t *testing.T) {
	t.Parallel()
	st, _ := open(t, "")
	insert(t, st, 1, 100)
	claimed, tok := claimOne(t, st)
	if _, err := st.ReleaseTask(t.Context(), claimed.ID, tok, st.Clock().Now(), st.Clock().Now()); err != nil {
		t.Fatal(err)
	}
	if got, err := st.SettleRelease(t.Context(), claimed.ID, tok, st.Clock().Now()); err != nil || got.Status != task.Queued {
		t.Errorf("before the claim: %s, %v", got.Status, err)
	}
	claimOne(t, st)
	if _, err := st.SettleRelease(t.Context(), claimed.ID, tok, st.Clock().Now()); err == nil || errors.Is(err, task.ErrLeaseLost) {
		t.Errorf("after the claim: %v", err)
	}
}

func TestConnectionsThatTheServerEndsAreReplaced(t *testing.T) {
	t.Parallel()
	st, other := open(t, "")
	insert(t, st, 1, 100)
	exec(t, other, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	if _, err := st.ListTasks(t.Context(), task.Filter{Limit: 1}); err != nil {
		t.Errorf("list: %v", err)
	}
	claimOne(t, st)
}

func TestCloseWaitsForWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	st, other := open(t, "")
	insert(t, st, 1, 100)
	claimed, tok := claimOne(t, st)
	exec(t, other, "BEGIN")
	exec(t, other, "SELECT id FROM task_queue FOR UPDATE")
	completed, closed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := st.CompleteTask(t.Context(), claimed.ID, tok, nil, st.Clock().Now())
		completed <- err
	}()
	awaitBlocked(t, st, 1)
	go func() { closed <- st.Close() }()
	select {
	case err := <-closed:
		t.Fatalf("Close returned (%v) while a completion was under way", err)
	case err := <-completed:
		t.Fatalf("the completion returned (%v) while its row was locked", err)
	case <-time.After(100 * time.Millisecond):
	}
	exec(t, other, "ROLLBACK")
	if err := <-completed; err != nil {
		t.Errorf("the completion under way: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
	if _, err := st.GetTask(t.Context(), claimed.ID); !errors.Is(err, task.ErrStopped) {
		t.Errorf("after Close: got %v, want ErrStopped", err)
	}
}

func TestAppendLogAndTheEndOfTheLeaseDoNotPassEachOther(t *testing.T) {
	t.Parallel()
	st, other := open(t, "")
	insert(t, st, 1, 100)
	claimed, tok := claimOne(t, st)
	exec(t, other, "BEGIN")
	exec(t, other, `UPDATE task_queue SET status = 'queued', ready = true, attempt_outcome = 'lost', locked_by = NULL, lease_until_utc = NULL,
		reserved_at_utc = NULL, processing_started_utc = NULL`)
	appended := make(chan error, 1)
	go func() {
		_, err := st.AppendLog(t.Context(), tok, task.Log{TaskID: claimed.ID, AtUTC: st.Clock().Now(), Level: task.Info, Message: "late"})
		appended <- err
	}()
	awaitBlocked(t, st, 1)
	exec(t, other, "COMMIT")
	if err := <-appended; !errors.Is(err, task.ErrLeaseLost) {
		t.Errorf("got %v, want ErrLeaseLost", err)
	}
}
