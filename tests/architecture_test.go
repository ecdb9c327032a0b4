// Package tests holds what concerns the repository as a whole.
package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/prismq/thequeue"

// file is one Go file of the module; dir is relative to its root, with slashes.
type file struct {
	dir, name string
	fset      *token.FileSet
	ast       *ast.File
}

func (f file) test() bool { return strings.HasSuffix(f.name, "_test.go") }

func (f file) imports() []string {
	var out []string
	for _, i := range f.ast.Imports {
		p, _ := strconv.Unquote(i.Path.Value) // the parser has checked it
		out = append(out, p)
	}
	return out
}

func parseFile(dir, name string, src any) (file, error) {
	f := file{dir: dir, name: name, fset: token.NewFileSet()}
	var err error
	f.ast, err = parser.ParseFile(f.fset, filepath.Join("..", filepath.FromSlash(dir), name), src, parser.ParseComments|parser.SkipObjectResolution)
	return f, err
}

// files returns all Go files of the module. Directories with a go.mod of their own belong to other modules.
func files(t *testing.T) []file {
	t.Helper()
	var out []file
	err := filepath.WalkDir("..", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, noModule := os.Stat(filepath.Join(p, "go.mod"))
			if p != ".." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || noModule == nil) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		rel, err := filepath.Rel("..", filepath.Dir(p))
		if err != nil {
			return err
		}
		f, err := parseFile(filepath.ToSlash(rel), d.Name(), nil)
		out = append(out, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 20 {
		t.Fatalf("only %d Go files found", len(out))
	}
	return out
}

// within reports whether p is one of the directories or lies below one.
func within(p string, dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return p == d || strings.HasPrefix(p, d+"/") })
}

// onlyBy lists packages and who alone may import them, each with what lies below it. Paths of ours are relative to the module.
var onlyBy = []struct {
	imported, by []string
	tests        bool // every test may too
	why          string
}{
	{[]string{"db"}, []string{"internal/store/sqlite", "internal/store/postgres", "internal/dbcopy", "db"}, false, "only the adapters and dbcopy see rows"},
	{[]string{"internal/store/sqlite", "internal/store/postgres"}, []string{"internal/app", "internal/dbcopy", "internal/testdb"}, true,
		"only app, dbcopy and tests choose an engine"},
	{[]string{"github.com/labstack/echo"}, []string{"internal/api", "internal/dashboard"}, false, "only api and dashboard know echo"},
	{[]string{"github.com/ncruces/go-sqlite3", "github.com/jackc/pgx", "github.com/pressly/goose", "database/sql"},
		[]string{"internal/store/sqlite", "internal/store/postgres", "internal/schema", "internal/dbcopy", "internal/testdb", "db"}, true,
		"a driver is seen by storage alone"},
	{[]string{"go.opentelemetry.io/otel/sdk", "go.opentelemetry.io/otel/exporters", "go.opentelemetry.io/proto"}, []string{"internal/tracing"}, true,
		"only internal/tracing makes and sends spans for itself"},
	{[]string{"go.opentelemetry.io/otel"}, []string{"internal/tracing", "internal/span", "internal/queue", "internal/worker", "internal/app"}, true,
		"a span is seen by what it is about"},
	{[]string{"internal/tracing"}, []string{"internal/app"}, true, "only app turns tracing on"},
	{[]string{"github.com/prometheus"}, []string{"internal/prometheus"}, false, "only internal/prometheus knows Prometheus"},
	{[]string{"internal/testdb", "internal/store/storetest", "testing"}, []string{"internal/testdb", "internal/store/storetest"}, true,
		"what is there for tests is imported by tests"},
}

// alone lists packages with all that they may import of ours, but for what lies below themselves. Their tests may import more.
var alone = map[string][]string{
	"internal/task":       nil,
	"internal/clock":      nil,
	"internal/schedule":   {"internal/task"},
	"internal/span":       nil,
	"internal/tracing":    nil,
	"internal/worker":     {"internal/task", "internal/span"},
	"internal/client":     {"internal/task", "internal/span"},
	"internal/store":      {"internal/task"}, // this package, not those below it
	"internal/queue":      {"internal/task", "internal/store", "internal/schedule", "internal/span"},
	"internal/background": {"internal/task", "internal/worker", "internal/queue", "internal/client", "internal/clock"},
	"internal/runfile":    {"internal/task"},
	"migrations":          nil,
	"db":                  {"internal/task"},
}

// jsonToBe is encoding/json/v2 and its jsontext before the standard library has them.
var jsonToBe = []string{"github.com/go-json-experiment/json", "github.com/go-json-experiment/json/jsontext"}

