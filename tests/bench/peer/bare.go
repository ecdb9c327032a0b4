package peer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"

	"github.com/prismq/thequeue/internal/store/sqlite"
	"github.com/prismq/thequeue/tests/bench/trial"
)

// Bare is the bare driver: ncruces' database/sql driver on one connection with prepared statements and our pragmas (synchronous EXTRA, WAL,
// the same cache; the automatic checkpoint stays at SQLite's 1,000 pages, which is where our writer checkpoints too). Its table has the
// columns of task_queue, in their order and with their types, AUTOINCREMENT, and one partial index (lane_id, id) of ready rows; it has no
// other index, no check, no trigger and no foreign key. Each call is one IMMEDIATE transaction:
//
//   - Enqueue inserts one row: the columns that a new task of ours has.
//   - Take is two: one finds the least ready id by the index and updates that row to processing, with the columns that our claim sets, and
//     one updates it to completed, with the columns that our completion sets.
//   - EnqueueBatch inserts its rows one statement each.
//
// Callers take turns: nothing is shared among them.
type Bare struct{}

func (Bare) Name() string { return "bare" }

func (Bare) Modules() []string { return []string{"github.com/ncruces/go-sqlite3"} }

const bareDSN = "file:%s?_pragma=busy_timeout(5000)&_pragma=synchronous(extra)&_pragma=journal_mode(wal)" +
	"&_pragma=cache_size(-32000)&_pragma=temp_store(memory)&_txlock=immediate"

func (Bare) Open(ctx context.Context, p Place, _ trial.Setting, _ int) (Queue, error) {
	columns, err := taskColumns(ctx, p.Dir)
	if err != nil {
		return nil, err
	}
	db, err := driver.Open(fmt.Sprintf(bareDSN, filepath.Join(p.Dir, "bare.db")), func(c *sqlite3.Conn) error {
		_, err := c.Config(sqlite3.DBCONFIG_ENABLE_QPSG, true) // as ours: no statement is compiled again when it is bound
		return err
	})
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	b := &bare{db: db}
	if err := b.prepare(ctx, columns); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return b, nil
}

// taskColumns returns the declarations of the columns of our table, read from a file that our store has made.
func taskColumns(ctx context.Context, dir string) (declarations string, err error) {
	path := filepath.Join(dir, "schema.db")
	st, err := sqlite.Open(ctx, path, sqlite.Options{Migrate: true})
	if err != nil {
		return "", err
	}
	if err := st.Close(); err != nil {
		return "", err
	}
	db, err := driver.Open("file:" + path + "?mode=ro")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	const declared = `SELECT group_concat(name || ' ' || CASE name WHEN 'id' THEN 'INTEGER PRIMARY KEY AUTOINCREMENT' ELSE type END, ', ')
		FROM (SELECT name, type FROM pragma_table_info('task_queue') ORDER BY cid)`
	err = db.QueryRowContext(ctx, declared).Scan(&declarations)
	return declarations, err
}

type bare struct {
	db *sql.DB

	mu sync.Mutex // guards what follows

	insert, find, claim, complete *sql.Stmt
}

func (b *bare) prepare(ctx context.Context, columns string) error {
	for _, ddl := range []string{
		"CREATE TABLE task_queue (" + columns + ")",
		"CREATE INDEX task_queue_ready ON task_queue (lane_id, id) WHERE ready = 1",
	} {
		if _, err := b.db.ExecContext(ctx, ddl); err != nil {
			return err
		}
	}
	for _, s := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&b.insert, `INSERT INTO task_queue (lane_id, type, priority, payload, compatibility, status, attempts, max_attempts, run_after_utc,
			ready, fence, created_at_utc, updated_at_utc) VALUES (1, 'email', 100, ?1, '{}', 'queued', 0, 5, ?2, 1, 0, ?2, ?2)`},
		{&b.find, "SELECT id FROM task_queue WHERE lane_id = 1 AND ready = 1 ORDER BY id LIMIT 1"},
		{&b.claim, `UPDATE task_queue SET status = 'processing', attempts = attempts + 1, ready = 0, fence = fence + 1, lease_secret = ?2,
			locked_by = 'worker', last_worker_id = 'worker', lease_until_utc = ?3 + 60000000, reserved_at_utc = ?3,
			processing_started_utc = ?3, updated_at_utc = ?3 WHERE id = ?1`},
		{&b.complete, `UPDATE task_queue SET status = 'completed', outcome = 'succeeded', locked_by = NULL, lease_until_utc = NULL,
			reserved_at_utc = NULL, attempt_outcome = 'succeeded', finished_at_utc = ?2, updated_at_utc = ?2 WHERE id = ?1`},
	} {
		var err error
		if *s.stmt, err = b.db.PrepareContext(ctx, s.text); err != nil {
			return err
		}
	}
	return nil
}

// inTx runs do in one IMMEDIATE transaction.
func (b *bare) inTx(ctx context.Context, do func(tx *sql.Tx) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func (b *bare) Enqueue(ctx context.Context) error { return b.EnqueueBatch(ctx, 1) }

func (b *bare) EnqueueBatch(ctx context.Context, n int) error {
	return b.inTx(ctx, func(tx *sql.Tx) error {
		insert := tx.StmtContext(ctx, b.insert)
		for range n {
			if _, err := insert.ExecContext(ctx, string(Payload), time.Now().UnixMicro()); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *bare) Work(ctx context.Context, workers int, done func()) error {
	return takeAll(ctx, workers, b.Take, done)
}

// secret stands for the random half of a lease token.
var secret = strings.Repeat("0123456789abcdef", 2)

func (b *bare) Take(ctx context.Context, _ int) (bool, error) {
	var id int64
	err := b.inTx(ctx, func(tx *sql.Tx) error {
		if err := tx.StmtContext(ctx, b.find).QueryRowContext(ctx).Scan(&id); err != nil {
			return err
		}
		_, err := tx.StmtContext(ctx, b.claim).ExecContext(ctx, id, secret, time.Now().UnixMicro())
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, b.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.StmtContext(ctx, b.complete).ExecContext(ctx, id, time.Now().UnixMicro())
		return err
	})
}

// Group runs n lives in three transactions: n enqueues, n claims, n completions. It is the most that grouping can reach on this table.
func (b *bare) Group(ctx context.Context, n int) error {
	if err := b.EnqueueBatch(ctx, n); err != nil {
		return err
	}
	ids := make([]int64, n)
	err := b.inTx(ctx, func(tx *sql.Tx) error {
		find, claim := tx.StmtContext(ctx, b.find), tx.StmtContext(ctx, b.claim)
		for i := range ids {
			if err := find.QueryRowContext(ctx).Scan(&ids[i]); err != nil {
				return err
			}
			if _, err := claim.ExecContext(ctx, ids[i], secret, time.Now().UnixMicro()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return b.inTx(ctx, func(tx *sql.Tx) error {
		complete := tx.StmtContext(ctx, b.complete)
		for _, id := range ids {
			if _, err := complete.ExecContext(ctx, id, time.Now().UnixMicro()); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *bare) Settings() string {
	return "database/sql, synchronous=EXTRA, WAL, one connection, prepared statements, an IMMEDIATE transaction for each operation"
}

func (b *bare) Close() error { return b.db.Close() }
