package sqlite

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/ncruces/go-sqlite3/driver"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// Import has a connection of its own, on which the triggers of the schema keep counters as for any other process that writes: the writer, whose operations are
// short, reads what it knows anew afterwards.
func (s *Store) Import(ctx context.Context, im store.Import) (_ store.ImportResult, err error) {
	if s.closed.Load() {
		return store.ImportResult{}, task.ErrStopped
	}
	if err := s.sound(); err != nil {
		return store.ImportResult{}, err
	}
	defer func() { err = s.classify(ctx, err) }()
	db, err := driver.Open(dsn(s.path, url.Values{"_timefmt": {"unixepoch_micro"}, "_txlock": {"immediate"}}), prepareConn)
	if err != nil {
		return store.ImportResult{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return store.ImportResult{}, err
	}
	defer tx.Rollback() // after Commit it does nothing
	done, err := store.RunImport(ctx, importTx{sqlitedb.New(tx)}, im)
	if err != nil {
		return store.ImportResult{}, err
	}
	if err := tx.Commit(); err != nil {
		return store.ImportResult{}, err
	}
	return done, s.present()
}

// KnownKeys looks the keys up.
func (s *Store) KnownKeys(ctx context.Context, keys []string) ([]string, error) {
	list, err := store.EncodeKeys(keys)
	if err != nil {
		return nil, err
	}
	known, err := s.read.ListKnownKeys(ctx, list)
	return known, s.classify(ctx, err)
}

// importTx is the transaction of an import.
type importTx struct{ q *sqlitedb.Queries }

func (x importTx) EverHad(ctx context.Context) (int64, error) {
	c, err := x.q.CountTasks(ctx)
	return c.Ready + c.Scheduled + c.Processing + c.Completed + c.Failed + c.Purged, err
}

// RaiseIDs has nothing to do: an id of AUTOINCREMENT is greater than any there was.
func (importTx) RaiseIDs(context.Context, int64) error { return nil }

func (x importTx) Lane(ctx context.Context, t task.Task, compatibility string) (int64, error) {
	arg := sqlitedb.GetLaneParams{Type: t.Type, Compatibility: compatibility, Priority: t.Priority}
	if err := x.q.InsertLane(ctx, sqlitedb.InsertLaneParams(arg)); err != nil {
		return 0, err
	}
	return x.q.GetLane(ctx, arg)
}

func (importTx) Instant(t time.Time) any { return t.UnixMicro() }

func (x importTx) InsertTasks(ctx context.Context, list string) (map[string]int64, error) {
	rows, err := x.q.ImportTasks(ctx, list)
	ids := make(map[string]int64, len(rows))
	for _, r := range rows {
		ids[*r.IdempotencyKey] = r.ID
	}
	return ids, err
}

func (x importTx) InsertAttempts(ctx context.Context, list string) error {
	return x.q.ImportAttempts(ctx, list)
}

func (x importTx) InsertLogs(ctx context.Context, list string) error {
	return x.q.ImportLogs(ctx, list)
}

func (x importTx) InsertWorker(ctx context.Context, w task.Worker) (int64, error) {
	return x.q.ImportWorker(ctx, sqlitedb.ImportWorkerParams{
		WorkerID: w.WorkerID, Capabilities: w.Capabilities, RegisteredAtUTC: w.RegisteredAtUTC, HeartbeatUTC: w.HeartbeatUTC,
	})
}

func (x importTx) AddFailure(ctx context.Context, g task.FailureGroup) error {
	return x.q.AddFailureGroup(ctx, sqlitedb.AddFailureGroupParams(g))
}

func (x importTx) AddAudit(ctx context.Context, a task.Audit) error {
	_, err := x.q.InsertAudit(ctx, sqlitedb.InsertAuditParams{AtUTC: a.AtUTC, Actor: a.Actor, Action: a.Action, Subject: a.Subject, Message: a.Message})
	return err
}

func (x importTx) CountByStatus(ctx context.Context, ids string) (map[task.Status]int64, error) {
	rows, err := x.q.CountByStatus(ctx, ids)
	out := make(map[task.Status]int64, len(rows))
	for _, r := range rows {
		out[r.Status] = r.Tasks
	}
	return out, err
}
