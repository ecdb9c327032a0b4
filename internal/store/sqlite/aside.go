package sqlite

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"

	"github.com/prismq/thequeue/internal/task"
)

// tellEvery is how often a long piece of work tells how far it has come.
const tellEvery = 100 * time.Millisecond

// aside does something on a connection of its own, beside the writer and the readers, which ends when ctx does. A mode of ro only reads.
func (s *Store) aside(ctx context.Context, mode string, do func(c *sqlite3.Conn) error) (err error) {
	if s.closed.Load() {
		return task.ErrStopped
	}
	db, err := driver.Open(dsn(s.path, url.Values{"mode": {mode}}), prepareConn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return conn.Raw(func(raw any) error {
		c := raw.(driver.Conn).Raw()
		defer c.SetInterrupt(c.SetInterrupt(ctx))
		return do(c)
	})
}

// each calls do for every row of a statement, until do returns false.
func each(c *sqlite3.Conn, text string, do func(*sqlite3.Stmt) bool) error {
	stmt, _, err := c.Prepare(text)
	if err != nil {
		return err
	}
	for stmt.Step() && do(stmt) {
	}
	return errors.Join(stmt.Err(), stmt.Close())
}

// number returns the first column of the one row of a statement.
func number(c *sqlite3.Conn, text string) (n int64, err error) {
	err = each(c, text, func(stmt *sqlite3.Stmt) bool { n = stmt.ColumnInt64(0); return false })
	return n, err
}

// between runs do on the connection of the writer between two groups, outside of any transaction, with all of them waiting.
func (w *writer) between(do func() error) error {
	w.stopping.RLock()
	defer w.stopping.RUnlock()
	if w.stopped {
		return task.ErrStopped
	}
	w.turn.Lock()
	defer w.turn.Unlock()
	began := w.files.clock.Now()
	defer func() { w.longest = max(w.longest, w.files.clock.Now().Sub(began)) }()
	if err := w.files.sound(); err != nil {
		return err
	}
	return do()
}

// pause waits as long as the step before has taken, and a millisecond at least, so that claims have half of the time of the writer; false: ctx has ended.
func pause(ctx context.Context, step time.Duration) bool {
	t := time.NewTimer(max(step, time.Millisecond))
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// meter tells how far something has come, not more often than every tellEvery and never backwards.
type meter struct {
	tell func(task.Progress)
	now  func() time.Time
	last time.Time
	task.Progress
}

func (s *Store) meter(tell func(task.Progress), total int64) *meter {
	return &meter{tell: tell, now: s.clock.Now, Progress: task.Progress{Total: max(total, 1)}}
}

// at tells of done, of which there may be more than the total.
func (m *meter) at(step string, done int64) {
	m.Done = min(max(m.Done, done), m.Total)
	now := m.now()
	if step == m.Step && now.Sub(m.last) < tellEvery {
		return
	}
	m.Step, m.last = step, now
	m.tell(m.Progress)
}
