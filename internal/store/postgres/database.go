package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// fullVacuumRate is how many bytes of a table a full vacuum writes anew in a second on a slow machine, its indexes included.
const fullVacuumRate = 20 << 20

// tableNames is some of store.Tables as a query takes them.
func tableNames(names []string) string { return "{" + strings.Join(names, ",") + "}" }

// DatabaseStats knows the rows of tables from their statistics.
func (s *Store) DatabaseStats(ctx context.Context) (task.DatabaseStats, error) {
	return search(ctx, s, "describe the database", func(ctx context.Context) (out task.DatabaseStats, err error) {
		server, err := s.lists.DescribeServer(ctx)
		if err != nil {
			return out, err
		}
		out = task.DatabaseStats{Engine: "postgres", Version: server.Version, Bytes: server.Bytes, PageBytes: server.PageBytes}
		tables, err := s.lists.ListTables(ctx, tableNames(store.Tables))
		for _, t := range tables {
			one := task.TableStats{Name: t.Name, Bytes: &t.Bytes, DeadRows: &t.DeadRows, Estimated: true}
			if rows := max(t.RowCount, t.LiveRows); rows >= 0 {
				one.Rows = &rows
			}
			out.Tables = append(out.Tables, one)
		}
		return out, err
	})
}

// patiently does something on a connection of its own whose statements may take as long as they need, and are cancelled when ctx ends.
func (s *Store) patiently(ctx context.Context, what string, do func(*sql.Conn) error) error {
	_, err := operate(ctx, s, kind{what: what}, func(ctx context.Context) (none struct{}, err error) {
		cfg := s.cfg.Copy()
		for name := range timeouts {
			cfg.RuntimeParams[name] = "0"
		}
		cfg.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
			return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: lookTimeout}
		}
		db := connect(cfg, 1)
		defer func() { err = errors.Join(err, db.Close()) }()
		conn, err := db.Conn(ctx)
		if err != nil {
			return none, err
		}
		defer func() { err = errors.Join(err, conn.Close()) }()
		return none, do(conn)
	})
	return err
}

// Checkpoint has the whole server make a checkpoint.
func (s *Store) Checkpoint(ctx context.Context, mode task.CheckpointMode) (task.Checkpoint, error) {
	if err := mode.Check(); err != nil {
		return task.Checkpoint{}, err
	}
	err := s.patiently(ctx, "checkpoint", func(c *sql.Conn) error {
		_, err := c.ExecContext(ctx, "CHECKPOINT")
		return err
	})
	if sqlState(err) == insufficientRights {
		err = fmt.Errorf("%w: this user of PostgreSQL may not make a checkpoint, which concerns the whole server: GRANT pg_checkpoint to it, or leave checkpoints to the server", task.ErrConflict)
	}
	return task.Checkpoint{Mode: mode, Note: "PostgreSQL knows one kind of checkpoint, of the whole server, and does not tell its pages."}, err
}

// Vacuum vacuums one table after the other. Nobody waits for it. Here and in Analyze: ErrConflict while the store is being moved.
func (s *Store) Vacuum(ctx context.Context, tell func(task.Progress)) (task.Vacuum, error) {
	return s.vacuum(ctx, "VACUUM ", tell, task.Vacuum{Note: "PostgreSQL keeps the room of deleted rows for new ones; only pages at the end of a table go back to the disk."})
}

// FullVacuum writes one table after the other anew. Whoever needs the table waits until it is done.
func (s *Store) FullVacuum(ctx context.Context, tell func(task.Progress)) (task.Vacuum, error) {
	return s.vacuum(ctx, "VACUUM FULL ", tell, task.Vacuum{Full: true})
}

