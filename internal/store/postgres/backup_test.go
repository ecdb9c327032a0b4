package postgres

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// program makes an empty program at a path.
func program(t *testing.T, parts ...string) string {
	t.Helper()
	path := filepath.Join(parts...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// The program in PATH is taken, else the newest of those that the system keeps by version; where there is none it is said what to install.
func TestTheProgramsOfPostgreSQLAreFound(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", filepath.Join(dir, "empty"))
	pattern := filepath.Join(dir, "*", "bin")
	_, err := find("pg_dump", pattern)
	if err == nil || !strings.Contains(err.Error(), "pg_dump is not installed") || !strings.Contains(err.Error(), "apt-get install postgresql-client") {
		t.Errorf("without any: %v", err)
	}
	program(t, dir, "9", "bin", "pg_dump")
	newest := program(t, dir, "15", "bin", "pg_dump")
	if path, err := find("pg_dump", pattern); err != nil || path != newest {
		t.Errorf("got %s, %v, want %s", path, err, newest)
	}
	inPath := program(t, dir, "empty", "pg_dump")
	if path, err := find("pg_dump", pattern); err != nil || path != inPath {
		t.Errorf("got %s, %v, want %s", path, err, inPath)
	}
}

// No password is where others of the machine can see it, and parameters of the driver alone are left out.
func TestThePasswordIsNotOnTheCommandLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][2]string{
		"postgres://u:s3cret@h:5432/d?sslmode=disable&pool_max_conns=4&statement_timeout=9": {"postgres://u@h:5432/d?sslmode=disable", "s3cret"},
		"postgresql://h/d?user=u&password=p%26q&host=/run":                                  {"postgresql://h/d?host=%2Frun&user=u", "p&q"},
		"postgres:///d?host=/run/postgresql":                                                {"postgres:///d?host=%2Frun%2Fpostgresql", ""},
	} {
		name, password, err := forLibpq(in)
		if err != nil || name != want[0] || password != want[1] {
			t.Errorf("%s: got %s, %s, %v", in, name, password, err)
		}
	}
	if _, err := exec.LookPath("pg_dump"); err != nil && os.Getenv("CI") == "true" {
		t.Fatal("pg_dump is not installed")
	} else if err != nil {
		t.Skip("pg_dump is not installed")
	}
	cmd, err := client(t.Context(), "pg_dump", "postgres://u:s3cret@h/d", "--format=custom")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.Join(cmd.Args, " "), "s3cret") || !slices.Contains(cmd.Env, "PGPASSWORD=s3cret") {
		t.Errorf("the arguments are %q", cmd.Args)
	}
}
