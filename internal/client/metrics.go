package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// Metrics tells how many tasks there are and what has happened to them in the window up to now, of one type or, where it is empty, of all and of each.
func (c *Client) Metrics(ctx context.Context, window time.Duration, taskType string) (m task.Metrics, err error) {
	query := url.Values{"window": {task.FormatAge(window)}}
	if taskType != "" {
		query.Set("type", taskType)
	}
	_, err = c.do(ctx, call{method: http.MethodGet, path: "/api/queue/metrics?" + query.Encode(), twice: true}, &m)
	return m, err
}
