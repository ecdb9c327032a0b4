package worker

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/span"
	"github.com/prismq/thequeue/internal/task"
)

// DefaultKillAfter is what a command gets between SIGTERM and SIGKILL.
const DefaultKillAfter = 2 * time.Second

// shutdownKillAfter is the most a command gets between the two when the worker stops: it has had the grace before.
const shutdownKillAfter = 500 * time.Millisecond

// SnoozeStatus is the exit status with which a command hands its task back to come again later: EX_TEMPFAIL of sysexits.h.
const SnoozeStatus = 75

// minSnooze is the shortest time: a task that is handed back does not use up its attempts.
const minSnooze = 100 * time.Millisecond

// DefaultSnooze is how long that is when the command does not say.
const DefaultSnooze = time.Minute

// ExecCommand is a command that runs the tasks of one type.
//
// The payload of the task comes on standard input, as JSON. An argument may also take a value from it: {{payload.KEY}} stands for the
// value under KEY, and {{payload.A.B}} for the one under B in the object under A; names are made of letters, digits, _ and -. A
// string stands for its text, any other value for its JSON. Text may stand around it, as in --name={{payload.name}}. One argument
// stays one argument whatever the value holds: no shell ever sees it. A value that begins with a dash can still look like an
// option to the command; put "--" before it, or use the form above. A task that lacks the value is rejected.
type ExecCommand struct {
	Type           string            // of task
	Command        []string          // the program, by absolute path or as found in PATH by Exec, and the templates of its arguments
	Env            map[string]string // beside PATH, HOME, TRACEPARENT (the span of the attempt) and the THEQUEUE_ variables; nothing else is passed on
	Dir            string            // working directory; empty: that of this process
	Timeout        time.Duration     // for one attempt; 0: no limit but the task's
	MaxOutputBytes int               // of standard output that becomes the result; 0: DefaultMaxOutputBytes
	KillAfter      time.Duration     // from SIGTERM to SIGKILL; 0: DefaultKillAfter
	Guard          *Guard            // kills what is left of it when this process dies; nil: Linux kills the command alone
}

type command struct {
	ExecCommand
	program string
	env     []string
}

var (
	placeholder = regexp.MustCompile(`\{\{payload((?:\.[A-Za-z0-9_-]+)+)\}\}`)
	braces      = regexp.MustCompile(`\{\{|\}\}`)
)

// Exec returns the handler that runs c. The command succeeds with exit status 0; its standard output is the result, as it is when it
// is JSON, else as a JSON string, and none when it is empty. With exit status SnoozeStatus the task is handed back: the attempt does not count, and it
// is due again after the seconds that standard output holds, DefaultSnooze when that is no number. Any other end fails the attempt with the status and the last 2 KiB of
// standard error. What it writes there goes into the log of the task too, while it runs. The command runs in a process group of its own, which gets SIGTERM and then SIGKILL when the context of
// the attempt ends; what it leaves running in the group is killed when it exits. (On Windows it is a job object, and ends at once.)
//
// An error says what is wrong with c: no such program, or a placeholder that cannot be read.
func Exec(c ExecCommand) (Handler, error) {
	if len(c.Command) == 0 {
		return nil, errors.New("the command is empty")
	}
	if err := CheckTemplates(c.Command); err != nil {
		return nil, err
	}
	program, err := FindProgram(c.Command[0])
	if err != nil {
		return nil, err
	}
	c.MaxOutputBytes = cmp.Or(c.MaxOutputBytes, DefaultMaxOutputBytes)
	c.KillAfter = cmp.Or(c.KillAfter, DefaultKillAfter)
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		env = append(env, name+"="+c.Env[name])
	}
	return &command{ExecCommand: c, program: program, env: env}, nil
}

// CheckTemplates returns an error that names every argument of a command with a placeholder that cannot be read, and a program that has one; nil: there is none.
func CheckTemplates(command []string) error {
	var wrong []string
	for i, arg := range command {
		switch rest := placeholder.ReplaceAllString(arg, ""); {
		case i == 0 && (rest != arg || braces.MatchString(arg)):
			wrong = append(wrong, fmt.Sprintf("%q cannot be the program: a placeholder stands in an argument alone", arg))
		case braces.MatchString(rest):
			wrong = append(wrong, fmt.Sprintf("argument %d: %q: a placeholder reads {{payload.KEY}}, or {{payload.A.B}}", i, arg))
		}
	}
	if wrong == nil {
		return nil
	}
	return errors.New(strings.Join(wrong, "; "))
}

