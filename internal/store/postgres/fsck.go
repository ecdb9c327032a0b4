package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// visit opens a database beside the servers that use it, for statements that may take as long as they need; nothing is migrated. schema.ErrForeign, schema.ErrNewer and
// schema.ErrOlder.
func visit(ctx context.Context, url string) (*sql.DB, error) {
	cfg, err := configure(url)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, cfg, false, nil); err != nil {
		return nil, classify(ctx, "open PostgreSQL", err)
	}
	for name := range timeouts {
		cfg.RuntimeParams[name] = "0"
	}
	return connect(cfg, 1), nil
}

// Inspect looks at all that is stored, as of one instant, and lists up to max things that each check finds. It only reads and keeps nobody from writing; vacuum keeps
// what has been deleted meanwhile.
func Inspect(ctx context.Context, url string, max int) (in store.Inspection, err error) {
	db, err := visit(ctx, url)
	if err != nil {
		return in, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	in, err = inTx(ctx, db, snapshot, func(q *postgresdb.Queries) (store.Inspection, error) { return inspect(ctx, q, max) })
	if err != nil {
		return in, classify(ctx, "look at what is stored", err)
	}
	return in, nil
}

func inspect(ctx context.Context, q *postgresdb.Queries, max int) (store.Inspection, error) {
	in := store.Inspection{Damages: []store.Damage{}}
	sums, err := q.SumCounts(ctx)
	if err != nil {
		return in, err
	}
	if in.Repairs, err = q.LastRepair(ctx); err != nil {
		return in, err
	}
	in.Tasks = sums.Tasks
	if err := compareCounters(ctx, q, &in, sums.LastID); err != nil {
		return in, err
	}
	in.Conserved(sums.Purged, sums.LastID)
	return in, errors.Join(
		store.Collect(ctx, &in, "tasks", max, q.FindOddTasks),
		store.Collect(ctx, &in, "lanes", max, q.FindStrayTasks),
		store.Collect(ctx, &in, "attempts", max, q.FindOddAttempts),
		store.Collect(ctx, &in, "logs", max, q.FindOddLogs),
		store.Collect(ctx, &in, "references", max, q.FindOddReferences),
		store.Collect(ctx, &in, store.CheckKeys, max, q.FindOddKeys),
	)
}

// compareCounters looks for lanes whose counters are not the numbers of their tasks.
func compareCounters(ctx context.Context, q *postgresdb.Queries, in *store.Inspection, lastID int64) error {
	counted := make(map[int64]store.Counters)
	for after := int64(0); after < lastID; after += store.CountPage {
		rows, err := q.CountLanes(ctx, postgresdb.CountLanesParams{After: after, Upto: after + store.CountPage})
		if err != nil {
			return err
		}
		for _, r := range rows {
			counted[r.LaneID] = counted[r.LaneID].Plus(store.Counters{r.Ready, r.Scheduled, r.Processing, r.Completed, r.Failed})
		}
	}
	lanes, err := q.ListCounters(ctx)
	for _, l := range lanes {
		in.Compare(task.Lane{ID: l.ID, Type: l.Type, Priority: l.Priority}, store.Counters{l.Ready, l.Scheduled, l.Processing, l.Completed, l.Failed}, counted[l.ID])
	}
	return err
}

// Repair puts right what in has found in the counters and keys, and notes it in the audit. What the counters were off by is added to them, whatever has changed since
// then: who changes a task changes its counters in the same transaction. ErrConflict when another repair came in between, ErrMoved for
// a store that has been moved: nothing is changed then.
func Repair(ctx context.Context, url string, in store.Inspection, now time.Time) (err error) {
	db, err := visit(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = inTx(ctx, db, nil, func(q *postgresdb.Queries) (struct{}, error) { return struct{}{}, repair(ctx, q, in, now) })
	if err != nil {
		return classify(ctx, "repair", err)
	}
	return nil
}

func repair(ctx context.Context, q *postgresdb.Queries, in store.Inspection, now time.Time) error {
	if err := q.LockKeys(ctx); err != nil { // repairs go one after the other, too
		return err
	}
	if err := allowed(ctx, q, true); err != nil {
		return err
	}
	last, err := q.LastRepair(ctx)
	if err != nil {
		return err
	}
	if last != in.Repairs {
		return fmt.Errorf("%w: another repair was done meanwhile: look again", task.ErrConflict)
	}
	for _, d := range in.Drifts {
		if err := q.CorrectCounts(ctx, postgresdb.CorrectCountsParams(d)); err != nil {
			return err
		}
	}
	if in.Has(store.CheckKeys) {
		if _, err := q.DropOddKeys(ctx); err != nil {
			return err
		}
		if _, err := q.EnterOddKeys(ctx); err != nil {
			return err
		}
	}
	_, err = q.InsertAudit(ctx, postgresdb.InsertAuditParams{AtUTC: now, Actor: store.RepairActor, Action: store.RepairAction, Subject: "database", Message: in.RepairMessage()})
	return err
}
