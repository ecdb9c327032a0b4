package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/task"
)

// A delivery to a webhook is a task of its own, of a type with this prefix, so that it is retried, limited, watched and repaired as any other.
const webhookPrefix = "webhook."

// webhookRules are those of the types of deliveries, unless the configuration has others: ten attempts over some four hours, and none but a trial every ten
// minutes once most of them fail.
var webhookRules = task.TypeRules{
	MaxAttempts: new(10), RetryPolicy: new(task.JSON(`{"initial_seconds":5,"multiplier":3,"max_seconds":3600}`)),
	Breaker:   &task.Breaker{FailureShare: 0.8, MinAttempts: 10, WindowSeconds: 3600, OpenSeconds: 600},
	Retention: &task.Retention{CompletedSeconds: new(86_400.0), FailedSeconds: new(7 * 86_400.0)},
}

const (
	// feedAgain is the pause after deliveries could not be enqueued.
	feedAgain = time.Second
	// feedEvery is how often a feed looks for events once the queue takes no claims any more.
	feedEvery = 100 * time.Millisecond
)

// feed makes deliveries of the events that a webhook wants.
type feed struct {
	name   string
	queue  *queue.Queue
	events *queue.EventStream
	log    *slog.Logger
}

// newFeeds returns the feeds of all webhooks, which miss nothing from now on.
func newFeeds(q *queue.Queue, cfg config.Config, log *slog.Logger) []*feed {
	var out []*feed
	for _, name := range slices.Sorted(maps.Keys(cfg.Webhooks)) {
		h := cfg.Webhooks[name]
		events := q.Events(task.EventFilter{Types: h.Types, Names: h.Names()}, 0)
		out = append(out, &feed{name: name, queue: q, events: events, log: log.With("webhook", name)})
	}
	return out
}

// setWebhooks sets the rules of the types of deliveries.
func setWebhooks(ctx context.Context, q *queue.Queue, cfg config.Config) error {
	for _, name := range slices.Sorted(maps.Keys(cfg.Webhooks)) {
		if _, own := cfg.Types[webhookPrefix+name]; own {
			continue
		}
		if _, err := q.PutType(ctx, webhookPrefix+name, webhookRules); err != nil {
			return fmt.Errorf("webhooks.%s: %w", name, err)
		}
	}
	return nil
}

// run feeds until ctx ends, and then with what has happened up to then.
func (f *feed) run(ctx context.Context) error {
	for ctx.Err() == nil {
		es, missed, err := f.events.Next(ctx)
		switch {
		case errors.Is(err, task.ErrStopped): // tasks still end: a look now and then finds them
			pauseFor(ctx, feedEvery)
		case err == nil:
			f.deliver(ctx, es, missed)
		}
	}
	last, stop := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer stop()
	if es, missed := f.events.Pending(); len(es) > 0 || missed {
		f.deliver(last, es, missed)
	}
	return nil
}

// deliver enqueues a delivery for each event, and tries until it has.
func (f *feed) deliver(ctx context.Context, es []task.Event, missed bool) {
	if missed {
		f.log.Warn("events came faster than deliveries could be enqueued, and some were missed")
	}
	specs := make([]task.Spec, 0, len(es))
	for _, e := range es {
		if strings.HasPrefix(e.Type, webhookPrefix) { // of deliveries there would be no end
			continue
		}
		payload, err := json.Marshal(delivery{Type: "task." + string(e.Name), Timestamp: e.AtUTC, Data: e})
		if err != nil {
			f.log.Error("write an event", "error", err)
			continue
		}
		specs = append(specs, task.Spec{Type: webhookPrefix + f.name, Payload: task.JSON(payload), IdempotencyKey: new(fmt.Sprintf("%s%s/%d", webhookPrefix, f.name, e.ID))})
	}
	for batch := range slices.Chunk(specs, queue.MaxBatch) {
		for failing := false; ; failing = true {
			_, _, err := f.queue.EnqueueBatch(ctx, batch)
			if err == nil {
				break
			}
			if !failing {
				f.log.Error("enqueue deliveries", "error", err)
			}
			if ctx.Err() != nil || errors.Is(err, task.ErrStopped) || isInvalid(err) {
				return
			}
			pauseFor(ctx, feedAgain)
		}
	}
}

func isInvalid(err error) bool {
	_, ok := errors.AsType[*task.InvalidError](err)
	return ok
}

// delivery is the body of a webhook, in the form that Standard Webhooks recommends.
type delivery struct {
	Type      string     `json:"type"` // task. and the name of the event
	Timestamp time.Time  `json:"timestamp"`
	Data      task.Event `json:"data"`
}

func pauseFor(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// httpOf is the handler of the deliveries to a webhook.
func httpOf(h config.Webhook) config.HTTP {
	return config.HTTP{
		URL: h.URL, Headers: h.Headers, AllowNetworks: h.AllowNetworks, Secrets: h.Secrets, TimeoutSeconds: cmp.Or(h.TimeoutSeconds, webhookTimeout.Seconds()),
	}
}

// webhookTimeout is the longest that a webhook may take to answer, unless it says otherwise.
const webhookTimeout = 15 * time.Second
