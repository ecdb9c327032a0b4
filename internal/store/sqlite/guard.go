package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
)

// guardName is the VFS under which every file of a store is opened.
const guardName = "thequeue-guard"

var registerGuard = sync.OnceFunc(func() {
	vfs.Register(guardName, guard{VFS: vfs.Find("os"), syncFailed: exitOnSyncError})
})

// exitOnSyncError ends the process. After a failed fsync the kernel may have dropped the pages, and a later fsync that succeeds
// proves nothing about them; what is on the disk is only known again after recovery at the next start.
func exitOnSyncError(err error) {
	fmt.Fprintf(os.Stderr, "thequeue: the disk did not take a write (fsync: %v): stopping at once, so that nothing is acknowledged that may be lost; check the disk and start again\n", err)
	os.Exit(74) // EX_IOERR
}

// guard passes everything through to another VFS and reports the first error of a sync.
type guard struct {
	vfs.VFS
	syncFailed func(error)
}

func (g guard) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	return g.wrap(vfsutil.WrapOpen(g.VFS, name, flags))
}

// OpenFilename is what the driver calls for every file that has a name.
func (g guard) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	if flags&vfs.OPEN_CREATE != 0 && flags&(vfs.OPEN_WAL|vfs.OPEN_MAIN_JOURNAL) != 0 {
		if err := asPrivate(name.Database(), name.String()); err != nil {
			return nil, flags, err
		}
	}
	return g.wrap(vfsutil.WrapOpenFilename(g.VFS, name, flags))
}

// asPrivate makes a file that holds what the database holds, unless it is there, and lets the same people read it; with a WAL also its
// index, which is opened later. SQLite does this by itself, but the VFS below leaves it to the umask.
func asPrivate(database, path string) error {
	info, err := os.Stat(database)
	if err != nil {
		return err
	}
	paths := []string{path}
	if base, isWAL := strings.CutSuffix(path, "-wal"); isWAL {
		paths = append(paths, base+"-shm")
	}
	for _, path := range paths {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			err = errors.Join(f.Chmod(info.Mode().Perm()), f.Close()) // whatever the umask
		}
		if err != nil {
			return full(err)
		}
	}
	return nil
}

func (g guard) wrap(f vfs.File, flags vfs.OpenFlag, err error) (vfs.File, vfs.OpenFlag, error) {
	if err != nil {
		return f, flags, err
	}
	guarded := guardFile{File: f, syncFailed: g.syncFailed}
	if flags&(vfs.OPEN_TEMP_DB|vfs.OPEN_TRANSIENT_DB) != 0 {
		return tempFile{guarded}, flags, nil
	}
	if flags&vfs.OPEN_WAL != 0 {
		return &walFile{guardFile: guarded}, flags, nil
	}
	return guarded, flags, nil
}

// guardFile must offer every optional interface of the file below, or SQLite silently does without: no WAL without shared memory.
type guardFile struct {
	vfs.File
	syncFailed func(error)
}

func (f guardFile) Sync(flags vfs.SyncFlag) error {
	err := f.File.Sync(flags)
	if err != nil {
		f.syncFailed(err)
	}
	return err
}

func (f guardFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	return n, full(err)
}

func (f guardFile) Truncate(size int64) error { return full(f.File.Truncate(size)) }

// full makes a full disk known to SQLite as one: the VFS below passes it on as any other error of a write.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return vfs.SystemError(err, sqlite3.FULL)
	}
	return err
}

func (f guardFile) Unwrap() vfs.File                { return f.File }
func (f guardFile) SharedMemory() vfs.SharedMemory  { return vfsutil.WrapSharedMemory(f.File) }
func (f guardFile) LockState() vfs.LockLevel        { return vfsutil.WrapLockState(f.File) }
func (f guardFile) PersistWAL() bool                { return vfsutil.WrapPersistWAL(f.File) }
func (f guardFile) SetPersistWAL(keep bool)         { vfsutil.WrapSetPersistWAL(f.File, keep) }
func (f guardFile) PowersafeOverwrite() bool        { return vfsutil.WrapPowersafeOverwrite(f.File) }
func (f guardFile) SetPowersafeOverwrite(psow bool) { vfsutil.WrapSetPowersafeOverwrite(f.File, psow) }
func (f guardFile) ChunkSize(size int)              { vfsutil.WrapChunkSize(f.File, size) }
func (f guardFile) SizeHint(size int64) error       { return full(vfsutil.WrapSizeHint(f.File, size)) }
func (f guardFile) HasMoved() (bool, error)         { return vfsutil.WrapHasMoved(f.File) }
func (f guardFile) Overwrite() error                { return vfsutil.WrapOverwrite(f.File) }
func (f guardFile) SyncSuper(super string) error    { return vfsutil.WrapSyncSuper(f.File, super) }
func (f guardFile) CommitPhaseTwo() error           { return vfsutil.WrapCommitPhaseTwo(f.File) }
func (f guardFile) BeginAtomicWrite() error         { return vfsutil.WrapBeginAtomicWrite(f.File) }
func (f guardFile) CommitAtomicWrite() error        { return vfsutil.WrapCommitAtomicWrite(f.File) }
func (f guardFile) RollbackAtomicWrite() error      { return vfsutil.WrapRollbackAtomicWrite(f.File) }
func (f guardFile) CheckpointStart()                { vfsutil.WrapCheckpointStart(f.File) }
func (f guardFile) CheckpointDone()                 { vfsutil.WrapCheckpointDone(f.File) }
func (f guardFile) BusyHandler(retry func() bool)   { vfsutil.WrapBusyHandler(f.File, retry) }

// tempBytes counts what was written to temporary databases, as the copy of a vacuum is one.
var tempBytes atomic.Int64

type tempFile struct{ guardFile }

func (f tempFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.guardFile.WriteAt(p, off)
	tempBytes.Add(int64(n))
	return n, err
}

// frameHeader is the length of what precedes each page in a WAL (https://www.sqlite.org/fileformat2.html#the_write_ahead_log).
const frameHeader = 24

// walFile writes the header of a frame together with the page that SQLite always writes next, and so halves the writes of a commit
// (measured: 3 of them a frame, 40 µs in the life of a task).
type walFile struct {
	guardFile
	held []byte // a header, and where it belongs; empty: none
	at   int64
}

func (f *walFile) WriteAt(p []byte, off int64) (int, error) {
	if len(f.held) == 0 && len(p) == frameHeader {
		f.held, f.at = append(f.held, p...), off
		return len(p), nil
	}
	if len(f.held) == 0 || off != f.at+frameHeader {
		if err := f.flush(); err != nil {
			return 0, err
		}
		return f.guardFile.WriteAt(p, off)
	}
	f.held = append(f.held, p...)
	if err := f.flush(); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (f *walFile) flush() error {
	if len(f.held) == 0 {
		return nil
	}
	_, err := f.guardFile.WriteAt(f.held, f.at)
	f.held = f.held[:0]
	return err
}

func (f *walFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.flush(); err != nil {
		return 0, err
	}
	return f.guardFile.ReadAt(p, off)
}

func (f *walFile) Size() (int64, error) {
	if err := f.flush(); err != nil {
		return 0, err
	}
	return f.guardFile.Size()
}

func (f *walFile) Truncate(size int64) error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.guardFile.Truncate(size)
}

func (f *walFile) Sync(flags vfs.SyncFlag) error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.guardFile.Sync(flags)
}

func (f *walFile) Close() error { return errors.Join(f.flush(), f.guardFile.Close()) }
