// Package db_test holds the two generated packages together: they are the same Go code but for the text of the SQL, so that each
// adapter can be read beside the other and task.Task(row) converts the rows of both. What one engine does in a way of its own lies in a
// file of queries that the other one lacks.
package db_test

import (
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// generated is one file of a generated package: its code without package name, comments and SQL, and the SQL by constant.
type generated struct {
	code    string
	sql     map[string]string
	structs map[string]*ast.StructType
}

func parse(name string, src any) (generated, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		return generated{}, err
	}
	f.Name.Name = "db"
	g := generated{sql: map[string]string{}, structs: map[string]*ast.StructType{}}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			g.takeSQL(n)
		case *ast.TypeSpec:
			if s, ok := n.Type.(*ast.StructType); ok {
				g.structs[n.Name.Name] = s
			}
		}
		return true
	})
	var b strings.Builder
	// A new file set drops the lines of the source, which move with the length of the SQL.
	if err := format.Node(&b, token.NewFileSet(), f); err != nil {
		return generated{}, err
	}
	g.code = b.String()
	return g, nil
}

// takeSQL moves the text of a query out of its constant.
func (g *generated) takeSQL(v *ast.ValueSpec) {
	if len(v.Values) != 1 {
		return
	}
	if lit, ok := v.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
		if text, err := strconv.Unquote(lit.Value); err == nil && strings.HasPrefix(text, "-- name:") {
			g.sql[v.Names[0].Name] = text
			lit.Value = `"SQL"`
		}
	}
}

func parseDir(t *testing.T, dir string) map[string]generated {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no Go files in %s: %v", dir, err)
	}
	out := map[string]generated{}
	for _, name := range names {
		g, err := parse(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(name)] = g
	}
	return out
}

// firstDifference returns the first line in which two texts differ, with the line before it; empty when they are equal.
func firstDifference(a, b string) string {
	before, as, bs := "", strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range max(len(as), len(bs)) {
		x, y := "(end of file)", "(end of file)"
		if i < len(as) {
			x = as[i]
		}
		if i < len(bs) {
			y = bs[i]
		}
		if x != y {
			return fmt.Sprintf("after\t%s\nsqlite:\t\t%s\npostgres:\t%s", before, x, y)
		}
		before = x
	}
	return ""
}

// own returns the queries, by file, of those files of queries/ that only this engine has: what the other one does in another way.
func own(t *testing.T, engine, other string) map[string][]string {
	t.Helper()
	out, shared := queryNames(t, engine), queryNames(t, other)
	maps.DeleteFunc(out, func(file string, _ []string) bool { return shared[file] != nil })
	return out
}

var imports = regexp.MustCompile(`(?s)import \(.*?\n\)\n`)

// comparable returns the files of a package that both engines have. db.go only lists the queries, which are compared by name; the lines of
// querier.go that speak of queries of one engine alone are left out.
func comparable(t *testing.T, dir, engine, other string) map[string]generated {
	t.Helper()
	out := parseDir(t, dir)
	delete(out, "db.go")
	querier := out["querier.go"]
	querier.code = imports.ReplaceAllString(querier.code, "")
	for file, names := range own(t, engine, other) {
		delete(out, file+".go")
		for _, name := range names {
			method, _, _ := strings.Cut(name, " ")
			querier.code = regexp.MustCompile(`(?m)^\t`+method+`\(.*\n`).ReplaceAllString(querier.code, "")
		}
	}
	out["querier.go"] = querier
	return out
}

func TestBothEnginesHaveTheSameGoCode(t *testing.T) {
	t.Parallel()
	lite, pg := comparable(t, "sqlitedb", "sqlite", "postgres"), comparable(t, "postgresdb", "postgres", "sqlite")
	if a, b := slices.Sorted(maps.Keys(lite)), slices.Sorted(maps.Keys(pg)); !slices.Equal(a, b) {
		t.Fatalf("other files\nsqlite:\t\t%v\npostgres:\t%v", a, b)
	}
	for _, name := range slices.Sorted(maps.Keys(lite)) {
		if d := firstDifference(lite[name].code, pg[name].code); d != "" {
			t.Fatalf("%s differs\n%s", name, d)
		}
	}
}

// TestAnyOtherDifferenceShows plants differences in a file of the generated package.
func TestAnyOtherDifferenceShows(t *testing.T) {
	t.Parallel()
	const file = "package a\n\n// A lane.\ntype Lane struct {\n\tID int64\n}\n\nconst get = `-- name: Get :one\nSELECT 1\n`\n\nfunc (l Lane) Get(id int64) error { return nil }\n"
	for name, c := range map[string]struct {
		old, new string
		same     bool
	}{
		"package name": {"package a", "package b", true},
		"comment":      {"// A lane.\n", "", true},
		"SQL":          {"SELECT 1", "SELECT 2\n\n\n", true},
		"field type":   {"ID int64", "ID int32", false},
		"field name":   {"ID int64", "Id int64", false},
		"new field":    {"ID int64", "ID int64\n\tN int", false},
		"type name":    {"type Lane", "type Lanes", false},
		"argument":     {"id int64", "id string", false},
		"result":       {"error {", "(int, error) {", false},
		"body":         {"return nil", "panic(l)", false},
		"constant":     {"const get", "const got", false},
	} {
		a, err := parse("a.go", file)
		if err != nil {
			t.Fatal(err)
		}
		b, err := parse("b.go", strings.Replace(file, c.old, c.new, 1))
		if err != nil {
			t.Fatal(err)
		}
		if d := firstDifference(a.code, b.code); (d == "") != c.same {
			t.Errorf("%s: difference %q", name, d)
		}
	}
}

