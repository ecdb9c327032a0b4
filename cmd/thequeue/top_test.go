package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	tea "charm.land/bubbletea/v2"

	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/task"
)

// hostile is a text that clears the screen, colours it, names the window, turns the line and is wide, right to left and joined.
const hostile = "evil\x1b[2J\x1b[31m\x1b]0;title\x07\r\n\u009b1m\u202etxt\u2066\u200b 日本語 שלום 👨\u200d👩\u200d👧 ❤\ufe0f end"

// topOf is thequeue top after its first look at a server.
func topOf(t *testing.T, url string) top {
	t.Helper()
	c, err := client.New(url, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	look, end := looks(t.Context(), c, time.Hour)
	defer end()
	l := look()
	if l.err != nil {
		t.Fatal(l.err)
	}
	m := top{where: url, window: time.Hour, interval: time.Second, asking: true}.take(l)
	m.look, m.rest = func() tea.Msg { return l }, func() tea.Msg { return due{} }
	return m
}

// busyTop is that of a queue with 20 types, one of them hostile, one paused, in which a task has completed, one has failed and one runs.
func busyTop(t *testing.T) top {
	t.Helper()
	r := newRig(t)
	url, _ := r.serve("--workers", "0", "--database", r.path("queue.db"))
	c, done := running(t, url)
	if _, err := c.Complete(t.Context(), done.ID, done.LeaseToken, nil); err != nil {
		t.Fatal(err)
	}
	_, failed := running(t, url)
	if _, err := c.Fail(t.Context(), failed.ID, failed.LeaseToken, task.Failure{Message: "no", NoRetry: true}); err != nil {
		t.Fatal(err)
	}
	running(t, url)
	specs := []task.Spec{{Type: hostile}}
	for i := range 18 {
		specs = append(specs, task.Spec{Type: fmt.Sprintf("type-%02d", i)})
	}
	if _, err := c.EnqueueBatch(t.Context(), specs); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PauseType(t.Context(), "type-00"); err != nil {
		t.Fatal(err)
	}
	registered(t, []string{"--server", url}, "w2")
	return topOf(t, url)
}

func (m top) after(msgs ...tea.Msg) top {
	for _, msg := range msgs {
		next, _ := m.Update(msg)
		m = next.(top)
	}
	return m
}

// sized is m on a terminal of so many columns and lines.
func (m top) sized(columns, lines int) top {
	return m.after(tea.WindowSizeMsg{Width: columns, Height: lines})
}

// pressed is m after these keys, and what the last of them asks for.
func (m top) pressed(keys ...string) (top, tea.Cmd) {
	var cmd tea.Cmd
	for _, key := range keys {
		var next tea.Model
		next, cmd = m.press(key)
		m = next.(top)
	}
	return m, cmd
}

var style = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// plainText is what a terminal shows of m.
func plainText(m top) string { return style.ReplaceAllString(m.View().Content, "") }

func contains(t *testing.T, m top, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if text := plainText(m); !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestTopShowsTheFiguresOfAQueue(t *testing.T) {
	t.Parallel()
	m := busyTop(t).sized(140, 40)
	contains(t, m, "health WARNING (1)", " UTC  last 1h  http://127.0.0.1:", "\nWARNING: Type type-00 is paused", "19 ready  0 scheduled  1 processing  1 completed  1 failed  oldest queued ", " a minute  succeeded 50 %",
		"\nprocessing     p50 ", "\nstart latency  p50 ", "2 live  1 busy  0 draining  0 not heard for long", "TYPES 1-20 of 20  w: workers (2)",
		"P95\n", "\nslow ", "\ntype-17 ", "\nq quit  ? help")
	if row := regexp.MustCompile(`\nslow +0 +1 +3 +1 +1 +50 % +[0-9.]+[µm]?s +[0-9.]+[µm]?s\n`); !row.MatchString(plainText(m)) {
		t.Errorf("%v is not in\n%s", row, plainText(m))
	}
	m, _ = m.pressed("w")
	contains(t, m, "WORKERS 1-2 of 2  t: types (20)", "HEARD\n")
	if row := regexp.MustCompile(`\nw +live +1 +[0-9]+s ago *\nw2 +live +0 +[0-9]+s ago`); !row.MatchString(plainText(m)) {
		t.Errorf("%v is not in\n%s", row, plainText(m))
	}
}

func TestTopFitsTheTerminal(t *testing.T) {
	t.Parallel()
	m := busyTop(t)
	m.last.workers = append(m.last.workers, task.WorkerStatus{Worker: task.Worker{WorkerID: strings.Repeat(hostile, 5)}, State: task.WorkerLive})
	silent := m.after(looked{at: m.now.Add(time.Minute), err: errors.New(strings.Repeat("gone ", 99))})
	for _, size := range [][2]int{{0, 0}, {1, 1}, {5, 3}, {40, 10}, {41, 11}, {60, 12}, {80, 24}, {100, 30}, {300, 80}} {
		for name, m := range map[string]top{"figures": m, "silent": silent} {
			for _, keys := range [][]string{nil, {"w"}, {"?"}, {"p", "pgdown"}} {
				m, _ := m.sized(size[0], size[1]).pressed(keys...)
				lines := strings.Split(m.View().Content, "\n")
				if len(lines) > max(size[1], 1) {
					t.Errorf("%v %s %v: %d lines", size, name, keys, len(lines))
				}
				for _, line := range lines {
					if width(line) > size[0] {
						t.Errorf("%v %s %v: %d columns: %q", size, name, keys, width(line), line)
					}
				}
			}
		}
	}
	small := m.sized(40, 10)
	contains(t, small, "health WARNING", "\nWARNING: ", "19 ready", "TYPES 1-2 of 20", "\nslow ", "\nq quit")
	small, _ = small.pressed("pgdown")
	contains(t, small, "TYPES 3-4 of 20")
}

func TestTopLeavesColumnsOutRatherThanShowingThemInPart(t *testing.T) {
	t.Parallel()
	m := top{width: 21}
	rows := [][]string{{"TYPE", "READY", "P50"}, {"a-very-long-name", "12345", "1s"}}
	if got := line(rows[1], m.columns(rows)); got != "a-very-long-n…  12345" {
		t.Errorf("got %q", got)
	}
	m.width = 30
	if got := line(rows[1], m.columns(rows)); got != "a-very-long-name  12345   1s" {
		t.Errorf("got %q", got)
	}
}

func TestTopShowsWhatStrangersWriteAsText(t *testing.T) {
	t.Parallel()
	m := busyTop(t)
	m.plain, m.where = true, "http://"+hostile
	m.last.workers = []task.WorkerStatus{{Worker: task.Worker{WorkerID: hostile}, State: hostile}}
	m.last.metrics.Health = task.Health{Status: hostile, Problems: []task.Problem{{Severity: hostile, Message: hostile}}}
	m = m.sized(200, 40).after(looked{at: m.now, err: &url.Error{Err: errors.New(hostile)}})
	for _, keys := range [][]string{{"t"}, {"w"}, {"?"}} {
		m, _ := m.pressed(keys...)
		text := plainText(m)
		if i := strings.IndexFunc(text, func(r rune) bool {
			return r != '\n' && r != '\u200e' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp))
		}); i >= 0 {
			t.Errorf("%v: %q is in %q", keys, text[i:], text)
		}
		if n := strings.Count(text, "evil [2J [31m ]0;title    1m txt  日本語 שלום 👨👩👧 ❤ end"); n < 2 {
			t.Errorf("%v: the text is there %d times: %s", keys, n, text)
		}
	}
}

