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

// Create makes a backup of the database as it was at one instant during the call, while it is in use. Until it is whole and on the disk it has
// another name, so that what is in a list is whole. ErrConflict when the name is taken or another is being made, ErrFull.
func (d *Directory) Create(ctx context.Context, o Options) (task.Backup, error) {
	b, err := d.create(ctx, o)
	if err != nil {
		return task.Backup{}, fmt.Errorf("backup: %w", full(ended(ctx, err)))
	}
	return b, nil
}

func (d *Directory) create(ctx context.Context, o Options) (_ task.Backup, err error) {
	root, unlock, err := d.take()
	if err != nil {
		return task.Backup{}, err
	}
	defer unlock()
	b, err := d.named(o, root)
	if err != nil {
		return task.Backup{}, err
	}
	w := &work{Directory: d, root: root, pace: pacer{perSecond: o.BytesPerSecond}, progress: o.Progress}
	defer func() { err = errors.Join(err, w.cleanUp()) }()
	whole, err := w.temp(partial + b.Name + d.Engine.Suffix())
	if err != nil {
		return task.Backup{}, err
	}
	version, err := d.Engine.Copy(ctx, filepath.Join(d.Path, whole), func(done, total int64) error { return w.copied(ctx, done, total) })
	if err != nil {
		return task.Backup{}, err
	}
	if b.Compressed {
		if whole, err = w.compress(ctx, whole, partial+b.File); err != nil {
			return task.Backup{}, err
		}
	}
	n := note{created: b.CreatedAtUTC, version: version}
	if n.sum, b.SizeBytes, err = w.sum(ctx, whole); err != nil {
		return task.Backup{}, err
	}
	if err := d.writeNote(root, b.File, n); err != nil {
		return task.Backup{}, err
	}
	w.temps = append(w.temps, b.File+sumSuffix) // until the file that it is about is there
	if err := root.Rename(whole, b.File); err != nil {
		return task.Backup{}, err
	}
	w.temps = nil
	b.State, b.Progress = task.BackupComplete, 100
	n.fill(&b)
	return b, syncDirectory(root)
}

// named says which backup it is to become. Nothing of it is there yet.
func (d *Directory) named(o Options, root *os.Root) (task.Backup, error) {
	b := task.Backup{Name: o.Name, State: task.BackupRunning, CreatedAtUTC: d.Now().UTC(), Compressed: o.Compress && !d.Engine.Packed()}
	if b.Name == "" {
		b.Name = Stamp(b.CreatedAtUTC)
	} else if err := known(b.Name); err != nil {
		return b, err
	}
	for _, ending := range []string{d.Engine.Suffix(), d.Engine.Suffix() + packed} {
		if _, err := root.Lstat(b.Name + ending); err == nil {
			return b, fmt.Errorf("%w: there is a backup %s already: choose another name", task.ErrConflict, b.Name)
		}
	}
	if b.File = b.Name + d.Engine.Suffix(); b.Compressed {
		b.File += packed
	}
	return b, nil
}

// work is one backup on its way.
type work struct {
	*Directory
	root     *os.Root
	pace     pacer
	progress func(done, total int64)
	temps    []string // files that go when it fails
	done     int64
}

// temp makes an empty file of a name that is free.
func (w *work) temp(name string) (string, error) {
	f, err := w.newFile(name)
	if err != nil {
		return "", err
	}
	return name, f.Close()
}

// newFile makes an empty file, of the owner of the directory, that goes when this fails.
func (w *work) newFile(name string) (*os.File, error) {
	f, err := w.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	w.temps = append(w.temps, name)
	if err := asOwner(f, w.Path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// cleanUp removes what is not to stay. A file that is no longer there under its name is whole, or was removed.
func (w *work) cleanUp() (err error) {
	for _, name := range w.temps {
		if _, gone := w.root.Lstat(name); gone == nil {
			err = errors.Join(err, w.root.Remove(name))
		}
	}
	return err
}

func (w *work) copied(ctx context.Context, done, total int64) error {
	n := done - w.done
	w.done = done
	if w.progress != nil {
		w.progress(done, total)
	}
	return w.pace.pass(ctx, n)
}

// compress writes a file anew, compressed, under another name, and removes it.
func (w *work) compress(ctx context.Context, from, to string) (string, error) {
	in, err := w.root.Open(from)
	if err != nil {
		return "", err
	}
	defer in.Close()
	out, err := w.newFile(to)
	if err != nil {
		return "", err
	}
	defer out.Close() // what was written is on the disk before that
	// One goroutine and a small window: the queue is to have the machine.
	z, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return "", err
	}
	if _, err := io.Copy(z, &pacedReader{ctx: ctx, from: in, pace: &w.pace}); err != nil {
		return "", errors.Join(err, z.Close())
	}
	if err := z.Close(); err != nil {
		return "", err
	}
	return to, w.root.Remove(from)
}

// sumShare is how much faster a file may be read for its checksum than it was written: it is in memory still, and nothing waits for the disk.
const sumShare = 4

// sum has a file on the disk and returns its checksum and length.
func (w *work) sum(ctx context.Context, name string) (string, int64, error) {
	f, err := w.root.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return "", 0, err
	}
	h := sha256.New()
	size, err := io.Copy(h, &pacedReader{ctx: ctx, from: f, pace: &pacer{perSecond: sumShare * w.pace.perSecond}})
	return hex.EncodeToString(h.Sum(nil)), size, err
}
