package app

import (
	"context"
	"fmt"

	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// closed returns an error where other machines could do anything: the server listens beyond this one, and there are no keys.
func closed(ctx context.Context, st store.Store, cfg config.Config) error {
	if cfg.OnLoopback() {
		return nil
	}
	some, err := st.HasAPIKeys(ctx)
	if err != nil {
		return fmt.Errorf("look for keys: %w", err)
	}
	if !some {
		return task.Invalid("addr", "%s can be reached by other machines, and there are no API keys: make the first one with thequeue keys create NAME --role admin --database %s, or listen on 127.0.0.1", cfg.Addr, config.Redact(cfg.Database))
	}
	return nil
}
