package sqlite

import (
	"context"
	"slices"
	"time"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/task"
)

func (s *Store) AddAPIKey(ctx context.Context, k task.APIKey) error {
	_, err := writeOne(ctx, s, func(ctx context.Context, x tx) (struct{}, error) {
		return struct{}{}, x.InsertAPIKey(ctx, newAPIKey(k))
	})
	return err
}

func newAPIKey(k task.APIKey) sqlitedb.InsertAPIKeyParams {
	return sqlitedb.InsertAPIKeyParams{
		KeyID: k.KeyID, Name: k.Name, Role: k.Role, Types: k.Types, SecretHash: k.SecretHash, CreatedAtUTC: k.CreatedAtUTC, ExpiresAtUTC: k.ExpiresAtUTC,
	}
}

func (s *Store) GetAPIKey(ctx context.Context, keyID string) (task.APIKey, error) {
	row, err := s.read.GetAPIKey(ctx, keyID)
	return task.APIKey(row), s.classify(ctx, err)
}

func (s *Store) ListAPIKeys(ctx context.Context) ([]task.APIKey, error) {
	rows, err := s.read.ListAPIKeys(ctx)
	out := make([]task.APIKey, len(rows))
	for i, r := range rows {
		out[i] = task.APIKey(r)
	}
	slices.SortStableFunc(out, func(a, b task.APIKey) int { return a.CreatedAtUTC.Compare(b.CreatedAtUTC) })
	return out, s.classify(ctx, err)
}

func (s *Store) HasAPIKeys(ctx context.Context) (bool, error) {
	n, err := s.read.HasAPIKeys(ctx)
	return n > 0, s.classify(ctx, err)
}

func (s *Store) RevokeAPIKey(ctx context.Context, keyID string, now time.Time) (task.APIKey, error) {
	return writeOne(ctx, s, func(ctx context.Context, x tx) (task.APIKey, error) {
		row, err := x.RevokeAPIKey(ctx, sqlitedb.RevokeAPIKeyParams{KeyID: keyID, Now: &now})
		return task.APIKey(row), err
	})
}

func (s *Store) ReplaceAPIKey(ctx context.Context, keyID string, by task.APIKey, until, now time.Time) error {
	_, err := write(ctx, s, func(ctx context.Context, x tx) (struct{}, error) {
		n, err := x.EndAPIKey(ctx, sqlitedb.EndAPIKeyParams{KeyID: keyID, Until: &until, Now: &now})
		if err == nil && n == 0 {
			err = x.whyNoAPIKey(ctx, keyID)
		}
		if err == nil {
			err = x.InsertAPIKey(ctx, newAPIKey(by))
		}
		return struct{}{}, err
	})
	return err
}

func (s *Store) DeleteAPIKey(ctx context.Context, keyID string, now time.Time) error {
	_, err := write(ctx, s, func(ctx context.Context, x tx) (struct{}, error) {
		n, err := x.DeleteAPIKey(ctx, sqlitedb.DeleteAPIKeyParams{KeyID: keyID, Now: &now})
		if err == nil && n == 0 {
			err = x.whyNoAPIKey(ctx, keyID)
		}
		return struct{}{}, err
	})
	return err
}

// whyNoAPIKey is the error of a change that has found no key in the state that it needs.
func (x tx) whyNoAPIKey(ctx context.Context, keyID string) error {
	if _, err := x.GetAPIKey(ctx, keyID); err != nil {
		return err
	}
	return task.ErrConflict
}

func (s *Store) TouchAPIKey(ctx context.Context, keyID string, now time.Time) error {
	_, err := writeOne(ctx, s, func(ctx context.Context, x tx) (struct{}, error) {
		return struct{}{}, x.TouchAPIKey(ctx, sqlitedb.TouchAPIKeyParams{KeyID: keyID, Now: &now})
	})
	return err
}
