package schema

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/clock"
)

// copies is how many copies of before a migration are kept of a SQLite file; the oldest go first.
const copies = 3

// copyMark follows the name of the file in those of its copies, and the time follows it, so that the names sort by age.
const copyMark = ".before-migration-"

// CopyBeside has a copy of the SQLite file at path made before migrations change it, unless it has no schema yet. write has it whole and on the disk in the empty file that it
// is given. The copies stand beside the file, named PATH.before-migration-TIME-vVERSION, the newest three of them. An empty path: none is made.
func (s *Schema) CopyBeside(path string, write func(ctx context.Context, to string) error) {
	s.path, s.write = path, write
}

// Copied returns the path of the copy that the last change has made; empty: none.
func (s *Schema) Copied() string { return s.copied }

// keepCopy copies the file as it is before a change of its schema.
func (s *Schema) keepCopy(ctx context.Context) error {
	s.copied = ""
	if s.path == "" {
		return nil
	}
	version, err := s.Version(ctx)
	if err != nil || version == 0 {
		return err
	}
	at := clock.NewSystem(time.Time{}).Now().Format("20060102T150405.000000Z")
	path := fmt.Sprintf("%s%s%s-v%05d", s.path, copyMark, at, version)
	if err := s.copyTo(ctx, path); err != nil {
		return fmt.Errorf("copy the file before the migration (make room for it, or use thequeue migrate with --no-copy): %w", err)
	}
	s.copied = path
	return s.dropCopies()
}

// copyTo has a whole copy at path, on the disk, or none.
func (s *Schema) copyTo(ctx context.Context, path string) (err error) {
	if err := s.dropParts(); err != nil {
		return err
	}
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(os.Remove(part)))
		}
	}()
	if err := f.Close(); err != nil {
		return err
	}
	if err := s.write(ctx, part); err != nil {
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// dropParts removes what copies have left that were killed. The lock of the migration is held, so nobody else makes one.
func (s *Schema) dropParts() error {
	entries, err := os.ReadDir(filepath.Dir(s.path))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filepath.Base(s.path)+copyMark) && strings.HasSuffix(e.Name(), ".part") {
			err = errors.Join(err, ignoreMissing(os.Remove(filepath.Join(filepath.Dir(s.path), e.Name()))))
		}
	}
	return err
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// dropCopies removes the oldest copies.
func (s *Schema) dropCopies() error {
	entries, err := os.ReadDir(filepath.Dir(s.path))
	if err != nil {
		return err
	}
	var names []string // sorted, as entries are
	for _, e := range entries {
		if rest, is := strings.CutPrefix(e.Name(), filepath.Base(s.path)+copyMark); is && !strings.HasSuffix(rest, ".part") {
			names = append(names, e.Name())
		}
	}
	for _, name := range slices.Clone(names[:max(len(names)-copies, 0)]) {
		if err := ignoreMissing(os.Remove(filepath.Join(filepath.Dir(s.path), name))); err != nil {
			return err
		}
	}
	return nil
}
