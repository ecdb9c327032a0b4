package postgres

import (
	"context"

	"github.com/prismq/thequeue/internal/store"
)

// Vitals returns how the sets of this process do.
func (s *Store) Vitals(context.Context) (store.Vitals, error) { return s.tally.Vitals(), nil }
