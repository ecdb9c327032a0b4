package postgres

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/prismq/thequeue/db/postgressets"
)

// onPgx runs a set on a connection of the pool, by way of pgx and past database/sql: arrays then travel in binary form, and a row costs a third less to
// read. A set of which nothing was sent, since the connection had broken before, is sent on another one, as database/sql does it.
func onPgx[T any](ctx context.Context, db *sql.DB, run func(*postgressets.Queries) (T, error)) (T, error) {
	return onConn(ctx, db, func(c *pgx.Conn) (T, error) { return run(postgressets.New(c)) })
}

// onConn is onPgx for what needs the connection itself.
func onConn[T any](ctx context.Context, db *sql.DB, run func(*pgx.Conn) (T, error)) (T, error) {
	for try := 1; ; try++ {
		v, err := onceOnConn(ctx, db, run)
		if try == maxTries || ctx.Err() != nil || !pgconn.SafeToRetry(err) || unreachable(err) != "" {
			return v, err
		}
	}
}

func onceOnConn[T any](ctx context.Context, db *sql.DB, run func(*pgx.Conn) (T, error)) (T, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		var none T
		return none, notSent(ctx, err)
	}
	defer conn.Close() // back to the pool, which drops one that has broken
	return raw(conn, run)
}

// asPgx runs sets on a connection, within its transaction if it has begun one.
func asPgx[T any](conn *sql.Conn, run func(*postgressets.Queries) (T, error)) (T, error) {
	return raw(conn, func(c *pgx.Conn) (T, error) { return run(postgressets.New(c)) })
}

func raw[T any](conn *sql.Conn, run func(*pgx.Conn) (T, error)) (v T, err error) {
	err = conn.Raw(func(c any) error {
		v, err = run(c.(*stdlib.Conn).Conn())
		return err
	})
	return v, err
}
