//go:build unix

package worker_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/worker"
)

// shell writes a script and returns the handler that runs it.
func shell(t *testing.T, c worker.ExecCommand, script string, args ...string) worker.Handler {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script.sh")
	if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Type = "job"
	c.Command = append([]string{"sh", path}, args...)
	h, err := worker.Exec(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestExecResult(t *testing.T) {
	t.Parallel()
	const payload = `{"name": "a b; $(id) 'x'", "n": 1.50, "deep": {"list": [1, 2]}, "on": true}`
	for name, test := range map[string]struct {
		script string
		args   []string
		want   string
	}{
		"JSON":         {`echo ' {"a": [1, 2.50]} '`, nil, `{"a": [1, 2.50]}`},
		"Text":         {`printf ' two\nlines <é> \n'`, nil, `"two\nlines <é>"`},
		"NotUTF8":      {`printf 'a\377\000b'`, nil, `"ab"`},
		"NameTwice":    {`printf '{"a":1,"a":2}'`, nil, `"{\"a\":1,\"a\":2}"`},
		"HalfAPair":    {`printf '"\\ud800"'`, nil, `"\"\\ud800\""`},
		"Empty":        {`echo; echo noise >&2`, nil, "none"},
		"Payload":      {`cat`, nil, payload},
		"Environment":  {`echo $THEQUEUE_TASK_ID $THEQUEUE_FENCE $THEQUEUE_ATTEMPT $THEQUEUE_TYPE`, nil, `"42 7 3 job"`},
		"Arguments":    {`printf '%s|' "$@"`, []string{"plain", "{{payload.name}}", "--n={{payload.n}}/{{payload.on}}", "{{payload.deep.list}}"}, `"plain|a b; $(id) 'x'|--n=1.50/true|[1, 2]|"`},
		"NoShellNames": {`printf '%s|' "$@"`, []string{"$HOME", "*"}, `"$HOME|*|"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := shell(t, worker.ExecCommand{}, test.script, test.args...).Handle(t.Context(), attempt(payload))
			if err != nil || text(result) != test.want {
				t.Errorf("%s, %v, want %s", text(result), err, test.want)
			}
		})
	}
}

func TestExecPassesOnNoEnvironmentButItsOwn(t *testing.T) {
	t.Setenv("TOKEN_OF_THE_SERVICE", "secret")
	h := shell(t, worker.ExecCommand{Env: map[string]string{"GREETING": "hello world", "HOME": "/nowhere"}, Dir: "/"}, `env; pwd`)
	result, err := h.Handle(t.Context(), attempt("{}"))
	if err != nil {
		t.Fatal(err)
	}
	got := text(result)
	for _, want := range []string{"PATH=", "GREETING=hello world", "HOME=/nowhere", `\n/"`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s does not hold %s", got, want)
		}
	}
	if strings.Contains(got, "secret") {
		t.Errorf("the environment of the service was passed on: %s", got)
	}
}

func TestExecFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ script, want string }{
		"ExitStatus": {"echo out; echo it broke >&2; exit 3", "exit status 3: it broke"},
		"Silent":     {"exit 4", "exit status 4"},
		"Signal":     {"kill -9 $$", "signal: killed"},
		"Tail":       {`i=0; while [ $i -lt 500 ]; do echo 1234567 >&2; i=$((i+1)); done; printf 'é\000\377' >&2; exit 1`, "exit status 1: " + strings.Repeat("1234567\n", 256)[4:] + "é"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := shell(t, worker.ExecCommand{}, test.script).Handle(t.Context(), attempt("{}"))
			if err == nil || err.Error() != test.want || worker.Rejected(err) {
				t.Errorf("%v, want %s, not rejected", err, test.want)
			}
		})
	}
}

