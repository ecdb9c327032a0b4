package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// MaxText is the longest message of a worker in bytes: an error, a log line, a progress message.
const MaxText = 64 << 10

// held reads the token and runs do with it and the time.
func (q *Queue) held(ctx context.Context, verb string, id int64, token string, do func(tok task.Token, now time.Time) (task.Task, error)) (t task.Task, err error) {
	tok, err := q.token(ctx, id, token)
	if err == nil {
		t, err = do(tok, q.Now())
	}
	if err != nil {
		return task.Task{}, fmt.Errorf("%s task %d: %w", verb, id, err)
	}
	return t, nil
}

// token reads the token of a task. A text that was never one is ErrLeaseLost, as any other that is not the live one, where there is such a task.
func (q *Queue) token(ctx context.Context, id int64, text string) (task.Token, error) {
	tok, err := task.ParseToken(text)
	if err != nil {
		if _, missing := q.store.HeldTask(ctx, id); missing != nil {
			err = missing
		}
	}
	return tok, err
}

// Start notes that the attempt begins now rather than at the claim. Errors here and below: task.ErrLeaseLost, task.ErrNotFound,
// *task.InvalidError.
func (q *Queue) Start(ctx context.Context, id int64, token string) (task.Task, error) {
	t, err := q.held(ctx, "start", id, token, func(tok task.Token, now time.Time) (task.Task, error) {
		return q.store.StartTask(ctx, id, tok, now)
	})
	if err == nil {
		q.happened(task.EventStarted, t)
	}
	return t, err
}

// Heartbeat renews the lease from now on and keeps the progress. A task that was cancelled under this token is no error: the
// answer says so.
func (q *Queue) Heartbeat(ctx context.Context, id int64, token string, b task.Beat) (task.Pulse, error) {
	if err := checkBeat(b); err != nil {
		return task.Pulse{}, err
	}
	if b.Lease == 0 {
		b.Lease = q.leaseOf(ctx, id)
	}
	t, err := q.held(ctx, "heartbeat", id, token, func(tok task.Token, now time.Time) (task.Task, error) {
		return q.store.ExtendLease(ctx, id, tok, b, now.Add(b.Lease.Truncate(time.Microsecond)), now)
	})
	if err != nil {
		return task.Pulse{}, err
	}
	if t.Status != task.Processing {
		return task.Pulse{CancelRequested: true}, nil
	}
	if b.Progress != nil || b.Message != nil {
		q.happened(task.EventProgress, t)
	}
	drain, err := q.alive(ctx, *t.LockedBy)
	if err != nil {
		return task.Pulse{}, fmt.Errorf("heartbeat task %d: %w", id, err)
	}
	return task.Pulse{LeaseUntilUTC: t.LeaseUntilUTC, Drain: drain}, nil
}

// leaseOf returns how long a lease of the task lasts when nobody says. Where its type cannot be read, the heartbeat says why.
func (q *Queue) leaseOf(ctx context.Context, id int64) time.Duration {
	k, err := q.freshRules(ctx)
	if err != nil || !k.leases {
		return task.DefaultLease
	}
	t, err := q.store.HeldTask(ctx, id)
	if err != nil {
		return task.DefaultLease
	}
	return k.of(t.Type).Lease(task.DefaultLease)
}

func checkBeat(b task.Beat) error {
	var bad task.InvalidError
	if b.Lease != 0 {
		task.CheckLease(b.Lease, &bad)
	}
	if b.Progress != nil && (*b.Progress < 0 || *b.Progress > 100) {
		bad.Add("progress", "must lie between 0 and 100")
	}
	if b.Message != nil {
		if msg := task.CheckText(*b.Message, MaxText); msg != "" {
			bad.Add("message", "%s", msg)
		}
	}
	return bad.OrNil()
}

// Complete ends the task well. A nil result and JSON null are none.
func (q *Queue) Complete(ctx context.Context, id int64, token string, result *task.JSON) (task.Task, error) {
	if result != nil && (*result == "" || *result == "null") {
		result = nil
	}
	if result != nil {
		if len(*result) > q.o.MaxPayloadBytes {
			return task.Task{}, task.Invalid("result", "must not be longer than %d bytes, but has %d", q.o.MaxPayloadBytes, len(*result))
		}
		if err := result.Check(); err != nil {
			return task.Task{}, task.Invalid("result", "%s", err)
		}
	}
	t, err := q.held(ctx, "complete", id, token, func(tok task.Token, now time.Time) (task.Task, error) {
		return q.store.CompleteTask(ctx, id, tok, result, now)
	})
	return q.handedIn(ctx, t, err)
}