var (
	lineComment = regexp.MustCompile(`(?m)--.*$`)
	leftOver    = regexp.MustCompile(`sqlc\.\w+|@\w+`)
	unnamed     = regexp.MustCompile(`^(Column|Dollar|Arg)_?\d+$`)
)

func TestEverySQLParameterWasReplaced(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"sqlitedb", "sqlitecopy", "postgresdb", "postgressets", "olddb"} {
		queries := 0
		for name, g := range parseDir(t, dir) {
			for query, text := range g.sql {
				queries++
				if rest := leftOver.FindString(lineComment.ReplaceAllString(text, "")); rest != "" {
					t.Errorf("%s/%s: %s is left in %s", dir, name, rest, query)
				}
			}
		}
		if queries == 0 {
			t.Errorf("%s: no query found", dir)
		}
	}
}

func TestEveryFieldHasANameAndAType(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"sqlitedb", "sqlitecopy", "postgresdb", "postgressets"} {
		for file, g := range parseDir(t, dir) {
			for name, s := range g.structs {
				for _, problem := range vague(s) {
					t.Errorf("%s/%s: %s.%s", dir, file, name, problem)
				}
			}
		}
	}
}

// vague lists the fields for which sqlc found no name or no type.
func vague(s *ast.StructType) (problems []string) {
	for _, f := range s.Fields.List {
		for _, n := range f.Names {
			if unnamed.MatchString(n.Name) {
				problems = append(problems, n.Name+" has no name of its own")
			}
			ast.Inspect(f.Type, func(e ast.Node) bool {
				i, isInterface := e.(*ast.InterfaceType)
				id, isIdent := e.(*ast.Ident)
				if (isInterface && i.Methods.NumFields() == 0) || (isIdent && id.Name == "any") {
					problems = append(problems, n.Name+" can hold anything")
				}
				return true
			})
		}
	}
	return problems
}

func TestVagueFieldsAreFound(t *testing.T) {
	t.Parallel()
	g, err := parse("a.go", "package a\ntype T struct {\n\tColumn1 string\n\tMax interface{}\n\tAll []any\n\tColumn int\n\tDB interface{ Get() }\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Column1 has no name of its own", "Max can hold anything", "All can hold anything"}
	if got := vague(g.structs["T"]); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

var queryName = regexp.MustCompile(`(?m)^-- name: (\w+ :\w+)$`)

// queryNames returns the names and kinds of the queries of an engine, by file, in their order.
func queryNames(t *testing.T, engine string) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "queries", engine, "*.sql"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no queries for %s: %v", engine, err)
	}
	out := map[string][]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range queryName.FindAllStringSubmatch(string(text), -1) {
			out[filepath.Base(file)] = append(out[filepath.Base(file)], m[1])
		}
	}
	return out
}

func TestBothEnginesHaveTheSameQueries(t *testing.T) {
	t.Parallel()
	lite, pg := queryNames(t, "sqlite"), queryNames(t, "postgres")
	shared := 0
	for _, file := range slices.Sorted(maps.Keys(lite)) {
		if pg[file] == nil {
			continue // the engine's own
		}
		shared++
		if d := firstDifference(strings.Join(lite[file], "\n"), strings.Join(pg[file], "\n")); d != "" {
			t.Errorf("%s: other queries\n%s", file, d)
		}
	}
	if shared < 7 {
		t.Errorf("only %d files of queries are shared: the engines have parted", shared)
	}
}

// TestEveryQueryWasGenerated fails when a query was added and sqlc was not run.
func TestEveryQueryWasGenerated(t *testing.T) {
	t.Parallel()
	for engine, dir := range map[string]string{"sqlite": "sqlitedb", "sqlite/copy": "sqlitecopy", "postgres": "postgresdb", "postgres/sets": "postgressets", "old": "olddb"} {
		code := parseDir(t, dir)
		for file, names := range queryNames(t, engine) {
			var got []string
			for _, text := range code[file+".go"].sql {
				got = append(got, queryName.FindStringSubmatch(text)[1])
			}
			for _, name := range names { // one that copies has no SQL of its own
				if query, copies := strings.CutSuffix(name, " :copyfrom"); copies && strings.Contains(code["copyfrom.go"].code, "(q *Queries) "+query+"(") {
					got = append(got, name)
				}
			}
			slices.Sort(got)
			if want := slices.Sorted(slices.Values(names)); !slices.Equal(got, want) {
				t.Errorf("%s: generated %q from %q", dir, got, want)
			}
		}
	}
}
