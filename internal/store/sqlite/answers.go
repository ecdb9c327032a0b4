package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/task"
)

// reserved is what a reservation has come to.
type reserved struct {
	answer task.Answer
	mine   bool
}

func (s *Store) ReserveAnswer(ctx context.Context, a task.Answer) (task.Answer, bool, error) {
	r, err := write(ctx, s, func(ctx context.Context, x tx) (reserved, error) {
		row, err := x.ReserveAnswer(ctx, sqlitedb.ReserveAnswerParams{
			RequestKey: a.RequestKey, Fingerprint: a.Fingerprint, Owner: a.Owner, Now: a.CreatedAtUTC, HeldUntil: a.HeldUntilUTC, ExpiresAt: a.ExpiresAtUTC,
		})
		if !errors.Is(err, sql.ErrNoRows) {
			return reserved{task.Answer(row), true}, err
		}
		row, err = x.GetAnswer(ctx, a.RequestKey)
		return reserved{task.Answer(row), false}, err
	})
	return r.answer, r.mine, err
}

func (s *Store) KeepAnswer(ctx context.Context, a task.Answer) error {
	_, err := writeOne(ctx, s, func(ctx context.Context, x tx) (int64, error) {
		n, err := x.KeepAnswer(ctx, sqlitedb.KeepAnswerParams{
			StatusCode: a.StatusCode, MediaType: a.MediaType, Body: a.Body, RequestKey: a.RequestKey, Owner: a.Owner,
		})
		if err == nil && n == 0 {
			err = task.ErrConflict
		}
		return n, err
	})
	return err
}

func (s *Store) ForgetAnswer(ctx context.Context, key, owner string) error {
	_, err := writeOne(ctx, s, func(ctx context.Context, x tx) (int64, error) {
		return x.ForgetAnswer(ctx, sqlitedb.ForgetAnswerParams{RequestKey: key, Owner: owner})
	})
	return err
}

func (s *Store) PurgeAnswers(ctx context.Context, now time.Time, max int) (int, error) {
	n, err := writeOne(ctx, s, func(ctx context.Context, x tx) (int64, error) {
		return x.PurgeAnswers(ctx, sqlitedb.PurgeAnswersParams{Now: now, Max: int64(max)})
	})
	return int(n), err
}
