package peer

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/ncruces/go-sqlite3"

	"github.com/prismq/thequeue/tests/bench/trial"
)

// Meter reads what has been used so far, by name and unit.
type Meter func(context.Context) (map[string]float64, error)

// MeterOf returns what reads the use of the place that a trial is run in: what this process has written to files, and with a PostgreSQL the
// log that the server has written and the transactions that changed something. Call it before the queue is opened.
func MeterOf(ctx context.Context, s trial.Spec) (m Meter, closeIt func(), err error) {
	if strings.HasPrefix(s.URL, "postgres") {
		pool, err := pgxpool.New(ctx, s.URL)
		if err != nil {
			return nil, nil, err
		}
		return func(ctx context.Context) (map[string]float64, error) { return walUse(ctx, pool) }, pool.Close, nil
	}
	m = func(context.Context) (map[string]float64, error) { return fileUse() }
	switch {
	case s.URL != "": // another process writes
		m = func(context.Context) (map[string]float64, error) { return nil, nil }
	case s.Count:
		m = countSQLite()
	}
	return m, func() {}, nil
}

// walUse reads how much log the server has written, and how many transactions had an id, which those have that change something.
func walUse(ctx context.Context, pool *pgxpool.Pool) (map[string]float64, error) {
	rows, err := pool.Query(ctx, "SELECT (pg_current_wal_lsn() - '0/0')::float8, pg_snapshot_xmax(pg_current_snapshot())::text::float8")
	if err != nil {
		return nil, err
	}
	type use struct{ WAL, Transactions float64 }
	u, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[use])
	return map[string]float64{"WAL bytes": u.WAL, "transactions": u.Transactions}, err
}

// fileUse reads what this process has had the kernel write to disks. Nothing where there is no /proc.
func fileUse() (map[string]float64, error) {
	b, err := os.ReadFile("/proc/self/io")
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	_, after, ok := strings.Cut(string(b), "\nwrite_bytes: ")
	if !ok {
		return nil, fmt.Errorf("/proc/self/io has no write_bytes:\n%s", b)
	}
	n, err := strconv.ParseFloat(strings.Fields(after)[0], 64)
	return map[string]float64{"bytes written": n}, err
}

// countSQLite counts the statements and the commits, each of which is a sync of the WAL, of all connections that are opened from now on, and the pages of
// 4 KiB that are written. Counting slows what is counted.
func countSQLite() Meter {
	var statements, commits atomic.Int64
	sqlite3.AutoExtension(func(c *sqlite3.Conn) error {
		c.CommitHook(func() bool { commits.Add(1); return true })
		return c.Trace(sqlite3.TRACE_STMT, func(sqlite3.TraceEvent, any, any) error {
			statements.Add(1)
			return nil
		})
	})
	return func(context.Context) (map[string]float64, error) {
		use, err := fileUse()
		if use != nil {
			use["statements"], use["commits"], use["pages written"] = float64(statements.Load()), float64(commits.Load()), use["bytes written"]/4096
		}
		return use, err
	}
}
