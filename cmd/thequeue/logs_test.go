package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/task"
)

// running enqueues a task on a server and claims it.
func running(t *testing.T, url string) (*client.Client, task.Lease) {
	t.Helper()
	c, err := client.New(url, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.EnqueueBatch(t.Context(), []task.Spec{{Type: "slow"}}); err != nil {
		t.Fatal(err)
	}
	leases, err := c.Claim(t.Context(), task.Claim{WorkerID: "w", Types: []string{"slow"}})
	if err != nil || len(leases) != 1 {
		t.Fatalf("%v, %v", leases, err)
	}
	return c, leases[0]
}

func TestLogsAreShownAndFollowedToTheEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	url, _ := r.serve("--workers", "0", "--database", r.path("queue.db"))
	c, l := running(t, url)
	write := func(level task.Level, message string) {
		t.Helper()
		if _, err := c.AppendLog(t.Context(), l.ID, l.LeaseToken, task.Log{Level: level, Message: message}); err != nil {
			t.Fatal(err)
		}
	}
	write(task.Info, "begun")
	followed := make(chan result, 1)
	go func() { followed <- r.run("", "logs", "1", "-f", "--server", url) }()
	write(task.Warning, "odd\x1b[31m")
	for _, where := range [][]string{{"--server", url}, {"--database", r.path("queue.db")}} {
		if out := r.ok(append([]string{"logs", "1", "--level", "warning"}, where...)...); !strings.HasSuffix(out, "Z warning odd [31m\n") {
			t.Errorf("got %q", out)
		}
		if lines := strings.Split(strings.TrimSpace(r.ok(append([]string{"logs", "1", "-o", "json"}, where...)...)), "\n"); len(lines) != 4 || parse[task.Log](t, lines[2]).Message != "begun" {
			t.Errorf("got %q", lines)
		}
		r.fails(3, []string{"task 7 not found"}, append([]string{"logs", "7"}, where...)...)
	}
	write(task.Error, "last")
	if _, err := c.Complete(t.Context(), l.ID, l.LeaseToken, nil); err != nil {
		t.Fatal(err)
	}
	got := <-followed
	var messages []string
	for _, line := range strings.Split(strings.TrimSpace(got.out), "\n") {
		line, _, _ = strings.Cut(line, " {")
		messages = append(messages, strings.Join(strings.Fields(line)[1:], " "))
	}
	if want := "info Enqueued|info Claimed by w|info begun|warning odd [31m|error last|info Completed by w"; got.code != 0 || strings.Join(messages, "|") != want {
		t.Errorf("exit %d, got %q, want %q", got.code, messages, want)
	}
	if again := r.ok("logs", "1", "--follow", "--server", url); again != got.out {
		t.Errorf("of a task that has ended: %q", again)
	}
	r.fails(3, []string{"task 7 not found"}, "logs", "7", "-f", "--server", url)
	r.fails(2, []string{"name one with --server"}, "logs", "1", "-f", "--database", r.path("queue.db"))
}