func TestTopNeedsNoColours(t *testing.T) {
	t.Parallel()
	m := busyTop(t).sized(100, 30)
	colour := regexp.MustCompile(`\x1b\[[0-9;]*3[0-9]`)
	if !colour.MatchString(m.View().Content) {
		t.Error("there are none")
	}
	coloured := plainText(m)
	m.plain = true
	if text := m.View().Content; colour.MatchString(text) {
		t.Errorf("got %q", text)
	}
	if plainText(m) != coloured {
		t.Errorf("colours change the text:\n%s\n%s", coloured, plainText(m))
	}
}

func TestKeysChangeWhatTopShows(t *testing.T) {
	t.Parallel()
	m := busyTop(t).sized(100, 24)
	page := m.page()
	for _, c := range []struct {
		keys []string
		want string
	}{
		{nil, fmt.Sprintf("TYPES 1-%d of 20", page)},
		{[]string{"down", "j"}, fmt.Sprintf("TYPES 3-%d of 20", page+2)},
		{[]string{"j", "j", "up", "k", "k"}, fmt.Sprintf("TYPES 1-%d of 20", page)},
		{[]string{"pgdown"}, fmt.Sprintf("TYPES %d-%d of 20", min(page, 20-page)+1, min(2*page, 20))},
		{[]string{"pgdown", "pgdown", "pgdown", "pgdown"}, fmt.Sprintf("TYPES %d-20 of 20", 21-page)},
		{[]string{"pgdown", "pgdown", "pgup", "pgup", "pgup"}, fmt.Sprintf("TYPES 1-%d of 20", page)},
		{[]string{"tab"}, "WORKERS 1-2 of 2"},
		{[]string{"tab", "pgdown", "tab"}, fmt.Sprintf("TYPES 1-%d of 20", page)},
		{[]string{"j", "w", "w", "t"}, fmt.Sprintf("TYPES 2-%d of 20", page+1)},
		{[]string{"?"}, "q, esc, ctrl-c  quit"},
		{[]string{"?", "?", "x"}, "TYPES 1-"},
		{[]string{"p"}, "PAUSED"},
	} {
		m, _ := m.pressed(c.keys...)
		contains(t, m, c.want)
	}
	for _, key := range []string{"q", "esc", "ctrl+c"} {
		if _, cmd := m.pressed(key); cmd == nil || cmd() != tea.Quit() {
			t.Errorf("%s does not end it", key)
		}
	}
}

