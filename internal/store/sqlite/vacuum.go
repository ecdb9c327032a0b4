package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/prismq/thequeue/internal/task"
)

// What PRAGMA auto_vacuum says.
const (
	vacuumNone = iota
	vacuumFull
	vacuumIncremental
)

// vacuumPages is the growth of the write-ahead log after which a vacuum copies it into the database, beside the writer: before the writer does so itself, which holds up claims for
// longer than a step (measured: 25 to 60 ms on a busy disk).
const vacuumPages = checkpointPages / 2

const (
	// vacuumLog is how long the log may become beside a reader that keeps it from being emptied: a vacuum writes as fast as the disk takes it, and a backup may take hours.
	vacuumLog = 2 * checkpointPages
	// readerWait is how long a vacuum waits for such a reader before it ends, and readerAgain the time between two looks.
	readerWait  = time.Minute
	readerAgain = 100 * time.Millisecond
)

// fullVacuumRate is how many bytes of a database a full vacuum writes anew in a second on a slow machine.
const fullVacuumRate = 20 << 20

// Vacuum gives pages back in steps between the groups of the writer.
func (s *Store) Vacuum(ctx context.Context, tell func(task.Progress)) (task.Vacuum, error) {
	sizes, err := s.pages(ctx)
	if err != nil {
		return task.Vacuum{}, s.classify(ctx, err)
	}
	if sizes.autoVacuum != vacuumIncremental {
		return task.Vacuum{}, fmt.Errorf("%w: the file was made without auto_vacuum=incremental, and can give nothing back in steps: a full vacuum gives it that (stop the server, then: thequeue maintenance vacuum --full --database %s)", task.ErrConflict, s.path)
	}
	out := task.Vacuum{BytesBefore: sizes.bytes(), FreePages: &sizes.free}
	m := s.meter(tell, sizes.free)
	err = s.aside(context.WithoutCancel(ctx), "rw", func(c *sqlite3.Conn) error {
		m.at("free pages", 0)
		for first := sizes.free; *out.FreePages > 0; {
			if out.Stopped = ctx.Err() != nil; out.Stopped {
				break
			}
			step, logged, err := s.vacuumSome(out.FreePages)
			if err == nil && logged >= vacuumPages {
				out.Stopped, err = s.emptyLog(ctx, c)
			}
			if err != nil {
				return err
			}
			m.at("free pages", first-*out.FreePages)
			if out.Stopped {
				out.Note = fmt.Sprintf("Something has been reading for long, such as a backup or fsck, which keeps the write-ahead log from being emptied: after %s of waiting this has ended, so that the log does not grow. Begin again when that has ended.", readerWait)
				break
			}
			if *out.FreePages > 0 {
				pause(ctx, step)
			}
		}
		return nil
	})
	if err != nil {
		return out, s.classify(context.WithoutCancel(ctx), err)
	}
	if sizes, err = s.pages(context.WithoutCancel(ctx)); err != nil {
		return out, s.classify(context.WithoutCancel(ctx), err)
	}
	out.BytesAfter, out.FreePages = sizes.bytes(), &sizes.free
	out.FreedPages = new(max(0, (out.BytesBefore-out.BytesAfter)/sizes.size))
	return out, nil
}

// emptyLog copies the log into the file. Where it is long, and a reader is in the way, that is waited for; held: it is still there after readerWait.
func (s *Store) emptyLog(ctx context.Context, c *sqlite3.Conn) (held bool, err error) {
	for until := s.clock.Now().Add(readerWait); ; {
		var got task.Checkpoint
		if err := checkpointOn(c, sqlite3.CHECKPOINT_PASSIVE, &got); err != nil {
			return false, err
		}
		if *got.LogPages < vacuumLog || *got.CheckpointedPages == *got.LogPages {
			return false, nil
		}
		if s.clock.Now().After(until) {
			return true, nil
		}
		if !pause(ctx, readerAgain) {
			return false, nil
		}
	}
}

// vacuumSome takes one step, and returns how long it took, how many pages the write-ahead log has, and in free how many are left.
func (s *Store) vacuumSome(free *int64) (took time.Duration, logged int, err error) {
	err = s.writer.between(func() error {
		began := s.clock.Now()
		defer func() { took, logged = s.clock.Now().Sub(began), s.writer.walPages }()
		if err := s.writer.begin.Exec(); err != nil {
			return err
		}
		err := each(s.writer.raw, "PRAGMA incremental_vacuum", func(*sqlite3.Stmt) bool { return s.clock.Now().Sub(began) < stepTime })
		if err == nil {
			*free, err = number(s.writer.raw, "PRAGMA freelist_count")
		}
		if err == nil {
			err = s.writer.commit.Exec()
		}
		if err != nil {
			s.writer.giveUp()
		}
		return err
	})
	return took, logged, err
}

