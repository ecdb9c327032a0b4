package postgres

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/task"
)

// reserved is what a reservation has come to.
type reserved struct {
	answer task.Answer
	mine   bool
}

// ReserveAnswer takes a key that is free.
func (s *Store) ReserveAnswer(ctx context.Context, a task.Answer) (task.Answer, bool, error) {
	r, err := do(ctx, s, "reserve answer", func(ctx context.Context) (reserved, error) {
		row, err := s.q.ReserveAnswer(ctx, postgresdb.ReserveAnswerParams{
			RequestKey: a.RequestKey, Fingerprint: a.Fingerprint, Owner: a.Owner, Now: a.CreatedAtUTC, HeldUntil: a.HeldUntilUTC, ExpiresAt: a.ExpiresAtUTC,
		})
		if !errors.Is(err, sql.ErrNoRows) {
			return reserved{task.Answer(row), true}, err
		}
		if row, err = s.q.GetAnswer(ctx, a.RequestKey); errors.Is(err, sql.ErrNoRows) {
			err = task.ErrBusy // given back between the two
		}
		return reserved{task.Answer(row), false}, err
	})
	return r.answer, r.mine, err
}

// KeepAnswer stores an answer under its key.
func (s *Store) KeepAnswer(ctx context.Context, a task.Answer) error {
	_, err := do(ctx, s, "keep answer", func(ctx context.Context) (int64, error) {
		n, err := s.q.KeepAnswer(ctx, postgresdb.KeepAnswerParams{
			StatusCode: a.StatusCode, MediaType: a.MediaType, Body: a.Body, RequestKey: a.RequestKey, Owner: a.Owner,
		})
		if err == nil && n == 0 {
			err = task.ErrConflict
		}
		return n, err
	})
	return err
}

// ForgetAnswer gives back a key that has no answer.
func (s *Store) ForgetAnswer(ctx context.Context, key, owner string) error {
	_, err := do(ctx, s, "forget answer", func(ctx context.Context) (int64, error) {
		return s.q.ForgetAnswer(ctx, postgresdb.ForgetAnswerParams{RequestKey: key, Owner: owner})
	})
	return err
}

// PurgeAnswers deletes entries that have expired.
func (s *Store) PurgeAnswers(ctx context.Context, now time.Time, max int) (int, error) {
	n, err := do(ctx, s, "purge answers", func(ctx context.Context) (int64, error) {
		return s.q.PurgeAnswers(ctx, postgresdb.PurgeAnswersParams{Now: now, Max: int64(max)})
	})
	return int(n), err
}
