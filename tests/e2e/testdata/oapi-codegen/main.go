// This program uses the client that oapi-codegen makes of the OpenAPI document, against the server whose address is given.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
)

func main() {
	if err := run(context.Background(), os.Args[1]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("all calls answered as they are typed")
}

func run(ctx context.Context, server string) error {
	c, err := NewClientWithResponses(server)
	if err != nil {
		return err
	}
	key, priority := "order-17", 7
	receipt, err := c.EnqueueWithResponse(ctx, nil, EnqueueRequest{
		Type: "email", Payload: &map[string]any{"to": "ada@example.org"}, Priority: &priority, IdempotencyKey: &key,
	})
	if err != nil || receipt.JSON201 == nil {
		return fmt.Errorf("enqueue: %v %s", err, receipt.Body)
	}
	claimed, err := c.ClaimWithResponse(ctx, nil, ClaimRequest{WorkerId: "go", Types: &[]string{"email"}})
	if err != nil || claimed.JSON200 == nil || len(claimed.JSON200.Tasks) != 1 {
		return fmt.Errorf("claim: %v %s", err, claimed.Body)
	}
	lease := claimed.JSON200.Tasks[0]
	if lease.TaskId != receipt.JSON201.TaskId || lease.Priority != 7 || lease.Payload["to"] != "ada@example.org" {
		return fmt.Errorf("claimed %+v", lease)
	}
	percent := 50
	pulse, err := c.HeartbeatWithResponse(ctx, lease.TaskId, nil, HeartbeatRequest{LeaseToken: lease.LeaseToken, Progress: &percent})
	if err != nil || pulse.JSON200 == nil || pulse.JSON200.CancelRequested {
		return fmt.Errorf("heartbeat: %v %s", err, pulse.Body)
	}
	done, err := c.CompleteTaskWithResponse(ctx, lease.TaskId, nil, CompleteRequest{LeaseToken: lease.LeaseToken, Result: map[string]any{"sent": true}})
	if err != nil || done.JSON200 == nil || done.JSON200.Status != Status("completed") || *done.JSON200.Progress != 50 {
		return fmt.Errorf("complete: %v %s", err, done.Body)
	}
	again, err := c.CompleteTaskWithResponse(ctx, lease.TaskId, nil, CompleteRequest{LeaseToken: lease.LeaseToken})
	if err != nil || again.ApplicationproblemJSON409 == nil || again.ApplicationproblemJSON409.ErrorCode != "lease_lost" {
		return fmt.Errorf("complete again: %v %s", err, again.Body)
	}
	wrong := 5000
	bad, err := c.EnqueueWithResponse(ctx, nil, EnqueueRequest{Type: "email", Priority: &wrong})
	if err != nil || bad.ApplicationproblemJSON422 == nil || (*bad.ApplicationproblemJSON422.Errors)[0].Field != "priority" {
		return fmt.Errorf("enqueue with priority 5000: %v %s", err, bad.Body)
	}
	status, taskType := Status("completed"), "email"
	tasks, err := c.ListTasksWithResponse(ctx, &ListTasksParams{Status: &status, Type: &taskType})
	if err != nil || tasks.JSON200 == nil || len(*tasks.JSON200) != 1 || (*tasks.JSON200)[0].TaskId != lease.TaskId {
		return fmt.Errorf("list: %v %s", err, tasks.Body)
	}
	timeout := 0.123456789 // not exact in 32 bits
	rules, err := c.PutTypeWithResponse(ctx, "email", TypeRules{TimeoutSeconds: &timeout})
	if err != nil || rules.JSON200 == nil || *rules.JSON200.TimeoutSeconds != timeout {
		return fmt.Errorf("rules: %v %s", err, rules.Body)
	}
	runID := "run-1"
	started, err := c.StartRunWithResponse(ctx, "video", nil, RunRequest{RunId: &runID, Parameters: &Object{"n": 1}})
	if err != nil || started.JSON202 == nil || started.JSON202.Status != RunStatus("queued") {
		return fmt.Errorf("start a run: %v %s", err, started.Body)
	}
	if cancelled, err := c.CancelRunWithResponse(ctx, runID, nil); err != nil || cancelled.JSON200 == nil || cancelled.JSON200.Status != RunStatus("cancelled") {
		return fmt.Errorf("cancel a run: %v %s", err, cancelled.Body)
	}
	if gone, err := c.DeleteTaskWithResponse(ctx, lease.TaskId); err != nil || gone.StatusCode() != http.StatusNoContent {
		return fmt.Errorf("delete: %v %s", err, gone.Body)
	}
	if got, err := c.GetTaskWithResponse(ctx, lease.TaskId); err != nil || got.ApplicationproblemJSON404 == nil {
		return fmt.Errorf("get: %v %s", err, got.Body)
	}
	return nil
}