func TestExecSnoozes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ script, want string }{
		"Seconds":        {"echo ' 90 '; exit 75", "snoozed for 1m30s"},
		"Fraction":       {"echo 0.25; echo closed >&2; exit 75", "snoozed for 250ms: closed"},
		"Now":            {"echo 0; exit 75", "snoozed for 100ms"},
		"Silent":         {"exit 75", "snoozed for 1m0s"},
		"NoNumber":       {"echo later; exit 75", "snoozed for 1m0s"},
		"Negative":       {"echo -5; exit 75", "snoozed for 1m0s"},
		"NotANumber":     {"echo NaN; exit 75", "snoozed for 1m0s"},
		"Endless":        {"echo Inf; exit 75", "snoozed for 720h0m0s"},
		"OfAnotherShell": {"echo 5; sh -c 'exit 75'; exit 1", "exit status 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := shell(t, worker.ExecCommand{}, test.script).Handle(t.Context(), attempt("{}"))
			if err == nil || err.Error() != test.want || worker.Released(err) != strings.HasPrefix(test.want, "snoozed") {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

func TestExecRejectsTasksWithoutTheValuesItNeeds(t *testing.T) {
	t.Parallel()
	h := shell(t, worker.ExecCommand{}, "touch ran", "{{payload.a}}", "{{payload.b.c}}")
	for payload, want := range map[task.JSON]string{
		`{}`:                              "payload.a: is missing\npayload.b.c: is missing",
		`{"a": null, "b": {"c": 1}}`:      "payload.a: is null",
		`{"a": 1, "b": [1]}`:              "payload.b.c: is missing",
		`{"a": "\u0000", "b": {"c": ""}}`: "payload.a: holds NUL, which no argument can",
	} {
		if _, err := h.Handle(t.Context(), attempt(payload)); err == nil || err.Error() != want || !worker.Rejected(err) {
			t.Errorf("%s: %v, want %q, rejected", payload, err, want)
		}
	}
}

func TestExecRefusesCommandsItCannotRun(t *testing.T) {
	t.Parallel()
	if _, err := worker.Exec(worker.ExecCommand{Type: "job", Command: []string{"no-such-program-anywhere"}}); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("missing program: %v, want exec.ErrNotFound", err)
	}
	for _, command := range [][]string{nil, {"{{payload.program}}"}, {"sh", "{{payload}}"}, {"sh", "{{ payload.a }}"}, {"sh", "{{payload.a"}, {"sh", "{{env.HOME}}"}} {
		if _, err := worker.Exec(worker.ExecCommand{Type: "job", Command: command}); err == nil {
			t.Errorf("%q was taken", command)
		}
	}
}

func TestExecCutsOutputThatIsTooLong(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"Text":    `yes '"quoted"' | head -c 100000`,
		"Numbers": `yes 1 | tr -d '\n' | head -c 100000`, // would be JSON, cut or not
		"Escaped": `head -c 1000 /dev/zero | tr '\000' '\033'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := shell(t, worker.ExecCommand{MaxOutputBytes: 1000}, script).Handle(t.Context(), attempt("{}"))
			if err != nil {
				t.Fatal(err)
			}
			var s string
			if err := json.Unmarshal([]byte(*result), &s); err != nil || len(*result) > 1000 || !strings.HasSuffix(s, "\n[cut: a result holds 1000 bytes]") {
				t.Errorf("%d bytes, %v: %s", len(*result), err, *result)
			}
		})
	}
}

// lifeline makes a named pipe. Its reader gets EOF when all who have it open for writing are dead.
func lifeline(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lifeline")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// grandchild starts a process that holds the lifeline, says so on it, and ignores every polite request; the script then waits.
const grandchild = `sh -c 'trap "" TERM INT HUP; echo up; while :; do sleep 1; done' >"$1" 2>&1 &
`

func TestExecLeavesNoProcessBehind(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		script string
		cause  error // nil: the script ends by itself
		limit  time.Duration
		want   error
	}{
		"Cancelled":     {script: "wait", cause: worker.ErrCancelled, want: worker.ErrCancelled},
		"LeaseLost":     {script: "wait", cause: task.ErrLeaseLost, want: task.ErrLeaseLost},
		"Shutdown":      {script: "trap '' TERM; while :; do sleep 1; done", cause: worker.ErrShutdown, want: worker.ErrShutdown},
		"Timeout":       {script: "wait", limit: 300 * time.Millisecond, want: worker.ErrTimeout},
		"IgnoresSignal": {script: "trap '' TERM; while :; do sleep 1; done", cause: worker.ErrCancelled, want: worker.ErrCancelled},
		"Finished":      {script: "read line <\"$2\"; exit 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			life, gate := lifeline(t), lifeline(t)
			h := shell(t, worker.ExecCommand{Timeout: test.limit, KillAfter: 500 * time.Millisecond}, grandchild+test.script, life, gate)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			ended := make(chan error, 1)
			go func() { _, err := h.Handle(ctx, attempt("{}")); ended <- err }()
			f, err := os.Open(life) // until the grandchild has opened it, too
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			r := bufio.NewReader(f)
			if line, err := r.ReadString('\n'); line != "up\n" {
				t.Fatalf("grandchild said %q, %v", line, err)
			}
			switch {
			case test.cause != nil:
				cancel(test.cause)
			case test.limit == 0:
				if err := os.WriteFile(gate, []byte("go\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := <-ended; !errors.Is(err, test.want) {
				t.Errorf("Handle: %v, want %v", err, test.want)
			}
			if _, err := io.Copy(io.Discard, r); err != nil { // hangs while the grandchild lives
				t.Fatal(err)
			}
		})
	}
}

func TestExecLetsACommandEndByItself(t *testing.T) {
	t.Parallel()
	up := lifeline(t)
	h := shell(t, worker.ExecCommand{KillAfter: time.Minute}, `trap 'echo cleaned up >&2; exit 0' TERM; echo up >"$1"; while :; do sleep 0.1; done`, up)
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { _, err := h.Handle(ctx, attempt("{}")); ended <- err }()
	if _, err := os.ReadFile(up); err != nil {
		t.Fatal(err)
	}
	cancel(worker.ErrCancelled)
	if err := <-ended; !errors.Is(err, worker.ErrCancelled) || !strings.HasSuffix(err.Error(), "cleaned up") {
		t.Errorf("Handle: %v", err)
	}
}