// VacuumCost tells what FullVacuum would take: a copy of the database beside it, and that copy once more in its write-ahead log.
func (s *Store) VacuumCost(ctx context.Context) (task.VacuumCost, error) {
	sizes, err := s.pages(ctx)
	if err != nil {
		return task.VacuumCost{}, s.classify(ctx, err)
	}
	v, err := s.Vitals(ctx)
	if err != nil {
		return task.VacuumCost{}, err
	}
	used := sizes.used()
	c := task.VacuumCost{
		Bytes: sizes.bytes(), NeedsBytes: 2 * used, FreeBytes: &v.File.FreeBytes, EstimatedSeconds: float64(used) / fullVacuumRate,
		Message: fmt.Sprintf("The whole file is written anew: first to a copy in %s, which needs half of the room, then into its write-ahead log, then into it. Nothing else can use it meanwhile, so no server may have it open.", os.TempDir()),
	}
	if s.lock != nil {
		c.Message += " This server has it: stop it first, or use the incremental vacuum, which runs beside it."
	}
	return c, nil
}

// FullVacuum runs VACUUM with the lock of the server held.
func (s *Store) FullVacuum(ctx context.Context, tell func(task.Progress)) (out task.Vacuum, err error) {
	out.Full = true
	unlock, err := s.alone(byVacuum)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	cost, err := s.VacuumCost(ctx)
	if err != nil {
		return out, err
	}
	temp, _, err := diskSpace(os.TempDir())
	switch {
	case err != nil:
		return out, err
	case *cost.FreeBytes < cost.NeedsBytes:
		return out, fmt.Errorf("%w: a full vacuum needs up to %d bytes free on the disk of %s, which has %d", task.ErrConflict, cost.NeedsBytes, s.path, *cost.FreeBytes)
	case temp < cost.NeedsBytes/2:
		return out, fmt.Errorf("%w: a full vacuum needs up to %d bytes free in %s (TMPDIR), which has %d", task.ErrConflict, cost.NeedsBytes/2, os.TempDir(), temp)
	}
	out.BytesBefore = cost.Bytes
	err = s.aside(ctx, "rw", func(c *sqlite3.Conn) error {
		watched := s.watchVacuum(tell, cost.NeedsBytes/2)
		defer watched()
		// Its copy is as long as the file: it belongs on the disk, and on that of the file.
		err := c.Exec("PRAGMA temp_store = file; PRAGMA auto_vacuum = incremental")
		if err == nil {
			err = c.Exec("VACUUM")
		}
		if err == nil {
			_, _, err = c.WALCheckpoint("main", sqlite3.CHECKPOINT_TRUNCATE)
		}
		return err
	})
	if ctx.Err() != nil && err != nil {
		out.Stopped, err = true, nil
	}
	if err != nil {
		return out, s.classify(ctx, err)
	}
	sizes, err := s.pages(context.WithoutCancel(ctx))
	out.BytesAfter, out.FreePages = sizes.bytes(), &sizes.free
	out.FreedPages = new(max(0, (out.BytesBefore-out.BytesAfter)/max(sizes.size, 1)))
	return out, err
}

// alone takes the lock of the server for a command, which keeps servers from the file until unlock. ErrConflict while there is one.
func (s *Store) alone(command string) (unlock func() error, err error) {
	if s.lock == nil {
		lock, err := hold(s.path, command)
		if err == nil {
			return func() error { return letGo(lock) }, nil
		}
		if other, ok := errors.AsType[*servedError](err); ok && other.command != "" && other.command != byServe {
			return nil, fmt.Errorf("%w: %w: try again then", task.ErrConflict, err)
		} else if !ok {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: a server has %s open, and nothing could be claimed for as long as a full vacuum takes: stop it first, or use the incremental vacuum, which runs beside it", task.ErrConflict, s.path)
}

// watchVacuum tells how far a VACUUM of so many bytes has come, from what it has written, until the function that it returns is called: bytes to its copy, and the same to the
// write-ahead log.
func (s *Store) watchVacuum(tell func(task.Progress), bytes int64) (stop func()) {
	m, quit := s.meter(tell, 2*bytes), make(chan struct{})
	copied := tempBytes.Load()
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(tellEvery)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			if info, err := os.Stat(s.path + "-wal"); err == nil && info.Size() > bytes/100 {
				m.at("into the file", bytes+info.Size())
			} else {
				m.at("a copy", min(tempBytes.Load()-copied, bytes))
			}
		}
	})
	return func() { close(quit); watching.Wait() }
}

// sizes are those of the file in pages.
type sizes struct {
	size, count, free, autoVacuum int64
}

func (z sizes) bytes() int64 { return z.size * z.count }

// used are the bytes of the pages that hold something.
func (z sizes) used() int64 { return z.size * (z.count - z.free) }

func (s *Store) pages(ctx context.Context) (z sizes, err error) {
	for _, p := range []struct {
		text string
		into *int64
	}{
		{"PRAGMA page_size", &z.size}, {"PRAGMA page_count", &z.count}, {"PRAGMA freelist_count", &z.free}, {"PRAGMA auto_vacuum", &z.autoVacuum},
	} {
		if err := s.readers.QueryRowContext(ctx, p.text).Scan(p.into); err != nil {
			return z, err
		}
	}
	return z, nil
}
