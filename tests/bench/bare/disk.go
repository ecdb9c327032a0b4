package bare

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// Disk is a file whose pages are written one after the other and synced one by one: the least that a commit costs. SQLite does the same
// with a WAL that it uses again (fdatasync of a file that does not grow).
type Disk struct {
	file *os.File
	page []byte
	next int64
}

// diskPages is after how many pages of 4 KiB the file is written from its beginning again, as the WAL is after a checkpoint.
const diskPages = 1000

// OpenDisk makes the file in the directory.
func OpenDisk(dir string) (*Disk, error) {
	f, err := os.Create(filepath.Join(dir, "disk"))
	if err != nil {
		return nil, err
	}
	d := &Disk{file: f, page: make([]byte, 4096)}
	for range diskPages {
		if _, err := f.Write(d.page); err != nil {
			return nil, errors.Join(err, d.Close())
		}
	}
	if err := f.Sync(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Sync writes the next page and waits until the disk has it.
func (d *Disk) Sync() error {
	if _, err := d.file.WriteAt(d.page, d.next%diskPages*int64(len(d.page))); err != nil {
		return err
	}
	d.next++
	return syscall.Fdatasync(int(d.file.Fd()))
}

// Close removes the file.
func (d *Disk) Close() error { return errors.Join(d.file.Close(), os.Remove(d.file.Name())) }
