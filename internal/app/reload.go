package app

import (
	"context"
	"reflect"
	"slices"
	"sync"

	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/worker"
)

// fixedKeys are the settings that hold from the start of a process to its end.
var fixedKeys = []string{
	"worker_id", "max_retries", "database", "addr", "allowed_hosts", "tls", "plain_http", "api_key", "ca_file", "client_cert_file", "client_key_file", "max_waiting", "max_waiting_of_one", "server", "max_payload_bytes", "max_body_bytes", "idempotency_seconds", "log_format", "webhooks", "tracing", "logs", "backups",
}

// fixed returns the keys of those that differ.
func fixed(a, b config.Config) (keys []string) {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range x.NumField() {
		key := x.Type().Field(i).Tag.Get("conf")
		if slices.Contains(fixedKeys, key) && !reflect.DeepEqual(x.Field(i).Interface(), y.Field(i).Interface()) {
			keys = append(keys, key)
		}
	}
	return keys
}

// pools runs the worker of a configuration and, with each new one that comes, the next worker in its place.
type pools struct {
	cfg   config.Config
	o     Options
	build func(config.Config) (*worker.Worker, error) // the worker that follows from a configuration and all else that does; nil: it has none
	all   sync.WaitGroup
	errs  chan error // what went wrong with a worker
}

func newPools(cfg config.Config, o Options, build func(config.Config) (*worker.Worker, error)) *pools {
	return &pools{cfg: cfg, o: o, build: build, errs: make(chan error, 1)}
}

// run returns when ctx has ended, or when the newest worker was told to drain, and every worker has ended what it ran. A nil first worker runs nothing.
func (p *pools) run(ctx context.Context, now *worker.Worker) error {
	ended := p.start(ctx, now)
	for {
		select {
		case cfg := <-p.o.Reloads:
			next, ok := p.reload(cfg)
			if !ok {
				continue
			}
			if now != nil {
				now.Drain()
			}
			now, ended = next, p.start(ctx, next)
			continue
		case <-ended:
		case <-ctx.Done():
		}
		p.all.Wait()
		select {
		case err := <-p.errs:
			return err
		default:
			return nil
		}
	}
}

// start runs a worker. What it returns is closed when the worker has ended, and nil when there is none.
func (p *pools) start(ctx context.Context, w *worker.Worker) (ended chan struct{}) {
	if w == nil {
		return nil
	}
	ended = make(chan struct{})
	p.all.Go(func() {
		defer close(ended)
		if err := w.Run(ctx); err != nil {
			select {
			case p.errs <- err:
			default:
			}
		}
	})
	return ended
}

// reload puts a configuration in force as far as that is possible while the process runs. Where it is not, the old one stays.
func (p *pools) reload(cfg config.Config) (*worker.Worker, bool) {
	if cfg.WorkerID == "" {
		cfg.WorkerID = p.cfg.WorkerID
	}
	w, err := p.build(cfg)
	if err != nil {
		p.o.Log.Error("the new configuration is not in force", "error", err)
		return nil, false
	}
	if keys := fixed(p.cfg, cfg); len(keys) > 0 {
		p.o.Log.Warn("settings that a running process cannot change need a restart", "keys", keys)
	}
	p.o.Log.Info("configuration reloaded")
	p.cfg = cfg
	return w, true
}