func (s *Store) vacuum(ctx context.Context, command string, tell func(task.Progress), out task.Vacuum) (task.Vacuum, error) {
	before, err := s.DatabaseStats(ctx)
	if err != nil {
		return out, err
	}
	out.BytesBefore = before.Bytes
	_, out.Stopped, err = s.eachTable(ctx, "vacuum", command, store.Tables, tell)
	if err != nil {
		return out, err
	}
	after, err := s.DatabaseStats(context.WithoutCancel(ctx))
	out.BytesAfter = after.Bytes
	return out, err
}

// VacuumCost is the largest table, which is there twice while it is written anew.
func (s *Store) VacuumCost(ctx context.Context) (task.VacuumCost, error) {
	stats, err := s.DatabaseStats(ctx)
	if err != nil {
		return task.VacuumCost{}, err
	}
	c := task.VacuumCost{Bytes: stats.Bytes, Message: "Each table is written anew, and whoever needs it waits until that is done: claims and enqueues are answered 503 when they have waited for 5 seconds. Stop the servers, or let autovacuum do."}
	var all int64
	for _, t := range stats.Tables {
		c.NeedsBytes = max(c.NeedsBytes, *t.Bytes)
		all += *t.Bytes
	}
	c.EstimatedSeconds = float64(all) / fullVacuumRate
	return c, nil
}

// Analyze analyzes one table after the other. Nobody waits for it.
func (s *Store) Analyze(ctx context.Context, table string, tell func(task.Progress)) (out task.Analysis, err error) {
	var names []string
	out.Skipped = []string{}
	if table == store.OutdatedTables {
		names, err = s.outdated(ctx)
	} else {
		names, err = store.ChooseTables(table)
	}
	if err != nil {
		return out, err
	}
	out.Tables, out.Stopped, err = s.eachTable(ctx, "analyze", "ANALYZE ", names, tell)
	return out, err
}

// outdated returns the tables of which as many rows have changed as there are, and a thousand at least; autovacuum comes long before that where it runs.
func (s *Store) outdated(ctx context.Context) ([]string, error) {
	return search(ctx, s, "list tables", func(ctx context.Context) (names []string, err error) {
		tables, err := s.lists.ListTables(ctx, tableNames(store.Tables))
		for _, t := range tables {
			if t.ChangedRows >= 1000 && t.ChangedRows >= t.RowCount {
				names = append(names, t.Name)
			}
		}
		return names, err
	})
}

// notLeaving returns ErrConflict while the store is being moved: the move needs each table for a moment, for which it would wait until the command on it has ended.
func notLeaving(ctx context.Context, q *postgresdb.Queries) error {
	m, err := getMove(ctx, q)
	if err == nil && (m.State == task.MoveLeaving || m.State == task.MoveFenced) {
		err = fmt.Errorf("%w: the store is being moved to %s, which would have to wait for this: do it when the move has ended, or has been taken back", task.ErrConflict, m.Peer)
	}
	return err
}

// eachTable runs a command on one table after the other, and tells how far it has come by their sizes.
func (s *Store) eachTable(ctx context.Context, what, command string, names []string, tell func(task.Progress)) (done []string, stopped bool, err error) {
	tables, err := search(ctx, s, "list tables", func(ctx context.Context) ([]postgresdb.ListTablesRow, error) {
		return s.lists.ListTables(ctx, tableNames(names))
	})
	done = []string{}
	if err != nil {
		return done, false, err
	}
	var p task.Progress
	for _, t := range tables {
		p.Total += max(t.Bytes, 1)
	}
	p.Total = max(p.Total, 1)
	err = s.patiently(ctx, what, func(c *sql.Conn) error {
		p.Done, done = 0, done[:0]
		for _, t := range tables {
			p.Step = t.Name
			tell(p)
			if err := notLeaving(ctx, postgresdb.New(c)); err != nil {
				return err
			}
			if _, err := c.ExecContext(ctx, command+pgx.Identifier{t.Name}.Sanitize()); err != nil {
				return err
			}
			p.Done += max(t.Bytes, 1)
			done = append(done, t.Name)
		}
		tell(p)
		return nil
	})
	if ctx.Err() != nil {
		return done, true, nil
	}
	return done, false, err
}

