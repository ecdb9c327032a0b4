package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

const keysPath = "/api/queue/keys"

// APIKeys returns all keys, in force or not, oldest first. It needs the key of an admin, as all calls about keys do.
func (c *Client) APIKeys(ctx context.Context) (out []task.APIKey, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: keysPath, twice: true}, &out)
	return out, err
}

// CreateAPIKey makes a key. It is shown this once.
func (c *Client) CreateAPIKey(ctx context.Context, s task.APIKeySpec) (out task.NewAPIKey, err error) {
	b, err := encode(s)
	if err == nil {
		_, err = c.do(ctx, call{method: http.MethodPost, path: keysPath, body: b}, &out)
	}
	return out, err
}

// RotateAPIKey makes a key that replaces another one, which opens nothing any more after overlap. Where nothing is said the new one lives as long as the old one did.
func (c *Client) RotateAPIKey(ctx context.Context, keyID string, overlap time.Duration, expiresInSeconds *float64) (out task.NewAPIKey, err error) {
	b, err := encode(struct {
		Overlap float64  `json:"overlap_seconds"`
		Expires *float64 `json:"expires_in_seconds,omitempty"`
	}{overlap.Seconds(), expiresInSeconds})
	if err == nil {
		_, err = c.do(ctx, call{method: http.MethodPost, path: keyPath(keyID, "/rotate"), body: b}, &out)
	}
	return out, err
}

// RevokeAPIKey lets a key open nothing any more.
func (c *Client) RevokeAPIKey(ctx context.Context, keyID string) (out task.APIKey, err error) {
	_, err = c.do(ctx, call{method: http.MethodPost, path: keyPath(keyID, "/revoke"), twice: true}, &out)
	return out, err
}

// DeleteAPIKey forgets a key that opens nothing any more.
func (c *Client) DeleteAPIKey(ctx context.Context, keyID string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: keyPath(keyID, ""), twice: true}, nil)
	return err
}

func keyPath(keyID, rest string) string { return keysPath + "/" + url.PathEscape(keyID) + rest }
