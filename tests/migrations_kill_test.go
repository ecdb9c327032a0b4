package tests

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	osexec "os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"

	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/testdb"
)

// A process of this test binary with these in its environment brings a database up and kills itself before a statement, or one of the things that a statement does; with 0 it only
// counts them.
const (
	victimDatabase = "MIGRATE_DATABASE"
	victimKillAt   = "MIGRATE_KILL_AT"
)

// victim is what such a process does.
func victim(database, killAt string) error {
	last, err := strconv.Atoi(killAt)
	if err != nil {
		return err
	}
	statements := 0
	count := func() {
		if statements++; statements == last {
			me, _ := os.FindProcess(os.Getpid())
			_ = me.Kill()
			select {}
		}
	}
	e := schema.SQLite
	db, err := driver.Open("file:"+filepath.ToSlash(database)+"?_pragma=busy_timeout(5000)&_pragma=synchronous(off)&_pragma=journal_mode(wal)", func(c *sqlite3.Conn) error {
		return c.SetAuthorizer(func(sqlite3.AuthorizerActionCode, string, string, string, string) sqlite3.AuthorizerReturnCode { // asked while a statement is prepared, for all that it does
			count()
			return sqlite3.AUTH_OK
		})
	})
	if strings.HasPrefix(database, "postgres://") {
		var cfg *pgx.ConnConfig
		if cfg, err = pgx.ParseConfig(database); err == nil {
			cfg.Tracer = tracer(count)
			e, db = schema.Postgres, stdlib.OpenDB(*cfg)
		}
	}
	if err != nil {
		return err
	}
	defer db.Close()
	s, err := schema.New(e, db)
	if err != nil {
		return err
	}
	if err := s.Up(context.Background()); err != nil {
		return err
	}
	_, err = fmt.Println(statements)
	return err
}

// tracer is called before each statement.
type tracer func()

func (t tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	t()
	return ctx
}

func (tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// killAt runs a victim to its end and returns what it said.
func killAt(t *testing.T, database string, statement int) string {
	t.Helper()
	cmd := osexec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimDatabase+"="+database, fmt.Sprintf("%s=%d", victimKillAt, statement))
	said, err := cmd.Output()
	if statement == 0 && err != nil {
		t.Fatalf("the process that only counts: %v", err)
	}
	if statement > 0 && cmd.ProcessState.ExitCode() != -1 { // ended by a signal
		t.Fatalf("the process was not killed at statement %d: %v", statement, err)
	}
	return strings.TrimSpace(string(said))
}

// killsOf is how many statements a process is killed before, spread over all of them, on each engine.
var killsOf = map[schema.Engine]int{schema.SQLite: 24, schema.Postgres: 20}

// TestAMigrationThatIsKilledLeavesAWholeVersion kills processes that bring rows up, before one statement after another, and looks at what is left.
func TestAMigrationThatIsKilledLeavesAWholeVersion(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("needs the signals of POSIX")
	}
	const from = 14 // the next one makes a table with rows anew
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "queue.db")
		e := fileOf(t, path)
		versions := dumps(t, e, from)
		e.mustDownTo(t, from)
		e.fill(t, filepath.Join("..", "migrations", "testdata", "sqlite", "00014.sql"))
		if err := e.db.Close(); err != nil {
			t.Fatal(err)
		}
		killAll(t, func(n int) engine {
			next := filepath.Join(t.TempDir(), "queue.db")
			copyFile(t, path, next)
			killAt(t, next, n)
			return fileOf(t, next)
		}, killAt(t, copyFile(t, path, filepath.Join(t.TempDir(), "queue.db")), 0), versions)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		url := testdb.EmptyPostgresURL(t)
		e := connect(t, engine{kind: schema.Postgres, dump: postgresSchema}, "pgx", url)
		versions := dumps(t, e, from)
		e.mustDownTo(t, from)
		e.fill(t, filepath.Join("..", "migrations", "testdata", "postgres", "00014.sql"))
		all := killAt(t, url, 0)
		killAll(t, func(n int) engine {
			e.mustDownTo(t, from)
			killAt(t, url, n)
			return e
		}, all, versions)
	})
}

