package peer

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/tests/bench/trial"
)

// BarePostgres is PostgreSQL by pgx alone, as a yardstick: a table with the columns of ours and one partial index of ready rows, without
// any other index, check, trigger or counter; many rows a statement, each statement a transaction.
type BarePostgres struct{}

func (BarePostgres) Name() string { return "bare-postgres" }

func (BarePostgres) Modules() []string { return []string{"github.com/jackc/pgx/v5"} }

// Workers is one for each caller.
func (BarePostgres) Workers(callers int) int { return callers }

func (BarePostgres) Open(ctx context.Context, s trial.Spec) (Queue, error) {
	st, err := postgres.Open(ctx, s.URL, postgres.Options{Migrate: true}) // whose table is copied
	if err != nil {
		return nil, err
	}
	if err := st.Close(); err != nil {
		return nil, err
	}
	s.Conns = s.Callers
	pool, settings, err := openPool(ctx, s)
	if err != nil {
		return nil, err
	}
	for _, ddl := range []string{
		`CREATE TABLE bare (LIKE task_queue INCLUDING DEFAULTS)`,
		`CREATE SEQUENCE bare_ids`,
		`ALTER TABLE bare ALTER id SET DEFAULT nextval('bare_ids'), ADD PRIMARY KEY (id), SET (fillfactor = 80)`,
		`CREATE INDEX bare_ready ON bare (lane_id, id) WHERE ready`,
	} {
		if _, err := pool.Exec(ctx, ddl); err != nil {
			pool.Close()
			return nil, err
		}
	}
	return barePostgres{pool, settings}, nil
}

type barePostgres struct {
	pool     *pgxpool.Pool
	settings string
}

func (b barePostgres) Enqueue(ctx context.Context) error { return b.EnqueueBatch(ctx, 1) }

func (b barePostgres) EnqueueBatch(ctx context.Context, n int) error {
	_, err := b.pool.Exec(ctx, `INSERT INTO bare (lane_id, type, priority, payload, compatibility, status, attempts, max_attempts, run_after_utc, ready,
		fence, created_at_utc, updated_at_utc)
		SELECT 1, 'email', 100, $1, '{}', 'queued', 0, 5, now(), true, 0, now(), now() FROM generate_series(1, $2)`, string(trial.Payload), n)
	return err
}

// Group runs n lives in three statements.
func (b barePostgres) Group(ctx context.Context, n int) error {
	if err := b.EnqueueBatch(ctx, n); err != nil {
		return err
	}
	rows, err := b.pool.Query(ctx, `UPDATE bare SET status = 'processing', attempts = attempts + 1, ready = false, fence = fence + 1,
		lease_secret = '0123456789abcdef0123456789abcdef', locked_by = 'worker', last_worker_id = 'worker',
		lease_until_utc = now() + interval '1 minute', reserved_at_utc = now(), processing_started_utc = now(), updated_at_utc = now()
		WHERE id IN (SELECT id FROM bare WHERE lane_id = 1 AND ready ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING id`, n)
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	_, err = b.pool.Exec(ctx, `UPDATE bare SET status = 'completed', outcome = 'succeeded', locked_by = NULL, lease_until_utc = NULL,
		reserved_at_utc = NULL, attempt_outcome = 'succeeded', finished_at_utc = now(), updated_at_utc = now() WHERE id = ANY($1)`, ids)
	return err
}

func (b barePostgres) Work(context.Context, int, func()) error { return errors.ErrUnsupported }

func (b barePostgres) Settings() string { return b.settings }

func (b barePostgres) Close() error {
	b.pool.Close()
	return nil
}
