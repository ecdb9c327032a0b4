package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"github.com/prismq/thequeue/internal/task"
)

// DefaultKeep is how many backups are kept where nobody says.
const DefaultKeep = 10

// Directory is where the backups of one database are. Each is a file and beside it one with its checksum. It is safe for concurrent use, also by several
// processes: one of them changes it at a time.
type Directory struct {
	Path   string // absolute; made at need, for its owner alone
	Engine Engine
	Now    func() time.Time
}

// Options say how a backup is made.
type Options struct {
	Name           string                  // empty: Stamp
	Compress       bool                    // with zstd, unless the engine compresses itself
	BytesPerSecond int64                   // written at most; 0: as fast as it goes
	Progress       func(done, total int64) // of bytes, of about so many (0: not known); nil: nobody is told
}

// List returns the backups that are whole, newest first. Empty when there is no directory.
func (d *Directory) List() ([]task.Backup, error) {
	root, err := os.OpenRoot(d.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return []task.Backup{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list backups: %w", err)
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("list backups: %w", err)
	}
	list := []task.Backup{}
	for _, e := range entries {
		name, compressed, ok := nameOf(e.Name(), d.Engine.Suffix())
		if !ok || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("list backups: %w", err)
		}
		b := task.Backup{Name: name, File: e.Name(), State: task.BackupComplete, SizeBytes: info.Size(), CreatedAtUTC: info.ModTime().UTC(), Compressed: compressed, Progress: 100}
		if n, err := d.readNote(root, e.Name()); err == nil { // one that cannot be read tells nothing
			n.fill(&b)
		}
		list = append(list, b)
	}
	slices.SortFunc(list, func(a, b task.Backup) int {
		return cmp.Or(b.CreatedAtUTC.Compare(a.CreatedAtUTC), cmp.Compare(b.Name, a.Name))
	})
	return list, nil
}

// Get returns the backup of a name, which may also be that of its file. ErrNotFound without it.
func (d *Directory) Get(name string) (task.Backup, error) {
	if bare, _, ok := nameOf(name, d.Engine.Suffix()); ok {
		name = bare
	}
	if err := known(name); err != nil {
		return task.Backup{}, err
	}
	list, err := d.List()
	if err != nil {
		return task.Backup{}, err
	}
	i := slices.IndexFunc(list, func(b task.Backup) bool { return b.Name == name })
	if i < 0 {
		return task.Backup{}, task.ErrNotFound
	}
	return list[i], nil
}

// Latest returns the newest backup, where what a restore has replaced is none. ErrNotFound when there is none.
func (d *Directory) Latest() (task.Backup, error) {
	list, err := d.List()
	if err != nil {
		return task.Backup{}, err
	}
	for _, b := range list {
		if !strings.HasPrefix(b.Name, task.ReplacedBackup) {
			return b, nil
		}
	}
	return task.Backup{}, task.ErrNotFound
}

// Prune deletes all but the newest keep backups and returns them, the newest first. With own it looks only at those that have no name given by a person.
// With dryRun it deletes nothing.
func (d *Directory) Prune(keep int, own, dryRun bool) (gone []task.Backup, err error) {
	list, err := d.List()
	if err != nil {
		return nil, err
	}
	if own {
		list = slices.DeleteFunc(list, func(b task.Backup) bool { return !stamped.MatchString(b.Name) })
	}
	gone = []task.Backup{}
	if len(list) <= keep {
		return gone, nil
	}
	if list = list[keep:]; dryRun {
		return list, nil
	}
	root, unlock, err := d.take()
	if err != nil {
		return nil, fmt.Errorf("prune backups: %w", err)
	}
	defer unlock()
	for _, b := range slices.Backward(list) { // the oldest first, should it end in between
		for _, file := range []string{b.File, b.File + sumSuffix} {
			if err := root.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return gone, fmt.Errorf("prune backups: %w", err)
			}
		}
		gone = append(gone, b)
	}
	slices.Reverse(gone)
	return gone, syncDirectory(root)
}

// take opens the directory, which is made where it is missing, for a change by this caller alone. task.ErrConflict while another has it. What a process
// that died has left half made is removed.
func (d *Directory) take() (root *os.Root, unlock func(), err error) {
	if d.Path == "" {
		return nil, nil, task.Invalid("backups.directory", "is required, since the environment does not tell where your data is kept")
	}
	if err := os.MkdirAll(d.Path, 0o700); err != nil {
		return nil, nil, full(err)
	}
	if root, err = os.OpenRoot(d.Path); err != nil {
		return nil, nil, err
	}
	lock := flock.New(filepath.Join(d.Path, lockName))
	ok, err := lock.TryLock()
	if err == nil && !ok {
		err = fmt.Errorf("%w: another backup is being made or deleted in %s: try again when it is done", task.ErrConflict, d.Path)
	}
	if err == nil {
		err = d.sweep(root)
	}
	unlock = func() { lock.Unlock(); root.Close() } // both end with the process at the latest
	if err != nil {
		unlock()
		return nil, nil, full(err)
	}
	return root, unlock, nil
}

// sweep removes what is not whole: partial files, and checksums of nothing.
func (d *Directory) sweep(root *os.Root) error {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	there := make(map[string]bool)
	for _, e := range entries {
		there[e.Name()] = true
	}
	for name := range there {
		of, isSum := strings.CutSuffix(name, sumSuffix)
		_, _, ours := nameOf(of, d.Engine.Suffix())
		if strings.HasPrefix(name, partial) || isSum && ours && !there[of] {
			if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// openPlain opens a file that is no link to another.
func openPlain(root *os.Root, name string) (*os.File, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", filepath.Join(root.Name(), name))
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	if now, err := f.Stat(); err != nil || !os.SameFile(info, now) {
		return nil, errors.Join(fmt.Errorf("%s was replaced while it was opened", filepath.Join(root.Name(), name)), err, f.Close())
	}
	return f, nil
}

// syncDirectory has the names in a directory on the disk. Windows has no such call, and does it by itself.
func syncDirectory(root *os.Root) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// full makes an error about a full disk known as one.
func full(err error) error {
	if (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) && !errors.Is(err, task.ErrFull) {
		return fmt.Errorf("%w: %w", task.ErrFull, err)
	}
	return err
}

// ended is the error of a context that has ended, which stands above what it has led to.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