// killAll looks at what is left by a process that was killed before each of some of the statements of which there are all.
func killAll(t *testing.T, kill func(n int) engine, all string, versions map[int64][]string) {
	t.Helper()
	statements, err := strconv.Atoi(all)
	if err != nil || statements < 20 {
		t.Fatalf("%q statements are too few: %v", all, err)
	}
	seen, kills := map[int64]int{}, 0
	for n := 1; n <= statements; {
		e := kill(n)
		left, err := e.schema.Version(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(versions[left], e.look(t)); d != "" {
			t.Fatalf("killed before statement %d it is at version %d, but not whole (-version +left):\n%s", n, left, d)
		}
		seen[left]++
		if e.kind == schema.SQLite {
			var sound string
			if err := e.db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&sound); err != nil || sound != "ok" {
				t.Fatalf("killed before statement %d the file is not sound: %s, %v", n, sound, err)
			}
		}
		e.mustUp(t)
		var tasks, logs int
		if err := e.db.QueryRowContext(t.Context(), "SELECT (SELECT count(*) FROM task_queue), (SELECT count(*) FROM task_logs)").Scan(&tasks, &logs); err != nil || tasks != 5 || logs == 0 {
			t.Fatalf("killed before statement %d there are %d tasks and %d lines then, %v", n, tasks, logs, err)
		}
		if d := cmp.Diff(versions[e.schema.Latest()], e.look(t)); d != "" {
			t.Fatalf("killed before statement %d, and brought up again (-newest +got):\n%s", n, d)
		}
		kills++
		n += max(1, statements/killsOf[e.kind])
	}
	if len(seen) < 3 {
		t.Errorf("%d kills left the versions %v: they were not in the middle", kills, seen)
	}
	t.Logf("%d kills among %d statements left the versions %v", kills, statements, seen)
}

// dumps returns the schema at each version from one on, and leaves the newest.
func dumps(t *testing.T, e engine, from int64) map[int64][]string {
	t.Helper()
	out := map[int64][]string{}
	e.mustUp(t)
	for v := e.schema.Latest(); v >= from; v-- {
		e.mustDownTo(t, v)
		out[v] = e.look(t)
	}
	e.mustUp(t)
	return out
}

func fileOf(t *testing.T, path string) engine {
	t.Helper()
	u := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: "_pragma=busy_timeout(5000)&_pragma=synchronous(off)"}
	return connect(t, engine{kind: schema.SQLite, dump: sqliteSchema}, "sqlite3", u.String())
}

func copyFile(t *testing.T, from, to string) string {
	t.Helper()
	src, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	if _, err := io.Copy(dst, src); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestRowsSurviveTheWayDown(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, e engine) {
		e.mustUp(t)
		fixtures := e.fixtures(t)
		e.fill(t, fixtures[len(fixtures)-1])
		read := func(query string) string {
			t.Helper()
			rows, err := e.db.QueryContext(t.Context(), query)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			var b strings.Builder
			for rows.Next() {
				var id, attempts int64
				var name, status string
				if err := rows.Scan(&id, &name, &status, &attempts); err != nil {
					t.Fatal(err)
				}
				fmt.Fprintln(&b, id, name, status, attempts)
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
			return b.String()
		}
		const tasks = "SELECT id, type, status, attempts FROM task_queue ORDER BY id"
		const attempts = "SELECT task_id, worker_id, outcome, attempt FROM task_attempts ORDER BY task_id, fence"
		const logs = "SELECT task_id, message, level, 0 FROM task_logs WHERE message = 'half way' ORDER BY task_id"
		before := []string{read(tasks), read(attempts), read(logs)}
		if strings.Count(before[0], "\n") != 5 || before[1] == "" || before[2] == "" {
			t.Fatalf("the fixture has %q", before)
		}
		for v := e.schema.Latest() - 1; v > 0; v-- {
			e.mustDownTo(t, v)
			if d := cmp.Diff(before, []string{read(tasks), read(attempts), read(logs)}); d != "" {
				t.Fatalf("at version %d (-before +after):\n%s", v, d)
			}
		}
	})
}
