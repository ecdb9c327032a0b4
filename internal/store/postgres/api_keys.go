package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/task"
)

// AddAPIKey stores a new key.
func (s *Store) AddAPIKey(ctx context.Context, k task.APIKey) error {
	_, err := do(ctx, s, "add key", func(ctx context.Context) (struct{}, error) { return struct{}{}, s.q.InsertAPIKey(ctx, newAPIKey(k)) })
	return err
}

func newAPIKey(k task.APIKey) postgresdb.InsertAPIKeyParams {
	return postgresdb.InsertAPIKeyParams{
		KeyID: k.KeyID, Name: k.Name, Role: k.Role, Types: k.Types, SecretHash: k.SecretHash, CreatedAtUTC: k.CreatedAtUTC, ExpiresAtUTC: k.ExpiresAtUTC,
	}
}

// GetAPIKey returns ErrNotFound when no key has this id.
func (s *Store) GetAPIKey(ctx context.Context, keyID string) (task.APIKey, error) {
	return look(ctx, s, "get key", func(ctx context.Context) (task.APIKey, error) {
		row, err := s.q.GetAPIKey(ctx, keyID)
		return task.APIKey(row), err
	})
}

// ListAPIKeys returns all keys, oldest first.
func (s *Store) ListAPIKeys(ctx context.Context) ([]task.APIKey, error) {
	return search(ctx, s, "list keys", func(ctx context.Context) ([]task.APIKey, error) {
		rows, err := s.lists.ListAPIKeys(ctx)
		out := make([]task.APIKey, len(rows))
		for i, r := range rows {
			out[i] = task.APIKey(r)
		}
		slices.SortStableFunc(out, func(a, b task.APIKey) int { return a.CreatedAtUTC.Compare(b.CreatedAtUTC) })
		return out, err
	})
}

// HasAPIKeys reports whether there is any key.
func (s *Store) HasAPIKeys(ctx context.Context) (bool, error) {
	n, err := look(ctx, s, "look for keys", func(ctx context.Context) (int64, error) { return s.q.HasAPIKeys(ctx) })
	return n > 0, err
}

// RevokeAPIKey lets a key open nothing any more.
func (s *Store) RevokeAPIKey(ctx context.Context, keyID string, now time.Time) (task.APIKey, error) {
	return do(ctx, s, "revoke key", func(ctx context.Context) (task.APIKey, error) {
		row, err := s.q.RevokeAPIKey(ctx, postgresdb.RevokeAPIKeyParams{KeyID: keyID, Now: &now})
		return task.APIKey(row), err
	})
}

// ReplaceAPIKey stores a new key and has the one that it replaces expire.
func (s *Store) ReplaceAPIKey(ctx context.Context, keyID string, by task.APIKey, until, now time.Time) error {
	_, err := do(ctx, s, "replace key", func(ctx context.Context) (struct{}, error) {
		return inTx(ctx, s.db, nil, func(q *postgresdb.Queries) (struct{}, error) {
			n, err := q.EndAPIKey(ctx, postgresdb.EndAPIKeyParams{KeyID: keyID, Until: &until, Now: &now})
			if err == nil && n == 0 {
				err = whyNoAPIKey(ctx, q, keyID)
			}
			if err == nil {
				err = q.InsertAPIKey(ctx, newAPIKey(by))
			}
			return struct{}{}, err
		})
	})
	return err
}

// DeleteAPIKey forgets a key that is not in force.
func (s *Store) DeleteAPIKey(ctx context.Context, keyID string, now time.Time) error {
	_, err := do(ctx, s, "delete key", func(ctx context.Context) (struct{}, error) {
		n, err := s.q.DeleteAPIKey(ctx, postgresdb.DeleteAPIKeyParams{KeyID: keyID, Now: &now})
		if err == nil && n == 0 {
			err = whyNoAPIKey(ctx, s.q, keyID)
		}
		return struct{}{}, err
	})
	return err
}

// whyNoAPIKey is the error of a change that has found no key in the state that it needs.
func whyNoAPIKey(ctx context.Context, q postgresdb.Querier, keyID string) error {
	if _, err := q.GetAPIKey(ctx, keyID); err != nil {
		return err
	}
	return task.ErrConflict
}

// TouchAPIKey notes that a key was used.
func (s *Store) TouchAPIKey(ctx context.Context, keyID string, now time.Time) error {
	_, err := do(ctx, s, "touch key", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.q.TouchAPIKey(ctx, postgresdb.TouchAPIKeyParams{KeyID: keyID, Now: &now})
	})
	return err
}