// Fail ends the attempt. With attempts left and unless f says otherwise, the task is queued again after f.RetryAfter or the backoff of
// its own policy, that of the rules of its type, of the configuration, or the default, in this order. Else it ends as exhausted, or as rejected where f says so.
func (q *Queue) Fail(ctx context.Context, id int64, token string, f task.Failure) (task.Task, error) {
	if msg := task.CheckText(f.Message, MaxText); msg != "" {
		return task.Task{}, task.Invalid("error_message", "%s", msg)
	}
	if f.RetryAfter != nil && (*f.RetryAfter < 0 || *f.RetryAfter > task.MaxTimeout) {
		return task.Task{}, task.Invalid("retry_after_seconds", "must lie between 0 and %.0f", task.MaxTimeout.Seconds())
	}
	t, err := q.held(ctx, "fail", id, token, func(tok task.Token, now time.Time) (task.Task, error) {
		v, err := q.judge(ctx, id, f, now)
		if err != nil {
			return task.Task{}, err
		}
		return q.store.FailTask(ctx, id, tok, v, now)
	})
	return q.handedIn(ctx, t, err)
}

// judge decides what follows from a failure. The attempts it reads cannot change under a live lease.
func (q *Queue) judge(ctx context.Context, id int64, f task.Failure, now time.Time) (store.Verdict, error) {
	v := store.Verdict{Message: f.Message, Outcome: task.Rejected}
	if v.Message == "" {
		v.Message = "the worker gave no reason"
	}
	if f.NoRetry {
		return v, nil
	}
	t, err := q.store.HeldTask(ctx, id)
	if err != nil {
		return v, err
	}
	if t.Attempts >= t.MaxAttempts {
		v.Outcome = task.Exhausted
		return v, nil
	}
	delay := q.delay(ctx, t)
	if f.RetryAfter != nil {
		delay = *f.RetryAfter
	}
	at := now.Add(delay).Truncate(time.Microsecond)
	v.RetryAt = &at
	return v, nil
}

func (q *Queue) delay(ctx context.Context, t task.Task) time.Duration {
	policy, ok := (*q.backoff.Load())[t.Type]
	if !ok {
		policy = task.DefaultBackoff
	}
	var ofType *task.JSON
	if k, err := q.freshRules(ctx); err == nil { // else the store does not take the failure either
		ofType = k.of(t.Type).RetryPolicy
	}
	for _, more := range []*task.JSON{ofType, t.RetryPolicy} {
		if more == nil {
			continue
		}
		if with, err := policy.With(*more); err == nil { // checked when it was stored
			policy = with
		}
	}
	return policy.Delay(t.Attempts, q.random())
}

// Release hands the task back, due after the duration; the attempt does not count. With a duration it is snoozed, and its log says so.
func (q *Queue) Release(ctx context.Context, id int64, token string, after time.Duration) (task.Task, error) {
	if after < 0 || after > task.MaxTimeout {
		return task.Task{}, task.Invalid("run_after_seconds", "must lie between 0 and %.0f", task.MaxTimeout.Seconds())
	}
	t, err := q.held(ctx, "release", id, token, func(tok task.Token, now time.Time) (task.Task, error) {
		due := now.Add(after).Truncate(time.Microsecond)
		return q.store.ReleaseTask(ctx, id, tok, due, now)
	})
	return q.handedIn(ctx, t, err)
}

// handedIn tells everybody concerned that a lease has ended, unless it failed to.
func (q *Queue) handedIn(ctx context.Context, t task.Task, err error) (task.Task, error) {
	if err == nil {
		q.happened(task.EndOfAttempt(t), t)
		q.queued(t)
		q.ended(ctx, t)
	}
	return t, err
}

// AppendLog adds a line to the log of the task that the token holds: Level, Message and Details are read.
func (q *Queue) AppendLog(ctx context.Context, id int64, token string, l task.Log) (task.Log, error) {
	if err := q.checkLog(l); err != nil {
		return task.Log{}, err
	}
	tok, err := q.token(ctx, id, token)
	if err == nil {
		l.TaskID, l.AtUTC = id, q.Now()
		l, err = q.store.AppendLog(ctx, tok, l)
	}
	if err != nil {
		return task.Log{}, fmt.Errorf("log to task %d: %w", id, err)
	}
	q.logged(ctx, l)
	return l, nil
}

// logged tells of a line in the log of a task. A task that has gone meanwhile is of no interest.
func (q *Queue) logged(ctx context.Context, l task.Log) {
	t, err := q.store.HeldTask(ctx, l.TaskID)
	if err != nil {
		return
	}
	e := task.EventOf(task.EventLog, &t)
	e.AtUTC, e.Level, e.Message = l.AtUTC, &l.Level, &l.Message
	q.events.mu.Lock()
	defer q.events.mu.Unlock()
	q.events.add(e)
	q.events.wake()
}

func (q *Queue) checkLog(l task.Log) error {
	var bad task.InvalidError
	if !l.Level.Valid() {
		bad.Add("level", "unknown level %q: use one of debug, info, warning, error", l.Level)
	}
	if msg := task.CheckText(l.Message, MaxText); msg != "" {
		bad.Add("message", "%s", msg)
	}
	if l.Details != nil {
		if err := l.Details.Check(); err != nil {
			bad.Add("details", "%s", err)
		} else if len(*l.Details) > q.o.MaxPayloadBytes {
			bad.Add("details", "must not be longer than %d bytes", q.o.MaxPayloadBytes)
		}
	}
	return bad.OrNil()
}
