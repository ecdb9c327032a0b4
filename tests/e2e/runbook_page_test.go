package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// command is a line of the runbook, with what it must say and how it must end.
type command struct {
	text string
	code int
	says []string // in this order, among other lines; … stands for anything
}

// chapter is a procedure of the runbook: commands in blocks, between which something happens.
type chapter [][]command

var exitCode = regexp.MustCompile(`^(.*\S)\s+# exit code (\d+)$`)

// readRunbook returns the chapters that have commands, by their titles.
func readRunbook(t *testing.T) map[string]chapter {
	t.Helper()
	page, err := os.ReadFile("../../docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]chapter{}
	title, inBlock := "", false
	for line := range strings.Lines(string(page)) {
		line = strings.TrimRight(line, "\n")
		name, heading := strings.CutPrefix(line, "## ")
		text, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case !inBlock && heading:
			title = name
		case line == "```console":
			inBlock = true
			out[title] = append(out[title], nil)
		case line == "```":
			inBlock = false
		case inBlock && isCommand:
			c := command{text: text}
			if m := exitCode.FindStringSubmatch(text); m != nil {
				c.text = m[1]
				c.code, _ = strconv.Atoi(m[2]) // digits
			}
			block := &out[title][len(out[title])-1]
			*block = append(*block, c)
		case inBlock:
			block := out[title][len(out[title])-1]
			if len(block) == 0 {
				t.Fatalf("%s: a block begins with %q", title, line)
			}
			last := &block[len(block)-1]
			last.says = append(last.says, line)
		}
	}
	return out
}

// missing returns the first of the lines that output lacks, each after the one before; empty: it has them all. Spaces of any number are one.
func missing(output string, want []string) string {
	have := strings.Split(output, "\n")
	for _, w := range want {
		at := slices.IndexFunc(have, func(line string) bool { return matches(line, w) })
		if at < 0 {
			return w
		}
		have = have[at+1:]
	}
	return ""
}

func matches(line, pattern string) bool {
	parts := strings.Split(strings.Join(strings.Fields(pattern), " "), "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(strings.TrimSpace(parts[i]))
	}
	return regexp.MustCompile(strings.Join(parts, ".*")).MatchString(strings.Join(strings.Fields(line), " "))
}

// looks begin the commands that change nothing, and are tried until they say what they must.
var looks = []string{
	"thequeue metrics", "thequeue explain", "thequeue get", "thequeue stats", "thequeue stranded", "thequeue list", "thequeue attempts", "thequeue failures list", "thequeue types get", "thequeue workers get",
	"thequeue workers list", "thequeue healthcheck", "thequeue validate", "thequeue fsck", "thequeue backup list", "thequeue maintenance",
}

// runbook carries out a chapter.
type runbook struct {
	*machine
	server
	database, title string
	left            chapter
}

// place has commands of the page mean the database and the server of the test.
func (r *runbook) place(text string) string {
	if strings.Contains(r.database, "://") {
		text = strings.ReplaceAll(text, "queue.db", "'"+r.database+"'")
	}
	if r.server.process != nil {
		u, err := url.Parse(r.url)
		if err != nil {
			r.machine.t.Fatal(err)
		}
		text = strings.ReplaceAll(text, "127.0.0.1:8000", u.Host)
	}
	return text
}

// begin starts the server, in the home directory, where the database is queue.db.
func (r *runbook) begin(args ...string) {
	r.machine.t.Helper()
	r.serve(r.database, args)
}

func (r *runbook) serve(database string, args []string) {
	r.machine.t.Helper()
	r.server = r.machine.serve(database, args...)
}

// next runs the commands of the next block.
func (r *runbook) next() {
	r.machine.t.Helper()
	if len(r.left) == 0 {
		r.machine.t.Fatalf("%s: there are no more blocks", r.title)
	}
	block := r.left[0]
	r.left = r.left[1:]
	for _, c := range block {
		r.do(c)
	}
}

