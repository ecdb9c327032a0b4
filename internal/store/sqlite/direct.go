package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/task"
)

// direct runs statements that return no rows on the writer's connection, without database/sql in between, which takes a third of the
// time of a short one (measured: 10.6 against 7.4 µs for an insert). It is the sqlitedb.DBTX of the statements of which every task needs one.
type direct struct {
	sqlitedb.DBTX // for statements that return rows; none goes this way
	conn          *sqlite3.Conn
	stmts         map[string]*sqlite3.Stmt
	repeated      map[rowsOf]string
}

func (d *direct) ExecContext(_ context.Context, query string, args ...any) (sql.Result, error) {
	stmt, ok := d.stmts[query]
	if !ok {
		var err error
		if stmt, _, err = d.conn.Prepare(query); err != nil {
			return nil, err
		}
		d.stmts[query] = stmt
	}
	for i, a := range args {
		if err := bind(stmt, i+1, a); err != nil {
			return nil, err
		}
	}
	if err := stmt.Exec(); err != nil {
		return nil, err
	}
	return executed{rows: d.conn.Changes(), id: d.conn.LastInsertRowID()}, nil
}

func bind(s *sqlite3.Stmt, i int, arg any) error {
	switch a := arg.(type) {
	case int64:
		return s.BindInt64(i, a)
	case string:
		return s.BindText(i, a)
	case time.Time:
		return s.BindTime(i, a, sqlite3.TimeFormatUnixMicro)
	case nil:
		return s.BindNull(i)
	case bool:
		return s.BindBool(i, a)
	case float64:
		return s.BindFloat(i, a)
	case int:
		return s.BindInt(i, a)
	case task.JSON:
		return s.BindText(i, string(a))
	case *string:
		return bindOptional(s, i, a)
	case *float64:
		return bindOptional(s, i, a)
	case *time.Time:
		return bindOptional(s, i, a)
	case *task.JSON:
		return bindOptional(s, i, a)
	}
	v, err := driver.DefaultParameterConverter.ConvertValue(arg)
	if err != nil {
		return err
	}
	switch v.(type) {
	case int64, string, time.Time, nil, bool, float64:
		return bind(s, i, v)
	}
	return fmt.Errorf("parameter %d: cannot bind %T", i, arg)
}

func bindOptional[T any](s *sqlite3.Stmt, i int, v *T) error {
	if v == nil {
		return s.BindNull(i)
	}
	return bind(s, i, *v)
}

func (d *direct) close() error {
	var errs []error
	for _, s := range d.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// executed is what a statement came to.
type executed struct{ rows, id int64 }

func (e executed) LastInsertId() (int64, error) { return e.id, nil }
func (e executed) RowsAffected() (int64, error) { return e.rows, nil }
