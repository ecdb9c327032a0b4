package app

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// TestSchedulesOfTheConfigurationAreSetAtTheStart serves three times over one store.
func TestSchedulesOfTheConfigurationAreSetAtTheStart(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		cfg := config.Default(func(string) string { return "" })
		cfg.Workers = 0
		cfg.Schedules = map[string]task.ScheduleSpec{"seconds": {Cron: "* * * * * *", Task: task.Spec{Type: "tick"}}, "years": {Cron: "@yearly", Task: task.Spec{Type: "report"}}}
		serving(t, st, cfg, func(c *client.Client) {
			leases, err := c.Claim(t.Context(), task.Claim{WorkerID: "w", Types: []string{"tick"}, Wait: task.MaxWait})
			if err != nil || len(leases) != 1 {
				t.Errorf("%d tasks of ticks, error %v", len(leases), err)
			}
			for _, name := range []string{"seconds", "years"} {
				if _, err := c.PauseSchedule(t.Context(), name); err != nil {
					t.Error(err)
				}
			}
		})
		cfg.Schedules = map[string]task.ScheduleSpec{"years": {Cron: "@monthly", Task: task.Spec{Type: "report"}}}
		serving(t, st, cfg, func(c *client.Client) {
			all, err := c.Schedules(t.Context())
			if err != nil || len(all) != 2 || !all[0].Paused || !all[1].Paused || all[1].Cron != "@monthly" {
				t.Errorf("error %v, schedules %+v", err, all)
			}
		})
		cfg.Schedules = map[string]task.ScheduleSpec{"broken": {Cron: "@never", Task: task.Spec{Type: "report"}}}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		if err := serve(t.Context(), ln, st, cfg, Options{Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "schedules.broken.cron: ") {
			t.Errorf("a broken schedule: error %v", err)
		}
	})
}

// The rules of types are set as PUT does: all of them, but for a pause that the configuration does not speak of.
func TestTypesOfTheConfigurationAreSetAtTheStart(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		cfg := config.Default(func(string) string { return "" })
		cfg.Workers = 0
		cfg.Types = map[string]task.TypeRules{"mail": {MaxConcurrency: new(3), MaxAttempts: new(7)}, "sms": {Paused: new(true)}}
		serving(t, st, cfg, func(c *client.Client) {
			if _, err := c.PauseType(t.Context(), "mail"); err != nil {
				t.Error(err)
			}
			if _, err := c.PutType(t.Context(), "other", task.TypeRules{MaxConcurrency: new(1)}); err != nil {
				t.Error(err)
			}
		})
		cfg.Types = map[string]task.TypeRules{"mail": {MaxConcurrency: new(4)}}
		serving(t, st, cfg, func(c *client.Client) {
			all, err := c.Types(t.Context())
			if err != nil || len(all) != 3 {
				t.Fatalf("error %v, types %+v", err, all)
			}
			if mail := all[0]; *mail.MaxConcurrency != 4 || mail.MaxAttempts != nil || !mail.Paused {
				t.Errorf("mail: %+v", mail)
			}
			if all[1].Type.Type != "other" || *all[1].MaxConcurrency != 1 || !all[2].Paused {
				t.Errorf("others: %+v", all[1:])
			}
		})
	})
}

// serving runs a server over the store while do talks to it.
func serving(t *testing.T, st store.Store, cfg config.Config, do func(c *client.Client)) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, ln, st, cfg, Options{Log: slog.New(slog.DiscardHandler)}) }()
	c, err := client.New("http://"+ln.Addr().String(), client.Options{Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	do(c)
	c.Close()
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the server ends with %v", err)
	}
}
