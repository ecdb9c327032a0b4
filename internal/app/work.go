package app

import (
	"cmp"
	"context"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/worker"
)

// Work runs a worker for the server at cfg.Server until ctx ends or the server tells it to drain. Running tasks then get the
// grace to end, and what did not is handed back.
func Work(ctx context.Context, cfg config.Config, o Options) error {
	c, err := client.New(cfg.Server, client.Options{Retries: cmp.Or(cfg.MaxRetries, -1)})
	if err != nil {
		return err
	}
	w, err := newWorker(c, cfg, o)
	if err != nil {
		return err
	}
	o.Log.Info("working", "server", config.Redact(cfg.Server), "worker_id", cfg.WorkerID, "tasks_at_a_time", cfg.Workers)
	return w.Run(ctx)
}

func newWorker(src task.Source, cfg config.Config, o Options) (*worker.Worker, error) {
	handlers, err := handlersOf(cfg)
	if err != nil {
		return nil, err
	}
	return worker.New(src, worker.Options{
		ID: cfg.WorkerID, Count: cfg.Workers, Capabilities: cfg.Capabilities, Strategy: cfg.SchedulingStrategy, Lease: cfg.LeaseDuration(),
		PollInterval: cfg.PollInterval(), Handlers: handlers, Grace: graceOf(cfg), Hurry: o.Hurry, Log: o.Log,
	})
}

// handlersOf returns the built-in handlers and those of the configuration, which may replace them. An InvalidError names everything that this
// machine does not have for them.
func handlersOf(cfg config.Config) (map[string]worker.Handler, error) {
	handlers := map[string]worker.Handler{"echo": worker.Echo, "sleep": worker.Sleep}
	result := min(worker.DefaultMaxOutputBytes, cfg.MaxPayloadBytes) // the queue refuses a longer one
	var bad task.InvalidError
	for _, name := range slices.Sorted(maps.Keys(cfg.Handlers.Exec)) {
		e := cfg.Handlers.Exec[name]
		h, err := worker.Exec(worker.ExecCommand{
			Type: name, Command: e.Command, Env: e.Env, Dir: e.Dir, Timeout: e.Timeout(), MaxOutputBytes: cmp.Or(e.MaxOutputBytes, result),
		})
		if err != nil {
			bad.Add("handlers.exec."+name+".command", "%s", err)
		}
		if info, err := os.Stat(e.Dir); e.Dir != "" && (err != nil || !info.IsDir()) {
			bad.Add("handlers.exec."+name+".dir", "there is no directory %s", e.Dir)
		}
		handlers[name] = h
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Handlers.HTTP)) {
		h := cfg.Handlers.HTTP[name]
		call, err := worker.HTTP(worker.HTTPCall{Type: name, URL: h.URL, Headers: maps.Clone(h.Headers), Timeout: h.Timeout(), MaxOutputBytes: result})
		if err != nil {
			bad.Add("handlers.http."+name+".url", "%s", err)
		}
		handlers[name] = call
	}
	return handlers, bad.OrNil()
}

// graceOf returns the grace as the worker takes it: none is negative there, since zero stands for the default.
func graceOf(cfg config.Config) time.Duration {
	if cfg.ShutdownGraceSeconds == 0 {
		return -1
	}
	return cfg.ShutdownGrace()
}