func TestLinesOfAllTasksAreShownFollowedAndDeleted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	url, _ := r.serve("--workers", "0", "--database", r.path("queue.db"))
	c, l := running(t, url)
	write := func(level task.Level, message string) {
		t.Helper()
		if _, err := c.AppendLog(t.Context(), l.ID, l.LeaseToken, task.Log{Level: level, Message: message}); err != nil {
			t.Fatal(err)
		}
	}
	write(task.Info, "begun")
	write(task.Warning, "odd")
	for _, where := range [][]string{{"--server", url}, {"--database", r.path("queue.db")}} {
		q := func(args ...string) []string { return append(args, where...) }
		if out := r.ok(q("logs")...); strings.Count(out, "\n") != 2 || !strings.Contains(out, " info    1 slow begun\n") || !strings.HasSuffix(out, " warning 1 slow odd\n") {
			t.Errorf("got %q", out)
		}
		if got := parse[task.RecentLog](t, r.ok(q("logs", "-n", "1", "-o", "json", "--level", "warning", "--since", "1h", "--type", "slow")...)); got.Message != "odd" || got.Type != "slow" {
			t.Errorf("got %+v", got)
		}
		if out := r.ok(q("logs", "delete", "--older-than", "30d")...); out != "0 lines deleted\n" {
			t.Errorf("got %q", out)
		}
		r.fails(2, []string{"--older-than soon"}, q("logs", "delete", "--older-than", "soon")...)
		r.fails(2, []string{"not of one"}, q("logs", "1", "--type", "slow")...)
	}
	ctx, stop := context.WithCancel(t.Context())
	read, out := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, nil, "", []string{"logs", "-f", "--server", url}, r.getenv, strings.NewReader(""), out, out)
	}()
	lines := bufio.NewScanner(read)
	for i, want := range []string{"begun", "odd", "last"} {
		if !lines.Scan() || !strings.HasSuffix(lines.Text(), want) {
			t.Fatalf("got %q (%v), want %s", lines.Text(), lines.Err(), want)
		}
		if i == 1 {
			write(task.Error, "last")
		}
	}
	// While nobody reads what it prints, more comes than one page holds.
	const burst = logPage + 100
	var writers sync.WaitGroup
	for n := range 10 {
		writers.Go(func() {
			for i := n; i < burst; i += 10 {
				if _, err := c.AppendLog(t.Context(), l.ID, l.LeaseToken, task.Log{Level: task.Info, Message: fmt.Sprintf("line %d", i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	seen := make(map[string]int)
	for range burst {
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
		_, line, _ := strings.Cut(lines.Text(), "slow ")
		seen[line]++
	}
	for i := range burst {
		if line := fmt.Sprintf("line %d", i); seen[line] != 1 {
			t.Errorf("%q was shown %d times", line, seen[line])
		}
	}
	if stop(); <-code != 0 {
		t.Error("Ctrl-C is an error")
	}
}

func TestEventsAreFollowed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	url, _ := r.serve("--workers", "0", "--database", r.path("queue.db"))
	c, l := running(t, url)
	if _, err := c.Complete(t.Context(), l.ID, l.LeaseToken, nil); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	read, write := io.Pipe()
	code := make(chan int, 1)
	go func() {
		args := []string{"events", "--event", "claimed", "--event", "completed", "--type", "slow", "--after", "1", "-o", "json", "--server", url}
		code <- run(ctx, nil, "", args, r.getenv, strings.NewReader(""), write, write)
	}()
	lines := bufio.NewScanner(read)
	for _, want := range []task.EventName{task.EventClaimed, task.EventCompleted} {
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
		if e := parse[task.Event](t, lines.Text()); e.Name != want || e.TaskID != l.ID {
			t.Errorf("got %+v, want %s", e, want)
		}
	}
	if stop(); <-code != 0 {
		t.Error("Ctrl-C is an error")
	}
	r.fails(2, []string{"use one of enqueued, claimed"}, "events", "--event", "done", "--server", url)
	r.fails(2, []string{"name one with --server"}, "events", "--database", r.path("queue.db"))
}

func TestMetricsAreShown(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, r *rig, where []string) {
		q := func(args ...string) []string { return append(args, where...) }
		r.ok(q("enqueue", "slow")...)
		m := parse[task.Metrics](t, r.ok(q("metrics", "-o", "json", "--window", "1h")...))
		if m.Enqueued != 1 || m.Depth.ReadyTasks != 1 || len(m.Types) != 1 || m.Types[0].Type != "slow" {
			t.Errorf("got %+v", m)
		}
		out := r.ok(q("metrics")...)
		for _, want := range []string{"1 queued (1 ready, 0 scheduled)", "\nenqueued       1\n", "\nsucceeded      -\n", "\nslow  1      0           1 ", "CRITICAL: 1 task is due, and no worker takes any", "\nhealth         critical\n"} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is not in\n%s", want, out)
			}
		}
		if m := parse[task.Metrics](t, r.ok(q("metrics", "-o", "json", "--type", "slow")...)); *m.Type != "slow" || m.Enqueued != 1 {
			t.Errorf("got %+v", m)
		}
		r.fails(3, []string{"type none not found"}, q("metrics", "--type", "none")...)
		r.fails(2, []string{"--window soon"}, q("metrics", "--window", "soon")...)
		r.fails(2, []string{"window", "must lie between 1m and 90d"}, q("metrics", "--window", "1s")...)
	})
}
