package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// DefaultAnswerLifetime is how long an answer is kept for requests that are sent again, where the options do not say.
	DefaultAnswerLifetime = 24 * time.Hour
	// purgeEvery is the time between two looks for answers that have expired.
	purgeEvery = 10 * time.Minute
)

// Reserve takes an idempotency key for one request, known by its fingerprint, which is expected to be answered within hold. When it was
// answered before, that answer comes back with done true. Else the caller executes the request and ends the reservation with Keep or Forget; one that
// does neither, since it was killed, leaves the key to whoever sends the same request after hold. Errors: task.ErrInFlight, task.ErrKeyReused
// and those of the store.
func (q *Queue) Reserve(ctx context.Context, key, fingerprint string, hold time.Duration) (a task.Answer, done bool, err error) {
	now := q.Now()
	a, mine, err := q.store.ReserveAnswer(ctx, task.Answer{
		RequestKey: key, Fingerprint: fingerprint, Owner: q.o.Secret(), CreatedAtUTC: now, HeldUntilUTC: now.Add(hold), ExpiresAtUTC: now.Add(q.o.AnswerLifetime),
	})
	switch {
	case err != nil:
		return task.Answer{}, false, fmt.Errorf("reserve idempotency key: %w", err)
	case mine:
		return a, false, nil
	case a.Fingerprint != fingerprint:
		return task.Answer{}, false, task.ErrKeyReused
	case a.StatusCode == nil:
		return task.Answer{}, false, task.ErrInFlight
	}
	return a, true, nil
}

// Keep stores what was answered under the reservation a. An error is task.ErrConflict when the key was taken over meanwhile.
func (q *Queue) Keep(ctx context.Context, a task.Answer, status int, mediaType, body string) error {
	a.StatusCode, a.MediaType, a.Body = &status, &mediaType, &body
	if err := q.store.KeepAnswer(ctx, a); err != nil {
		return fmt.Errorf("keep answer: %w", err)
	}
	return nil
}

// Forget gives the key of the reservation back, as if the request had not been sent.
func (q *Queue) Forget(ctx context.Context, a task.Answer) error {
	if err := q.store.ForgetAnswer(ctx, a.RequestKey, a.Owner); err != nil {
		return fmt.Errorf("forget reservation: %w", err)
	}
	return nil
}

// purgeAnswers deletes a batch of answers that have expired, when it is time to. While there are more, each look of the upkeep deletes one.
func (q *Queue) purgeAnswers(ctx context.Context, now time.Time) error {
	if now.Before(q.purgeFrom) {
		return nil
	}
	n, err := q.store.PurgeAnswers(ctx, now, upkeepBatch)
	if err == nil && n < upkeepBatch {
		q.purgeFrom = now.Add(purgeEvery)
	}
	if k := q.rules.known.Load(); err == nil && k != nil && k.keyRate {
		err = q.store.PurgeKeyRates(ctx, now)
	}
	return err
}
