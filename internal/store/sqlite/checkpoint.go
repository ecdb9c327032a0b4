package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// checkpointWithin is how long a checkpoint waits for readers to be out of its way, and checkpointAgain the time between two looks.
	checkpointWithin = time.Second
	checkpointAgain  = 20 * time.Millisecond
)

var checkpointModes = map[task.CheckpointMode]sqlite3.CheckpointMode{
	task.CheckpointPassive: sqlite3.CHECKPOINT_PASSIVE, task.CheckpointFull: sqlite3.CHECKPOINT_FULL,
	task.CheckpointRestart: sqlite3.CHECKPOINT_RESTART, task.CheckpointTruncate: sqlite3.CHECKPOINT_TRUNCATE,
}

// Checkpoint copies the log on a connection of its own, which holds nobody up. What is left after that, and what only the writer's own connection can do, it does between two groups.
func (s *Store) Checkpoint(ctx context.Context, mode task.CheckpointMode) (out task.Checkpoint, err error) {
	if err := mode.Check(); err != nil {
		return out, err
	}
	out.Mode = mode
	m := checkpointModes[mode]
	err = s.aside(ctx, "rw", func(c *sqlite3.Conn) error { return checkpointOn(c, sqlite3.CHECKPOINT_PASSIVE, &out) })
	if err == nil && m != sqlite3.CHECKPOINT_PASSIVE {
		err = s.checkpointWith(ctx, m, &out)
	}
	return out, s.classify(ctx, err)
}

// checkpointWith is for the modes that must not meet a writer. Readers are waited for between the tries.
func (s *Store) checkpointWith(ctx context.Context, mode sqlite3.CheckpointMode, out *task.Checkpoint) error {
	until := s.clock.Now().Add(checkpointWithin)
	for {
		err := s.writer.between(func() error {
			err := s.writer.raw.BusyTimeout(0)
			if err == nil {
				err = checkpointOn(s.writer.raw, mode, out)
			}
			if !out.Busy {
				s.writer.nextCheck = checkpointPages
			}
			return errors.Join(err, s.writer.raw.BusyTimeout(busyTimeout))
		})
		if err != nil || !out.Busy || s.clock.Now().After(until) || !pause(ctx, checkpointAgain) {
			return err
		}
	}
}

func checkpointOn(c *sqlite3.Conn, mode sqlite3.CheckpointMode, out *task.Checkpoint) error {
	length, copied, err := c.WALCheckpoint("main", mode)
	out.Busy = errors.Is(err, sqlite3.BUSY)
	if err != nil && !out.Busy {
		return err
	}
	// Where another checkpoint was in the way SQLite has not counted: -1.
	out.LogPages, out.CheckpointedPages = new(int64(max(length, 0))), new(int64(max(copied, 0)))
	return nil
}
