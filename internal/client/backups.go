package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

const (
	backupsPath = "/api/queue/backups"
	// verifyTime is how long a verification may take.
	verifyTime = 6 * time.Hour
)

func backupPath(name string) string { return backupsPath + "/" + segment(name) }

// CreateBackup has the server begin a backup, and returns it as it is being made: Backup tells what becomes of it. With an empty name it gets one by the time.
// It is not tried again when the connection breaks: Backups tells whether it was made.
func (c *Client) CreateBackup(ctx context.Context, name string) (b task.Backup, err error) {
	body, err := json.Marshal(struct {
		Name string `json:"name,omitempty"`
	}{name})
	if err != nil {
		return b, fmt.Errorf("write the request: %w", err)
	}
	_, err = c.do(ctx, call{method: http.MethodPost, path: backupsPath, body: body}, &b)
	return b, err
}

// Backups returns the backups that are whole, newest first.
func (c *Client) Backups(ctx context.Context) (bs []task.Backup, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: backupsPath, twice: true}, &bs)
	return bs, err
}

// Backup returns a backup: one that is whole, or being made, or, of those that have failed, the last.
func (c *Client) Backup(ctx context.Context, name string) (b task.Backup, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: backupPath(name), twice: true}, &b)
	return b, err
}

// VerifyBackup has the server read a backup to its end, and returns when it has. task.ErrUnusable says what is wrong with it.
func (c *Client) VerifyBackup(ctx context.Context, name string) (b task.Backup, err error) {
	_, err = c.do(ctx, call{method: http.MethodPost, path: backupPath(name) + "/verify", twice: true, wait: verifyTime}, &b)
	return b, err
}
