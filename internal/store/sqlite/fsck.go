package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"github.com/ncruces/go-sqlite3/driver"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// look opens an existing file beside whoever has it, on one connection with the settings of a store; nothing is made or migrated. schema.ErrForeign, schema.ErrNewer
// and schema.ErrOlder.
func look(ctx context.Context, path string) (_ *sql.DB, err error) {
	registerGuard()
	s := &Store{}
	if s.path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open %s: %w", path, classify(ctx, err))
		}
	}()
	if err := s.checkOwn(ctx); err != nil {
		return nil, err
	}
	if err := s.migrate(ctx, false, nil); err != nil {
		return nil, err
	}
	db, err := driver.Open(dsn(s.path, url.Values{"_timefmt": {"unixepoch_micro"}, "_txlock": {"immediate"}, "mode": {"rw"}}), prepareConn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Inspect looks at all that is stored in a file, as of one instant, and lists up to max things that each check finds. It only reads and keeps nobody from
// writing, but the WAL is not emptied meanwhile.
func Inspect(ctx context.Context, path string, max int) (in store.Inspection, err error) {
	db, err := look(ctx, path)
	if err != nil {
		return in, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return in, classify(ctx, err)
	}
	defer tx.Rollback()
	in, err = inspect(ctx, sqlitedb.New(tx), max)
	return in, classify(ctx, err)
}

func inspect(ctx context.Context, q *sqlitedb.Queries, max int) (store.Inspection, error) {
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
func compareCounters(ctx context.Context, q *sqlitedb.Queries, in *store.Inspection, lastID int64) error {
	counted := make(map[int64]store.Counters)
	for after := int64(0); after < lastID; after += store.CountPage {
		rows, err := q.CountLanes(ctx, sqlitedb.CountLanesParams{After: after, Upto: after + store.CountPage})
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

// Repair puts right what in has found in the counters and keys of a file, and notes it in the audit. What the counters were off by is added to them, whatever has changed
// since then: who changes a task changes its counters in the same transaction. A server that has the file sees that another process has written, and reads them anew.
// ErrConflict when another repair came in between, ErrMoved for
// a store that has been moved: nothing is changed then.
func Repair(ctx context.Context, path string, in store.Inspection, now time.Time) (err error) {
	db, err := look(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return classify(ctx, err)
	}
	defer tx.Rollback() // after Commit it does nothing
	if err := repair(ctx, sqlitedb.New(tx), in, now); err != nil {
		return classify(ctx, err)
	}
	return classify(ctx, tx.Commit())
}

func repair(ctx context.Context, q *sqlitedb.Queries, in store.Inspection, now time.Time) error {
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
		if err := q.CorrectCounts(ctx, sqlitedb.CorrectCountsParams(d)); err != nil {
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
	_, err = q.InsertAudit(ctx, sqlitedb.InsertAuditParams{AtUTC: now, Actor: store.RepairActor, Action: store.RepairAction, Subject: "database", Message: in.RepairMessage()})
	return err
}
