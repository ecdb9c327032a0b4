package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/prismq/thequeue/internal/task"
)

// request is the body of both calls that lead to an operation.
type request struct {
	task.OperationSpec
	DryRun       bool   `json:"dry_run,omitempty"`
	ConfirmToken string `json:"confirm_token,omitempty"`
}

const operationsPath = "/api/queue/operations"

// Propose asks what an operation would change, and for the token that starts it. It changes nothing.
func (c *Client) Propose(ctx context.Context, s task.OperationSpec) (p task.Proposal, err error) {
	err = c.operate(ctx, request{OperationSpec: s, DryRun: true}, true, &p)
	return p, err
}

// StartOperation starts the operation for which Propose gave the token. It is not tried again when the connection breaks: ListOperations tells whether
// it has begun.
func (c *Client) StartOperation(ctx context.Context, s task.OperationSpec, token string) (o task.Operation, err error) {
	err = c.operate(ctx, request{OperationSpec: s, ConfirmToken: token}, false, &o)
	return o, err
}

func (c *Client) operate(ctx context.Context, r request, twice bool, out any) error {
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write the request: %w", err)
	}
	_, err = c.do(ctx, call{method: http.MethodPost, path: operationsPath, body: body, twice: twice}, out)
	return err
}

func operationPath(id int64) string { return operationsPath + "/" + strconv.FormatInt(id, 10) }

// GetOperation returns an operation and how far it has come.
func (c *Client) GetOperation(ctx context.Context, id int64) (o task.Operation, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: operationPath(id), twice: true}, &o)
	return o, err
}

// ListOperations returns up to limit operations (0: 100, at most 1,000), newest first, with ids below before, 0 for all.
func (c *Client) ListOperations(ctx context.Context, before int64, limit int) (os []task.Operation, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: operationsPath + query("cursor", number(before), "limit", number(int64(limit))), twice: true}, &os)
	return os, err
}

// CancelOperation ends a running operation; what it has changed stays.
func (c *Client) CancelOperation(ctx context.Context, id int64) (o task.Operation, err error) {
	_, err = c.do(ctx, call{method: http.MethodPost, path: operationPath(id) + "/cancel"}, &o)
	return o, err
}