// checks are those of the extension amcheck: what the pages of a table hold, and that an index agrees with its table.
const (
	checkTable = "SELECT coalesce(msg, '') FROM verify_heapam(CAST($1 AS regclass))"
	checkIndex = "SELECT bt_index_check(CAST($1 AS regclass), true)"
)

// part is a table or an index to check.
type part struct {
	name, check string
	table       string // that it is, or belongs to
	bytes       int64
}

// CheckIntegrity uses the extension amcheck, where the database has it.
func (s *Store) CheckIntegrity(ctx context.Context, tell func(task.Progress)) (task.Integrity, error) {
	out := task.Integrity{Problems: []string{}, Checked: []string{}}
	parts, err := s.toCheck(ctx)
	if err != nil {
		return out, err
	}
	if len(parts) == 0 {
		out.Note = "Nothing was checked: PostgreSQL does that with its extension amcheck, which this database does not have (CREATE EXTENSION amcheck)."
		return out, nil
	}
	p := task.Progress{}
	for _, part := range parts {
		p.Total += max(part.bytes, 1)
	}
	err = s.patiently(ctx, "check integrity", func(c *sql.Conn) error {
		for i, part := range parts {
			p.Step = part.name
			tell(p)
			if err := checkPart(ctx, c, part, &out); err != nil {
				return err
			}
			if p.Done += max(part.bytes, 1); i+1 == len(parts) || parts[i+1].table != part.table {
				out.Checked = append(out.Checked, part.table)
			}
		}
		tell(p)
		return nil
	})
	switch {
	case ctx.Err() != nil:
		out.Stopped, err = true, nil
	case sqlState(err) == insufficientRights:
		err = fmt.Errorf("%w: this user of PostgreSQL may not use the functions of amcheck: GRANT EXECUTE on them to it", task.ErrConflict)
	case err == nil:
		out.OK = new(len(out.Problems) == 0)
	}
	return out, err
}

// toCheck lists each table and after it its indexes; none where the database cannot check them.
func (s *Store) toCheck(ctx context.Context) ([]part, error) {
	return search(ctx, s, "list tables and indexes", func(ctx context.Context) (parts []part, err error) {
		server, err := s.lists.DescribeServer(ctx)
		if err != nil || !server.Amcheck {
			return nil, err
		}
		tables, err := s.lists.ListTables(ctx, tableNames(store.Tables))
		if err != nil {
			return nil, err
		}
		indexes, err := s.lists.ListIndexes(ctx, tableNames(store.Tables))
		for _, t := range tables {
			parts = append(parts, part{t.Name, checkTable, t.Name, t.Bytes})
			for _, i := range indexes {
				if i.TableName == t.Name {
					parts = append(parts, part{i.Name, checkIndex, t.Name, i.Bytes})
				}
			}
		}
		return parts, err
	})
}

func checkPart(ctx context.Context, c *sql.Conn, part part, out *task.Integrity) error {
	rows, err := c.QueryContext(ctx, part.check, pgx.Identifier{part.name}.Sanitize())
	if err != nil {
		return brokenIndex(part, err, out)
	}
	defer rows.Close()
	for rows.Next() {
		var problem string
		if err := rows.Scan(&problem); err != nil {
			return err
		}
		if problem != "" && len(out.Problems) < task.MaxProblems {
			out.Problems = append(out.Problems, part.name+": "+problem)
		}
	}
	return brokenIndex(part, rows.Err(), out)
}

// brokenIndex keeps an error that says that an index is broken as a problem.
func brokenIndex(part part, err error, out *task.Integrity) error {
	var broken *pgconn.PgError
	if !errors.As(err, &broken) || broken.Code != indexCorrupted && broken.Code != dataCorrupted {
		return err
	}
	out.Problems = append(out.Problems, part.name+": "+broken.Message)
	return nil
}