// forbidden returns why a file of a package may not import another package; empty when it may.
func forbidden(dir string, test bool, imported string) string {
	ours, isOurs := strings.CutPrefix(imported, module+"/")
	if imported == "database/sql/driver" { // interfaces that values satisfy, no way to a database
		return ""
	}
	for _, r := range onlyBy {
		if (within(imported, r.imported...) && !isOurs || isOurs && within(ours, r.imported...)) && !within(dir, r.by...) && !(test && r.tests) {
			return r.why
		}
	}
	if dir == "internal/task" && !test && strings.Contains(strings.Split(imported, "/")[0], ".") && !slices.Contains(jsonToBe, imported) {
		return "task imports the standard library alone, and the JSON that it is about to have (decision 0015)"
	}
	for pkg, may := range alone {
		if isOurs && !test && (dir == pkg || (within(dir, pkg) && pkg != "internal/store")) && !within(ours, append(may, pkg)...) {
			return pkg + " imports of ours only " + strings.Join(may, ", ")
		}
	}
	return ""
}

func TestPackagesImportOnlyWhatTheyMay(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		for _, imported := range f.imports() {
			if why := forbidden(f.dir, f.test(), imported); why != "" {
				t.Errorf("%s/%s imports %s: %s", f.dir, f.name, imported, why)
			}
		}
	}
}

func TestTheImportRuleFindsViolations(t *testing.T) {
	t.Parallel()
	const ours = module + "/internal/"
	for _, c := range []struct {
		dir      string
		test     bool
		imported string
		allowed  bool
	}{
		{"internal/task", false, "strings", true},
		{"internal/task", false, "database/sql/driver", true},
		{"internal/task", false, ours + "clock", false},
		{"internal/task", false, "github.com/google/go-cmp/cmp", false},
		{"internal/task", true, "github.com/google/go-cmp/cmp", true},
		{"internal/task", true, ours + "store/storetest", true},
		{"internal/worker", false, ours + "task", true},
		{"internal/worker", false, ours + "queue", false},
		{"internal/worker", true, ours + "queue", true},
		{"internal/worker/exec", false, ours + "worker", true},
		{"internal/worker/exec", false, ours + "store", false},
		{"internal/client", false, ours + "task", true},
		{"internal/client", false, ours + "api", false},
		{"internal/store", false, ours + "task", true},
		{"internal/store", false, ours + "clock", false},
		{"internal/store/sqlite", false, ours + "clock", true},
		{"internal/store/sqlite", false, module + "/db/sqlitedb", true},
		{"internal/store/postgres", false, module + "/db/postgresdb", true},
		{"internal/dbcopy", false, module + "/db/postgresdb", true},
		{"internal/queue", false, module + "/db/sqlitedb", false},
		{"internal/queue", true, module + "/db/sqlitedb", false},
		{"internal/queue", false, ours + "store/sqlite", false},
		{"internal/queue", true, ours + "store/sqlite", true},
		{"internal/queue", false, ours + "api", false},
		{"internal/queue", false, ours + "schedule", true},
		{"internal/schedule", false, ours + "store", false},
		{"internal/app", false, ours + "store/sqlite", true},
		{"cmd/thequeue", false, ours + "store/postgres", false},
		{"internal/app", false, "github.com/labstack/echo/v4", false},
		{"internal/queue", true, "github.com/labstack/echo/v4", false},
		{"internal/api", false, "github.com/labstack/echo/v4/middleware", true},
		{"internal/api", false, "database/sql", false},
		{"internal/api", false, "github.com/jackc/pgx/v5", false},
		{"internal/dashboard", false, "github.com/ncruces/go-sqlite3/driver", false},
		{"internal/schema", false, "github.com/pressly/goose/v3", true},
		{"internal/api", false, ours + "testdb", false},
		{"internal/api", false, "testing", false},
		{"internal/api", true, ours + "testdb", true},
		{"internal/queue", false, "go.opentelemetry.io/otel/trace", true},
		{"internal/queue", false, "go.opentelemetry.io/otel/sdk/trace", false},
		{"internal/queue", false, ours + "tracing", false},
		{"internal/worker", false, ours + "span", true},
		{"internal/store/sqlite", false, "go.opentelemetry.io/otel/trace", false},
		{"internal/app", false, "go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp", false},
		{"internal/app", true, "go.opentelemetry.io/proto/otlp/trace/v1", true},
		{"internal/tracing", false, "go.opentelemetry.io/otel/sdk/trace", true},
		{"internal/tracing", false, ours + "config", false},
		{"db/sqlitedb", false, ours + "task", true},
		{"db/sqlitedb", false, ours + "store", false},
	} {
		if why := forbidden(c.dir, c.test, c.imported); (why == "") != c.allowed {
			t.Errorf("%s (test %v) imports %s: got %q, allowed must be %v", c.dir, c.test, c.imported, why, c.allowed)
		}
	}
}

