package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"github.com/prismq/thequeue/internal/task"
)

// Verify reads a backup to its end and demands that it has its checksum, if it has one, that the database in it is whole, and that this binary knows its
// schema. Then it notes when that was. What is wrong is task.ErrUnusable. A compressed one needs room for the whole beside it.
func (d *Directory) Verify(ctx context.Context, name string, bytesPerSecond int64, progress func(done, total int64)) (task.Backup, error) {
	b, err := d.Get(name)
	if err == nil {
		b, err = d.verify(ctx, b, &pacer{perSecond: bytesPerSecond}, progress)
	}
	if err != nil {
		return task.Backup{}, fmt.Errorf("verify %s: %w", name, full(ended(ctx, err)))
	}
	return b, nil
}

func (d *Directory) verify(ctx context.Context, b task.Backup, pace *pacer, progress func(done, total int64)) (_ task.Backup, err error) {
	root, err := os.OpenRoot(d.Path)
	if err != nil {
		return b, err
	}
	defer root.Close()
	path := filepath.Join(d.Path, b.File)
	if b.Compressed {
		var unlock func()
		if _, unlock, err = d.take(); err != nil {
			return b, err
		}
		defer unlock()
		w := &work{Directory: d, root: root}
		defer func() { err = errors.Join(err, w.cleanUp()) }()
		name := partial + "verify-" + b.Name + d.Engine.Suffix()
		f, err := w.newFile(name)
		if err != nil {
			return b, err
		}
		if err := errors.Join(d.unpack(ctx, root, b, pace, progress, f), f.Close()); err != nil {
			return b, err
		}
		path = filepath.Join(d.Path, name)
	} else if err := d.unpack(ctx, root, b, pace, progress, nil); err != nil {
		return b, err
	}
	version, err := d.Engine.Check(ctx, path)
	if err != nil {
		return b, err
	}
	n, err := d.readNote(root, b.File)
	if err != nil {
		return b, err
	}
	n.version, n.verified = version, d.Now().UTC()
	if n.sum != "" {
		if n.created.IsZero() {
			n.created = b.CreatedAtUTC
		}
		_ = d.writeNote(root, b.File, n) // who may only read here is told all the same
	}
	n.fill(&b)
	return b, nil
}

// unpack reads a backup, compares its checksum with that beside it, and writes what is in it to a file; nil: nowhere.
func (d *Directory) unpack(ctx context.Context, root *os.Root, b task.Backup, pace *pacer, progress func(done, total int64), to *os.File) error {
	f, err := openPlain(root, b.File)
	if err != nil {
		return err
	}
	defer f.Close()
	h, done := sha256.New(), int64(0)
	stored := io.TeeReader(&pacedReader{ctx: ctx, from: f, pace: pace, tell: func(n int64) {
		if done += n; progress != nil {
			progress(done, b.SizeBytes)
		}
	}}, h)
	if to != nil {
		if err := d.content(b, stored, to); err != nil {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, stored); err != nil {
		return err
	}
	if sum := hex.EncodeToString(h.Sum(nil)); b.SHA256 != nil && sum != *b.SHA256 {
		return fmt.Errorf("%w: the SHA-256 of %s is %s, and was %s", task.ErrUnusable, b.File, sum, *b.SHA256)
	}
	return nil
}

// content writes what is in a stored file.
func (d *Directory) content(b task.Backup, stored io.Reader, to *os.File) error {
	if !b.Compressed {
		return d.Engine.Unpack(to, stored)
	}
	z, err := zstd.NewReader(stored, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(64<<20), zstd.WithDecoderMaxMemory(256<<20))
	if err != nil {
		return err
	}
	defer z.Close()
	src := &source{from: z}
	err = d.Engine.Unpack(to, src)
	if src.err != nil && !errors.Is(src.err, context.Canceled) && !errors.Is(src.err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %s cannot be decompressed: %w", task.ErrUnusable, b.File, src.err)
	}
	return err
}

// source remembers the error of a reader, to tell it from that of who writes.
type source struct {
	from io.Reader
	err  error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.from.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// Restore puts a backup in the place of the database, or of the one that target names. It is checked first, as hostile as it may be, and what was there is
// kept. task.ErrConflict while a server, or anybody else, has the target.
func (d *Directory) Restore(ctx context.Context, name, target string, progress func(done, total int64)) (task.Restored, error) {
	b, err := d.Get(name)
	if err != nil {
		return task.Restored{}, fmt.Errorf("restore %s: %w", name, err)
	}
	root, err := os.OpenRoot(d.Path)
	if err != nil {
		return task.Restored{}, fmt.Errorf("restore %s: %w", name, err)
	}
	defer root.Close()
	out, err := d.Engine.Restore(ctx, target, d.Path, d.Now(), func(f *os.File) error {
		return d.unpack(ctx, root, b, &pacer{}, progress, f)
	})
	if err != nil {
		return task.Restored{}, fmt.Errorf("restore %s: %w", name, full(ended(ctx, err)))
	}
	out.Name = b.Name
	return out, nil
}
