package peer

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/prismq/thequeue/tests/bench/trial"
)

// Asynq is asynq on a Redis that writes its append-only file: at every command (durable) or every second (normal). The server that is
// started for it has that set; the setting is read back.
type Asynq struct{}

func (Asynq) Name() string { return "asynq" }

func (Asynq) Modules() []string {
	return []string{"github.com/hibiken/asynq", "github.com/redis/go-redis/v9"}
}

// Workers is one for each caller; by default asynq runs as many as there are processors.
func (Asynq) Workers(callers int) int { return callers }

func (Asynq) Open(ctx context.Context, s trial.Spec) (Queue, error) {
	settings, err := redisSettings(ctx, s.URL, s.Setting)
	if err != nil {
		return nil, err
	}
	opt := asynq.RedisClientOpt{Addr: s.URL, PoolSize: s.Callers + s.Workers + 10}
	a := &asynqQueue{client: asynq.NewClient(opt), settings: settings}
	config := asynq.Config{Concurrency: s.Workers, Logger: silent{}, TaskCheckInterval: 10 * time.Millisecond}
	if s.Setting == trial.Default {
		config.TaskCheckInterval = 0
	}
	a.server = asynq.NewServer(opt, config)
	return a, nil
}

// redisSettings sets and reads back how often Redis syncs its file.
func redisSettings(ctx context.Context, addr string, s trial.Setting) (string, error) {
	c := redis.NewClient(&redis.Options{Addr: addr})
	defer c.Close() //nolint:errcheck // it was only asked
	fsync := map[trial.Setting]string{trial.Durable: "always", trial.Normal: "everysec", trial.Default: "everysec"}[s]
	if err := c.ConfigSet(ctx, "appendfsync", fsync).Err(); err != nil {
		return "", err
	}
	if err := c.FlushAll(ctx).Err(); err != nil {
		return "", err
	}
	got, err := c.ConfigGet(ctx, "append*").Result()
	if err != nil {
		return "", err
	}
	if got["appendonly"] != "yes" || got["appendfsync"] != fsync {
		return "", fmt.Errorf("Redis runs with appendonly=%s, appendfsync=%s", got["appendonly"], got["appendfsync"])
	}
	info, err := c.Info(ctx, "server").Result()
	if err != nil {
		return "", err
	}
	_, version, _ := strings.Cut(info, "redis_version:")
	version, _, _ = strings.Cut(version, "\r")
	return fmt.Sprintf("Redis %s, appendonly=yes, appendfsync=%s (read back)", version, fsync), nil
}

type asynqQueue struct {
	client   *asynq.Client
	server   *asynq.Server
	settings string
}

func (a *asynqQueue) Enqueue(ctx context.Context) error {
	_, err := a.client.EnqueueContext(ctx, asynq.NewTask("email", trial.Payload))
	return err
}

// EnqueueBatch is asynq's missing call: errors.ErrUnsupported.
func (a *asynqQueue) EnqueueBatch(context.Context, int) error { return errors.ErrUnsupported }

// Work ignores the number of workers, which is fixed by Open. A task counts when its handler returns, a little before asynq has stored
// that: asynq does not tell later.
func (a *asynqQueue) Work(ctx context.Context, _ int, done func()) error {
	err := a.server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		done()
		return nil
	}))
	if err != nil {
		return err
	}
	<-ctx.Done()
	a.server.Shutdown()
	return nil
}

func (a *asynqQueue) Settings() string { return a.settings }

func (a *asynqQueue) Close() error { return a.client.Close() }

// silent is asynq's logger.
type silent struct{}

func (silent) Debug(...any) {}
func (silent) Info(...any)  {}
func (silent) Warn(...any)  {}
func (silent) Error(...any) {}

// Fatal ends the process: asynq does not go on.
func (silent) Fatal(args ...any) { log.Fatal(args...) }