// readsClock returns the positions at which a file asks the machine for its time.
func readsClock(f file) (at []string) {
	name := ""
	for _, i := range f.ast.Imports {
		if i.Path.Value == `"time"` {
			if name = "time"; i.Name != nil {
				name = i.Name.Name
			}
		}
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && name != "" && x.Name == name && slices.Contains([]string{"Now", "Since", "Until"}, sel.Sel.Name) {
				at = append(at, f.fset.Position(sel.Pos()).String())
			}
		}
		return true
	})
	if name == "." {
		at = append(at, f.name+" imports time without its name")
	}
	return at
}

func TestOnlyClockReadsTheTime(t *testing.T) {
	t.Parallel()
	found := 0
	for _, f := range files(t) {
		at := readsClock(f)
		if found += len(at); f.test() || within(f.dir, "internal/clock") {
			continue
		}
		for _, pos := range at {
			t.Errorf("%s: the time of the machine is read in internal/clock alone", pos)
		}
	}
	if found == 0 {
		t.Error("nobody reads the time: the test looks for the wrong thing")
	}
}

func TestTheClockRuleFindsViolations(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]int{
		`import "time"; var x = time.Now()`:                          1,
		`import "time"; var x = time.Now`:                            1,
		`import clock "time"; var x = clock.Since(y)`:                1,
		`import . "time"; var x = Now()`:                             1,
		`import "time"; var x, y = time.Until(z), time.Now().Add(1)`: 2,
		`import "time"; var x = time.NewTimer(time.Second)`:          0,
		`import "example.org/clock"; var x = clock.Now()`:            0,
		`import time "example.org/clock"; var x = time.Now()`:        0,
	} {
		f, err := parseFile(".", "a.go", "package a; "+src)
		if err != nil {
			t.Fatal(err)
		}
		if got := readsClock(f); len(got) != want {
			t.Errorf("%s: got %v, want %d", src, got, want)
		}
	}
}

// sql recognises a statement by its beginning, and a fragment by what stands nowhere in English.
var sql = regexp.MustCompile(`(?is:^\s*(select\s.+\sfrom\s|(insert|replace)\s+(or\s+\w+\s+)?into\s|update\s+\S+\s+(as\s+\w+\s+)?set\s|delete\s+from\s|with\s+(recursive\s+)?\w+\s+as\s|` +
	`(create|drop|alter)\s+(or\s+replace\s+)?(temp\s+|unique\s+)?(table|index|view|trigger|function|database|schema)\b|truncate\s+table\b|vacuum\s+into\b|explain\s+query\b))` +
	`|^(SELECT|PRAGMA|VACUUM|ANALYZE|REINDEX|CHECKPOINT|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|LISTEN|UNLISTEN|NOTIFY|SET|SHOW|LOCK|CALL|COPY)\b` +
	`|\b(ORDER BY|GROUP BY|FROM [a-z_]+ WHERE|IS NOT NULL|ON CONFLICT|RETURNING)\b`)

// sqlAllowed lists where SQL may stand outside queries and migrations, which texts, and why.
var sqlAllowed = []struct {
	dir  string
	text *regexp.Regexp
	why  string
}{
	{"db", regexp.MustCompile(``), "generated from queries"},
	{"internal/testdb", regexp.MustCompile(`^(CREATE|DROP) DATABASE `), "tests make and drop whole databases, whose names cannot be parameters"},
	{"internal/store/sqlite", regexp.MustCompile(`^PRAGMA `), "settings of a connection, whose names cannot be parameters"},
	{"internal/store/sqlite", regexp.MustCompile(`^(BEGIN( IMMEDIATE)?|COMMIT|ROLLBACK( TO op)?|SAVEPOINT op|RELEASE op)$`), "bounds of a transaction, which touch no table"},
	{"internal/store/sqlite", regexp.MustCompile(`^EXPLAIN QUERY PLAN $`), "put before a query that is generated"},
	{"internal/store/sqlite", regexp.MustCompile(`^(VACUUM|(SELECT tbl, stat|DELETE) FROM sqlite_stat1( WHERE tbl = )?)$`), "a command of the engine, and what another one leaves, which no migration makes"},
	{"internal/store/postgres", regexp.MustCompile(`^(VACUUM|VACUUM FULL|ANALYZE) $|^CHECKPOINT$`), "commands of the engine on tables whose names cannot be parameters"},
	{"internal/store/postgres", regexp.MustCompile(`^SELECT (coalesce\(msg, ''\) FROM verify_heapam|bt_index_check)\(`), "functions of an extension that a database may have"},
	{"internal/schema", regexp.MustCompile(`^SELECT pg_(try_advisory_lock|advisory_unlock)\(\$1\)$`), "a lock held by a session, which touches no table"},
	{"internal/schema", regexp.MustCompile(`^SELECT (name FROM sqlite_master|c\.relname FROM pg_class AS c) WHERE `), "a look at the catalogue of a database that may not be ours, before it has a schema"},
	{"internal/schema", regexp.MustCompile(`^SELECT m\.state, m\.peer FROM store_move AS m$`), "what a database of any version knows of a move, for which there are no queries before it is migrated"},
	{"internal/store/postgres", regexp.MustCompile(`^COPY $`), "how rows begin in the text that pg_restore writes"},
	{"internal/store/postgres", regexp.MustCompile(`^SELECT pg_advisory_lock_shared\(\$1\)$`), "a lock held by a session, taken before there are queries on it"},
}

