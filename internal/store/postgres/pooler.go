package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/task"
)

// What a pooler says that keeps no session for its clients: it knows no setting of a session, or hands out sessions in which somebody else has prepared statements.
const (
	protocolViolation  = "08P01"
	duplicatePrepared  = "42P05"
	unknownPrepared    = "26000"
	unsupportedSetting = "startup parameter"
)

// errPooled is what is wrong with a URL that leads to such a pooler.
func errPooled() error {
	return task.Invalid("database", "leads to a pooler, such as PgBouncer, that keeps no session for its client (pool_mode = transaction or statement) or does not take settings of a session. "+
		"The service needs its own sessions, for prepared statements, locks and notifications: name PostgreSQL itself, or a pool with pool_mode = session")
}

// pooled returns errPooled for an error of such a pooler, and other errors as they are.
func pooled(err error) error {
	switch sqlState(err) {
	case duplicatePrepared, unknownPrepared:
		return errPooled()
	case protocolViolation:
		if strings.Contains(err.Error(), unsupportedSetting) {
			return errPooled()
		}
	}
	return err
}

// checkSession returns errPooled where a connection is served by another session after a while. A second one takes that of the first, if it can be taken: a pooler gives the
// one that has just become free.
func (s *Store) checkSession(ctx context.Context) (err error) {
	first, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, first.Close()) }()
	second, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, second.Close()) }()
	before, err := postgresdb.New(first).BackendPID(ctx)
	if err != nil {
		return err
	}
	tx, err := second.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // it has changed nothing
	if _, err := postgresdb.New(tx).BackendPID(ctx); err != nil {
		return err
	}
	after, err := postgresdb.New(first).BackendPID(ctx)
	if err == nil && after != before {
		err = errPooled()
	}
	return err
}
