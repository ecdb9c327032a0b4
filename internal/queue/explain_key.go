package queue

import (
	"context"
	"fmt"

	"github.com/prismq/thequeue/internal/task"
)

// heldByKey says that the concurrency key of a task may have no more tasks: its limit is reached, or its rate used up. Nil: it may.
func (q *Queue) heldByKey(ctx context.Context, s *scene, t task.Task) ([]task.Reason, error) {
	rules := s.rules[t.Type].PerKey
	if t.ConcurrencyKey == nil || rules == nil {
		return nil, nil
	}
	key := *t.ConcurrencyKey
	var out []task.Reason
	if rules.MaxConcurrency != nil {
		holders, err := q.store.ListKeyHeld(ctx, t.Type, key, *rules.MaxConcurrency)
		if err != nil {
			return nil, err
		}
		if n := len(holders); n >= *rules.MaxConcurrency {
			shown := holders[:min(n, holdersShown)]
			out = append(out, task.Reason{
				Code:    "key_limit_reached",
				Message: fmt.Sprintf("Of its key %s at most %d may run at a time, and %s: %s.", key, *rules.MaxConcurrency, count(int64(n), "does", "do"), named(shown, int64(n))),
				Details: details(map[string]any{"concurrency_key": key, "max_concurrency": *rules.MaxConcurrency, "tasks": shown}),
			})
		}
	}
	if rules.RateLimit != nil {
		open, err := q.store.KeyRateOpens(ctx, t.Type, key)
		if err != nil {
			return nil, err
		}
		if open != nil && open.After(s.now) {
			out = append(out, task.Reason{
				Code: "key_rate_limited", UntilUTC: open,
				Message: fmt.Sprintf("Of its key %s no more than %s, and that is used up until %s.", key, pace(*rules.RateLimit), at(*open)),
				Details: details(map[string]any{"concurrency_key": key, "rate_limit": rules.RateLimit}),
			})
		}
	}
	return out, nil
}