// sqlTexts returns the string literals of a file that are SQL.
func sqlTexts(f file) (texts []string) {
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, _ := strconv.Unquote(lit.Value); sql.MatchString(text) {
				texts = append(texts, text)
			}
		}
		return true
	})
	return texts
}

func TestSQLStandsInQueriesAndMigrations(t *testing.T) {
	t.Parallel()
	used := make([]bool, len(sqlAllowed))
	for _, f := range files(t) {
		if f.test() {
			continue
		}
	texts:
		for _, text := range sqlTexts(f) {
			for i, a := range sqlAllowed {
				if within(f.dir, a.dir) && a.text.MatchString(text) {
					used[i] = true
					continue texts
				}
			}
			t.Errorf("%s/%s holds SQL: %q", f.dir, f.name, text)
		}
	}
	for i, a := range sqlAllowed {
		if !used[i] {
			t.Errorf("no text of %s matches %s any more", a.dir, a.text)
		}
	}
}

func TestTheSQLRuleFindsViolations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"SELECT 1": true,
		"select id\n from task_queue where id = ?":   true,
		" INSERT INTO workers VALUES (1)":            true,
		"update task_queue set status = 'x'":         true,
		"delete from workers":                        true,
		"WITH x AS (SELECT 1) SELECT * FROM x":       true,
		"create table x (id)":                        true,
		"PRAGMA journal_mode":                        true,
		" WHERE deadline_utc IS NOT NULL":            true,
		" ORDER BY id":                               true,
		"ON CONFLICT DO NOTHING":                     true,
		"select a task":                              false,
		"update the task":                            false,
		"delete task %d: %w":                         false,
		"begin: %w":                                  false,
		"with one task of priority 1":                false,
		"set a key, or listen on 127.0.0.1":          false,
		"creates the table of the tasks":             false,
		"the task is processing and cannot be freed": false,
	} {
		if got := sql.MatchString(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

// undocumented returns the directories below internal that hold Go code and no doc.go with the comment of the package.
func undocumented(all []file) []string {
	has := map[string]bool{}
	for _, f := range all {
		if within(f.dir, "internal") && !f.test() {
			has[f.dir] = has[f.dir] || (f.name == "doc.go" && f.ast.Doc != nil && strings.HasPrefix(f.ast.Doc.Text(), "Package "+path.Base(f.dir)+" "))
		}
	}
	var out []string
	for dir, ok := range has {
		if !ok {
			out = append(out, dir)
		}
	}
	slices.Sort(out)
	return out
}

func TestEveryPackageHasADocFile(t *testing.T) {
	t.Parallel()
	for _, dir := range undocumented(files(t)) {
		t.Errorf("%s has no doc.go that begins with \"Package %s \"", dir, path.Base(dir))
	}
}

func TestTheDocRuleFindsViolations(t *testing.T) {
	t.Parallel()
	var all []file
	for _, c := range [][3]string{
		{"internal/a", "doc.go", "// Package a is.\npackage a"},
		{"internal/b", "doc.go", "package b"},
		{"internal/c", "c.go", "// Package c is.\npackage c"},
		{"internal/d", "doc.go", "// Package a is.\npackage d"},
		{"internal/e", "e_test.go", "package e"},
		{"cmd/f", "main.go", "package main"},
	} {
		f, err := parseFile(c[0], c[1], c[2])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	if got := undocumented(all); !slices.Equal(got, []string{"internal/b", "internal/c", "internal/d"}) {
		t.Errorf("got %v", got)
	}
}
