package e2e

import (
	"database/sql"
	"net"
	"net/url"
	"regexp"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/prismq/thequeue/internal/testdb"
)

// secret is the password in the URLs of databases that cannot be opened.
const secret = "correct-horse-battery"

// refused demands that a command ended with the code, said what the pattern demands on one line (or on a list of problems), and nothing
// that only a programmer understands.
func (f finished) refused(t *testing.T, code int, pattern string) {
	t.Helper()
	if f.code != code {
		t.Errorf("it ended with %d, want %d", f.code, code)
	}
	if !regexp.MustCompile(`(?m)^thequeue: .*` + pattern).MatchString(f.stderr) {
		t.Errorf("it does not say %q: %q", pattern, f.stderr)
	}
	if strings.Count(f.stderr, "thequeue: ") != 1 || !strings.HasSuffix(f.stderr, "\n") || strings.Count(f.stderr, "\n") != 1 || len(f.stderr) > 600 {
		t.Errorf("it is not one short line: %q", f.stderr)
	}
	for _, never := range []string{"goroutine ", "panic", ".go:", secret} {
		if strings.Contains(f.stdout+f.stderr, never) {
			t.Errorf("it says %q: %q", never, f.stdout+f.stderr)
		}
	}
}

// TestMistakesAreAnsweredWithOneClearLine starts commands that cannot work.
func TestMistakesAreAnsweredWithOneClearLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files   map[string]string // in the directory where the command runs
		args    string            // split at spaces
		code    int
		pattern string
	}{
		"a database below a file":         {map[string]string{"file": ""}, "serve --addr 127.0.0.1:0 --database file/queue.db", 1, `/file\b.*not a directory`},
		"a file that is no database":      {map[string]string{"queue.db": strings.Repeat("no database ", 1000)}, "serve --addr 127.0.0.1:0 --database queue.db", 1, `/queue\.db.*not a database`},
		"a database that does not exist":  {nil, "stats --database queue.db", 1, `queue\.db does not exist.*thequeue migrate up`},
		"a PostgreSQL that is not there":  {nil, "serve --addr 127.0.0.1:0 --database postgres://ada:" + secret + "@127.0.0.1:1/queue", 5, `127\.0\.0\.1.*refused`},
		"a host that does not exist":      {nil, "serve --addr 127.0.0.1:0 --database postgres://ada:" + secret + "@db.invalid/queue", 5, `db\.invalid`},
		"a port that is none":             {nil, "serve --addr 127.0.0.1:0 --database postgres://ada:" + secret + "@127.0.0.1:port/queue", 2, `database: must be a URL like`},
		"a password that is not encoded":  {nil, "serve --addr 127.0.0.1:0 --database postgres://ada:%zz" + secret + "@127.0.0.1/queue", 2, `database: must be a URL like`},
		"another kind of database":        {nil, "serve --addr 127.0.0.1:0 --database mysql://ada:" + secret + "@127.0.0.1/queue", 2, `database: .*not mysql://`},
		"an option that does not exist":   {nil, "serve --adress 127.0.0.1:0", 2, `unknown flag --adress`},
		"a command that does not exist":   {nil, "server", 2, `server`},
		"a key that does not exist":       {map[string]string{"c.yaml": "addr: 127.0.0.1:0\nworker: 3\n"}, "serve --config c.yaml", 2, `worker: unknown key \(line 2\)`},
		"a setting that is out of bounds": {map[string]string{"c.toml": "workers = -1"}, "serve --config c.toml", 2, `workers: must lie between 0 and 1000`},
		"a configuration that is missing": {nil, "serve --config c.yaml", 2, `c\.yaml: no such file`},
		"a configuration that is broken":  {map[string]string{"c.json": "{\n\"addr\": \"127.0.0.1:0\"\n"}, "serve --config c.json", 2, `c\.json: line \d`},
		"a program that does not exist":   {map[string]string{"c.yaml": "handlers: {exec: {job: {command: [/no/such/program]}}}"}, "serve --addr 127.0.0.1:0 --config c.yaml", 2, `handlers\.exec\.job\.command: .*/no/such/program`},
		"a worker without a name":         {nil, "work", 2, `worker_id: is required`},
		"a file of tasks that is missing": {nil, "enqueue --file tasks.jsonl", 2, `tasks\.jsonl: no such file`},
		"a payload that is not JSON":      {nil, "enqueue echo --payload {", 2, `--payload: must be valid JSON`},
		"a server that is not there":      {nil, "stats --server http://127.0.0.1:1", 5, `127\.0\.0\.1:1.*refused`},
		"a server that is no URL":         {nil, "stats --server 127.0.0.1:8000", 2, `server: must be a URL like`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.env = []string{"PRISMQ_MAX_RETRIES=1"}
			for file, text := range c.files {
				m.write(file, text)
			}
			m.run(strings.Split(c.args, " ")...).refused(t, c.code, c.pattern)
		})
	}
}