// rest runs all that is left.
func (r *runbook) finish() {
	r.machine.t.Helper()
	for len(r.left) > 0 {
		r.next()
	}
}

func (r *runbook) do(c command) {
	r.machine.t.Helper()
	text, background := strings.CutSuffix(c.text, " &")
	words := strings.Fields(text)
	switch {
	case text == "systemctl stop thequeue":
		r.server.stop(patience)
	case text == "systemctl start thequeue":
		r.begin()
	case text == "systemctl restart thequeue":
		r.server.stop(patience)
		r.begin()
	case background && words[1] == "serve":
		r.serve(words[slices.Index(words, "--database")+1], nil)
	case background:
		r.machine.start(append(words[1:], "--server", r.url)...)
	default:
		r.shell(text, c)
	}
}

// shell runs a command in a shell, as the page has it.
func (r *runbook) shell(text string, c command) {
	r.machine.t.Helper()
	if words := strings.Fields(text); words[0] == "thequeue" && words[1] == "serve" && !strings.Contains(text, "--addr") {
		text += " --addr 127.0.0.1:0"
	}
	look := slices.ContainsFunc(looks, func(l string) bool { return strings.HasPrefix(text, l) })
	text = r.place(text)
	says := make([]string, len(c.says))
	for i, s := range c.says {
		says[i] = r.place(s)
	}
	late := time.Now().Add(patience)
	for {
		output, code := r.run(text)
		lacks := missing(output, says)
		if code == c.code && lacks == "" {
			return
		}
		if !look || time.Now().After(late) {
			r.machine.t.Fatalf("%s: `%s` ended with %d, want %d; it lacks %q:\n%s", r.title, text, code, c.code, lacks, output)
		}
	}
}

func (r *runbook) run(text string) (output string, code int) {
	r.machine.t.Helper()
	cmd := exec.CommandContext(r.machine.t.Context(), "/bin/sh", "-c", text)
	cmd.Dir = r.machine.home
	cmd.Env = append([]string{"PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH"), "HOME=" + r.machine.home}, r.machine.env...)
	if r.server.process != nil {
		u, err := url.Parse(r.url)
		if err != nil {
			r.machine.t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, "PRISMQ_SERVER_URL="+r.url, "PRISMQ_ADDR="+u.Host)
	}
	var both bytes.Buffer
	cmd.Stdout, cmd.Stderr = &both, &both
	err := cmd.Run()
	exit, failed := errors.AsType[*exec.ExitError](err)
	if err != nil && !failed {
		r.machine.t.Fatalf("%s: %v", text, err)
	}
	if failed {
		code = exit.ExitCode()
	}
	return both.String(), code
}

// The reading of the page finds what is wrong in it.
func TestTheRunbookIsRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		output string
		want   []string
		lacks  string
	}{
		{"a   b\nc d\n", []string{"a b", "c …"}, ""},
		{"a b\nc d\n", []string{"c d", "a b"}, "a b"},
		{"status  completed", []string{"status queued"}, "status queued"},
		{"anything", []string{"…"}, ""},
		{"task 1 was lost", []string{"task … was … lost"}, ""},
		{"[x]", []string{"[y]"}, "[y]"},
	} {
		if got := missing(c.output, c.want); got != c.lacks {
			t.Errorf("%q in %q: it lacks %q", c.want, c.output, got)
		}
	}
	commands := 0
	for title, ch := range readRunbook(t) {
		for _, block := range ch {
			commands += len(block)
			for _, c := range block {
				if strings.HasPrefix(c.text, "thequeue") && !strings.HasSuffix(c.text, "&") && len(c.says) == 0 {
					t.Errorf("%s: nothing is said of what %q says", title, c.text)
				}
			}
		}
	}
	if commands < 80 {
		t.Error(fmt.Sprint(commands, " commands"))
	}
}
