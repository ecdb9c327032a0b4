package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tool runs a command in a directory and returns what it said. The test stops when it fails.
func tool(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "npm_config_update_notifier=false")
	cmd.WaitDelay = patience
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v:\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out)
}

// generating returns a copy of a directory of testdata, with the OpenAPI document that a server serves.
func generating(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob(filepath.Join("testdata", name, "*.*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(f)), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s := newMachine(t).serve(filepath.Join(t.TempDir(), "queue.db"), "--workers", "0")
	resp, err := http.Get(s.url + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	document, err := os.Create(filepath.Join(dir, "openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := document.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	if err := document.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// answers runs a generated client against servers on both engines.
func answers(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	onEachEngine(t, func(t *testing.T, database string) {
		s := newMachine(t).serve(database, "--workers", "0")
		if out := tool(t, dir, name, append(args, s.url)...); out != "all calls answered as they are typed\n" {
			t.Errorf("it says %q", out)
		}
	})
}

// TestGeneratedTypeScriptClient has openapi-typescript make types of the document that a server serves, compiles a program that uses them, and runs it.
func TestGeneratedTypeScriptClient(t *testing.T) {
	t.Parallel()
	found := programs(t, "node", "npm")
	dir := generating(t, "typescript")
	tool(t, dir, found[1], "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	tool(t, dir, found[1], "run", "--silent", "build")
	answers(t, dir, found[0], filepath.Join("out", "main.js"))
}

// TestGeneratedGoClient has oapi-codegen make a client of the document that a server serves, compiles a program that uses it, and runs it.
func TestGeneratedGoClient(t *testing.T) {
	t.Parallel()
	dir := generating(t, "oapi-codegen")
	tool(t, dir, "go", "tool", "oapi-codegen", "-config", "config.yaml", "openapi.json")
	tool(t, dir, "go", "build", "-o", "client", ".")
	answers(t, dir, filepath.Join(dir, "client"))
}