func TestMistakesWithAServerAreAnsweredWithOneClearLine(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	database := m.path("queue.db")
	s := m.serve(database)
	addr := strings.TrimPrefix(s.url, "http://")
	m.run("serve", "--addr", addr, "--database", m.path("other.db")).refused(t, 1, regexp.QuoteMeta(addr)+" is in use.*--addr")
	m.run("serve", "--addr", "127.0.0.1:0", "--database", database).refused(t, 1, regexp.QuoteMeta(database)+".*another server")
	m.run("migrate", "down", "--database", database).refused(t, 1, regexp.QuoteMeta(database)+".*another server")
	m.run("get", "77", "--server", s.url).refused(t, 3, "task 77 not found")
	m.run("enqueue", "echo", "--priority", "0", "--server", s.url).refused(t, 2, "priority: must lie between 1 and 1000")
	m.ok("enqueue", "echo", "--server", s.url)
	s.reaches(1, "completed")
	m.run("cancel", "1", "--server", s.url).refused(t, 4, "Task already completed, cannot cancel")
	s.reaches(1, "completed") // it still serves
}

func TestABadLineIsNamedAndNothingOfItsBatchIsStored(t *testing.T) {
	t.Parallel()
	onEachEngine(t, func(t *testing.T, database string) {
		m := newMachine(t)
		s := m.serve(database, "--workers", "0")
		good := strings.Repeat(`{"type": "job"}`+"\n", 1000)
		for _, c := range []struct{ text, pattern string }{
			{`{"type": "job"}` + "\n\n" + `{"type": "job", "priority": 1001}`, `line 3 priority: must lie between 1 and 1000.*nothing is stored`},
			{`{"type": "job"}` + "\n" + `{"type": "job"`, `line 2.*not valid JSON.*nothing is stored`},
			{`{"type": "job", "prority": 5}`, `line 1 prority: is not a known field.*nothing is stored`},
			{`{"type": "job", "payload": [1]}`, `line 1 payload: must be a JSON object.*nothing is stored`},
		} {
			m.run("enqueue", "--server", s.url, "--file", m.write("tasks.jsonl", c.text)).refused(t, 2, c.pattern)
			if got := s.stats(); got.Total != 0 {
				t.Fatalf("%q: %d tasks are stored", c.text, got.Total)
			}
		}
		m.run("enqueue", "--server", s.url, "--file", m.write("tasks.jsonl", good+`{"type": "job"}`+"\n"+`{"type": ""}`)).
			refused(t, 2, `line 1002 type: must not be empty.*lines 1 to 1000 are stored`)
		if got := s.stats(); got.Total != 1000 {
			t.Errorf("%d tasks are stored, want 1000", got.Total)
		}
	})
}

// TestASchemaNewerThanTheBinaryIsLeftAlone marks a database as migrated by a later version.
func TestASchemaNewerThanTheBinaryIsLeftAlone(t *testing.T) {
	t.Parallel()
	onEachEngine(t, func(t *testing.T, database string) {
		m := newMachine(t)
		m.ok("migrate", "up", "--database", database)
		db := open(t, database)
		if _, err := db.ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, TRUE)"); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"serve", "--addr", "127.0.0.1:0"}, {"migrate", "up"}, {"migrate", "down"}, {"migrate", "redo"}, {"stats"}} {
			m.run(append(args, "--database", database)...).refused(t, 1, "newer than this binary.*version 9999")
		}
	})
}

// TestTheDatabaseOfAnotherProgramIsLeftAlone finds our tables without a trace of migrations.
func TestTheDatabaseOfAnotherProgramIsLeftAlone(t *testing.T) {
	t.Parallel()
	onEachEngine(t, func(t *testing.T, database string) {
		m := newMachine(t)
		db := open(t, database)
		m.ok("migrate", "up", "--database", database)
		if _, err := db.ExecContext(t.Context(), "DROP TABLE goose_db_version"); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"serve", "--addr", "127.0.0.1:0"}, {"migrate", "up"}, {"migrate", "status"}, {"stats"}} {
			m.run(append(args, "--database", database)...).refused(t, 1, "another program or of the older queue.*task_queue.*name another database")
		}
		if _, err := db.ExecContext(t.Context(), "SELECT 1 FROM goose_db_version"); err == nil {
			t.Error("it has got a table")
		}
	})
}

// open opens a database as other programs do.
func open(t *testing.T, database string) *sql.DB {
	t.Helper()
	driver, dsn := "sqlite3", "file:"+database
	if strings.Contains(database, "://") {
		driver, dsn = "pgx", database
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestAPostgresThatRefusesIsAnsweredWithOneClearLine(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(testdb.PostgresURL(t))
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(t)
	missing, stranger := *u, *u
	missing.Path = "/no_such_database"
	stranger.User = url.UserPassword("no_such_user", secret)
	m.run("serve", "--addr", "127.0.0.1:0", "--database", missing.String()).refused(t, 1, "no_such_database")
	m.run("serve", "--addr", "127.0.0.1:0", "--database", stranger.String()).refused(t, 1, "no_such_user")
}

// TestAServerThatIsNoneIsNamed asks something that takes connections and closes them.
func TestAServerThatIsNoneIsNamed(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	m := newMachine(t)
	m.env = []string{"PRISMQ_MAX_RETRIES=1"}
	m.run("stats", "--server", "http://"+l.Addr().String()).refused(t, 5, regexp.QuoteMeta(l.Addr().String()))
}