// FindProgram returns the absolute path of a program that is given so, or is found in PATH.
func FindProgram(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// Handle runs the command once.
func (c *command) Handle(ctx context.Context, a *Attempt) (*task.JSON, error) {
	args, err := c.arguments(a.Payload)
	if err != nil {
		return nil, Reject(err)
	}
	if c.Timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, c.Timeout, timedOut(c.Timeout))
		defer stop()
	}
	stdout, stderr := &head{max: c.MaxOutputBytes}, &tail{max: errorTailBytes}
	cmd := exec.CommandContext(ctx, c.program, args...)
	cmd.Dir, cmd.Env = c.Dir, append(slices.Clip(c.env),
		"THEQUEUE_TASK_ID="+strconv.FormatInt(a.ID, 10), "THEQUEUE_FENCE="+strconv.FormatInt(a.Fence, 10),
		"THEQUEUE_ATTEMPT="+strconv.Itoa(a.Attempts), "THEQUEUE_TYPE="+a.Type)
	if traceparent := span.Text(ctx); traceparent != "" {
		cmd.Env = append(cmd.Env, "TRACEPARENT="+traceparent)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(string(a.Payload)), stdout, stderr
	if lines := a.lines(); lines != nil {
		cmd.Stderr = io.MultiWriter(stderr, lines)
		defer lines.Close() // before the attempt is reported, while its token is good
	}
	err = c.run(ctx, cmd)
	switch {
	case err == nil:
		return stdout.result(), nil
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case exitStatus(err) == SnoozeStatus:
		err = Snooze(snoozeOf(stdout.kept))
	}
	return nil, withText(err, stderr.kept)
}

// exitStatus returns the status with which a command ended by itself; -1 when it did not.
func exitStatus(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}

// snoozeOf reads the seconds that a command wants to wait from its output.
func snoozeOf(output []byte) time.Duration {
	seconds, err := strconv.ParseFloat(strings.TrimSpace(string(output)), 64)
	if err != nil || !(seconds >= 0) {
		return DefaultSnooze
	}
	return max(time.Duration(min(seconds, task.MaxTimeout.Seconds())*float64(time.Second)), minSnooze)
}

// run starts cmd in a group of its own, waits for it, and leaves nothing of the group behind.
func (c *command) run(ctx context.Context, cmd *exec.Cmd) error {
	// The kernel kills the command when the thread that started it ends (group_linux.go): keep the thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	g, err := newGroup(cmd)
	if err != nil {
		return err
	}
	defer func() {
		g.close()
		if cmd.Process != nil {
			c.Guard.forget(cmd.Process.Pid)
		}
	}()
	var kill *time.Timer
	cmd.WaitDelay = c.KillAfter // for what holds the output open after the command has ended
	cmd.Cancel = func() error {
		kill = time.AfterFunc(killDelay(ctx, c.KillAfter), g.kill)
		return g.terminate()
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := g.started(); err != nil {
		_ = cmd.Process.Kill() // it is not in its group, and the error is the one to tell
		_ = cmd.Wait()
		return err
	}
	c.Guard.watch(cmd.Process.Pid)
	err = cmd.Wait()
	if kill != nil {
		kill.Stop()
	}
	if errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil { // it succeeded, and what it left running is killed now
		return nil
	}
	return err
}

// killDelay is the time from SIGTERM to SIGKILL, now that ctx has ended.
func killDelay(ctx context.Context, d time.Duration) time.Duration {
	if errors.Is(context.Cause(ctx), ErrShutdown) {
		return min(d, shutdownKillAfter)
	}
	return d
}

// arguments fills the templates in.
func (c *command) arguments(payload task.JSON) ([]string, error) {
	var wrong error
	args := make([]string, len(c.Command)-1)
	for i, template := range c.Command[1:] {
		args[i] = placeholder.ReplaceAllStringFunc(template, func(p string) string {
			path := placeholder.FindStringSubmatch(p)[1][1:]
			text, err := lookup([]byte(payload), strings.Split(path, "."))
			if err != nil {
				wrong = errors.Join(wrong, fmt.Errorf("payload.%s: %w", path, err))
			}
			return text
		})
	}
	return args, wrong
}

// lookup returns the value at the path as text.
func lookup(value []byte, path []string) (string, error) {
	for _, name := range path {
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) != nil || object[name] == nil {
			return "", errors.New("is missing")
		}
		value = object[name]
	}
	var s string
	switch {
	case bytes.Equal(value, []byte("null")):
		return "", errors.New("is null")
	case value[0] != '"':
		return string(value), nil
	}
	if err := json.Unmarshal(value, &s); err != nil {
		return "", err
	}
	if strings.ContainsRune(s, 0) {
		return "", errors.New("holds NUL, which no argument can")
	}
	return s, nil
}
