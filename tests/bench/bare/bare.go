// Package bare is the bare driver, as a yardstick: what SQLite does where nothing is shared among callers.
package bare

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
)

// Table is a table of tasks by ncruces' database/sql driver on one connection with prepared statements and our pragmas (synchronous EXTRA, WAL,
// the same cache; the automatic checkpoint stays at SQLite's 1,000 pages, which is where our writer checkpoints too). It has the columns of
// task_queue, in their order and with their types, AUTOINCREMENT, and one partial index (lane_id, id) of ready rows; it has no other index, no
// check, no trigger and no foreign key. Each call is one IMMEDIATE transaction, and callers take turns.
type Table struct {
	db *sql.DB

	mu sync.Mutex // held by the transaction that runs

	insert, find, claim, complete *sql.Stmt
}

const dsn = "file:%s?_pragma=busy_timeout(5000)&_pragma=synchronous(extra)&_pragma=journal_mode(wal)" +
	"&_pragma=cache_size(-32000)&_pragma=temp_store(memory)&_txlock=immediate"

// Open makes the table in an empty directory.
func Open(ctx context.Context, dir string) (*Table, error) {
	columns, err := taskColumns(ctx, dir)
	if err != nil {
		return nil, err
	}
	db, err := driver.Open(fmt.Sprintf(dsn, filepath.Join(dir, "bare.db")), func(c *sqlite3.Conn) error {
		_, err := c.Config(sqlite3.DBCONFIG_ENABLE_QPSG, true) // as ours: no statement is compiled again when it is bound
		return err
	})
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	t := &Table{db: db}
	if err := t.prepare(ctx, columns); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return t, nil
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

func (t *Table) prepare(ctx context.Context, columns string) error {
	for _, ddl := range []string{
		"CREATE TABLE task_queue (" + columns + ")",
		"CREATE INDEX task_queue_ready ON task_queue (lane_id, id) WHERE ready = 1",
	} {
		if _, err := t.db.ExecContext(ctx, ddl); err != nil {
			return err
		}
	}
	for _, s := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&t.insert, `INSERT INTO task_queue (lane_id, type, priority, payload, compatibility, status, attempts, max_attempts, run_after_utc,
			ready, fence, created_at_utc, updated_at_utc) VALUES (1, 'email', 100, ?1, '{}', 'queued', 0, 5, ?2, 1, 0, ?2, ?2)`},
		{&t.find, "SELECT id FROM task_queue WHERE lane_id = 1 AND ready = 1 ORDER BY id LIMIT 1"},
		{&t.claim, `UPDATE task_queue SET status = 'processing', attempts = attempts + 1, ready = 0, fence = fence + 1, lease_secret = ?2,
			locked_by = 'worker', last_worker_id = 'worker', lease_until_utc = ?3 + 60000000, reserved_at_utc = ?3,
			processing_started_utc = ?3, updated_at_utc = ?3 WHERE id = ?1`},
		{&t.complete, `UPDATE task_queue SET status = 'completed', outcome = 'succeeded', locked_by = NULL, lease_until_utc = NULL,
			reserved_at_utc = NULL, attempt_outcome = 'succeeded', finished_at_utc = ?2, updated_at_utc = ?2 WHERE id = ?1`},
	} {
		var err error
		if *s.stmt, err = t.db.PrepareContext(ctx, s.text); err != nil {
			return err
		}
	}
	return nil
}

// inTx runs do in one IMMEDIATE transaction.
func (t *Table) inTx(ctx context.Context, do func(tx *sql.Tx) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	tx, err := t.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// Insert stores n tasks, one statement each in one transaction: the columns that a new task of ours has. It returns the id of the last.
func (t *Table) Insert(ctx context.Context, payload string, n int) (id int64, err error) {
	err = t.inTx(ctx, func(tx *sql.Tx) error {
		insert := tx.StmtContext(ctx, t.insert)
		for range n {
			r, err := insert.ExecContext(ctx, payload, time.Now().UnixMicro())
			if err != nil {
				return err
			}
			if id, err = r.LastInsertId(); err != nil {
				return err
			}
		}
		return nil
	})
	return id, err
}

// secret stands for the random half of a lease token.
var secret = strings.Repeat("0123456789abcdef", 2)

// Claim finds up to n least ready ids by the index, one after the other, and updates each row to processing: the columns that our claim sets.
func (t *Table) Claim(ctx context.Context, n int) (ids []int64, err error) {
	err = t.inTx(ctx, func(tx *sql.Tx) error {
		find, claim := tx.StmtContext(ctx, t.find), tx.StmtContext(ctx, t.claim)
		for range n {
			var id int64
			if err := find.QueryRowContext(ctx).Scan(&id); errors.Is(err, sql.ErrNoRows) {
				return nil
			} else if err != nil {
				return err
			}
			if _, err := claim.ExecContext(ctx, id, secret, time.Now().UnixMicro()); err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return nil
	})
	return ids, err
}

// Complete updates the rows to completed: the columns that our completion sets.
func (t *Table) Complete(ctx context.Context, ids ...int64) error {
	return t.inTx(ctx, func(tx *sql.Tx) error {
		complete := tx.StmtContext(ctx, t.complete)
		for _, id := range ids {
			if _, err := complete.ExecContext(ctx, id, time.Now().UnixMicro()); err != nil {
				return err
			}
		}
		return nil
	})
}

// Close closes the file.
func (t *Table) Close() error { return t.db.Close() }
