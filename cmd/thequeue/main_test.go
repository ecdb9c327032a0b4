package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// rig runs commands as a person would, with an environment of its own.
type rig struct {
	t   *testing.T
	dir string
	env map[string]string

	hurry chan struct{} // of the servers
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir := t.TempDir()
	return &rig{t: t, dir: dir, env: map[string]string{"HOME": dir, "XDG_DATA_HOME": dir, "LocalAppData": dir}}
}

// result is what a command wrote and returned.
type result struct {
	code     int
	out, err string
}

func (r *rig) getenv(name string) string { return r.env[name] }

func (r *rig) run(stdin string, args ...string) result {
	r.t.Helper()
	var out, errs bytes.Buffer
	code := run(r.t.Context(), nil, "", args, r.getenv, strings.NewReader(stdin), &out, &errs)
	return result{code, out.String(), errs.String()}
}

// ok runs a command that must succeed in silence on the error output, and returns what it wrote.
func (r *rig) ok(args ...string) string {
	r.t.Helper()
	got := r.run("", args...)
	if got.code != 0 || got.err != "" {
		r.t.Fatalf("%q: exit %d, %s", args, got.code, got.err)
	}
	return got.out
}

// fails runs a command that must end with the code and one line of error that has all the texts in it.
func (r *rig) fails(code int, texts []string, args ...string) result {
	r.t.Helper()
	got := r.run("", args...)
	if got.code != code || strings.Count(got.err, "\n") != 1 || !strings.HasPrefix(got.err, "thequeue: ") {
		r.t.Errorf("%q: exit %d, want %d with one line, got %q", args, got.code, code, got.err)
	}
	for _, text := range texts {
		if !strings.Contains(got.err, text) {
			r.t.Errorf("%q: got %q, want %q in it", args, got.err, text)
		}
	}
	return got
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) write(name, text string) string {
	r.t.Helper()
	if err := os.WriteFile(r.path(name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return r.path(name)
}

var greeting = regexp.MustCompile(`^The Queue listens on (http://\S+) and keeps its tasks in (\S+); a first task: thequeue enqueue echo`)

// serve starts a server on a free port and returns its URL, and what ends it and returns its result. The end of the test ends it too.
func (r *rig) serve(args ...string) (url string, stop func() result) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	read, write := io.Pipe()
	var errs bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		code := run(ctx, r.hurry, "", append([]string{"serve", "--addr", "127.0.0.1:0"}, args...), r.getenv, strings.NewReader(""), write, &errs)
		write.Close()
		ended <- code
	}()
	stopped := false
	stop = func() result {
		cancel()
		stopped = true
		return result{code: <-ended, err: errs.String()}
	}
	r.t.Cleanup(func() {
		if !stopped {
			stop()
		}
	})
	line, err := bufio.NewReader(read).ReadString('\n')
	m := greeting.FindStringSubmatch(line)
	if m == nil {
		r.t.Fatalf("serve said %q (%v): %v", line, err, stop())
	}
	go io.Copy(io.Discard, read)
	return m[1], stop
}

// parse reads the JSON that a command wrote.
func parse[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return v
}
