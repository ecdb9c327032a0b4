package app

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// lines collects a log.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A task that runs keeps its handler; the next one gets the new. What cannot change is named, and a configuration that cannot be had changes nothing.
func TestAConfigurationIsReloaded(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		command := func(words ...string) config.Handlers {
			return config.Handlers{Exec: map[string]config.Exec{"say": {Command: words}}}
		}
		cfg := config.Default(func(string) string { return "" })
		cfg.WorkerID, cfg.Workers, cfg.Handlers = "pool", 1, command("/bin/sh", "-c", "sleep 1.5; echo old")
		reloads := make(chan config.Config)
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var log lines
		ended := make(chan error, 1)
		go func() {
			ended <- serve(ctx, ln, st, cfg, Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Reloads: reloads})
		}()
		c, err := client.New("http://"+ln.Addr().String(), client.Options{Retries: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		enqueue := func(taskType string) int64 {
			t.Helper()
			r, err := c.Enqueue(t.Context(), task.Spec{Type: taskType, MaxAttempts: new(1)})
			if err != nil {
				t.Fatal(err)
			}
			return r.TaskID
		}
		until := func(id int64, is func(task.Task) bool) task.Task {
			t.Helper()
			for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
				got, err := c.Get(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				if is(got) {
					return got
				}
				wait(t, 20*time.Millisecond)
			}
			t.Fatalf("task %d does not come that far; log:\n%s", id, log.String())
			return task.Task{}
		}
		finished := func(got task.Task) bool { return got.Status.Ended() }

		first := enqueue("say")
		until(first, func(got task.Task) bool { return got.Status == task.Processing })
		next := cfg
		next.WorkerID, next.Addr, next.Handlers = "", "127.0.0.1:1", command("/bin/echo", "new")
		next.Types = map[string]task.TypeRules{"say": {MaxConcurrency: new(5)}}
		reloads <- next
		if got := until(enqueue("say"), finished); *got.Result != `"new"` {
			t.Errorf("after the reload: %v", *got.Result)
		}
		if got := until(first, finished); got.Status != task.Completed || *got.Result != `"old"` {
			t.Errorf("the task that ran: %+v", got)
		}
		if got, err := c.Type(t.Context(), "say"); err != nil || got.MaxConcurrency == nil || *got.MaxConcurrency != 5 {
			t.Errorf("rules after the reload: %+v, %v", got, err)
		}

		broken := next
		broken.Handlers = command("/no/such/program")
		reloads <- broken
		if got := until(enqueue("say"), finished); got.Result == nil || *got.Result != `"new"` {
			t.Errorf("after a reload that failed: %+v", got)
		}
		for _, words := range []string{"configuration reloaded", "need a restart\" keys=[addr]", "not in force", "/no/such/program"} {
			if !strings.Contains(log.String(), words) {
				t.Errorf("no %q in the log:\n%s", words, log.String())
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the server ends with %v", err)
		}
	})
}

func TestFixedSettingsAreNamed(t *testing.T) {
	t.Parallel()
	a := config.Default(func(string) string { return "" })
	b := a
	b.Database, b.LogLevel, b.Workers, b.AllowedHosts = "other", "debug", 9, []string{"x"}
	if got, want := fixed(a, b), []string{"database", "allowed_hosts"}; !slices.Equal(got, want) {
		t.Errorf("fixed are %v, want %v", got, want)
	}
}

// wait lets a moment pass unless the test ends.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}
