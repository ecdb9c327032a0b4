package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/clock"
	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/worker"
)

// Work runs a worker for the server at cfg.Server until ctx ends or the server tells it to drain. Running tasks then get the
// grace to end, and what did not is handed back.
func Work(ctx context.Context, cfg config.Config, o Options) (err error) {
	defer func() { err = errors.Join(err, o.Guard.Close()) }()
	c, err := Dial(cfg)
	if err != nil {
		return err
	}
	spans, err := newTracing(ctx, cfg, o)
	if err != nil {
		return err
	}
	defer spans.Close(ctx)
	o.tracer = spans.Tracer()
	w, err := newWorker(c, cfg, o)
	if err != nil {
		return err
	}
	o.Log.Info("working", "server", config.Redact(cfg.Server), "worker_id", cfg.WorkerID, "tasks_at_a_time", cfg.Workers)
	return newPools(cfg, o, func(cfg config.Config) (*worker.Worker, error) { return newWorker(c, cfg, o) }).run(ctx, w)
}

// Dial returns a client of the server that the settings name, which shows it their key and certificate.
func Dial(cfg config.Config) (*client.Client, error) {
	secure, err := ClientTLS(cfg)
	if err != nil {
		return nil, err
	}
	return client.New(cfg.Server, client.Options{Retries: cmp.Or(cfg.MaxRetries, -1), APIKey: cfg.APIKey, TLS: secure}) // 0 stands for the client's own default
}

func newWorker(src task.Source, cfg config.Config, o Options) (*worker.Worker, error) {
	handlers, err := handlersOf(cfg, o.Guard)
	if err != nil {
		return nil, err
	}
	return worker.New(src, worker.Options{
		ID: cfg.WorkerID, Count: cfg.Workers, Capabilities: cfg.Capabilities, Strategy: cfg.SchedulingStrategy, Lease: cfg.Lease(),
		PollInterval: cfg.PollInterval(), Handlers: handlers, Grace: graceOf(cfg), Hurry: o.Hurry, Tracer: o.tracer, Log: o.Log,
	})
}

// handlersOf returns the built-in handlers and those of the configuration, which may replace them and have been checked. An InvalidError names everything that this
// machine does not have for them.
func handlersOf(cfg config.Config, guard *worker.Guard) (map[string]worker.Handler, error) {
	if err := cfg.Handlers.Found(); err != nil {
		return nil, err
	}
	handlers := map[string]worker.Handler{"echo": worker.Echo, "sleep": worker.Sleep}
	result := min(worker.DefaultMaxOutputBytes, cfg.MaxPayloadBytes) // the queue refuses a longer one
	var bad task.InvalidError
	for _, name := range slices.Sorted(maps.Keys(cfg.Handlers.Exec)) {
		e := cfg.Handlers.Exec[name]
		h, err := worker.Exec(worker.ExecCommand{
			Type: name, Command: e.Command, Env: e.Env, Dir: e.Dir, Timeout: e.Timeout(), MaxOutputBytes: cmp.Or(e.MaxOutputBytes, result), Guard: guard,
		})
		if err != nil {
			bad.Add("handlers.exec."+name+".command", "%s", err)
		}
		handlers[name] = h
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Handlers.HTTP)) {
		call, err := httpHandler(name, cfg.Handlers.HTTP[name], result)
		if invalid, ok := errors.AsType[*task.InvalidError](err); ok {
			bad.Fields = append(bad.Fields, invalid.Within("handlers.http."+name).Fields...)
		}
		handlers[name] = call
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Webhooks)) {
		call, err := httpHandler(webhookPrefix+name, httpOf(cfg.Webhooks[name]), result)
		if invalid, ok := errors.AsType[*task.InvalidError](err); ok {
			bad.Fields = append(bad.Fields, invalid.Within("webhooks."+name).Fields...)
		}
		handlers[webhookPrefix+name] = call
	}
	return handlers, bad.OrNil()
}

// httpHandler returns the handler of one type, or an InvalidError.
func httpHandler(name string, h config.HTTP, maxOutput int) (worker.Handler, error) {
	var bad task.InvalidError
	networks, err := h.Networks()
	if err != nil {
		bad.Add("allow_networks", "%s", err)
	}
	secrets := make([][]byte, len(h.Secrets))
	for i, text := range h.Secrets {
		if secrets[i], err = worker.ParseSecret(text); err != nil {
			bad.Add(fmt.Sprintf("secrets[%d]", i), "%s", err)
		}
	}
	call, err := worker.HTTP(worker.HTTPCall{
		Type: name, URL: h.URL, Headers: maps.Clone(h.Headers), Timeout: h.Timeout(), MaxOutputBytes: maxOutput, AllowNetworks: networks, Secrets: secrets, Now: clock.Wall,
	})
	if err != nil {
		bad.Add("url", "%s", err)
	}
	return call, bad.OrNil()
}

// graceOf returns the grace as the worker takes it: none is negative there, since zero stands for the default.
func graceOf(cfg config.Config) time.Duration {
	if cfg.ShutdownGraceSeconds == 0 {
		return -1
	}
	return cfg.ShutdownGrace()
}
