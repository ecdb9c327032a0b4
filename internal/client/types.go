package client

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/prismq/thequeue/internal/task"
)

const typesPath = "/api/queue/types"

func typePath(name string) string { return typesPath + "/" + segment(name) }

// Types returns every task type that has a rule or has had a task, ordered by name.
func (c *Client) Types(ctx context.Context) (ts []task.TypeStatus, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: typesPath, twice: true}, &ts)
	return ts, err
}

// Type returns the rules of one type and counts its tasks.
func (c *Client) Type(ctx context.Context, name string) (t task.TypeStatus, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: typePath(name), twice: true}, &t)
	return t, err
}

// PutType sets all rules of a type; a nil r.Paused leaves it paused or not as it is.
func (c *Client) PutType(ctx context.Context, name string, r task.TypeRules) (t task.TypeStatus, err error) {
	body, err := json.Marshal(r)
	if err != nil {
		return t, err
	}
	_, err = c.do(ctx, call{method: http.MethodPut, path: typePath(name), body: body, twice: true}, &t)
	return t, err
}

// PauseType keeps the tasks of a type from being claimed; ResumeType ends that.
func (c *Client) PauseType(ctx context.Context, name string) (t task.TypeStatus, err error) {
	_, err = c.do(ctx, call{method: http.MethodPost, path: typePath(name) + "/pause", twice: true}, &t)
	return t, err
}

// ResumeType lets the tasks of a type be claimed again.
func (c *Client) ResumeType(ctx context.Context, name string) (t task.TypeStatus, err error) {
	_, err = c.do(ctx, call{method: http.MethodPost, path: typePath(name) + "/resume", twice: true}, &t)
	return t, err
}
