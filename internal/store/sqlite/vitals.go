package sqlite

import (
	"context"
	"os"
	"path/filepath"

	"github.com/prismq/thequeue/internal/store"
)

func (s *Store) Vitals(context.Context) (store.Vitals, error) {
	v := s.tally.Vitals()
	file, err := os.Stat(s.path)
	if err != nil {
		return store.Vitals{}, err
	}
	wal, err := s.wal.Stat()
	if err != nil {
		return store.Vitals{}, err
	}
	free, all, err := diskSpace(filepath.Dir(s.path))
	if err != nil {
		return store.Vitals{}, err
	}
	v.File = &store.FileVitals{Bytes: file.Size(), WALBytes: wal.Size(), FreeBytes: free, DiskBytes: all}
	return v, nil
}
