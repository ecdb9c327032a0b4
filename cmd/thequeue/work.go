package main

import (
	"context"
	"time"

	"github.com/prismq/thequeue/internal/app"
	"github.com/prismq/thequeue/internal/config"
)

type workCmd struct {
	Server   string         `placeholder:"URL" help:"The server to work for (PRISMQ_SERVER_URL; default http://127.0.0.1:8000)."`
	WorkerID string         `name:"worker-id" placeholder:"NAME" help:"The name of this worker, unlike that of any other (PRISMQ_WORKER_ID)."`
	Count    *int           `placeholder:"N" help:"Tasks run at a time (PRISMQ_WORKERS; default 4)."`
	Grace    *time.Duration `placeholder:"DURATION" help:"How long running tasks may take to end at a stop, like 30s (PRISMQ_SHUTDOWN_GRACE_SECONDS; default 10s)."`
	traceFlags
}

func (c *workCmd) flags(cfg *config.Config) {
	replace(&cfg.Server, c.Server)
	replace(&cfg.WorkerID, c.WorkerID)
	setPool(cfg, c.Count, c.Grace)
	c.set(cfg)
}

// forWork is what a worker needs of the settings.
var forWork = []string{"worker_id", "workers", "handlers"}

func (c *workCmd) Run(ctx context.Context, s *session) error {
	cfg, err := s.settings(c.flags, forWork...)
	if err != nil {
		return err
	}
	o := s.process(cfg, nil)
	o.Reloads = s.reloads(ctx, o.Log, c.flags, forWork...)
	return app.Work(ctx, cfg, o)
}
