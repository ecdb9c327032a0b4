// Package generated reads for tests what sqlc has generated. Unlike testdb it imports no engine, so that tests inside an engine can use it.
package generated

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Queries returns the SQL of every query that is generated in a folder of db, by its name. It is for tests of packages three folders below the root.
func Queries(t testing.TB, folder string) map[string]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("..", "..", "..", "db", folder, "*.sql.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no generated queries: %v", err)
	}
	out := map[string]string{}
	for _, name := range names {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				text, _ := strconv.Unquote(lit.Value) // else it is none
				if head, ok := strings.CutPrefix(text, "-- name: "); ok {
					out[strings.Fields(head)[0]] = text
				}
			}
			return true
		})
	}
	return out
}
