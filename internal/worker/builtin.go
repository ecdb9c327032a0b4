package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// Echo completes every task with its payload as the result.
var Echo Handler = HandlerFunc(func(_ context.Context, a *Attempt) (*task.JSON, error) { return &a.Payload, nil })

// Sleep waits for the number of seconds that the payload names, as in {"seconds": 0.5}: 0 to 3600, 1 when it says nothing. Then it fails
// with the message under "fail", if there is one, and otherwise succeeds without a result.
var Sleep Handler = HandlerFunc(sleep)

func sleep(ctx context.Context, a *Attempt) (*task.JSON, error) {
	var p struct {
		Seconds *float64 `json:"seconds"`
		Fail    string   `json:"fail"`
	}
	if err := json.Unmarshal([]byte(a.Payload), &p); err != nil {
		return nil, Reject(fmt.Errorf("payload: %w", err))
	}
	d := time.Second
	if p.Seconds != nil {
		if *p.Seconds < 0 || *p.Seconds > 3600 {
			return nil, Reject(errors.New("payload: seconds must lie between 0 and 3600"))
		}
		d = time.Duration(*p.Seconds * float64(time.Second))
	}
	if !pause(ctx, time.After(d)) {
		return nil, context.Cause(ctx)
	}
	if p.Fail != "" {
		return nil, errors.New(p.Fail)
	}
	return nil, nil
}
