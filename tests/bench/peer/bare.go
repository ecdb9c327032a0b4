package peer

import (
	"context"

	"github.com/prismq/thequeue/tests/bench/bare"
	"github.com/prismq/thequeue/tests/bench/trial"
)

// Bare is the bare driver with one transaction an operation; package bare says precisely what that is. It has one setting: ours.
type Bare struct{}

func (Bare) Name() string { return "bare" }

func (Bare) Modules() []string { return []string{"github.com/ncruces/go-sqlite3"} }

// Workers is one for each caller.
func (Bare) Workers(callers int) int { return callers }

func (Bare) Open(ctx context.Context, s trial.Spec) (Queue, error) {
	t, err := bare.Open(ctx, s.Dir)
	if err != nil {
		return nil, err
	}
	return bareQueue{t}, nil
}

type bareQueue struct{ *bare.Table }

func (b bareQueue) Enqueue(ctx context.Context) error { return b.EnqueueBatch(ctx, 1) }

func (b bareQueue) EnqueueBatch(ctx context.Context, n int) error {
	_, err := b.Insert(ctx, string(trial.Payload), n)
	return err
}

func (b bareQueue) Work(ctx context.Context, workers int, done func()) error {
	return takeAll(ctx, workers, b.Take, done)
}

// Take is two transactions.
func (b bareQueue) Take(ctx context.Context, _ int) (bool, error) {
	ids, err := b.Claim(ctx, 1)
	if err != nil || len(ids) == 0 {
		return false, err
	}
	return true, b.Complete(ctx, ids...)
}

// Group runs n lives in three transactions: n enqueues, n claims, n completions. It is the most that grouping can reach on this table.
func (b bareQueue) Group(ctx context.Context, n int) error {
	if err := b.EnqueueBatch(ctx, n); err != nil {
		return err
	}
	ids, err := b.Claim(ctx, n)
	if err != nil {
		return err
	}
	return b.Complete(ctx, ids...)
}

func (b bareQueue) Settings() string {
	return "database/sql, synchronous=EXTRA, WAL, one connection, prepared statements, an IMMEDIATE transaction for each operation"
}