func TestTopLooksAgainUnlessItIsPaused(t *testing.T) {
	t.Parallel()
	m := busyTop(t).sized(100, 30)
	is := func(what string, m tea.Model, cmd tea.Cmd, want tea.Msg) top {
		t.Helper()
		if (cmd == nil) != (want == nil) || cmd != nil && fmt.Sprintf("%T", cmd()) != fmt.Sprintf("%T", want) {
			t.Errorf("%s: %T does not follow", what, want)
		}
		return m.(top)
	}
	next, cmd := m.Update(m.last)
	m = is("after an answer", next, cmd, due{})
	next, cmd = m.Update(looked{at: m.now, err: context.DeadlineExceeded})
	m = is("after none", next, cmd, due{})
	next, cmd = m.Update(due{})
	m = is("after the interval", next, cmd, looked{})
	next, cmd = m.pressed("p", "p")
	m = is("after a short pause, while a look goes on", next, cmd, nil)
	next, cmd = m.pressed("p")
	m = is("when the pause begins", next, cmd, nil)
	next, cmd = m.Update(due{})
	m = is("after the interval, in the pause", next, cmd, nil)
	next, cmd = m.pressed("p")
	m = is("after the pause", next, cmd, looked{})
	next, cmd = m.pressed("p", "p")
	is("after another one, before the answer", next, cmd, nil)
}

func TestTopKeepsTheLastFiguresWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	m := busyTop(t).sized(100, 30)
	m.last.at = m.now
	silent := m.after(looked{at: m.now.Add(83 * time.Second), err: &url.Error{Op: "Get", URL: "http://h", Err: errors.New("connection refused")}})
	contains(t, silent, "NO ANSWER, figures are 1m23s old: connection refused\n", "19 ready", "\nslow ")
	again := m.last
	again.at = m.now.Add(84 * time.Second)
	if text := plainText(silent.after(again)); strings.Contains(text, "NO ANSWER") {
		t.Errorf("got %s", text)
	}
}

func TestTopCountsFromLookToLook(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	// at has so many in the window, and as many and 100 in the store
	at := func(minute int, completed, failed int64) looked {
		return looked{at: start, metrics: task.Metrics{FromUTC: start.Add(time.Duration(minute) * time.Minute), Figures: task.Figures{Completed: completed, Failed: failed},
			Depth: task.Depth{CompletedTasks: 100 + completed, FailedTasks: 100 + failed}}}
	}
	moved := at(1, 0, 0)
	moved.metrics.Depth = task.Depth{CompletedTasks: 119, FailedTasks: 101}
	m := top{interval: time.Second, width: 100, height: 30, plain: true}.after(at(0, 1, 0), at(0, 1, 0), at(0, 8, 0), at(0, 15, 1), moved, looked{err: errors.New("gone")}, at(1, 50, 50), at(1, 40, 51))
	contains(t, m, "completed      0 in 1s, at most 7      ▁██▅▁", "failed         1 in 1s, at most 1      ▁▁█▁█")
	for range 2 * keepCounts {
		m = m.after(at(1, 40, 51))
	}
	if len(m.completed) != keepCounts || len(m.failed) != keepCounts {
		t.Errorf("%d and %d counts are kept", len(m.completed), len(m.failed))
	}
}

func TestNothingIsAskedAfterTheEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	url, _ := r.serve("--workers", "0")
	c, err := client.New(url, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	look, end := looks(t.Context(), c, time.Hour)
	if l := look(); l.err != nil {
		t.Error(l.err)
	}
	end()
	if l := look(); !errors.Is(l.err, context.Canceled) {
		t.Errorf("got %+v", l)
	}
}

func TestTopNeedsATerminal(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fails(2, []string{"needs a terminal", "`thequeue metrics`"}, "top")
	r.fails(2, []string{"`thequeue metrics -o json`"}, "top", "-o", "json")
	r.fails(2, []string{"--window soon"}, "top", "--window", "soon")
	r.fails(2, []string{"--interval must be at least 100ms"}, "top", "--interval", "99ms")
	r.fails(2, []string{"--interval"}, "top", "--interval", "often")
}
